"""Jobs on HTCondor: what its submit file says, and that a machine which reads it as HTCondor does runs our jobs."""

import os
import re
import sys

import pytest

from flow.errors import BadInput
from flow.synth.jobs import batch, htcondor, slurm
from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings, Needs, System
from flow.synth.outcome import State
from tests.synth.jobs.designs import carrying, design, job, said, stand_in, wait_for

dask = pytest.importorskip("dask")
try:
    batch.need_jobqueue("htcondor")
except BadInput as error:
    pytest.skip(str(error), allow_module_level=True)

SETTINGS = JobSettings(System.HTCONDOR, at_once=2, backoff_s=0.2)
WORD = "73%06d" % os.getpid()

SUBMIT_FILE = """#!/usr/bin/env condor_submit

MY.DaskWorkerName = "htcondor--$F(MY.JobId)--"
batch_name = NAME
RequestCpus = MY.DaskWorkerCores
RequestMemory = floor(MY.DaskWorkerMemory / 1048576)
RequestDisk = floor(MY.DaskWorkerDisk / 1024)
MY.JobId = "$(ClusterId).$(ProcId)"
MY.DaskWorkerCores = 1
MY.DaskWorkerMemory = 4500000000
MY.DaskWorkerDisk = 4000000000
LogDirectory = FOLDER/logs
Output = $(LogDirectory)/worker-$F(MY.JobId).out
Error = $(LogDirectory)/worker-$F(MY.JobId).err
Log = $(LogDirectory)/worker-$(ClusterId).log
Stream_Output = True
Stream_Error = True
allowed_execute_duration = 2400
MY.MaxRuntime = 2400

Arguments = "-c 'PYTHON -m distributed.cli.dask_worker ADDRESS --name NAME --nthreads 1 --memory-limit 4.19GiB --nanny \
--death-timeout 60 --dashboard-address 127.0.0.1:0 --interface lo --protocol tls://'"
Executable = /bin/sh

Queue
"""

# Reads a submit file as HTCondor does (arguments in its "new" quoting), and runs what it says on this machine.
_SUBMIT = r"""#!PYTHON
import re, subprocess, sys
from pathlib import Path
def claimed(path):
    try:
        return path.mkdir() is None
    except FileExistsError:
        return False
folder = Path(__file__).parent
text = Path(sys.argv[1]).read_text()
(folder / "submitted").write_text(text)
inner = re.search(r'^Arguments = "(.*)"$', text, re.M).group(1).replace('""', '"')
words = re.findall(r"(?:[^\s']|'(?:[^']|'')*')+", inner)
words = [re.sub(r"'((?:[^']|'')*)'", lambda part: part.group(1).replace("''", "'"), word) for word in words]
program = re.search(r"^Executable = (.*)$", text, re.M).group(1)
number = next(n for n in range(1, 99) if claimed(folder / f"cluster-{n}"))
child = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
(folder / f"job-{number}").write_text(str(child.pid))
print(f"Submitting job(s).\n1 job(s) submitted to cluster {number}.")
"""
_REMOVE = r"""#!PYTHON
import os, signal, sys
from pathlib import Path
path = Path(__file__).parent / f"job-{sys.argv[1].split('.')[0]}"
try:
    os.killpg(int(path.read_text()), signal.SIGTERM)
except ProcessLookupError:
    sys.exit(1)
path.rename(path.with_name("removed-" + path.name))
"""
_QUEUE = r"""#!PYTHON
from pathlib import Path
for path in Path(__file__).parent.glob("job-*"):
    if Path("/proc", path.read_text()).exists():
        print(path.name[4:] + ".0 2")
"""


@pytest.fixture
def condor(tmp_path, monkeypatch):
    folder = tmp_path / "condor"
    folder.mkdir()
    for name, text in (("condor_submit", _SUBMIT), ("condor_rm", _REMOVE), ("condor_q", _QUEUE)):
        (folder / name).write_text(text.replace("PYTHON", sys.executable))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with dask.config.set({"jobqueue.htcondor.interface": "lo"}):
        yield folder


