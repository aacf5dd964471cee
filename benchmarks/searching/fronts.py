"""Fronts of accuracy and LUTs, how much they dominate, and how soon.

Points are rows with `seconds`, `validation`, `test` and `lut`. The validation accuracy decides which points are on a
front, as it does in every search; what a front is worth is counted with the test accuracy of those, which no method has
seen. So luck in the validation sample, which grows with the number of points tried, buys nothing.
"""

import math
from collections.abc import Sequence

import numpy as np

from flow.search.pareto import hypervolume

REFERENCE = {"accuracy": 0.65, "lut": 65_536}
"""Below 0.65 no design is worth its LUTs (the cheapest of all methods reach it with some hundred), and above 2^16 LUTs
none has anything to offer here (the uniform 6-bit network takes 42,000)."""


def front(rows: Sequence[dict]) -> list[dict]:
    """The rows that no other beats in validation accuracy at no more LUTs, from the cheapest on; of equals the first."""
    kept: list[dict] = []
    for row in sorted(rows, key=lambda row: (row["lut"], -row["validation"], row["seconds"])):
        if not kept or row["validation"] > kept[-1]["validation"]:
            kept.append(row)
    return kept


def ever_on_front(rows: Sequence[dict]) -> list[dict]:
    """The rows that were on the front of those so far when they came: no other row is ever on one."""
    return [row for row in rows if any(other is row for other in front(until(rows, row["seconds"])))]


def volume(rows: Sequence[dict]) -> float:
    """Hypervolume of the rows' front: test accuracy above the reference times octaves of LUTs below it."""
    points = [[row["test"], -math.log2(row["lut"])] for row in front(rows)]
    reference = np.array([REFERENCE["accuracy"], -math.log2(REFERENCE["lut"])])
    return hypervolume(np.array(points, float).reshape(-1, 2), reference)


def over_time(rows: Sequence[dict]) -> list[tuple[float, float]]:
    """(seconds, hypervolume) at every moment at which it changes."""
    found: list[tuple[float, float]] = []
    ordered = sorted(rows, key=lambda row: row["seconds"])
    for moment in sorted({row["seconds"] for row in rows}):
        value = volume([row for row in ordered if row["seconds"] <= moment])
        if not found or value != found[-1][1]:
            found.append((moment, value))
    return found


def seconds_to(curve: Sequence[tuple[float, float]], value: float) -> float | None:
    """When the curve has reached a hypervolume for good; None where it never does."""
    reached = None
    for moment, height in curve:
        if height < value:
            reached = None
        elif reached is None:
            reached = moment
    return reached


def at(curve: Sequence[tuple[float, float]], moment: float) -> float:
    """The hypervolume at a moment."""
    return [0.0, *(height for when, height in curve if when <= moment)][-1]


def cheapest(rows: Sequence[dict], accuracy: float) -> dict | None:
    """The cheapest point of the rows' front whose test accuracy is not lower; None without one."""
    return min((row for row in front(rows) if row["test"] >= accuracy), key=lambda row: row["lut"], default=None)


def least_lut(rows: Sequence[dict], accuracy: float) -> float | None:
    """The LUTs of that point."""
    found = cheapest(rows, accuracy)
    return None if found is None else found["lut"]


def until(rows: Sequence[dict], moment: float) -> list[dict]:
    """The rows that were there at a moment."""
    return [row for row in rows if row["seconds"] <= moment]
