"""Where jobs run, how many at once, and how often they are tried."""

import math
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from flow.errors import BadInput


class System(Enum):
    """Who runs the jobs."""

    LOCAL = "local"
    DASK = "dask"
    SLURM = "slurm"
    HTCONDOR = "htcondor"

    @staticmethod
    def named(name: str) -> "System":
        """Raises BadInput, which lists those that there are."""
        try:
            return System(name)
        except ValueError:
            raise BadInput(f"--jobs: {name!r} is no system; known: {', '.join(s.value for s in System)}") from None


@dataclass(frozen=True)
class JobSettings:
    """`at_once`: most jobs in flight (None: as many as the system has room for). `retries`: how often a job is tried
    again whose trouble may pass, the first time after `backoff_s`, then after twice that, and so on. `scheduler`: the
    address of a Dask scheduler that runs already; `tls_ca`, `tls_cert` and `tls_key` are the files to speak to it with
    (None: those of Dask's own configuration). `walltime_s`: how long a batch job may stay (None: long enough for its
    share of the jobs). Raises BadInput for what can't be used.
    """

    system: System = System.LOCAL
    at_once: int | None = None
    retries: int = 3
    backoff_s: float = 5.0
    scheduler: str | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    walltime_s: float | None = None

    def __post_init__(self):
        if self.at_once is not None and self.at_once < 1:
            raise BadInput(f"--at-once {self.at_once}: at least 1 job")
        if self.retries < 0:
            raise BadInput(f"--retries {self.retries}: 0 or more")
        if not (math.isfinite(self.backoff_s) and self.backoff_s >= 0):
            raise BadInput(f"--backoff {self.backoff_s:g}: seconds, 0 or more")
        if self.walltime_s is not None and not (math.isfinite(self.walltime_s) and self.walltime_s >= 60):
            raise BadInput(f"--walltime {self.walltime_s:g}: seconds, 60 or more")
        if self.walltime_s is not None and self.system not in (System.SLURM, System.HTCONDOR):
            raise BadInput(f"--walltime {self.walltime_s:g} s: only with --jobs slurm or htcondor")
        if self.scheduler is not None:
            self._check_scheduler(self.scheduler)
        self._check_tls()

    def _check_scheduler(self, address: str) -> None:
        if self.system is not System.DASK:
            raise BadInput(f"--scheduler {address}: only with --jobs dask, not {self.system.value}")
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, None
        if parts is None or parts.scheme not in ("tcp", "tls") or not host or not port:
            raise BadInput(f"--scheduler {address!r}: tls://HOST:PORT, or tcp://127.0.0.1:PORT")
        if parts.scheme == "tcp" and not loopback(host):
            raise BadInput(
                f"--scheduler {address}: tcp:// only to this machine's loopback, since whoever reads along could run "
                f"programs as you; start the scheduler with TLS and use tls://{host}:{port}"
            )

    def _check_tls(self) -> None:
        files = {"--tls-ca": self.tls_ca, "--tls-cert": self.tls_cert, "--tls-key": self.tls_key}
        given = {option: path for option, path in files.items() if path is not None}
        if not given:
            return
        if self.scheduler is None or not self.scheduler.startswith("tls://"):
            raise BadInput(f"{next(iter(given))}: only with --scheduler tls://HOST:PORT")
        for option in files:
            if option not in given:
                raise BadInput(f"{next(iter(given))}: all three are needed, {option} is missing")
        for option, path in given.items():
            if not path.is_file():
                raise BadInput(f"{option} {path}: no such file")


@dataclass(frozen=True)
class Needs:
    """What is going to be asked of a pool: how many jobs, and what the largest of them may take."""

    jobs: int = 1
    memory_gb: float = 1.0
    timeout_s: float = 900.0


def loopback(host: str) -> bool:
    """Whether an address stays on this machine; names other than localhost do not count."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
