"""Read jets from a file or folder, whatever its kind, and refuse what a training could only stumble over."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flow.data.columns import Raw, finite
from flow.data.features import CLASSES, FEATURES, Jets
from flow.errors import BadInput, FlowError

FOLDER = "a folder of HDF5 files"


def load(
    path: Path, features: Sequence[str] = FEATURES, classes: Sequence[str] = CLASSES, labels: Path | None = None
) -> Jets:
    """The jets of one file, or of a folder of HDF5 files; the kind is told by the suffix.

    features: columns to take, by name; NumPy arrays have no names and must hold just these, in this order
    classes:  all classes of the task; the file must hold each of them, and no other
    labels:   the second file of a pair of .npy files, and of no other kind

    The provenance keeps what the file says of itself, and adds `file`, `format`, `jets`, `event_ids` and
    `sha256` (of the file; of a folder's files one after another). Raises BadInput with one line that names the
    file and what is wrong with it.
    """
    path = Path(path)
    for what, names in (("features", features), ("classes", classes)):
        if not names or len(set(names)) != len(names):
            raise BadInput(f"data: {what} are {list(names)}, allowed: one or more, each once")
    kind = _kind(path)
    if (kind == ".npy") != (labels is not None):
        need = "the labels in a second file: give 'labels' too" if labels is None else "its own labels, not 'labels'"
        raise BadInput(f"{path}: events of kind {kind} need {need}")
    try:
        raw = _READERS[kind](path, features, classes, labels)
    except FlowError:
        raise
    except ImportError as error:
        raise BadInput(f"{path}: reading {kind} needs the package {error.name}, which is not installed") from error
    except Exception as error:
        # A damaged file can bring any error out of a format's library; the user needs its name and the reason.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput(f"{path}: can't be read as {kind}: {reason[0]}") from error
    return _checked(path, kind, raw, tuple(features), tuple(classes), labels)


def _kind(path: Path) -> str:
    if path.is_dir():
        return FOLDER
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise BadInput(f"{path}: unknown kind of file '{kind}', allowed: {', '.join(_READERS)}")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: is empty")
    return kind


def _checked(
    path: Path, kind: str, raw: Raw, features: tuple[str, ...], classes: tuple[str, ...], labels: Path | None
) -> Jets:
    rows = len(raw.features)
    if rows == 0:
        raise BadInput(f"{path}: holds no events")
    values = finite(path, raw.features, features)
    present = np.bincount(raw.labels, minlength=len(classes))
    absent = [name for name, count in zip(classes, present, strict=True) if count == 0]
    if absent:
        raise BadInput(f"{path}: holds no events of class {', '.join(absent)}")
    files = sorted(path / name for name in raw.provenance["files"]) if kind == FOLDER else [path]
    provenance = {"source": path.name, "stand_in": False} | raw.provenance
    provenance |= {
        "file": path.name,
        "format": kind,
        "jets": rows,
        "event_ids": raw.events is not None,
        "sha256": _digest(files if labels is None else [*files, labels]),
    }
    events = np.arange(rows, dtype=np.int64) if raw.events is None else raw.events
    return Jets(values, raw.labels, events, provenance, features, classes)


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


# A reader is imported when a file of its kind is read: no one needs h5py to read Parquet.


def _arff(path: Path, features: Sequence[str], classes: Sequence[str], _: Path | None) -> Raw:
    from flow.data.read_tables import read_arff

    return read_arff(path, features, classes)


def _parquet(path: Path, features: Sequence[str], classes: Sequence[str], _: Path | None) -> Raw:
    from flow.data.read_tables import read_parquet

    return read_parquet(path, features, classes)


def _hdf5(path: Path, features: Sequence[str], classes: Sequence[str], _: Path | None) -> Raw:
    from flow.data.read_hdf5 import read_hdf5

    return read_hdf5(path, features, classes)


def _folder(path: Path, features: Sequence[str], classes: Sequence[str], _: Path | None) -> Raw:
    from flow.data.read_hdf5 import read_folder

    return read_folder(path, features, classes)


def _npz(path: Path, features: Sequence[str], classes: Sequence[str], _: Path | None) -> Raw:
    from flow.data.read_arrays import read_npz

    return read_npz(path, features, classes)


def _npy(path: Path, features: Sequence[str], classes: Sequence[str], labels: Path | None) -> Raw:
    from flow.data.read_arrays import read_npy

    return read_npy(path, features, classes, labels)


_READERS: dict[str, Callable[[Path, Sequence[str], Sequence[str], Path | None], Raw]] = {
    ".arff": _arff,
    ".parquet": _parquet,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".npz": _npz,
    ".npy": _npy,
    FOLDER: _folder,
}
