"""External programs: argument lists, a time limit, a kept log, and nothing left running when we stop."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from flow.errors import ToolFailed

Result = TypeVar("Result")

_live: set[subprocess.Popen] = set()
_stopped: set[subprocess.Popen] = set()
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
) -> int:
    """Run a program in `folder`, all that it prints kept in `log`, and return its exit status.

    It leads a process group of its own, which is killed as a whole at the time limit and when this
    program is interrupted. Raises ToolFailed where it can't be started or takes too long; `tool` and `told`
    are the name and the log that the error tells, where they differ from the program's and from `log`.
    """
    tool, told = tool or Path(command[0]).name, told or log
    with open(log, "ab" if append else "wb") as stream:
        try:
            child = subprocess.Popen(
                list(command), cwd=folder, env=None if environment is None else dict(environment),
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ToolFailed(f"{tool} could not be started: {error.strerror or error}", told) from None
        with _guard:
            _live.add(child)
        try:
            status = child.wait(timeout=timeout_s)
            if child in _stopped:
                raise Stopped(tool)
            return status
        except BaseException as error:
            _kill(child)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolFailed(f"{tool} took longer than {timeout_s:g} s", told) from None
            raise
        finally:
            with _guard:
                _live.discard(child)
                _stopped.discard(child)


def kill_all() -> None:
    """End every program that `run` has started and that still runs."""
    with _guard:
        children = list(_live)
        _stopped.update(children)
    for child in children:
        _kill(child)


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
    pool = ThreadPoolExecutor(max_workers=1)
    future = pool.submit(job)
    try:
        yield future
    except BaseException:
        _end([future])
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end(futures: Sequence[Future]) -> None:
    """Cancel what has not started and end what runs, also a program that a job starts only now."""
    for future in futures:
        future.cancel()
    while wait(futures, timeout=0.2).not_done:
        kill_all()


def _kill(child: subprocess.Popen) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