@pytest.mark.slow
def test_what_is_submitted_says_all_that_it_must(tmp_path, condor):
    needs = Needs(jobs=3, memory_gb=4.0, timeout_s=900.0)
    with htcondor.open_pool(SETTINGS, tmp_path / "jobs", needs) as pool:
        assert pool.size == 2
        (folder,) = (tmp_path / "jobs").iterdir()
        wait_for(lambda: len(list(condor.glob("job-*"))) == 2)
        text = (condor / "submitted").read_text()
        address = re.search(r"tls://127\.0\.0\.1:\d+", text).group()
        assert pool._client.scheduler.address == address
    for path, word in ((str(folder), "FOLDER"), (sys.executable, "PYTHON"), (address, "ADDRESS")):
        text = text.replace(path, word)
    keys = r" --(tls-\S+) FOLDER/keys/\.dask-jobqueue\.worker\.(ca_file|cert|key)\.\w+"
    assert sorted(re.findall(keys, text)) == [("tls-ca-file", "ca_file"), ("tls-cert", "cert"), ("tls-key", "key")]
    assert re.sub(r"HTCondorCluster-\d", "NAME", re.sub(keys, "", text)) == SUBMIT_FILE
    assert not list(condor.glob("job-*"))  # all were taken back


@pytest.mark.slow
def test_jobs_run_on_what_is_submitted(tmp_path, condor, monkeypatch):
    record = stand_in(tmp_path, monkeypatch, f"test $top = a && test $(runs) = 1 && exec sleep {WORD}")
    jobs = [job(design(tmp_path, name, bits), tmp_path / "cache", 4.0) for bits, name in enumerate("ab", 4)]
    outcomes = run(jobs, SETTINGS)
    assert [outcome.state for outcome in outcomes] == [State.TIMED_OUT, State.DONE]
    assert said(record).count("a begin") == 1 and outcomes[0].pid != os.getpid() and not carrying(WORD)


def test_what_is_missing_is_one_line_before_anything_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for settings, name in ((SETTINGS, "condor_submit"), (JobSettings(System.SLURM), "sbatch")):
        with pytest.raises(BadInput, match=f"--jobs {settings.system.value}: {name} is not on the PATH"):
            run([job(design(tmp_path / name, "a"), tmp_path / "cache")], settings)


@pytest.mark.parametrize(
    "name", ["a b", "a;b", "$(touch x)", "a'b", 'a"b', "a\nb", "a`b", "a&b", "a|b", "a>b", "a\\b", "a%b"]
)
def test_nothing_that_a_shell_reads_gets_into_a_job_script(name):
    from pathlib import Path

    with pytest.raises(BadInput, match="would stand in a job script") as failure:
        batch.arguments("slurm", Path("/data") / name, Needs())
    assert "\n" not in str(failure.value)


def test_dashboards_stay_on_loopback_whatever_the_configuration_says():
    options = {"host": "10.0.0.1", "dashboard_address": ":8787", "protocol": "tcp://", "security": None}
    with dask.config.set({"jobqueue.slurm.scheduler-options": options}):
        found = batch.arguments("slurm", batch.Path("/data/jobs"), Needs(memory_gb=2.0))
    assert found["scheduler_options"] == {"host": "10.0.0.1", "dashboard_address": "127.0.0.1:0"}
    assert found["protocol"] == "tls://" and found["security"].require_encryption is True
    assert found["memory"] == "2500 MB" and found["worker_extra_args"][-2:] == ["--dashboard-address", "127.0.0.1:0"]


def test_a_batch_job_may_stay_as_long_as_its_share_of_the_jobs_takes():
    needs = Needs(jobs=10, timeout_s=1000.0)
    assert batch.walltime(SETTINGS, needs, 2) == 5 * 1000 + 600
    assert batch.walltime(JobSettings(System.SLURM, walltime_s=90.5), needs, 2) == 91
    assert slurm.hours(5600) == "01:33:20" and slurm.hours(100 * 3600) == "100:00:00"
