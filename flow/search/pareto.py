"""Who is better than whom: domination with a budget, fronts, and the hypervolume that a front dominates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flow.search.problem import Past, Problem

if TYPE_CHECKING:
    import numpy as np


def upward(problem: Problem, past: Sequence[Past]) -> "np.ndarray":
    """The objectives (trials, objectives), each turned so that larger is better."""
    import numpy as np

    signs = [1.0 if objective.maximize else -1.0 for objective in problem.objectives]
    return np.array([item.values for item in past], float).reshape(len(past), len(signs)) * signs


def excess_of(past: Sequence[Past]) -> "np.ndarray":
    """By how much all limits together are exceeded (trials,); 0 inside the budget."""
    import numpy as np

    return np.array([sum(max(value, 0.0) for value in item.excess.values()) for item in past], float)


def ranks(points: "np.ndarray", excess: "np.ndarray | None" = None) -> "np.ndarray":
    """The front that each point (n, objectives), larger better, is on, from 0 (n,): non-dominated sorting with
    constraint domination (Deb et al., IEEE TEC 6 (2002) 182, definition 1). Without `excess` nothing is constrained."""
    import numpy as np

    n = len(points)
    found = np.zeros(n, int)
    if not n:
        return found
    excess = np.zeros(n) if excess is None else excess
    at_least = (points[:, None] >= points[None]).all(-1) & (points[:, None] > points[None]).any(-1)
    same = excess[:, None] == excess[None]
    beats = np.where(same, at_least, excess[:, None] < excess[None])
    left, rank = np.ones(n, bool), 0
    while left.any():
        first = left & ~(beats & left[:, None]).any(0)
        found[first] = rank
        left &= ~first
        rank += 1
    return found


def crowding(points: "np.ndarray") -> "np.ndarray":
    """Crowding distances of the points of one front (n,): infinite at the ends (the same paper, section III B)."""
    import numpy as np

    total = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        total[order[[0, -1]]] = np.inf
        if span > 0 and len(order) > 2:
            total[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return total


def hypervolume(points: "np.ndarray", reference: "np.ndarray") -> float:
    """Volume that points (n, objectives), larger better, dominate above `reference` (objectives,); exact."""
    import numpy as np

    above = points[(points > reference).all(-1)]
    if not len(above):
        return 0.0
    if points.shape[1] == 1:
        return float(above.max() - reference[0])
    order = above[np.argsort(-above[:, -1], kind="stable")]
    levels = np.append(order[:, -1], reference[-1])
    total = 0.0  # slabs along the last objective, each as thick as the step to the next point
    for i in range(len(order)):
        if levels[i] > levels[i + 1]:
            total += (levels[i] - levels[i + 1]) * hypervolume(order[: i + 1, :-1], reference[:-1])
    return float(total)
