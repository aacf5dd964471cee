"""The zip archive that a `.keras` file is: three members of known names, each within a limit."""

import json
import lzma
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from flow.errors import BadInput

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LIMITS = {METADATA: 1 << 20, CONFIG: 64 << 20, WEIGHTS: 1 << 30}  # bytes, unpacked
_HDF5 = b"\x89HDF\r\n\x1a\n"
_UNREADABLE = (OSError, EOFError, RuntimeError, KeyError, ValueError, BadZipFile, lzma.LZMAError, zlib.error)
_AS_KERAS = "save the model as .keras (model.save('model.keras'))"


@dataclass(frozen=True)
class Archive:
    """What a `.keras` file holds: the model's description, and its weights as an HDF5 file's bytes."""

    path: Path
    config: Mapping
    metadata: Mapping
    weights: bytes


def read(path: Path) -> Archive:
    """The content of a `.keras` file. Raises BadInput with one line for anything that is none."""
    path = Path(path)
    _check_kind(path)
    try:
        with ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            content = {name: _content(path, archive, name) for name in LIMITS}
    except _UNREADABLE as error:
        raise BadInput(f"{path}: can't be read as a .keras model: {_reason(error)}") from None
    return Archive(path, _object(content[CONFIG], path, CONFIG), _object(content[METADATA], path, METADATA),
                   content[WEIGHTS])  # fmt: skip


def _check_kind(path: Path) -> None:
    """Raise BadInput for what other programs, and other ways to save, leave."""
    if path.is_dir():
        what = "a SavedModel" if (path / "saved_model.pb").exists() else "a folder"
        raise BadInput(f"{path}: {what}, not a .keras file; {_AS_KERAS}")
    if not path.is_file():
        raise BadInput(f"{path}: no such file; a .keras file is needed")
    try:
        with open(path, "rb") as file:
            start = file.read(len(_HDF5))
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    if start == _HDF5 or path.suffix in (".h5", ".hdf5"):
        raise BadInput(f"{path}: an HDF5 file, Keras' old format, not a .keras file; {_AS_KERAS}")
    if path.suffix == ".pb":
        raise BadInput(f"{path}: a part of a SavedModel, not a .keras file; {_AS_KERAS}")


def _check_members(path: Path, members: list[ZipInfo]) -> None:
    names = [member.filename for member in members]
    for member in members:
        name = member.filename
        if name not in LIMITS:
            raise BadInput(f"{path}: it holds {name[:80]!r}; a .keras file holds {', '.join(LIMITS)} and no more")
        if names.count(name) > 1:
            raise BadInput(f"{path}: it holds {name} {names.count(name)} times; once is allowed")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise BadInput(f"{path}: {name} is a link; a file is needed")
        if member.flag_bits & 1:
            raise BadInput(f"{path}: {name} is encrypted")
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise BadInput(f"{path}: {name} is compressed in way {member.compress_type}; allowed: stored, deflated")
        if member.file_size > LIMITS[name]:
            raise _too_large(path, name)
    for name in LIMITS:
        if name not in names:
            raise BadInput(f"{path}: it holds no {name}: no whole .keras file")


def _content(path: Path, archive: ZipFile, name: str) -> bytes:
    """The bytes of a member; what it says of its own size is not trusted."""
    with archive.open(name) as member:
        found = member.read(LIMITS[name] + 1)
    if len(found) > LIMITS[name]:
        raise _too_large(path, name)
    return found


def _too_large(path: Path, name: str) -> BadInput:
    return BadInput(f"{path}: {name} unpacks to more than {LIMITS[name] >> 20} MiB; more is refused")


def _object(content: bytes, path: Path, name: str) -> Mapping:
    try:
        found = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise BadInput(f"{path}: {name}: lists inside of lists, too deep to be a network") from None
    except ValueError as error:
        raise BadInput(f"{path}: {name}: no JSON ({_reason(error)})") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path}: {name}: an object is expected, not {type(found).__name__}")
    return found


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
