"""The jets of the search benchmark: the same rows on the same grid for every method, as a file for the peers and as a
task for the program."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.data.features import FEATURES
from flow.data.scaling import InputScaling
from flow.formats import Fixed

ROOT = Path(__file__).resolve().parents[2]
TASK = ROOT / "models" / "jet_tagger"
GRID = Fixed(8, 3)  # the peers' scripts have the same (`benchmarks/peers/record.py`)
VALIDATION, TEST = 20_000, 50_000
PARTS = ("train", "validation", "test")
SPLIT_SEED = 1


@dataclass(frozen=True)
class Events:
    """Part → values (n, 16) float32 on the grid, and labels (n,) int32."""

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    classes: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        return {part: len(self.y[part]) for part in PARTS}

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of all that they are."""
        told = hashlib.sha256(" ".join(self.classes).encode())
        for array in (of[part] for part in PARTS for of in (self.x, self.y)):
            told.update(f"{array.shape} {array.dtype}".encode())
            told.update(np.ascontiguousarray(array).data)
        return told.hexdigest()[:8]


def jets(limit: int) -> Events:
    """The first jets of each part of the jet tagger's own split: `limit` for training, and as many for validation and
    test as the constants say."""
    from flow.data.prepare import prepare
    from flow.task import read

    result, arrays = prepare(read(TASK).data, TASK)
    scaling, x, y = InputScaling.from_json(result["scaling"]), {}, {}
    for part, most in zip(PARTS, (limit, VALIDATION, TEST)):
        words = arrays[f"{part}.words"][:most].astype(np.float64)
        x[part] = GRID.quantize(scaling.centred(words)).astype(np.float32)
        y[part] = arrays[f"{part}.labels"][:most].astype(np.int32)
    return Events(x, y, tuple(result["classes"]))


def save(events: Events, path: Path) -> None:
    """As the peers read them. They never see the test sample."""
    _write(events, path, {"train": "train", "val": "validation"})


def save_held(events: Events, path: Path) -> None:
    """What networks are measured on once they are trained: the validation and the test sample."""
    _write(events, path, {"val": "validation", "test": "test"})


def _write(events: Events, path: Path, parts: dict[str, str]) -> None:
    """Parts under other names, as arrays of one file, which is never seen half written."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as stream:
        np.savez(stream, **{f"{kind}_{name}": getattr(events, kind)[p] for kind in "xy" for name, p in parts.items()})
    temporary.replace(path)


def write_parquet(events: Events, path: Path) -> dict[str, object]:
    """The events as a task's file; returns the settings of `data` by which the task splits them in the same way.

    A task splits by a hash of the event's number: each row gets a number that the hash puts into its part.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from flow.data.split import split

    counts = events.counts
    total = sum(counts.values())
    shares = {part: counts[part] / total for part in PARTS}
    rows = split(np.arange(total), shares, SPLIT_SEED)
    x, y = np.empty((total, len(FEATURES)), np.float32), np.empty(total, np.int32)
    for part in PARTS:
        if len(rows[part]) != counts[part]:
            raise ValueError(f"part {part}: {len(rows[part])} rows for {counts[part]} jets")
        x[rows[part]], y[rows[part]] = events.x[part], events.y[part]
    columns = {name: pa.array(x[:, i]) for i, name in enumerate(FEATURES)}
    columns["class"] = pa.array([events.classes[label] for label in y]).dictionary_encode()
    columns["event"] = pa.array(np.arange(total), pa.int64())
    pq.write_table(pa.table(columns), path)
    return {
        "file": path.name,
        "classes": list(events.classes),
        "train": shares["train"],
        "validation": shares["validation"],
        "seed": SPLIT_SEED,
        "word": str(GRID),
        "scaling": "none",
    }
