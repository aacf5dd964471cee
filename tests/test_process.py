"""External programs: their log, their end, and nothing left running."""

import sys
import threading
import time

import pytest

from flow import process
from flow.errors import ToolFailed

SLEEP = [sys.executable, "-c", "import time; print('on', flush=True); time.sleep(60)"]


def test_what_is_printed_is_kept_and_the_status_returned(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"]
    assert process.run(command, tmp_path, log, 30) == 3
    assert sorted(log.read_text().split()) == ["err", "out"]


def test_a_time_limit_names_the_log(tmp_path):
    with pytest.raises(ToolFailed, match="longer than 0.5 s.*log"):
        process.run(SLEEP, tmp_path, tmp_path / "log", 0.5, tool="sleeper")
    with pytest.raises(ToolFailed, match="could not be started"):
        process.run(["no-such-program"], tmp_path, tmp_path / "log", 5)


def test_results_come_in_order_and_the_first_error_ends_the_rest(tmp_path):
    assert process.in_parallel([lambda i=i: i * i for i in range(5)], 2) == [0, 1, 4, 9, 16]
    start = time.monotonic()

    def fails():
        raise ToolFailed("broken")

    with pytest.raises(ToolFailed, match="broken"):
        process.in_parallel([lambda: process.run(SLEEP, tmp_path, tmp_path / "log", 50), fails], 2)
    assert time.monotonic() - start < 20


def test_a_background_job_ends_with_the_block_that_fails(tmp_path):
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        with process.background(lambda: process.run(SLEEP, tmp_path, tmp_path / "log", 50)) as future:
            while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text():
                time.sleep(0.05)
            raise KeyboardInterrupt
    assert isinstance(future.exception(), process.Stopped)
    assert time.monotonic() - start < 20
    with process.background(lambda: 7) as future:
        pass
    assert future.result() == 7


def test_a_background_job_that_only_waits_ends_with_the_block():
    begun, ended = threading.Event(), threading.Event()

    def wait_for_ever():
        begun.set()
        try:
            while True:
                process.pause(0.02)
        finally:
            ended.set()

    with pytest.raises(KeyError), process.background(wait_for_ever):
        begun.wait()
        raise KeyError
    assert ended.is_set()
