"""Jobs on HTCondor: each of its jobs a Dask worker with one core."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flow.synth.jobs import batch
from flow.synth.jobs.dask import DaskPool
from flow.synth.jobs.settings import JobSettings, Needs

COMMANDS = ("condor_submit", "condor_rm", "condor_q")

DISK = "4 GB"  # of a job, where Dask's configuration says nothing; a tool's work lies in the cache


@contextmanager
def open_pool(settings: JobSettings, folder: Path, needs: Needs) -> Iterator[DaskPool]:
    """Raises BadInput where HTCondor or dask-jobqueue is not here, or HTCondor refuses the jobs."""
    with batch.open_pool(settings, folder, needs, COMMANDS, cluster, _queued) as pool:
        yield pool


def cluster(arguments: dict, walltime_s: int):
    import dask
    from dask_jobqueue import HTCondorCluster

    # HTCondor has no common key for the time limit: one is its own, the other that of sites that sort jobs by it.
    limits = {"allowed_execute_duration": walltime_s, "MY.MaxRuntime": walltime_s}
    theirs = dask.config.get("jobqueue.htcondor.job-extra-directives", {}) or {}
    disk = dask.config.get("jobqueue.htcondor.disk", None) or DISK
    return HTCondorCluster(**arguments, disk=disk, job_extra_directives=limits | theirs)


def _queued(ids: Sequence[str]) -> list[str] | None:
    lines = batch.ask(["condor_q", "-autoformat:j", "JobStatus"])
    return None if lines is None else [line for line in lines if line.split()[0] in ids]
