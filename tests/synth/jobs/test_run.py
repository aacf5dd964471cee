"""Jobs on this machine, with real processes: order, cache, retries, limits, and what an interrupt leaves."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from flow.errors import BadInput, Trouble
from flow.synth.job import Job
from flow.synth.jobs import local
from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings
from flow.synth.jobs.watch import Silent
from flow.synth.outcome import State
from flow.synth.report import Stage
from flow.synth.tools import TOOLS, yosys
from flow.synth.tools.tool import Limits
from tests.synth import vendor_projects, vendor_standins
from tests.synth.jobs.designs import carrying, design, job, said, stand_in, wait_for

QUICK = JobSettings(at_once=2, backoff_s=0.05)


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.events = []

    def begin(self, cached, left):
        self.events.append(("begin", len(cached), len(left)))

    def queued(self, job, waits_for):
        if waits_for:
            self.events.append(("queued", job.name, waits_for))

    def started(self, job, host, attempt):
        self.events.append(("started", job.name, attempt))

    def retrying(self, job, outcome, in_s):
        self.events.append(("retrying", job.name, outcome.trouble, in_s))

    def finished(self, job, outcome):
        self.events.append(("finished", job.name, outcome.state))

    def end(self):
        self.events.append(("end",))


def test_outcomes_come_in_order_each_run_once_and_never_again(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch, "case $top in b) sleep 0.4;; esac")
    jobs = [job(design(tmp_path, name, bits), tmp_path / "cache") for bits, name in enumerate("cba", 4)]
    twice = [*jobs, replace(jobs[0], project=tmp_path / "c" / ".." / "c")]
    outcomes = run(twice, QUICK)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 4 and outcomes[3] == outcomes[0]
    assert sorted(line for line in said(record) if "begin" in line) == ["a begin", "b begin", "c begin"]
    assert [outcome.report.design for outcome in outcomes] == ["c", "b", "a", "c"]

    watch = Heard()
    again = run(jobs, QUICK, watch)
    assert all(outcome.cached for outcome in again) and len(said(record)) == 6
    assert [outcome.report for outcome in again] == [outcome.report for outcome in outcomes[:3]]
    assert watch.events == [("begin", 3, 0), ("end",)]


def test_what_may_pass_is_tried_again_while_others_go_on(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch, "test $top = a && test $(runs) -lt 3 && kill -9 $$")
    jobs = [job(design(tmp_path, name), tmp_path / "cache") for name in ("a", "b")]
    watch = Heard()
    outcomes = run(jobs, replace(QUICK, backoff_s=0.2), watch)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 2
    assert (outcomes[0].attempts, outcomes[1].attempts) == (3, 1)
    assert said(record).count("a begin") == 3 and said(record).count("b begin") == 1
    assert [event[3] for event in watch.events if event[0] == "retrying"] == [0.2, 0.4]
    assert all(event[2] is Trouble.KILLED for event in watch.events if event[0] == "retrying")
    finished = [event[1] for event in watch.events if event[0] == "finished"]
    assert finished == ["b", "a"]


def test_retries_end_and_the_last_failure_counts(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch, "kill -9 $$")
    (outcome,) = run([job(design(tmp_path, "a"), tmp_path / "cache")], replace(QUICK, retries=2))
    assert outcome.state is State.FAILED and outcome.trouble is Trouble.KILLED and outcome.attempts == 3
    assert said(record) == ["a begin"] * 3
    assert "SIGKILL" in outcome.message and outcome.error.log.is_file()


def test_what_no_second_try_mends_is_not_tried_again(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch, 'echo "ERROR: no such cell" > $3; exit 1')
    (outcome,) = run([job(design(tmp_path, "a"), tmp_path / "cache")], QUICK)
    assert outcome.state is State.FAILED and outcome.trouble is Trouble.CRASH and said(record) == ["a begin"]
    watch = Heard()
    (again,) = run([job(tmp_path / "a", tmp_path / "cache")], QUICK, watch)
    assert again.cached and again.message == outcome.message and watch.events == [("begin", 1, 0), ("end",)]
    (asked,) = run([job(tmp_path / "a", tmp_path / "cache", again=True)], QUICK)
    assert not asked.cached and asked.attempts == 2 and said(record) == ["a begin"] * 2


def test_no_more_run_at_once_than_there_are_licences(tmp_path, monkeypatch):
    body = (
        'mkdir "$STAND_IN_RECORD/running.$top"; sleep 0.1; say "beside $(ls -d "$STAND_IN_RECORD"/running.* | wc -l)"\n'
        'rmdir "$STAND_IN_RECORD/running.$top"'
    )
    record = stand_in(tmp_path, monkeypatch, body)
    jobs = [job(design(tmp_path, name), tmp_path / "cache", licences=2) for name in "abcdef"]
    watch = Heard()
    outcomes = run(jobs, replace(QUICK, at_once=4), watch)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 6
    beside = [int(line.split()[2]) for line in said(record) if "beside" in line]
    assert len(beside) == 6 and max(beside) <= 2
    assert any(event[2] == "a licence" for event in watch.events if event[0] == "queued")


def test_a_licence_that_is_refused_is_asked_for_again(tmp_path, monkeypatch):
    tools = vendor_standins.write(tmp_path / "tools", "vivado", behaviour="licence", fails=2)
    vendor_standins.on_path(monkeypatch, tools)
    project = vendor_projects.rtl(tmp_path / "project")
    watch = Heard()
    (outcome,) = run([Job(project, "vivado", Stage.SYNTH, Limits(60.0), tmp_path / "cache")], QUICK, watch)
    assert outcome.state is State.DONE and outcome.attempts == 3 and len(vendor_standins.runs(tools)) == 3
    assert [event[2] for event in watch.events if event[0] == "retrying"] == [Trouble.LICENCE] * 2


def test_what_can_not_be_read_is_refused_before_anything_runs(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch)
    good, bad = job(design(tmp_path, "a"), tmp_path / "cache"), job(tmp_path / "none", tmp_path / "cache")
    with pytest.raises(BadInput, match="none: no such folder"):
        run([good, bad], QUICK)
    assert said(record) == []


def test_jobs_wait_for_memory_and_one_always_runs():
    pool = local.LocalPool(4)
    free = psutil.virtual_memory().available / 1e9
    assert pool.room(0, 10 * free)
    assert pool.room(1, free / 10) and not pool.room(1, 0.6 * free) and not pool.room(19, free / 10)


def test_a_pool_runs_no_more_at_once_than_its_size(tmp_path):
    with local.open_pool(JobSettings(at_once=2), tmp_path, None) as pool:
        futures = [pool.submit(os.getpid) for _ in range(20)]
        assert {future.result(300) for future in futures} == {os.getpid()}
        assert isinstance(pool.submit(int, "x").exception(300), ValueError)


PROGRAM = """
import sys
from pathlib import Path
from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings, System
from tests.synth.jobs.designs import job
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run([job(folder / name, folder / "cache") for name in sys.argv[3:]], JobSettings(System(sys.argv[2]), at_once=2))
"""


def program(folder, system, *names):
    """Another process that runs the jobs of these designs."""
    path = folder / "program.py"
    path.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(
        [sys.executable, str(path), str(folder), system, *names], env=environment, stderr=subprocess.PIPE, text=True
    )


SLEEPS = "test $top = a || exec sleep 7%06d" % os.getpid()
WORD = SLEEPS.split()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "system, number", [("local", signal.SIGINT), ("local", signal.SIGKILL), ("dask", signal.SIGINT)]
)
def test_what_is_ended_leaves_no_process_and_keeps_what_is_finished(tmp_path, monkeypatch, system, number):
    record = stand_in(tmp_path, monkeypatch, SLEEPS)
    for bits, name in enumerate("abc", 4):
        design(tmp_path, name, bits)
    child = program(tmp_path, system, "a", "b", "c")
    wait_for(lambda: "a end" in said(record) and len(carrying(WORD)) == 2)
    child.send_signal(number)
    _, error = child.communicate(timeout=300)
    assert child.returncode == -number
    wait_for(lambda: not carrying(WORD), 60)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in error

    stand_in(tmp_path, monkeypatch)
    outcomes = run([job(tmp_path / name, tmp_path / "cache") for name in "abc"], QUICK)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 3
    assert outcomes[0].cached and sorted(line for line in said(record) if "begin" in line) == ["b begin", "c begin"]


def test_a_report_is_read_anew_by_other_code(tmp_path, monkeypatch):
    """What was kept of a run is enough, and nothing is run again."""
    record = stand_in(tmp_path, monkeypatch)
    one = job(design(tmp_path, "a"), tmp_path / "cache")
    (first,) = run([one], JobSettings())
    monkeypatch.setattr("flow.synth.job.reader", lambda: "another")
    read = yosys.TOOL.read
    doubled = replace(yosys.TOOL, read=lambda *of: replace(read(*of), ff=77))
    monkeypatch.setitem(TOOLS, "yosys", doubled)
    (second,) = run([one], JobSettings())
    assert second.cached and second.report == replace(first.report, ff=77) and said(record).count("a begin") == 1
    (first.folder / yosys.STAT).write_text("{}")
    (third,) = run([one], JobSettings())
    assert third.report is None and third.trouble is Trouble.REPORT and "stat.json" in str(third.error)
