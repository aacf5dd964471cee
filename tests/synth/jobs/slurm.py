"""A Slurm of our own on loopback, run by this user from a temporary folder; nothing of the machine's is touched."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "scontrol")

_CONF = """
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=1
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs={cpus} RealMemory=8000 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES MaxTime=1:00:00 State=UP
"""


class NotHere(Exception):
    """Slurm can't be run on this machine; says why."""


@contextmanager
def running(folder: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """The environment variables with which Slurm's programs find it, while it runs.

    Raises NotHere where it isn't installed, or does not come up.
    """
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"  # where Debian puts the daemons
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        raise NotHere(f"not installed: {', '.join(absent)}")
    _configure(folder, cpus)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    started = []
    try:
        for command in _daemons(folder):
            log = (folder / f"{command[0]}.out").open("wb")
            started.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment))
            if command[0] == "munged":
                _until(lambda: (folder / "munge.socket").exists(), folder, started)
        _until(lambda: _idle(environment), folder, started)
        yield {"SLURM_CONF": environment["SLURM_CONF"]}
    finally:
        _stop(started, environment)


def _configure(folder: Path, cpus: int) -> None:
    folder.chmod(0o755)  # munged insists that nobody else may write above its socket
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    values = {
        "folder": folder,
        "host": socket.gethostname().split(".")[0],
        "user": _user(),
        "controller_port": _port(),
        "node_port": _port(),
        "cpus": cpus,
    }
    (folder / "slurm.conf").write_text(_CONF.format(**values))


def _daemons(folder: Path) -> list[list[str]]:
    """munged, slurmctld and slurmd, none of which leaves the foreground."""
    names = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log"}
    names |= {"seed-file": "munge.seed"}
    conf = str(folder / "slurm.conf")
    return [
        ["munged", "--foreground", "--force", *(f"--{option}={folder / name}" for option, name in names.items())],
        ["slurmctld", "-D", "-c", "-f", conf],
        ["slurmd", "-D", "-f", conf],
    ]


def _idle(environment: dict[str, str]) -> bool:
    done = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, env=environment)
    return done.stdout.strip() in ("idle", "mix")


def _until(condition, folder: Path, started: list[subprocess.Popen], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        gone = [process.args[0] for process in started if process.poll() is not None]
        if gone or time.monotonic() > end:
            logs = [path for path in (*folder.glob("*.log"), *folder.glob("*.out")) if path.stat().st_size]
            last = "; ".join(f"{p.name}: {p.read_text(errors='replace').splitlines()[-1]}" for p in logs)
            raise NotHere(f"{gone[0] if gone else 'it'} {'ended' if gone else 'did not come up'} ({last})")
        time.sleep(0.1)


def _stop(started: list[subprocess.Popen], environment: dict[str, str]) -> None:
    if len(started) > 1:
        subprocess.run(["scancel", "--me"], env=environment, capture_output=True, timeout=20)
    for process in reversed(started):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
