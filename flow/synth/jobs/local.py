"""Jobs on this machine: a thread for each, since all it does is to wait for an external program."""

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from flow.synth.jobs import guard, worker
from flow.synth.jobs.pool import Started
from flow.synth.jobs.settings import JobSettings, Needs

PATIENCE_S = 10.0  # given to jobs that are ended


@dataclass(frozen=True)
class Call:
    """A function with its arguments, and the future of what it returns."""

    name: str
    future: Future
    function: Callable[..., Any]
    arguments: tuple


class LocalPool:
    """Runs as many calls at once as its size, in the order in which they came."""

    def __init__(self, size: int):
        self.size = size
        self._free = psutil.virtual_memory().available
        self._waiting: deque[tuple[Call, Started | None]] = deque()
        self._running: set[str] = set()
        self._guard = threading.Lock()

    def submit(self, function: Callable[..., Any], *arguments: Any, started: Started | None = None) -> Future:
        call = Call(uuid.uuid4().hex, Future(), function, arguments)
        with self._guard:
            self._waiting.append((call, started))
        self._next()
        return call.future

    def _next(self) -> None:
        with self._guard:
            if not self._waiting or len(self._running) >= self.size:
                return
            call, started = self._waiting.popleft()
            self._running.add(call.name)
        # Not a ThreadPoolExecutor: at the interpreter's end that waits for what can't be ended.
        threading.Thread(target=self._run, args=(call,), daemon=True).start()
        if started is not None:
            started(os.uname().nodename)

    def _run(self, call: "Call") -> None:
        result, failure = None, None
        try:
            result = worker.call(call.name, call.function, call.arguments)
        except BaseException as error:
            failure = error
        with self._guard:
            self._running.discard(call.name)
        self._next()
        call.future.set_result(result) if failure is None else call.future.set_exception(failure)

    def room(self, running: int, memory_gb: float) -> bool:
        """Both of what was free at the beginning, since jobs grow, and of what is free now, since others run too."""
        need = memory_gb * 1e9
        return running == 0 or ((running + 1) * need <= self._free and need <= psutil.virtual_memory().available)

    def tend(self) -> None:
        pass

    def cancel(self) -> None:
        last = time.monotonic() + PATIENCE_S
        with self._guard:
            waiting = list(self._waiting)
            self._waiting.clear()
        for call, _ in waiting:
            call.future.cancel()
        while self._running and time.monotonic() < last:
            worker.end(tuple(self._running))
            time.sleep(0.02)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_pool(settings: JobSettings, folder: Path, needs: Needs) -> Iterator[LocalPool]:
    """As many at once as there are cores, where `settings` says no other number; `folder` is not used."""
    guard.stand()
    pool = LocalPool(settings.at_once or cores())
    try:
        yield pool
    finally:
        pool.cancel()
