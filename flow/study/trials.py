"""The trials of a task: what was proposed, how it was trained, and how it went."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum

from flow.cost.rtl.weighed import Weighed
from flow.design import Design
from flow.metrics import Figure
from flow.search.pricing import beyond
from flow.search.problem import Objective, Past


class State(Enum):
    """How far a trial has come."""

    PROPOSED = "proposed"
    TRAINED = "trained"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """A design, how it was proposed and trained, and its figures.

    `member` is its place in step `step`; `epochs`, how many it was trained; `reason`, why no more. `parent` is the
    number of the trial whose weights it started from, `by` the strategy that proposed it, `batch` the number of the
    first trial of its batch, and `seed` the search's. `seconds` is its share of its batch's training time on the clock:
    the one thing here that differs from run to run. `weighed` is what its trained weights say of its cost (not in the
    JSON: the step has the weights).
    """

    number: int
    round: int
    chosen: Mapping[str, str]
    design: Design
    state: State
    figures: Mapping[str, Figure]
    step: str = ""
    member: int = 0
    reason: str = ""
    epochs: int = 0
    parent: int | None = None
    by: str = ""
    seed: int = 0
    batch: int = 0
    seconds: float = 0.0
    weighed: Mapping[str, Weighed] | None = None

    def to_json(self) -> dict:
        return {
            "number": self.number,
            "round": self.round,
            "digest": self.design.digest,
            "chosen": dict(self.chosen),
            "design": self.design.to_json(),
            "state": self.state.value,
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            "reason": self.reason,
            "epochs": self.epochs,
            "parent": self.parent,
            "by": self.by,
            "seed": self.seed,
            "batch": self.batch,
            "seconds": self.seconds,
        }


def excess(figures: Mapping[str, Figure], limits: Mapping[str, float]) -> dict[str, float]:
    """By how much figures exceed limits, relative to them (0 or less is inside)."""
    return {name: beyond(figures[name].value, limit) for name, limit in limits.items()}


def inside(figures: Mapping[str, Figure], limits: Mapping[str, float]) -> bool:
    """True where no figure exceeds its limit; a figure that is missing is not inside."""
    return all(name in figures and figures[name].value <= limit for name, limit in limits.items())


def values(figures: Mapping[str, Figure], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The objectives in their order; empty where one is missing or no number."""
    found = tuple(figures[o.name].value if o.name in figures else math.nan for o in objectives)
    return found if all(math.isfinite(value) for value in found) else ()


def pasts(
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    limits: Mapping[str, float],
    reported: Set[str] = frozenset(),
) -> list[Past]:
    """What strategies see of the trials that are over.

    Their figures are those that count now, reported before predicted. `reported`: digests of the designs whose cost a
    tool has told.
    """
    found = []
    for trial in trials:
        if trial.state is State.PROPOSED:
            continue
        now = trial.figures
        told = () if trial.state is State.FAILED else values(now, objectives)
        found.append(
            Past(
                trial.number,
                dict(trial.chosen),
                told,
                excess(now, {name: limit for name, limit in limits.items() if name in now}),
                trial.epochs,
                trial.parent,
                trial.batch,
                trial.by,
                trial.design.digest in reported,
            )
        )
    return found


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points (metric up, cost down) that no other point beats in one and equals in the other."""
    order = sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0]))
    best, kept = float("-inf"), []
    for i in order:
        if points[i][0] > best:
            best = points[i][0]
            kept.append(i)
    return kept
