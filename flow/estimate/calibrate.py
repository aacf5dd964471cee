"""`flow calibrate`: take reports into the calibration file, and say what changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.estimate import knowledge
from flow.estimate.answer import predictions
from flow.estimate.gather import gather
from flow.estimate.observation import Observation, joined

COMPARED = ("lut", "ff", "dsp", "bram_18k", "latency_cycles", "interval_cycles")


@dataclass(frozen=True)
class Change:
    """How the prediction of a figure of some reports (of one implementation, tool and stage) changed."""

    implementation: str
    tool: str
    stage: str
    figure: str
    reports: int
    error_before: float  # median of |predicted - reported| / reported
    error_after: float
    inside_before: float  # share of the reports inside the 68 % interval
    inside_after: float


def calibrate(paths: Sequence[Path], state: Path) -> dict:
    """Join the reports below `paths` into the calibration file `state`; returns what was taken and what changed."""
    found: list[Observation] = []
    left: list[str] = []
    for path in paths:
        rows, reasons = gather(path)
        found += rows
        left += reasons
    with knowledge.held(state):
        known = knowledge.load(state)
        after = joined(known, found)
        before_models, after_models = knowledge.models(known), knowledge.models(after)
        knowledge.save(state, after)
    old, new = {item.subject for item in known}, {item.subject for item in found}
    return {
        "state": str(state),
        "reports": {"known": len(old), "new": len(new - old), "again": len(new & old), "now": len(after)},
        "left_out": left,
        "changes": [vars(row) for row in changes(after, before_models, after_models)],
    }


def changes(observations: Iterable[Observation], before: knowledge.Models, after: knowledge.Models) -> list[Change]:
    """What two states of the models say of the reports, by implementation, tool, stage and figure."""
    groups: dict[tuple[str, str, str], list[Observation]] = {}
    for item in observations:
        if item.finished:
            groups.setdefault((item.implementation.value, item.tool, item.stage), []).append(item)
    found = []
    for key, items in sorted(groups.items()):
        pairs = [(predictions(before, item), predictions(after, item), item.figures) for item in items]
        for name in COMPARED:
            rows = [(old[name], new[name], seen[name]) for old, new, seen in pairs if name in seen and name in old]
            if rows:
                (error_0, inside_0), (error_1, inside_1) = (_score(rows, side) for side in (0, 1))
                found.append(Change(*key, name, len(rows), error_0, error_1, inside_0, inside_1))
    return found


def _score(rows: Sequence[tuple[Mapping, Mapping, float]], side: int) -> tuple[float, float]:
    value = np.array([row[side]["value"] for row in rows])
    low = np.array([row[side]["low"] for row in rows])
    high = np.array([row[side]["high"] for row in rows])
    seen = np.array([row[2] for row in rows])
    error = np.median(np.abs(value - seen) / np.maximum(seen, 1.0))
    return float(error), float(np.mean((low <= seen) & (seen <= high)))
