"""The task's events, split and put onto the grid of the firmware's input words."""

from pathlib import Path

import numpy as np

from flow.data import scaling
from flow.data.features import FEATURES
from flow.data.load import load
from flow.data.split import split
from flow.formats import parse
from flow.task import Data

PARTS = ("train", "validation", "test")


def sources(data: Data, folder: Path) -> list[Path]:
    """The files that the events come from."""
    return [folder / name for name in (data.file, data.labels) if name is not None]


def prepare(data: Data, folder: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Load, split by event, fit the input scaling on the training part, and put all parts onto the grid.

    Returns what to remember (scaling, counts, provenance) and, for each part, words (n, features) float32
    (exact: the grid has at most 24 bits), labels (n,) and event numbers (n,).
    """
    paths = sources(data, folder)
    names = data.features or FEATURES
    jets = load(paths[0], names, data.classes, labels=paths[1] if len(paths) > 1 else None)
    features, labels, events = jets.features, np.asarray(jets.labels), np.asarray(jets.events)
    if data.limit is not None and data.limit < len(labels):
        chosen = _spread(labels, data.limit)
        features, labels, events = features[chosen], labels[chosen], events[chosen]
    shares = {"train": data.train, "validation": data.validation, "test": 1.0 - data.train - data.validation}
    rows = split(events, shares, data.seed)
    fitted = _fitted(data, features[rows["train"]], tuple(names), paths[0])
    arrays = {}
    for part in PARTS:
        arrays[f"{part}.words"] = fitted.words(features[rows[part]]).astype(np.float32)
        arrays[f"{part}.labels"] = labels[rows[part]].astype(np.int32)
        arrays[f"{part}.events"] = events[rows[part]]
    result = {
        "scaling": fitted.to_json(),
        "events": {part: len(rows[part]) for part in PARTS},
        "classes": list(data.classes),
        "provenance": jets.provenance,
    }
    return result, arrays


def _fitted(data: Data, features: np.ndarray, names: tuple[str, ...], source: Path) -> scaling.InputScaling:
    """The input scaling that training features (n, n_features) ask for, in the task's way."""
    word = parse(data.word)
    if data.scaling == "none":
        return scaling.unscaled(features, names, word, source)
    return scaling.fit(features, names, word, data.offset_step, source, data.scaling == "common")


def _spread(labels: np.ndarray, limit: int) -> np.ndarray:
    """The first events of each class in turn, `limit` in all, in the file's order."""
    rank = np.empty(len(labels), np.int64)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        rank[members] = np.arange(len(members))
    return np.sort(np.lexsort((np.arange(len(labels)), rank))[:limit])
