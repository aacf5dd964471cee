"""Checks that every reader shares: columns by name, labels into class indices, numbers that are numbers."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flow.errors import BadInput

_PREFIX = "j_"  # the HDF5 copy of the public set calls its columns j_zlogz and so on


@dataclass(frozen=True)
class Raw:
    """What a reader found, before the checks that are the same for all.

    features: (n, k) numbers. labels: (n,) indices into the classes. events: (n,) integers, or None.
    """

    features: np.ndarray
    labels: np.ndarray
    events: np.ndarray | None
    provenance: dict[str, Any] = field(default_factory=dict)


def column(path: Path, wanted: str, available: Sequence[str]) -> str:
    """The column's name in the file: as wanted, or with the prefix `j_`. Raises BadInput with a near miss."""
    for name in (wanted, _PREFIX + wanted):
        if name in available:
            return name
    raise BadInput(f"{path}: column '{wanted}' is missing{_hint(wanted, available)}")


def columns(path: Path, wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """As `column`, for several; a repeated name in the file is refused, for it could mean either."""
    for name in available:
        if list(available).count(name) > 1:
            raise BadInput(f"{path}: column '{name}' is there more than once")
    return [column(path, name, available) for name in wanted]


def class_indices(path: Path, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Labels as indices (n,) int64: from names (n,), from indices (n,), or from one-hot rows (n, classes)."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == len(classes):
        return from_one_hot(path, labels)
    if labels.ndim != 1:
        raise BadInput(f"{path}: labels have shape {labels.shape}, allowed: (rows,), or (rows, {len(classes)}) one-hot")
    if labels.dtype.kind in "US":
        return _from_names(path, labels, classes)
    if labels.dtype.kind not in "iuf" or (labels.dtype.kind == "f" and np.any(labels != np.floor(labels))):
        raise BadInput(f"{path}: labels are {labels.dtype}, allowed: class names, whole numbers or one-hot rows")
    outside = (labels < 0) | (labels >= len(classes))
    if np.any(outside):
        row = int(np.argmax(outside))
        raise BadInput(
            f"{path}: label {labels[row]:g} in row {row + 1} is no class, "
            f"allowed: 0 to {len(classes) - 1} for {', '.join(classes)}"
        )
    return labels.astype(np.int64)


def from_one_hot(path: Path, rows: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
    """The index of the one 1 in each row (n, k) of zeros and ones; `numbers` (n,) are the rows' in the file."""
    if rows.dtype.kind not in "biuf":
        raise BadInput(f"{path}: labels are {rows.dtype}, allowed: class names, whole numbers or one-hot rows")
    marked = rows == 1
    bad = (marked.sum(axis=1) != 1) | np.any((rows != 0) & ~marked, axis=1)
    if np.any(bad):
        row = int(np.argmax(bad))
        raise BadInput(f"{path}: row {_number(numbers, row)} names no one class, its label is {rows[row].tolist()}")
    return marked.argmax(axis=1).astype(np.int64)


def event_ids(path: Path, values: np.ndarray) -> np.ndarray:
    """Event ids (n,) int64; a float column is taken where it holds whole numbers."""
    values = np.asarray(values)
    whole = values.dtype.kind in "iu" or (
        values.dtype.kind == "f" and np.all(np.isfinite(values)) and np.all(values == np.floor(values))
    )
    if values.ndim != 1 or not whole:
        raise BadInput(f"{path}: 'event' is {values.dtype} of shape {values.shape}, allowed: whole numbers (rows,)")
    return values.astype(np.int64)


def finite(path: Path, features: np.ndarray, names: Sequence[str], numbers: np.ndarray | None = None) -> np.ndarray:
    """Features (n, k) as float32. Raises BadInput that counts what is not finite and names the first.

    numbers: (n,) where the rows stand in the file, if not one after another from 1.
    """
    if features.dtype.kind not in "biuf":
        raise BadInput(f"{path}: features are {features.dtype}, allowed: numbers")
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(features, np.float32)
    bad = ~np.isfinite(single)
    if np.any(bad):
        row, place = np.unravel_index(int(np.argmax(bad)), bad.shape)
        raise BadInput(
            f"{path}: {int(bad.sum())} values are missing, NaN or infinite; "
            f"the first is {features[row, place]} in row {_number(numbers, row)}, column {names[place]}"
        )
    return single


def _from_names(path: Path, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    found, inverse = np.unique(labels, return_inverse=True)
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in found]
    for name in names:
        if name not in classes:
            raise BadInput(
                f"{path}: class label '{name}' is not a class of the task{_hint(name, classes)}; "
                f"allowed: {', '.join(classes)}"
            )
    return np.array([list(classes).index(name) for name in names], np.int64)[inverse]


def _number(numbers: np.ndarray | None, row: int) -> int:
    return int(row + 1 if numbers is None else numbers[row])


def _hint(wanted: str, available: Collection[str]) -> str:
    folded = {name.lower(): name for name in available}
    near = difflib.get_close_matches(wanted.lower(), list(folded), n=1)
    return f"; did you mean '{folded[near[0]]}'?" if near else ""
