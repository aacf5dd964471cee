"""Jets from the HDF5 copy of the public set: one file, or a folder of them.

A file has a table `jets`, of plain numbers with the columns named in `jetFeatureNames` or with named fields, and
the class as a 1 in one of the columns j_g, j_q, j_w, j_z, j_t. Rows with none of these (j_undef) are left out and
counted in the provenance as `rows_without_class`.
"""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from flow.data.columns import Raw, columns, event_ids, finite, from_one_hot
from flow.data.features import CLASSES
from flow.data.jetfile import EVENT_COLUMN
from flow.errors import BadInput

SUFFIXES = (".h5", ".hdf5")

_TABLE, _NAMES = "jets", "jetFeatureNames"
_ROWS_AT_ONCE = 65_536  # of all columns, of which most are dropped at once


def read_hdf5(path: Path, features: Sequence[str], classes: Sequence[str]) -> Raw:
    """One file; see the head of this module."""
    with h5py.File(path, "r") as file:
        table = _dataset(path, file, _TABLE)
        names = _column_names(path, file, table)
        picked = columns(path, features, names)
        one_hot = columns(path, classes, names)
        foreign = [name for name in names if name in {f"j_{c}" for c in CLASSES} and name not in one_hot]
        extra = [EVENT_COLUMN] if EVENT_COLUMN in names else []
        values = _read(table, names, [*picked, *one_hot, *foreign, *extra])
        events = values[:, -1] if extra else _events_beside(path, file, len(values))

    marks, others = np.split(values[:, len(picked) :][:, : len(one_hot) + len(foreign)], [len(one_hot)], axis=1)
    if np.any(others):
        name = foreign[int(np.argmax(np.any(others != 0, axis=0)))]
        raise BadInput(f"{path}: holds jets of class '{name[2:]}', which is none of the task's: {', '.join(classes)}")
    kept = np.any(marks != 0, axis=1)
    numbers = np.flatnonzero(kept) + 1
    return Raw(
        finite(path, values[kept, : len(picked)], features, numbers),
        from_one_hot(path, marks[kept], numbers),
        None if events is None else event_ids(path, events)[kept],
        {"rows_without_class": int(np.sum(~kept))},
    )


def read_folder(path: Path, features: Sequence[str], classes: Sequence[str]) -> Raw:
    """All HDF5 files of a folder in the order of their names, one after another.

    Equal event ids in two files count as one event, which can only keep jets together, never part them.
    """
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise BadInput(f"{path}: this folder holds no file that ends in {' or '.join(SUFFIXES)}")
    found = []
    for file in files:
        try:
            found.append(read_hdf5(file, features, classes))
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise BadInput(f"{file}: can't be read as HDF5: {error}") from error
    numbered = [raw.events is not None for raw in found]
    if any(numbered) and not all(numbered):
        raise BadInput(f"{path}: {files[numbered.index(False)].name} has no event ids, though other files have")
    return Raw(
        np.concatenate([raw.features for raw in found]),
        np.concatenate([raw.labels for raw in found]),
        np.concatenate([raw.events for raw in found]) if all(numbered) else None,
        {
            "files": [file.name for file in files],
            "rows_without_class": sum(raw.provenance["rows_without_class"] for raw in found),
        },
    )


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise BadInput(f"{path}: has no table '{name}', only {', '.join(sorted(file)) or 'nothing'}")
    return found


def _column_names(path: Path, file: h5py.File, table: h5py.Dataset) -> list[str]:
    if table.dtype.names is not None and table.ndim == 1:
        return list(table.dtype.names)
    if table.ndim != 2:
        raise BadInput(f"{path}: table '{_TABLE}' has shape {table.shape}, allowed: (rows, columns)")
    names = [
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        for name in _dataset(path, file, _NAMES)[()]
    ]
    if len(names) != table.shape[1]:
        raise BadInput(f"{path}: '{_NAMES}' names {len(names)} columns, table '{_TABLE}' has {table.shape[1]}")
    return names


def _read(table: h5py.Dataset, names: list[str], wanted: list[str]) -> np.ndarray:
    """The wanted columns (rows, wanted) as float64."""
    values = np.empty((len(table), len(wanted)))
    places = [names.index(name) for name in wanted]
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = table[start : start + _ROWS_AT_ONCE]
        for place, (name, source) in enumerate(zip(wanted, places, strict=True)):
            values[start : start + len(rows), place] = rows[name] if rows.dtype.names else rows[:, source]
    return values


def _events_beside(path: Path, file: h5py.File, rows: int) -> np.ndarray | None:
    """Event ids from a dataset of their own."""
    if EVENT_COLUMN not in file:
        return None
    events = _dataset(path, file, EVENT_COLUMN)[()]
    if events.shape != (rows,):
        raise BadInput(f"{path}: '{EVENT_COLUMN}' has shape {events.shape}, table '{_TABLE}' has {rows} rows")
    return events
