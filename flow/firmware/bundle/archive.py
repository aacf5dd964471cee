"""Archives that come out the same twice, and are unpacked without trusting them."""

import gzip
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from flow.errors import BadInput, Storage

SUFFIXES = (".zip", ".tar.gz")
MAX_FILES, MAX_BYTES = 100_000, 4 << 30
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file knows
_CHUNK = 1 << 20


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


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an archive into the empty `folder`; the one folder that all of its files lie in.

    Raises BadInput for what is no archive, for members that would lie elsewhere or are no plain files, and for more
    than `MAX_FILES` files or `MAX_BYTES` bytes.
    """
    kind = suffix(path)
    roots: set[str] = set()
    count = total = 0
    try:
        with open(path, "rb") as stream:
            members = _zip_members(stream, path) if kind == ".zip" else _tar_members(stream, path)
            for name, content in members:
                parts = _parts(name, path)
                roots.add(parts[0])
                count += 1
                if count > MAX_FILES:
                    raise BadInput(f"{path}: more than {MAX_FILES} files")
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "xb") as file:
                    while chunk := content.read(_CHUNK):
                        total += len(chunk)
                        if total > MAX_BYTES:
                            raise BadInput(f"{path}: more than {MAX_BYTES} bytes unpacked")
                        file.write(chunk)
    except FileExistsError:
        raise BadInput(f"{path}: a file is in it twice, or is a folder too") from None
    except NotADirectoryError:
        raise BadInput(f"{path}: a file in it is a folder too") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{path}: no whole archive ({error})") from None
    except gzip.BadGzipFile as error:
        raise BadInput(f"{path}: no whole archive ({error})") from None
    if len(roots) != 1:
        raise BadInput(f"{path}: no bundle; its files lie in {len(roots)} folders, not in one")
    return folder / roots.pop()


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


def _zip_members(stream: BinaryIO, path: Path) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            mode = member.external_attr >> 16
            if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
                raise BadInput(f"{path}: {member.filename!r} is no plain file")
            with archive.open(member) as content:
                yield member.filename, content


def _tar_members(stream: BinaryIO, path: Path) -> Iterator[tuple[str, BinaryIO]]:
    with tarfile.open(fileobj=stream, mode="r:gz") as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                raise BadInput(f"{path}: {member.name!r} is no plain file")
            content = archive.extractfile(member)
            yield member.name, content


def _parts(name: str, path: Path) -> tuple[str, ...]:
    """A member's path in parts; raises BadInput where it would lead out of the folder."""
    parts = PurePosixPath(name).parts
    bad = name.startswith("/") or "\\" in name or "\0" in name or ":" in name
    if bad or len(parts) < 2 or any(part in ("..", ".", "") for part in parts):
        raise BadInput(f"{path}: {name!r} is no name of a file inside a bundle's folder")
    return parts
