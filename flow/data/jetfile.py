"""The project's own jet file: Parquet with the sixteen features, the class, the event, and where it comes from."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flow.data.chunks import write_whole
from flow.data.features import FEATURES

CLASS_COLUMN = "class"
EVENT_COLUMN = "event"
PROVENANCE_KEY = b"provenance"

Part = tuple[str, np.ndarray, np.ndarray]
"""A class, features (n, 16) float32, and events (n,) counted from 0 within the part."""


def write(out: Path, parts: Iterable[Part], classes: tuple[str, ...], provenance: dict[str, Any]) -> None:
    """Write the parts one after another, events renumbered through; the same input gives the same bytes.

    Raises Storage where `out` can't be written.
    """
    import pyarrow
    from pyarrow import parquet

    features, labels, events = _joined(parts, classes)
    names = pyarrow.array(list(classes), pyarrow.string())
    columns = {name: pyarrow.array(features[:, index]) for index, name in enumerate(FEATURES)}
    columns[CLASS_COLUMN] = pyarrow.DictionaryArray.from_arrays(pyarrow.array(labels.astype(np.int8)), names)
    columns[EVENT_COLUMN] = pyarrow.array(events)
    text = json.dumps(provenance, sort_keys=True)
    table = pyarrow.table(columns).replace_schema_metadata({PROVENANCE_KEY: text.encode()})

    # Rounded mantissas leave whole bytes empty or nearly so, which the split into byte streams shows to zstd.
    # A count of constituents has few values.
    counted = ["multiplicity", CLASS_COLUMN]
    encodings = {name: "BYTE_STREAM_SPLIT" for name in FEATURES if name not in counted}
    content = io.BytesIO()
    parquet.write_table(
        table,
        content,
        compression="zstd",
        compression_level=19,
        use_dictionary=counted,
        column_encoding=encodings | {EVENT_COLUMN: "DELTA_BINARY_PACKED"},
        write_statistics=False,
    )
    write_whole(out, content.getvalue())


def read_provenance(path: Path) -> dict[str, Any] | None:
    """What a Parquet file says of itself, or None where it says nothing or is no Parquet file."""
    import pyarrow
    from pyarrow import parquet

    try:
        metadata = parquet.read_schema(path).metadata or {}
        found = json.loads(metadata[PROVENANCE_KEY])
    except (OSError, pyarrow.ArrowException, KeyError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _joined(parts: Iterable[Part], classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    features, labels, events, next_event = [], [], [], 0
    for jet_class, rows, numbers in parts:
        _, consecutive = np.unique(numbers, return_inverse=True)
        features.append(rows)
        labels.append(np.full(len(rows), classes.index(jet_class), np.int64))
        events.append(consecutive + next_event)
        next_event += int(consecutive.max(initial=-1)) + 1
    return np.concatenate(features), np.concatenate(labels), np.concatenate(events).astype(np.int64)
