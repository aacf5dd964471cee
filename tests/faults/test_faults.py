"""A tool that fails on one design of several: the others go on, what happened is said with log and line, and nothing is
lost, done twice or counted twice. Workers and schedulers that are lost are in `tests/synth/jobs`, the loop around it in
`tests/loop/test_faults.py`."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from synth import vendor_projects, vendor_standins

from flow.errors import Trouble
from flow.synth import cache
from flow.synth.job import Job
from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings
from flow.synth.outcome import State
from flow.synth.report import Stage
from flow.synth.tools.tool import Limits

pytestmark = pytest.mark.slow

SHORT = Limits(4.0, memory_gb=0.4)
ONE_BY_ONE = JobSettings(at_once=1, retries=2, backoff_s=0.05)
STAYS = {
    "crash": Trouble.CRASH,
    "error": Trouble.CRASH,
    "hang": Trouble.TIMEOUT,
    "memory": Trouble.MEMORY,
    "no_report": Trouble.REPORT,
    "truncated": Trouble.REPORT,
    "other_design": Trouble.REPORT,
    "other_part": Trouble.REPORT,
    "other_version": Trouble.REPORT,
}
PASSES = ("licence", "disk")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    folder = tmp_path / "tools"
    vendor_standins.on_path(monkeypatch, folder)
    return folder


def jobs_of(tmp_path, timeout_s: float = 120.0) -> list[Job]:
    """Three designs; the first is the one that the fault meets."""
    limits = Limits(timeout_s, memory_gb=0.4)
    projects = [vendor_projects.rtl(tmp_path / name, lines=10 * i) for i, name in enumerate("abc", 1)]
    return [Job(path, "vivado", Stage.SYNTH, limits, cache.root()) for path in projects]


@pytest.mark.parametrize("behaviour", STAYS)
def test_what_no_second_try_mends(tmp_path, tools, behaviour):
    """The run is not repeated, now or later, until it is asked for; then it counts once."""
    vendor_standins.write(tools, "vivado", behaviour=behaviour, fails=1)
    jobs = jobs_of(tmp_path)
    if behaviour == "hang":
        jobs[0] = replace(jobs[0], limits=SHORT)
    faulty, *others = run(jobs, ONE_BY_ONE)
    assert [outcome.state for outcome in others] == [State.DONE] * 2
    assert faulty.state is (State.TIMED_OUT if behaviour == "hang" else State.FAILED)
    assert faulty.trouble is STAYS[behaviour] and faulty.report is None
    error = faulty.error
    assert error.log.is_file() and str(error.log) in str(error)
    if behaviour in ("crash", "error"):
        assert error.log.read_text().splitlines()[error.line - 1].strip() in str(error)
    assert len(vendor_standins.runs(tools)) == 3
    again = run(jobs, ONE_BY_ONE)
    assert all(outcome.cached for outcome in again) and len(vendor_standins.runs(tools)) == 3
    assert again[0].message == faulty.message and [o.report for o in again[1:]] == [o.report for o in others]
    mended = run([replace(job, again=True) for job in jobs], ONE_BY_ONE)
    assert [outcome.state for outcome in mended] == [State.DONE] * 3 and len(vendor_standins.runs(tools)) == 4
    assert mended[0].report.lut != mended[1].report.lut


@pytest.mark.parametrize("behaviour", PASSES)
def test_what_may_pass_is_tried_again(tmp_path, tools, behaviour):
    vendor_standins.write(tools, "vivado", behaviour=behaviour, fails=1)
    outcomes = run(jobs_of(tmp_path), ONE_BY_ONE)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 3
    assert [outcome.attempts for outcome in outcomes] == [2, 1, 1]
    assert len(vendor_standins.runs(tools)) == 4


@pytest.mark.parametrize("behaviour", PASSES)
def test_what_does_not_pass_is_said_and_not_remembered(tmp_path, tools, behaviour):
    vendor_standins.write(tools, "vivado", behaviour=behaviour)
    jobs = jobs_of(tmp_path)[:1]
    (outcome,) = run(jobs, ONE_BY_ONE)
    assert outcome.trouble.value == behaviour and outcome.error.line and len(vendor_standins.runs(tools)) == 3
    vendor_standins.write(tools, "vivado")
    assert run(jobs, ONE_BY_ONE)[0].state is State.DONE


@pytest.mark.parametrize("behaviour", ["hang", "memory"])
def test_a_larger_limit_is_worth_a_new_try(tmp_path, tools, behaviour):
    vendor_standins.write(tools, "vivado", behaviour=behaviour, fails=1)
    (job, *_) = jobs_of(tmp_path)
    first = replace(job, limits=SHORT) if behaviour == "hang" else job
    assert run([first], ONE_BY_ONE)[0].trouble is STAYS[behaviour]
    more = replace(job, limits=Limits(240.0, memory_gb=0.8))
    assert run([more], ONE_BY_ONE)[0].state is State.DONE


def test_no_program_outlives_what_failed(tmp_path, tools):
    vendor_standins.write(tools, "vivado", behaviour="hang", fails=1)
    run(jobs_of(tmp_path, SHORT.timeout_s)[:1], ONE_BY_ONE)
    (hung,) = vendor_standins.runs(tools)
    with pytest.raises(ProcessLookupError):
        os.kill(hung["pid"], 0)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from faults.test_faults import ONE_BY_ONE, again_in
print(sum(not outcome.cached for outcome in again_in({folder!r})))
"""


