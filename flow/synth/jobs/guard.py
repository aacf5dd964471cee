"""A small process beside one that runs tools: should that be killed, it ends the tools that are left.

A tool leads a process group of its own, so that its death is not bound to that of the process that waits for it. All
that one process starts carries a mark in its environment; the guard waits for that process to end, however it ends,
then kills whatever still carries the mark. Run as a script, the guard needs nothing of this package.
"""

import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import psutil

MARK = "STARTED_BY_FLOW"
_standing: dict[int, subprocess.Popen] = {}  # process -> its guard
_once = threading.Lock()


def stand() -> None:
    """Have this process guarded; once for each process."""
    with _once:
        if os.getpid() not in _standing:
            _standing[os.getpid()] = _start()


def _start() -> subprocess.Popen:
    mark = f"{os.getpid()}-{uuid.uuid4().hex}"
    environment = without_mark()
    os.environ[MARK] = mark
    # The pipe's only writing end is ours: it closes with this process, even if that is killed.
    return subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).resolve()), mark],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        cwd="/", start_new_session=True,
    )  # fmt: skip


def without_mark() -> dict[str, str]:
    """The environment for a process that is to outlive this one."""
    return {key: value for key, value in os.environ.items() if key != MARK}


def sweep(mark: str) -> int:
    """Kill the processes that carry a mark; how many there were."""
    found = 0
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()
                found += 1
        except (psutil.Error, OSError):
            pass  # it has just ended, or is another user's
    return found


def _watch(mark: str) -> None:
    sys.stdin.buffer.read()
    while sweep(mark):  # again, for what they had just started
        time.sleep(0.05)


if __name__ == "__main__":
    _watch(sys.argv[1])
