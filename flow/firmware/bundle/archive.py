"""Archives that come out the same twice, and are unpacked without trusting them."""

import gzip
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from flow.errors import BadInput, Storage

SUFFIXES = (".zip", ".tar.gz")
MAX_FILES, MAX_BYTES = 20_000, 1 << 30
_MAX_NAME, _MAX_PART = 1024, 255  # bytes
MAX_MANIFEST = 16 << 20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file knows
_CHUNK = 1 << 16  # what is read at once; tar headers that are longer are refused


def suffix(path: Path) -> str:
    """The suffix of an archive's name, one of `SUFFIXES`; raises BadInput for another."""
    for known in SUFFIXES:
        if path.name.endswith(known) and path.name != known:
            return known
    raise BadInput(f"{path}: a bundle's name ends with {' or '.join(SUFFIXES)}")


def write(folder: Path, root: str, path: Path) -> None:
    """Pack every file below `folder`, as `root`/..., into the archive `path`, which appears whole or not at all.

    Sorted, without times and owners: the same files give the same bytes. Raises Storage where it can't be written.
    """
    kind = suffix(path)
    files = sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "wb") as stream:
            (_write_zip if kind == ".zip" else _write_tar)(stream, folder, root, files)
        os.replace(unfinished, path)
    except OSError as error:
        raise Storage(f"{path}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def survey(path: Path, wanted: str) -> tuple[set[str], bytes | None]:
    """The names of an archive's files, without the one folder that they lie in, and the content of `wanted`.

    Nothing is unpacked. Raises BadInput as `unpack` does.
    """
    names: dict[str, None] = {}
    content = None
    roots: set[str] = set()
    with open(path, "rb") as stream, _told(path):
        total = 0
        for name, size, opened in _members(stream, path):
            root, *parts = _parts(name, path)
            roots.add(root)
            inside = "/".join(parts)
            total += size
            if inside in names:
                raise BadInput(f"{path}: {name[:80]!r} is in it twice")
            if total > MAX_BYTES:
                raise BadInput(f"{path}: more than {MAX_BYTES} bytes unpacked")
            names[inside] = None
            if inside == wanted:
                content = _content(opened(), path, wanted)
    _one(roots, path)
    return set(names), content


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an archive into the empty `folder`; the one folder that all of its files lie in.

    Raises BadInput for what is no archive, for members that would lie elsewhere or are no plain files, and for more
    than `MAX_FILES` files or `MAX_BYTES` bytes.
    """
    roots: set[str] = set()
    total = 0
    with open(path, "rb") as stream, _told(path):
        for name, _, opened in _members(stream, path):
            parts = _parts(name, path)
            roots.add(parts[0])
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = opened()
            with open(target, "xb") as file:
                while chunk := content.read(_CHUNK):
                    total += len(chunk)
                    if total > MAX_BYTES:
                        raise BadInput(f"{path}: more than {MAX_BYTES} bytes unpacked")
                    file.write(chunk)
    return folder / _one(roots, path)


def parts_of(name: str) -> tuple[str, ...] | None:
    """A file's name in parts, or None for what is none: it leads out of its folder, or no file system knows it."""
    parts = PurePosixPath(name).parts
    bad = name.startswith("/") or "\\" in name or ":" in name or not name.isprintable()
    if bad or not parts or "/".join(parts) != name or any(part in ("..", ".") for part in parts):
        return None
    lengths = [len(part.encode()) for part in parts]
    return parts if max(lengths) <= _MAX_PART and sum(lengths) <= _MAX_NAME else None


def _content(stream: BinaryIO, path: Path, name: str) -> bytes:
    found = bytearray()
    while chunk := stream.read(_CHUNK):
        found += chunk
        if len(found) > MAX_MANIFEST:
            raise BadInput(f"{path}: {name} is longer than {MAX_MANIFEST} bytes")
    return bytes(found)


class _Counted:
    """The stream of a gzip file, to be read in small pieces and up to a limit: a header that asks for more is a trap."""

    def __init__(self, stream: BinaryIO, path: Path):
        self._stream, self._path = gzip.GzipFile(fileobj=stream), path
        self._limit = 2 * MAX_BYTES + 4096 * MAX_FILES  # files, padding, headers

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise BadInput(f"{self._path}: a header in it is longer than {_CHUNK} bytes")
        self._check(self.tell() + size)
        return self._stream.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        if whence == 0:
            self._check(position)
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise BadInput(f"{self._path}: more than {MAX_BYTES} bytes unpacked")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Every way in which an archive can be broken, as BadInput."""
    try:
        yield
    except FileExistsError:
        raise BadInput(f"{path}: a file is in it twice, or is a folder too") from None
    except NotADirectoryError:
        raise BadInput(f"{path}: a file in it is a folder too") from None
    except (*_BROKEN, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error) as error:
        raise BadInput(f"{path}: no whole archive ({error})") from None


def _one(roots: set[str], path: Path) -> str:
    if len(roots) != 1:
        raise BadInput(f"{path}: no bundle; its files lie in {len(roots)} folders, not in one")
    return next(iter(roots))


def _write_zip(stream: BinaryIO, folder: Path, root: str, files: list[str]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in files:
            member = zipfile.ZipInfo(f"{root}/{name}", _ZIP_TIME)
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            member.external_attr = (stat.S_IFREG | _mode(folder / name)) << 16
            archive.writestr(member, (folder / name).read_bytes())


def _write_tar(stream: BinaryIO, folder: Path, root: str, files: list[str]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=9, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in files:
            member = tarfile.TarInfo(f"{root}/{name}")
            member.size, member.mode = (folder / name).stat().st_size, _mode(folder / name)
            with open(folder / name, "rb") as file:
                archive.addfile(member, file)


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _members(stream: BinaryIO, path: Path) -> Iterator[tuple[str, int, Callable[[], BinaryIO]]]:
    """Name, size and content of every file, in the archive's order; the content before the next is asked for."""
    kind = _zip_members if suffix(path) == ".zip" else _tar_members
    for count, member in enumerate(kind(stream, path), 1):
        if count > MAX_FILES:
            raise BadInput(f"{path}: more than {MAX_FILES} files and folders")
        if member is not None:
            yield member


def _zip_members(stream: BinaryIO, path: Path) -> Iterator[tuple[str, int, Callable[[], BinaryIO]] | None]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if member.is_dir():
                yield None
                continue
            mode = member.external_attr >> 16
            if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
                raise BadInput(f"{path}: {member.filename[:80]!r} is no plain file")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadInput(
                    f"{path}: {member.filename[:80]!r} is neither stored nor deflated; other ways are not read"
                )
            yield member.filename, member.file_size, partial(archive.open, member)


def _tar_members(stream: BinaryIO, path: Path) -> Iterator[tuple[str, int, Callable[[], BinaryIO]] | None]:
    with tarfile.open(fileobj=_Counted(stream, path), mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # they are not needed again, and may be many
            if archive.pax_headers:
                raise BadInput(f"{path}: a PAX header for all files is in it")
            if member.isdir():
                yield None
                continue
            if not member.isreg() or member.issparse():
                raise BadInput(f"{path}: {member.name[:80]!r} is no plain file")
            yield member.name, member.size, partial(archive.extractfile, member)


def _parts(name: str, path: Path) -> tuple[str, ...]:
    """A member's path in parts; raises BadInput where it would lead out of the folder."""
    parts = parts_of(name)
    if parts is None or len(parts) < 2:
        shown = name if len(name) <= 80 else f"{name[:80]}..."
        raise BadInput(f"{path}: {shown!r} is no name of a file inside a bundle's folder")
    return parts
