"""The options of the command line that say where jobs run."""

import argparse
from pathlib import Path

from flow.quantities import count, quantity, whole
from flow.synth.jobs.settings import JobSettings, System


def add(command: argparse.ArgumentParser) -> None:
    """Give a sub-command these options."""
    command.add_argument(
        "--jobs", default=System.LOCAL.value, metavar="|".join(system.value for system in System),
        help="where tools run and populations train: here, on Dask's workers, on Slurm, on HTCondor (default %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--at-once", metavar="N", help="jobs at the same time (default: as many as there is place for)"
    )
    command.add_argument(
        "--retries",
        metavar="N",
        help="tries more, where a run failed for want of a licence, disk or worker, or was killed",
    )
    command.add_argument("--walltime", metavar="T", help="how long a batch job may stay, e.g. 4h")
    command.add_argument(
        "--scheduler", metavar="ADDRESS", help="of --jobs dask: a scheduler that runs (default: one of its own)"
    )
    for name, what in (("ca", "certificate of the authority"), ("cert", "own certificate"), ("key", "own key")):
        command.add_argument(f"--tls-{name}", type=Path, metavar="FILE", help=f"of a scheduler at tls://: {what}")
    command.add_argument(
        "--on-interrupt", choices=("cancel", "leave"), default="cancel",
        help="what Ctrl-C does with what runs (default %(default)s)",
    )  # fmt: skip


def of(options: argparse.Namespace, limits) -> JobSettings:
    """What the options say, and where they say nothing, a task's `synth`. BadInput for what can't be used."""
    retries = whole("--retries", options.retries)
    return JobSettings(
        System.named(options.jobs),
        count("--at-once", options.at_once, limits.at_once),
        limits.retries if retries is None else retries,
        scheduler=options.scheduler,
        tls_ca=options.tls_ca,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        walltime_s=quantity("--walltime", options.walltime, "s", None),
    )
