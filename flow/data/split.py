"""Divide jets into parts for training, validation and test, never an event between two."""

import math
from collections.abc import Mapping

import numpy as np

from flow.errors import BadInput

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def split(events: np.ndarray, fractions: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """Rows of each part, rising, for the event ids (n,) of n jets.

    fractions: name of a part -> its share of the jets; they sum to 1 and come out as near as whole events allow.

    Events are put in the order of a hash of (seed, id) and cut where the jets' count reaches a fraction; so the
    result depends on nothing but the arguments, on no version and no machine. Raises BadInput for fractions that
    can't be had.
    """
    _check(fractions)
    unique, inverse, counts = np.unique(np.asarray(events), return_inverse=True, return_counts=True)
    order = np.argsort(_hashed(unique, seed), kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    edges = np.round(np.cumsum(list(fractions.values()))[:-1] * len(inverse), 6)
    part_of_event = np.empty(len(unique), np.int64)
    # An event belongs where its middle jet falls, which keeps the error of a fraction below one event.
    part_of_event[order] = np.searchsorted(edges, before + counts[order] / 2, side="right")
    part = part_of_event[inverse]
    rows = {name: np.flatnonzero(part == index) for index, name in enumerate(fractions)}
    for name, share in fractions.items():
        if share > 0 and len(rows[name]) == 0:
            raise BadInput(f"data: {len(unique)} events are too few for a part '{name}' of {share:g}")
    return rows


def _check(fractions: Mapping[str, float]) -> None:
    for name, share in fractions.items():
        if not (math.isfinite(share) and 0 <= share <= 1):
            raise BadInput(f"data: the fraction '{name}' is {share}, allowed: 0 to 1")
    total = sum(fractions.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        listed = ", ".join(f"{name} {share:g}" for name, share in fractions.items())
        raise BadInput(f"data: the fractions {listed or '(none)'} sum to {total:g}, allowed: 1")


def _hashed(values: np.ndarray, seed: int) -> np.ndarray:
    """SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) of each id, started at a hash of the seed; (n,) uint64."""
    start = _mix(np.array([(seed * _GOLDEN) & _MASK], np.uint64))
    return _mix(values.astype(np.int64).view(np.uint64) + start)


def _mix(values: np.ndarray) -> np.ndarray:
    mixed = values + np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
