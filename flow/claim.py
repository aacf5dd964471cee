"""Who works on something now, across processes, users and machines that share a file system.

A claim on a name is a file ``.NAME.claim-N`` that only one process can create; the highest N owns, and to take over is
to create N + 1. Its owner rewrites a counter in it every few seconds. An owner is dead when its process is gone, which
is seen at once on the machine that it ran on, and elsewhere when its counter stood still for `LOST_S` while we looked.
Time is only ever our own monotonic clock: clocks of two machines are not compared, nor is one trusted to go forward.

An owner that was taken for dead and comes back finds its claim gone (`Claim.held`), and what it does then is its own
matter: a claim saves doing things twice, it does not make twice impossible.
"""

import errno
import json
import os
import re
import socket
import stat
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

import psutil

BEAT_S = 5.0  # how often an owner says that it is there
LOST_S = 60.0  # silence after which an owner on another machine is given up

_COUNTER = 12  # digits
_ENDED = ("Z", "X", "x")  # states of a process that has ended, of which only the number is left

_held: set[str] = set()  # tokens of the claims of this process
_watched: dict[Path, tuple[bytes, float, float]] = {}  # claim -> what it said, when we looked last, its silence in s
_guard = threading.Lock()


@dataclass(frozen=True)
class Owner:
    """A process on a machine: host, the boot and the process namespace that its number is of, the number, and when it
    started in units of its machine. `token` is the claim's own."""

    host: str = ""
    boot: str = ""
    space: str = ""
    pid: int = 0
    start: str = ""
    token: str = ""


class Claim:
    """A claim that is held until `release`, or the end of the `with` block."""

    def __init__(self, folder: Path, name: str, number: int, descriptor: int, owner: Owner, counter_at: int):
        self.owner = owner
        self._folder, self._name, self._number = folder, name, number
        self._descriptor, self._counter_at = descriptor, counter_at
        self._ending = threading.Event()
        _held.add(owner.token)
        self._thread = threading.Thread(target=self._beat, daemon=True, name=f"claim {name}")
        self._thread.start()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether nobody has taken it over."""
        numbers = _numbers(self._folder, self._name)
        return max(numbers, default=0) == self._number and self._ours()

    def release(self) -> None:
        """Give it up; never raises for what the file system does."""
        self._ending.set()
        self._thread.join()
        with suppress(OSError):
            if self._ours():
                _path(self._folder, self._name, self._number).unlink(missing_ok=True)
        with suppress(OSError):
            os.close(self._descriptor)
        _held.discard(self.owner.token)

    def _ours(self) -> bool:
        """Whether the file of our number is the one that we made."""
        read = _read(_path(self._folder, self._name, self._number))
        owner = None if read is None else _owner(read)
        return owner is not None and owner.token == self.owner.token

    def _beat(self) -> None:
        # Through the descriptor, not the path: once the file was swept, its name may be another's.
        count = 0
        while not self._ending.wait(BEAT_S):
            count += 1
            with suppress(OSError):  # a full disk or a server that is away: the next one may pass
                os.pwrite(self._descriptor, f"{count:0{_COUNTER}}".encode(), self._counter_at)
                os.fsync(self._descriptor)


def take(folder: Path, name: str, owner: Owner | None = None) -> Claim | None:
    """Claim `name` in an existing folder, or None where a living owner has it.

    `owner` is this process unless told otherwise. Raises OSError where the claim can't be written.
    """
    numbers = _numbers(folder, name)
    if any(_alive(_path(folder, name, number)) for number in numbers):
        return None
    number = max(numbers, default=0) + 1
    claim = _create(folder, name, number, owner or here())
    if claim is None:
        return None
    try:
        # Who looked long ago may think that all are dead while another has begun anew.
        others = _numbers(folder, name) - {number}
        if any(_alive(_path(folder, name, other)) for other in others):
            claim.release()
            return None
        for other in others:
            _forget(_path(folder, name, other))
    except BaseException:
        claim.release()
        raise
    return claim


def holder(folder: Path, name: str) -> Owner | None:
    """The living owner of a name; an empty `Owner` where its claim can't be read (yet)."""
    for number in sorted(_numbers(folder, name), reverse=True):
        path = _path(folder, name, number)
        read = _read(path)
        if read is not None and not _dead(path, read):
            return _owner(read) or Owner()
    return None


def here(host: str | None = None) -> Owner:
    """This process, with a token of its own; another `host` makes it look like one of another machine."""
    boot, space = _machine()
    pid = os.getpid()
    return Owner(host or socket.gethostname(), boot, space, pid, _start(pid) or "", uuid.uuid4().hex)


def _create(folder: Path, name: str, number: int, owner: Owner) -> Claim | None:
    """The claim of that number, or None where another was faster."""
    path = _path(folder, name, number)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
    except FileExistsError:
        return None
    try:
        if folder.stat().st_mode & stat.S_IWGRP:
            os.fchmod(descriptor, 0o664)
        text = json.dumps(asdict(owner) | {"counter": "0" * _COUNTER}).encode()
        if os.write(descriptor, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return Claim(folder, name, number, descriptor, owner, len(text) - _COUNTER - 2)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / f".{name}.claim-{number}"


def _numbers(folder: Path, name: str) -> set[int]:
    start = f".{name}.claim-"
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {int(found[len(start) :]) for found in names if re.fullmatch(re.escape(start) + "[0-9]{1,9}", found)}


def _read(path: Path) -> bytes | None:
    """What a claim says; nothing where it can't be read or is being written, None where it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _owner(text: bytes) -> Owner | None:
    try:
        row = json.loads(text)
        owner = Owner(**{item.name: row[item.name] for item in fields(Owner)})
    except (ValueError, TypeError, KeyError):
        return None
    return owner if isinstance(owner.pid, int) and owner.pid > 0 and isinstance(owner.token, str) else None


def _alive(path: Path) -> bool:
    text = _read(path)
    return text is not None and not _dead(path, text)


def _dead(path: Path, text: bytes) -> bool:
    owner = _owner(text)
    if owner is not None and (owner.host, owner.boot, owner.space) == (socket.gethostname(), *_machine()):
        if owner.pid == os.getpid() and owner.start == (_start(owner.pid) or ""):
            return owner.token not in _held
        running = _running(owner.pid, owner.start)
        if running is not None:
            return not running
    return _silence(path, text) >= LOST_S


def _silence(path: Path, text: bytes) -> float:
    """Seconds for which a claim has said the same while we looked.

    A gap between two looks counts for two beats at most: when we, or the file server, stood still, the owner may have
    done so too.
    """
    now = time.monotonic()
    with _guard:
        said, looked, silence = _watched.get(path, (None, now, 0.0))
        silence = silence + min(now - looked, 2 * BEAT_S) if said == text else 0.0
        _watched[path] = (text, now, silence)
    return silence


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
    with _guard:
        _watched.pop(path, None)


@lru_cache(maxsize=1)
def _machine() -> tuple[str, str]:
    """What a process number is of: this boot of the machine, and the namespace of a container's processes."""
    boot, space = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return boot, space


def _running(pid: int, start: str) -> bool | None:
    """Whether the process that started then still runs on this machine; None where that can't be seen."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # another user's
    now = _start(pid)
    return None if now is None or not start else now == start


def _start(pid: int) -> str | None:
    """When a process started; "ended" for one of which only the number is left; None where it can't be seen."""
    try:
        # Ticks since the boot: unlike a date, it does not change when the machine's clock is set.
        values = Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
        return "ended" if values[0] in _ENDED else values[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        return repr(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
