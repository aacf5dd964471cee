"""A command that is left running: what it says is followed, and Ctrl-C ends the following only."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings
from flow.synth.outcome import State
from tests.synth.jobs.designs import carrying, design, job, said, stand_in, wait_for

WORD = "74%06d" % os.getpid()
FOLLOW = "import sys; from flow.synth.jobs.detached import follow; sys.exit(follow(sys.argv[1:]))"

pytestmark = pytest.mark.slow


def follow(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "FLOW_SYNTH_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, "-c", FOLLOW, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_what_it_says_comes_through_with_its_exit_status(tmp_path):
    child = follow(tmp_path, "parse", str(tmp_path / "none"))
    out, error = child.communicate(timeout=300)
    assert child.returncode == 2 and out == "" and "none" in error.splitlines()[-1]
    child = follow(tmp_path, "keys", "--json")
    out, error = child.communicate(timeout=300)
    assert child.returncode == 0 and len(json.loads(out)) > 10
    assert re.match(r"flow: process \d+, which writes to .*/cache/jobs/run-.*\.log\n", error)


def left(tmp_path, monkeypatch):
    """A run of one job that is followed no more: its process, its log, and what the follower said."""
    stand_in(tmp_path, monkeypatch, 'while ! test -e "$STAND_IN_RECORD/go"; do sleep 0.1; done')
    child = follow(tmp_path, "synth", str(design(tmp_path, "a")), "--tool", "yosys")
    wait_for(lambda: "a begin" in said(tmp_path / "log"))
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=300)
    assert child.returncode == 130
    pid, log = re.search(r"process (\d+) goes on; what it says: (\S+); to cancel it: kill -INT \1", error).groups()
    return int(pid), log


def test_ctrl_c_leaves_the_job_and_a_second_run_finds_it_in_the_cache(tmp_path, monkeypatch):
    pid, log = left(tmp_path, monkeypatch)
    time.sleep(0.3)
    assert "a end" not in said(tmp_path / "log")
    (tmp_path / "go").write_text("")
    wait_for(lambda: not alive(pid))
    assert said(tmp_path / "log") == ["a begin", "a end"] and os.path.isfile(log)
    (outcome,) = run([job(tmp_path / "a", tmp_path / "cache", 900.0)], JobSettings())
    assert outcome.cached and outcome.state is State.DONE and len(said(tmp_path / "log")) == 2


def test_what_was_left_is_cancelled_by_the_signal_that_is_named(tmp_path, monkeypatch):
    pid, _ = left(tmp_path, monkeypatch)
    os.kill(pid, signal.SIGINT)
    wait_for(lambda: not alive(pid))
    wait_for(lambda: not carrying(str(tmp_path / "stand-in")))
    assert "a end" not in said(tmp_path / "log")


def test_it_can_be_cancelled_though_it_was_started_with_signals_ignored(tmp_path, monkeypatch):
    # A shell has what it starts in its background ignore SIGINT, and so do all that this starts.
    code = (
        "import os, signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "os.execv(sys.executable, [sys.executable, '-m', 'flow.synth.jobs.detached', *sys.argv[1:]])"
    )
    stand_in(tmp_path, monkeypatch, f"exec sleep {WORD}")
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "FLOW_SYNTH_CACHE": str(tmp_path / "cache"),
    }
    words = ["synth", str(design(tmp_path, "a")), "--tool", "yosys"]
    child = subprocess.Popen([sys.executable, "-c", code, *words], env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: carrying(WORD))
    child.send_signal(signal.SIGINT)
    assert child.wait(300) != 0
    wait_for(lambda: not carrying(WORD), 60)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
