"""Many jobs at once, a file for each system that runs them. A new system is a file, a `System` and a line here."""

from contextlib import AbstractContextManager
from pathlib import Path

from flow.synth.jobs import dask, htcondor, local, slurm
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


__all__ = ["JobSettings", "Lost", "Needs", "Pool", "SYSTEMS", "System", "open_pool"]
