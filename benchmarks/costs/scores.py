"""Reported figures beside predicted ones, and what tables say of groups of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

FIGURES = ("lut", "ff", "dsp", "bram_18k", "uram", "latency_cycles", "interval_cycles")
ALL, UNUSABLE = "all", "left out of fits"

Scores = dict[str, float | int | None]


@dataclass(frozen=True)
class Point:
    """A reported figure beside its prediction, and where it belongs in the tables."""

    file: str
    line: int
    source: str
    part: str
    stage: str
    figure: str
    reported: float
    value: float
    low: float
    high: float

    @property
    def group(self) -> tuple[str, str, str, str]:
        return self.source, self.part, self.stage, self.figure


def scores(reported: Sequence[float], value: Sequence[float], low=None, high=None) -> Scores:
    """What a table says of predictions (n,) of reports (n,); None where it is not defined."""
    r, p = np.asarray(reported, dtype=float), np.asarray(value, dtype=float)
    some = r > 0
    bias = float(np.median(p[some] / r[some])) if some.any() else None
    error = np.abs(p - r)
    found = {
        "n": len(r),
        "r2_log": r2(np.log1p(r), np.log1p(np.maximum(p, 0.0))),
        "r2": r2(r, p),
        "smape": smape(r, p),
        "smape_without_bias": smape(r, p / bias) if bias else None,
        "bias": bias,
        "median_error": float(np.median(error)),
        "median_relative_error": float(np.median(error / np.maximum(r, 1.0))),
        "exact": float(np.mean(np.round(p) == r)),
        "close": float(np.mean(error <= np.maximum(2.0, 0.05 * r))),  # within 2 counts or 5 %
        "coverage": None,
        "half_width": None,
    }
    if low is not None and high is not None:
        low, high = np.asarray(low), np.asarray(high)
        found["coverage"] = float(np.mean((low - 0.5 <= r) & (r <= high + 0.5)))
        found["half_width"] = float(np.median((high - low) / 2 / np.maximum(p, 1.0)))
    return found


def r2(reported: np.ndarray, value: np.ndarray) -> float | None:
    """The coefficient of determination; None where the reports don't differ."""
    spread = ((reported - reported.mean()) ** 2).sum()
    return float(1 - ((reported - value) ** 2).sum() / spread) if spread > 0 else None


def smape(reported: np.ndarray, value: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, from 0 to 200."""
    both = np.abs(reported) + np.abs(value)
    return float(200 * np.mean(np.abs(reported - value) / np.where(both > 0, both, 1.0)))


def by_group(points: Iterable[Point]) -> dict[tuple, list[Point]]:
    """Points by source, part, stage and figure, in the order of the tables."""
    found: dict[tuple, list[Point]] = {}
    for point in points:
        found.setdefault(point.group, []).append(point)
    order = {name: i for i, name in enumerate(FIGURES)}
    return dict(sorted(found.items(), key=lambda item: (*item[0][:3], order[item[0][3]])))


def with_whole(points: Sequence[Point]) -> list[Point]:
    """The points, and where a source has several parts all of them again as one."""
    usable = [point for point in points if point.part != UNUSABLE]
    parts: dict[tuple[str, str], set[str]] = {}
    for point in usable:
        parts.setdefault((point.source, point.stage), set()).add(point.part)
    whole = [replace(point, part=ALL) for point in usable if len(parts[point.source, point.stage]) > 1]
    return [*whole, *points]


def group_scores(points: Sequence[Point]) -> list[dict]:
    """A row of scores for each group."""
    rows = []
    for (source, part, stage, figure), members in by_group(with_whole(points)).items():
        columns = zip(*((p.reported, p.value, p.low, p.high) for p in members))
        row = {"source": source, "part": part, "stage": stage, "figure": figure} | scores(*columns)
        if figure != "uram" or any(p.reported for p in members):
            rows.append(row)
    return rows
