"""A command that outlives the terminal it was given in: started again on its own, and followed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from flow.errors import Storage
from flow.synth import cache
from flow.synth.jobs import guard
from flow.synth.jobs.run import folder_of

LOOK_S = 0.2
LEFT = 130  # the exit status of a command that was interrupted


def follow(arguments: Sequence[str], log: Path | None = None) -> int:
    """Run `flow` with these arguments in a process of its own, and show what it says; its exit status.

    What it says goes to `log` (default: a new file in the cache's folder), what it prints for programs to the file of
    the same name with ``.out``. Ctrl-C ends the following, not the process: how to end that is said, and 130 returned.
    """
    log = log or _new_log()
    printed = log.with_suffix(".out")
    with open(log, "wb") as error, open(printed, "wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", "flow.synth.jobs.detached", *arguments],
            stdin=subprocess.DEVNULL, stdout=out, stderr=error, start_new_session=True, env=guard.without_mark(),
        )  # fmt: skip
    print(f"flow: process {child.pid}, which writes to {log}", file=sys.stderr, flush=True)
    try:
        with open(log, "rb") as error, open(printed, "rb") as out:
            while True:
                status = child.poll()
                _copy(error, sys.stderr)
                _copy(out, sys.stdout)
                if status is not None:
                    if status != 0 and os.fstat(error.fileno()).st_size == 0:
                        print(f"flow: it ended with status {status} and could not write to {log}", file=sys.stderr)
                    return status if status >= 0 else 128 - status
                time.sleep(LOOK_S)
    except KeyboardInterrupt:
        print(
            f"\nflow: process {child.pid} goes on; what it says: {log}; to cancel it: kill -INT {child.pid}",
            file=sys.stderr,
        )
        return LEFT


def _new_log() -> Path:
    folder = folder_of(cache.root())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="run-", suffix=".log", dir=folder)
    except OSError as error:
        raise Storage(f"{folder}: the log can't be written there ({error.strerror})") from None
    os.close(descriptor)
    return Path(name)


def _copy(source: BinaryIO, target: TextIO) -> None:
    text = source.read().decode("utf-8", "replace")
    if text:
        target.write(text)
        target.flush()


if __name__ == "__main__":
    from flow.cli import main

    # A shell gives background processes a SIGINT that is ignored; it is how this one is cancelled.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
