"""Jets from NumPy arrays, whose columns have no names: they must come in the task's order."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flow.data.columns import Raw, class_indices, column, event_ids
from flow.errors import BadInput


def read_npz(path: Path, features: Sequence[str], classes: Sequence[str]) -> Raw:
    """Arrays `X` (n, k) and `y`, perhaps `event` (n,); `y` holds names, indices, or one-hot rows."""
    with np.load(path, allow_pickle=False) as archive:
        if isinstance(archive, np.ndarray):
            raise BadInput(f"{path}: is a single array, allowed: an archive with X and y")
        values, labels = (archive[column(path, name, archive.files)] for name in ("X", "y"))
        events = archive["event"] if "event" in archive.files else None
    return _paired(path, path, values, labels, events, features, classes)


def read_npy(path: Path, features: Sequence[str], classes: Sequence[str], labels: Path) -> Raw:
    """Features (n, k) in one file, labels in another: names, indices, or one-hot rows."""
    values = np.load(path, allow_pickle=False)
    try:
        found = np.load(labels, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"can't be read as .npy: {error}"
        raise BadInput(f"{labels}: {reason}") from error
    return _paired(path, labels, values, found, None, features, classes)


def _paired(
    path: Path,
    labels_path: Path,
    values: np.ndarray,
    labels: np.ndarray,
    events: np.ndarray | None,
    features: Sequence[str],
    classes: Sequence[str],
) -> Raw:
    if values.ndim != 2 or values.shape[1] != len(features):
        raise BadInput(f"{path}: features have shape {values.shape}, allowed: (rows, {len(features)})")
    if len(np.atleast_1d(labels)) != len(values):
        raise BadInput(f"{labels_path}: holds {len(np.atleast_1d(labels))} labels for {len(values)} events of {path}")
    if events is not None and events.shape != (len(values),):
        raise BadInput(f"{path}: 'event' has shape {events.shape}, for {len(values)} events")
    return Raw(
        values,
        class_indices(labels_path, labels, classes),
        None if events is None else event_ids(path, events),
    )
