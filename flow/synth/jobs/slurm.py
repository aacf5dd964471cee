"""Jobs on Slurm: each batch job a Dask worker with one core."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flow.synth.jobs import batch
from flow.synth.jobs.dask import DaskPool
from flow.synth.jobs.settings import JobSettings, Needs

COMMANDS = ("sbatch", "scancel", "squeue")


@contextmanager
def open_pool(settings: JobSettings, folder: Path, needs: Needs) -> Iterator[DaskPool]:
    """Raises BadInput where Slurm or dask-jobqueue is not here, or Slurm refuses the batch jobs."""
    with batch.open_pool(settings, folder, needs, COMMANDS, cluster, _queued) as pool:
        yield pool


def cluster(arguments: dict, walltime_s: int):
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(**arguments, walltime=hours(walltime_s))


def hours(seconds: int) -> str:
    """As Slurm writes durations: HH:MM:SS."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _queued(ids: Sequence[str]) -> list[str] | None:
    lines = batch.ask(["squeue", "--me", "--noheader", "--format=%A"])
    return None if lines is None else [line for line in lines if line in ids]
