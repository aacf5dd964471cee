"""External programs: argument lists, a time limit, a kept log, and nothing left running when we stop."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

from flow.errors import ToolFailed, Trouble

Result = TypeVar("Result")

LOOK_S = 0.5  # how often a program's memory is looked at
# What a user, a batch system or a kernel short of memory ends a program with; its own faults end it with others.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU)

_live: dict[subprocess.Popen, int] = {}  # to the thread that waits for it
_stopped: set[subprocess.Popen] = set()
_ended: set[int] = set()  # threads that may start nothing more
_guard = threading.Lock()


class Stopped(Exception):
    """A program was ended because this one stops; nobody is told, the reason for stopping is what counts."""


def run(
    command: Sequence[str],
    folder: Path,
    log: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    append: bool = False,
    tool: str | None = None,
    told: Path | None = None,
    memory_gb: float | None = None,
) -> int:
    """Run a program in `folder`, all that it prints kept in `log`, and return its exit status.

    It leads a process group of its own, which is killed as a whole at the time limit, once it and what it has started
    hold more than `memory_gb` of memory (None: no limit), and when this program is interrupted. Raises ToolFailed where
    it can't be started, takes too long or too much, or is ended by a signal from outside; `tool` and `told` are the
    name and the log that the error tells, where they differ from the program's and from `log`.
    """
    tool, told = tool or Path(command[0]).name, told or log
    pause(0)
    with open(log, "ab" if append else "wb") as stream:
        try:
            child = subprocess.Popen(
                list(command), cwd=folder, env=None if environment is None else dict(environment),
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ToolFailed(
                f"{tool} could not be started: {error.strerror or error}", told, trouble=Trouble.MISSING
            ) from None
        with _guard:
            _live[child] = threading.get_ident()
        try:
            pause(0)
            status = _wait(child, timeout_s, memory_gb)
            if child in _stopped:
                raise Stopped(tool)
            if -status in _FROM_OUTSIDE:
                raise ToolFailed(f"{tool} was ended by {signal.Signals(-status).name}", told, trouble=Trouble.KILLED)
            return status
        except BaseException as error:
            _kill(child)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolFailed(f"{tool} took longer than {timeout_s:g} s", told, trouble=Trouble.TIMEOUT) from None
            if isinstance(error, _TooLarge):
                said = f"{tool} took more than {memory_gb:g} GB of memory"
                raise ToolFailed(said, told, trouble=Trouble.MEMORY) from None
            raise
        finally:
            with _guard:
                _live.pop(child, None)
                _stopped.discard(child)


class _TooLarge(Exception):
    """A program and what it has started hold more memory than they may."""


def _wait(child: subprocess.Popen, timeout_s: float, memory_gb: float | None) -> int:
    """The exit status; raises TimeoutExpired and _TooLarge."""
    if memory_gb is None:
        return child.wait(timeout=timeout_s)
    end = time.monotonic() + timeout_s
    while True:
        left = end - time.monotonic()
        try:
            return child.wait(timeout=max(min(left, LOOK_S), 0.0))
        except subprocess.TimeoutExpired:
            if left <= LOOK_S:
                raise
        if _memory(child.pid) > memory_gb * 1e9:
            raise _TooLarge


def _memory(pid: int) -> int:
    """Bytes that a process and all that it has started hold; pages that they share count for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def kill_all() -> None:
    """End every program that `run` has started and that still runs."""
    with _guard:
        children = list(_live)
        _stopped.update(children)
    for child in children:
        _kill(child)


def end_thread(thread: int) -> None:
    """End what a thread runs, and let it start nothing more: `run` and `pause` raise Stopped there until `reopen`."""
    with _guard:
        _ended.add(thread)
        children = [child for child, waiting in _live.items() if waiting == thread]
        _stopped.update(children)
    for child in children:
        _kill(child)


def reopen(thread: int) -> None:
    """Let a thread that was ended start programs again: numbers of threads are given anew."""
    with _guard:
        _ended.discard(thread)


def pause(seconds: float) -> None:
    """Sleep; raises Stopped where this thread is ended, for those who wait in a loop for something else."""
    time.sleep(seconds)
    if threading.get_ident() in _ended:
        raise Stopped


def in_parallel(jobs: Sequence[Callable[[], Result]], at_once: int) -> list[Result]:
    """The results of jobs that wait for external programs, `at_once` at the same time, in order.

    The first exception ends what still runs and is raised; so does Ctrl-C.
    """
    pool = ThreadPoolExecutor(max_workers=max(1, at_once))
    futures = [pool.submit(job) for job in jobs]
    try:
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failed = next((f.exception() for f in futures if f in done and f.exception() is not None), None)
        if failed is not None:
            raise failed
        return [future.result() for future in futures]
    except BaseException:
        _end(futures)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def background(job: Callable[[], Result]) -> Iterator[Future[Result]]:
    """A job that waits for external programs while the block does other work; ended with the block if that fails."""
    pool, threads = ThreadPoolExecutor(max_workers=1), []

    def work() -> Result:
        threads.append(threading.get_ident())
        try:
            return job()
        finally:
            reopen(threads[0])

    future = pool.submit(work)
    try:
        yield future
    except BaseException:
        _end([future], threads)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end(futures: Sequence[Future], threads: Sequence[int] = ()) -> None:
    """Cancel what has not started and end what runs, also a program that a job starts only now, and in `threads` waiting."""
    for future in futures:
        future.cancel()
    while wait(futures, timeout=0.2).not_done:
        kill_all()
        for thread in threads:
            end_thread(thread)


def _kill(child: subprocess.Popen) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