def again_in(folder) -> list:
    """The same jobs in another process."""
    limits = Limits(timeout_s=30.0)
    jobs = [Job(Path(folder) / name, "vivado", Stage.SYNTH, limits, cache.root()) for name in "abc"]
    return run(jobs, ONE_BY_ONE)


def start(folder) -> subprocess.Popen:
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), folder=str(folder))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)


def test_two_runs_of_the_same_projects_at_once_run_each_once(tmp_path, tools):
    vendor_standins.write(tools, "vivado", seconds=0.5)
    jobs_of(tmp_path)
    both = [start(tmp_path) for _ in range(2)]
    ran = [int(process.communicate(timeout=120)[0]) for process in both]
    assert sum(ran) == 3 and len(vendor_standins.runs(tools)) == 3


def test_a_run_that_was_killed_is_taken_over(tmp_path, tools):
    vendor_standins.write(tools, "vivado", behaviour="hang", fails=1)
    jobs = jobs_of(tmp_path)
    process = start(tmp_path)
    end = time.monotonic() + 60
    while not vendor_standins.runs(tools) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    outcomes = run([replace(job, limits=Limits(30.0)) for job in jobs], ONE_BY_ONE)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 3 and len(vendor_standins.runs(tools)) == 4


def test_a_clock_that_has_gone_back_costs_nothing(tmp_path, tools, monkeypatch):
    """Files from the future, and a present before all that was done: the same reports, and nothing is run again."""
    vendor_standins.write(tools, "vivado")
    jobs = jobs_of(tmp_path)
    before = run(jobs[:2], ONE_BY_ONE)
    future = time.time() + 10 * 365 * 86400
    for path in (*tmp_path.rglob("*"), *cache.root().rglob("*")):
        if not path.is_symlink() and tools not in path.parents:
            os.utime(path, (future, future))
    monkeypatch.setattr(time, "time", lambda: 1.0)
    after = run(jobs, ONE_BY_ONE)
    assert [o.report for o in after[:2]] == [o.report for o in before] and after[2].state is State.DONE
    assert len(vendor_standins.runs(tools)) == 3


def test_a_project_that_changes_is_another_run(tmp_path, tools):
    vendor_standins.write(tools, "vivado")
    (job, *_) = jobs_of(tmp_path)
    first = run([job], ONE_BY_ONE)[0]
    with next((job.project / "rtl" / "src").glob("fc0*.v")).open("a") as stream:
        stream.write("// another line\n" * 5)
    second = run([job], ONE_BY_ONE)[0]
    assert not second.cached and second.report.lut != first.report.lut
    shutil.rmtree(cache.root())
    assert run([job], ONE_BY_ONE)[0].report == second.report
