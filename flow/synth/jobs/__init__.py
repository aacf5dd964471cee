"""Many jobs at once, a file for each system that runs them. A new system is a file, a `System` and a line here."""

from contextlib import AbstractContextManager
from pathlib import Path

from flow.synth.jobs import batch, dask, htcondor, local, slurm
from flow.synth.jobs.pool import Lost, Pool
from flow.synth.jobs.settings import JobSettings, Needs, System

SYSTEMS = {
    System.LOCAL: local.open_pool,
    System.DASK: dask.open_pool,
    System.SLURM: slurm.open_pool,
    System.HTCONDOR: htcondor.open_pool,
}


def open_pool(settings: JobSettings, folder: Path, needs: Needs = Needs()) -> AbstractContextManager[Pool]:
    """The pool of the system that `settings` names, for what `needs` says; its logs and keys lie in `folder`, which
    workers on other machines must see too.

    Raises BadInput where the system is not here or can't be used, in one line.
    """
    return SYSTEMS[settings.system](settings, folder, needs)


def require(settings: JobSettings) -> None:
    """Raise BadInput where the system that `settings` names is not here. To be called from the main thread: the import of
    dask-jobqueue, which it tries, works in no other."""
    match settings.system:
        case System.DASK:
            dask.need_dask(settings.system.value)
        case System.SLURM:
            batch.require(settings.system.value, slurm.COMMANDS)
        case System.HTCONDOR:
            batch.require(settings.system.value, htcondor.COMMANDS)


__all__ = ["JobSettings", "Lost", "Needs", "Pool", "SYSTEMS", "System", "open_pool", "require"]
