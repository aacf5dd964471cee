"""One entry of the cache on disk: a folder with the record of a run and what was kept of it.

It appears as a whole, by renaming, and the record is signed with its own digest: one that is cut off, edited, or copied
from another entry counts as not there. What is read never lies behind a link.
"""

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flow.errors import BadInput, Storage
from flow.store import digest_of
from flow.synth.outcome import Outcome, State

RECORD = "outcome.json"
DAMAGED = "outcome.json.damaged-"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, no quota, a file larger than allowed
LOG_SUFFIXES = (".log", ".rpt", ".txt", ".xml", ".json", ".ys", ".tcl")
LOG_BYTES = 16 << 20  # up to which a file of a failed run is kept
_RECORD_BYTES = 16 << 20
_TRIES = 100  # to take the place of what others put there again and again
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class Entry:
    """The entry `name` (tool, place, key) of the cache in `root`."""

    root: Path
    name: tuple[str, str, str]

    def __post_init__(self):
        for part in self.name:
            if not valid(part):
                raise BadInput(f"cache: {part!r} is no name of a tool, place or key; letters, digits and _ . + - are")

    @property
    def folder(self) -> Path:
        return self.root.joinpath(*self.name)

    def scratch(self, token: str, purpose: str) -> Path:
        """A hidden folder beside the entry."""
        return self.folder.parent / f".{self.name[2]}.{token}.{purpose}"

    def raw(self) -> bytes | None:
        """The record as it is on disk; None where there is none."""
        return _record_in(self.folder)

    def read(self) -> Outcome | None:
        """The outcome that is kept here; None where there is none that can be trusted, or its report is gone."""
        return self.parsed(self.raw())

    def parsed(self, raw: bytes | None) -> Outcome | None:
        """What `raw` says, as a record of this entry."""
        if raw is None:
            return None
        try:
            row = json.loads(raw)
            digest = row.pop("digest")
            if digest != digest_of(row) or row.pop("entry") != "/".join(self.name):
                return None
            outcome = Outcome.from_json(row, str(self.folder / RECORD), self.folder)
        except (BadInput, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if outcome.report is not None and not holds(self.folder, outcome.report.path):
            return None
        return outcome

    def publish(self, outcome: Outcome, stage: Path, seen: bytes | None) -> bool:
        """Put the folder `stage` here, with the record of `outcome`; False where another was faster.

        `seen` is the record that it replaces, as `raw` gave it. Another that came meanwhile stays, unless it tells of
        a failure and this one does not. Raises OSError, with nothing left half done but in `stage`.
        """
        _write(stage / RECORD, self._record(outcome))
        share_tree(stage, self.folder.parent)
        for _ in range(_TRIES):
            if _renamed(stage, self.folder):
                return True
            now = self.raw()
            standing = self.parsed(now) if now != seen else None
            if standing is not None and (standing.state is State.DONE or outcome.state is not State.DONE):
                return False
            self._clear(stage, now)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(self.folder))

    def _record(self, outcome: Outcome) -> str:
        row = outcome.to_json() | {"entry": "/".join(self.name)}
        return json.dumps(row | {"digest": digest_of(row)}, indent=1) + "\n"

    def _clear(self, stage: Path, expected: bytes | None) -> None:
        """Take away what stands here, if it is what we expect; a damaged record goes on in `stage`."""
        away = stage.with_name(stage.name + ".old")
        with suppress(FileNotFoundError):
            os.rename(self.folder, away)
        found = _record_in(away)
        if found != expected and _renamed(away, self.folder):
            return  # another was put here since we looked
        aside = sorted(p for p in away.glob(DAMAGED + "*") if not p.is_symlink()) if not away.is_symlink() else []
        damaged = [text for text in map(read_bytes, aside) if text is not None]
        if found is not None and not _signed(found):
            damaged.append(found)
        try:
            for number, text in enumerate(damaged, 1):
                (stage / f"{DAMAGED}{number}").write_bytes(text)
        finally:
            remove(away)


