"""What Slurm and HTCondor have in common: batch jobs that are Dask workers, all of it over TLS.

dask-jobqueue writes a job script with what it is given as it stands, which a shell reads on the node. So whatever of
ours goes into one is made of harmless characters only. Queue, account, interface and all else come from Dask's own
configuration (`~/.config/dask/jobqueue.yaml`), which is the user's.
"""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from flow.errors import BadInput, Storage
from flow.synth.jobs import dask as pools
from flow.synth.jobs.settings import JobSettings, Needs

MOST = 64  # batch jobs, where no number is given
WORKER_GB = 0.5  # of a worker beside its tool
_SPARE_S = 600  # of a batch job's time for starting, and for the tool's scripts and reports
_LOOK_S = 15.0  # how often the queue is asked, while no worker is there
_KEEP = "keep"  # a file beside logs that are worth it
_PLAIN = re.compile(r"[A-Za-z0-9_./+@=,-]+")


@contextmanager
def open_pool(
    settings: JobSettings, folder: Path, needs: Needs, commands: Sequence[str], start: Callable, queued: Callable
) -> Iterator[pools.DaskPool]:
    """`start(arguments, walltime_s)` gives the cluster of a batch system, `commands` are the programs that it needs,
    and `queued(ids)` tells which of these batch jobs are still there (None: can't be told)."""
    name = settings.system.value
    require(name, commands)
    import dask

    size = min(settings.at_once or MOST, needs.jobs)
    with dask.config.set(pools.OURS), _folder(folder, name) as own:
        cluster = start(arguments(name, own, needs), walltime(settings, needs, size))
        try:
            _submit(cluster, size, name)
            tend = _Tending(cluster, size, queued, own / "logs")
            with pools._closing(pools.DaskPool(lambda: pools._to(cluster), size, tend)) as pool:
                yield pool
        finally:
            _close(cluster)


def require(name: str, commands: Sequence[str]) -> None:
    """Raise BadInput where jobs can't be submitted from here, or the Python packages for it are not installed."""
    for command in commands:
        if shutil.which(command) is None:
            raise BadInput(f"--jobs {name}: {command} is not on the PATH; run this where jobs can be submitted")
    pools.need_dask(name)
    need_jobqueue(name)


def need_jobqueue(name: str) -> None:
    """Raises BadInput where dask-jobqueue is not installed.

    At its import it has SIGINT end this program without a word and with exit status 0: that is undone.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue  # noqa: F401
    except ImportError:
        raise BadInput(f"--jobs {name}: dask-jobqueue is not installed: pip install 'flow[cluster]'") from None
    finally:
        if signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)


def walltime(settings: JobSettings, needs: Needs, size: int) -> int:
    """Seconds that a batch job may stay: what was asked for, else long enough for its share of the jobs."""
    return math.ceil(settings.walltime_s or needs.timeout_s * math.ceil(needs.jobs / size) + _SPARE_S)


def arguments(name: str, own: Path, needs: Needs) -> dict:
    """What every batch system's cluster is given. Raises BadInput for a path that can't stand in a job script."""
    import dask
    from distributed import Security

    for path in (sys.executable, str(own)):
        if not _PLAIN.fullmatch(path):
            raise BadInput(
                f"--jobs {name}: {path!r} would stand in a job script: only letters, digits and _ . / + @ = , - can"
            )
    ours = Security()  # of Dask's own configuration
    listen = dask.config.get(f"jobqueue.{name}.scheduler-options", {}) or {}
    refused = ("protocol", "security", "dashboard_address", "dashboard")
    return {
        "cores": 1,
        "processes": 1,
        "memory": f"{max(1, math.ceil((needs.memory_gb + WORKER_GB) * 1000))} MB",
        "nanny": True,
        "python": sys.executable,
        "job_name": "flow-synth",
        "security": ours if ours.tls_ca_file and ours.tls_worker_cert else Security.temporary(),
        "protocol": "tls://",
        "shared_temp_directory": str(own / "keys"),
        "log_directory": str(own / "logs"),
        "worker_extra_args": [
            *dask.config.get(f"jobqueue.{name}.worker-extra-args", []), "--dashboard-address", "127.0.0.1:0",
        ],
        "scheduler_options": {
            **{key: value for key, value in listen.items() if key not in refused}, "dashboard_address": "127.0.0.1:0"
        },
        "silence_logs": 60,
    }  # fmt: skip


@contextmanager
def _folder(folder: Path, name: str) -> Iterator[Path]:
    """A folder for keys and logs that nobody else may read; removed at the end, but for logs of what went wrong."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder.resolve()))  # of mode 700
        (own / "keys").mkdir(mode=0o700)
        (own / "logs").mkdir(mode=0o700)
    except OSError as error:
        raise Storage(f"{folder}: keys and logs of batch jobs can't be written there ({error.strerror})") from None
    try:
        yield own
    except BaseException:
        (own / "logs" / _KEEP).touch()
        raise
    finally:
        kept = (own / "logs" / _KEEP).exists()
        shutil.rmtree(own / "keys" if kept else own, ignore_errors=True)


def _close(cluster) -> None:
    """Take the batch jobs back, and remove the files of the keys, which else is left to chance."""
    cluster._created.clear()  # Dask insists on the end of each, also of those that were refused
    cluster.close(timeout=pools.PATIENCE_S)
    for name in ("_job_ca_file", "_job_cert", "_job_key"):
        if hasattr(cluster, name):
            with suppress(OSError):
                getattr(cluster, name).close()


def _submit(cluster, size: int, name: str) -> None:
    """Submit the batch jobs; raises BadInput with what the batch system says where it refuses them."""

    async def submit():
        # Not `cluster.scale`, which leaves what the submitting program says to a log.
        while len(cluster.worker_spec) < size:
            cluster.worker_spec.update(cluster.new_worker_spec())
        await cluster._correct_state()

    try:
        cluster.sync(submit)
    except (RuntimeError, OSError, ValueError) as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        at = said.index("stderr:") + 1 if "stderr:" in said else len(said)
        raise BadInput(f"--jobs {name}: {' '.join(said[at:]) or ' '.join(said)}") from None


class _Tending:
    """Replaces batch jobs whose worker is gone, and notices that none is left to come."""

    def __init__(self, cluster, size: int, queued: Callable, logs: Path):
        self._cluster, self._size, self._queued, self._logs = cluster, size, queued, logs
        self._looked = time.monotonic()

    def __call__(self) -> str | None:
        with suppress(Exception):
            self._cluster.scale(self._size)
        if self._cluster.scheduler.workers or time.monotonic() - self._looked < _LOOK_S:
            return None
        self._looked = time.monotonic()
        ids = {name: job.job_id for name, job in self._cluster.workers.items()}
        left = self._queued([number for number in ids.values() if number])
        if left is None or left or not ids:
            return None
        for name in ids:  # so that they are submitted again
            self._cluster.workers.pop(name, None)
        (self._logs / _KEEP).touch()
        return f"the batch jobs ended before a worker came; what they said is in {self._logs}"


def ask(command: Sequence[str]) -> list[str] | None:
    """The lines that a batch system's own program prints, None where it does not answer."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, env=dict(os.environ)
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else None