def _record_in(folder: Path) -> bytes | None:
    return None if folder.is_symlink() else read_bytes(folder / RECORD)


def _signed(raw: bytes) -> bool:
    """Whether a record is whole, whoever's and of whatever version."""
    try:
        row = json.loads(raw)
        return row.pop("digest") == digest_of(row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def valid(name: str) -> bool:
    """Whether a tool, place or key can be called so: one name of a file, not a hidden one."""
    return _NAME.fullmatch(name) is not None


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder below the cache's root, or the root itself, for all who may write there."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        for path in (*reversed(folder.relative_to(root).parents), folder.relative_to(root)):
            path = root / path
            if path != root and not path.is_dir():
                with suppress(FileExistsError):
                    path.mkdir()
                    share(path, root)
    except (FileExistsError, NotADirectoryError):
        raise BadInput(f"{root}: the cache of synthesis results must be a folder (FLOW_SYNTH_CACHE names it)") from None
    except OSError as error:
        if error.errno in FULL:
            raise
        raise Storage(f"{root}: the cache of synthesis results can't be written there ({error.strerror})") from None


def share(path: Path, parent: Path) -> None:
    """What the group may do in `parent` it may do with `path`, which is ours."""
    above = parent.stat()
    if above.st_mode & stat.S_IWGRP:
        found = path.stat()
        if found.st_gid != above.st_gid:
            with suppress(PermissionError):  # we are not of that group: the files stay our own
                os.chown(path, -1, above.st_gid)
        path.chmod(stat.S_IMODE(found.st_mode) | (0o2770 if stat.S_ISDIR(found.st_mode) else 0o660))


def share_tree(folder: Path, parent: Path) -> None:
    share(folder, parent)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            share(path, parent)


def matching(work: Path, patterns: Sequence[str]) -> list[str]:
    """The files in `work` that match glob patterns, relative to it; none that is a link or lies behind one."""
    found = set()
    for pattern in patterns:
        if not inside(pattern):
            raise BadInput(f"cache: {pattern!r} leads out of the folder of the run")
        found.update(path.relative_to(work).as_posix() for path in work.glob(pattern))
    return sorted(name for name in found if name != RECORD and holds(work, name, empty=True))


def logs(work: Path) -> list[str]:
    """The files that tell why a run failed, relative to `work`."""
    names = [name for suffix in LOG_SUFFIXES for name in matching(work, [f"**/*{suffix}"])]
    return sorted(name for name in names if (work / name).stat().st_size < LOG_BYTES)


def move(work: Path, stage: Path, names: Sequence[str]) -> None:
    """Move files from one folder to another of the same file system, which needs no space for their contents."""
    for name in names:
        target = stage / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(work / name, target)


def inside(name: str) -> bool:
    """Whether a relative path, as it is written, stays in its folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def holds(folder: Path, name: str, empty: bool = False) -> bool:
    """Whether `folder` holds that file itself, not by way of a link, and with something in it (unless `empty`)."""
    if not inside(name):
        return False
    path = folder
    try:
        for part in PurePosixPath(name).parts:
            path = path / part
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                return False
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and (empty or found.st_size > 0)


def read_bytes(path: Path) -> bytes | None:
    """The bytes of a regular file; None for anything else, and for what can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        with open(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            return stream.read() if stat.S_ISREG(found.st_mode) and found.st_size <= _RECORD_BYTES else None
    except OSError:
        return None


def remove(path: Path) -> None:
    """Remove a folder, or a link, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def folder_for(path: Path, parent: Path) -> Iterator[Path]:
    """A new folder that is removed at the end of the block."""
    path.mkdir()
    try:
        share(path, parent)
        yield path
    finally:
        remove(path)


def _write(path: Path, text: str) -> None:
    # The digest would tell of a record that a power cut left empty; this makes that rare.
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _renamed(source: Path, target: Path) -> bool:
    """Rename a folder; False where something else is there."""
    try:
        os.rename(source, target)
        return True
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
