"""Who is better than whom: domination with a budget, fronts, and the hypervolume that a front dominates."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flow.search.problem import Past, Problem

if TYPE_CHECKING:
    import numpy as np

# The least value that is told apart where a figure counts in octaves: one unit, but for shares of events.
LEAST = {"background_efficiency": 1e-4}


def upward(problem: Problem, past: Sequence[Past]) -> "np.ndarray":
    """The objectives (trials, objectives), each turned so that larger is better."""
    import numpy as np

    signs = [1.0 if objective.maximize else -1.0 for objective in problem.objectives]
    return np.array([item.values for item in past], float).reshape(len(past), len(signs)) * signs


def excess_of(past: Sequence[Past]) -> "np.ndarray":
    """By how much all limits together are exceeded (trials,); 0 inside the budget."""
    import numpy as np

    return np.array([sum(max(value, 0.0) for value in item.excess.values()) for item in past], float)


def octaves(values: "np.ndarray", name: str = "") -> "np.ndarray":
    """Values of a minimised figure in octaves: log2, below one unit as one unit. What may be 0, such as DSP blocks,
    would otherwise be worth more than all that costs differ by elsewhere."""
    import numpy as np

    return np.log2(np.maximum(values, LEAST.get(name, 1.0)))


def in_octaves(problem: Problem, points: "np.ndarray") -> "np.ndarray":
    """Objectives upward (n, objectives) with the minimised ones in octaves: a front is to be good at every scale of
    cost."""
    found = points.copy()
    for i, objective in enumerate(problem.objectives):
        if not objective.maximize:
            found[:, i] = -octaves(-points[:, i], objective.name)
    return found


def front(cost: "np.ndarray", merit: "np.ndarray") -> "np.ndarray":
    """Places of the points that none beats at no more cost, cheapest first."""
    import numpy as np

    order = np.lexsort((-merit, cost))
    best = np.maximum.accumulate(np.concatenate([[-np.inf], merit[order][:-1]]))
    return order[(merit[order] > best) & np.isfinite(merit[order])]


def ranks(points: "np.ndarray", excess: "np.ndarray | None" = None) -> "np.ndarray":
    """The front that each point (n, objectives), larger better, is on, from 0 (n,): non-dominated sorting with
    constraint domination (Deb et al., IEEE TEC 6 (2002) 182, definition 1). Without `excess` nothing is constrained.

    Points of less excess beat all of more: each excess has fronts of its own, behind those of the one before."""
    import numpy as np

    found = np.zeros(len(points), int)
    if not len(points):
        return found
    excess = np.zeros(len(points)) if excess is None else excess
    order = np.argsort(excess, kind="stable")
    sort, start = _sweep if points.shape[1] == 2 else _sorted_in, 0
    for own in np.split(order, np.nonzero(np.diff(excess[order]))[0] + 1):
        rows, place = np.unique(points[own], axis=0, return_inverse=True)  # equal points share a front
        found[own] = start + sort(rows)[place.ravel()]
        start = int(found[own].max()) + 1
    return found


def _sweep(rows: "np.ndarray") -> "np.ndarray":
    """The front of each of different points (n, 2), which stand in ascending order."""
    import numpy as np

    found, tops = np.zeros(len(rows), int), []  # minus the largest second objective of each front: ascending
    for i in reversed(range(len(rows))):
        place = bisect_right(tops, -rows[i, 1])
        found[i] = place
        tops[place : place + 1] = [-rows[i, 1]]
    return found


def _sorted_in(rows: "np.ndarray") -> "np.ndarray":
    """The same for any number of objectives (n, m): each point, the best first, goes to the first front that has none
    that beats it, found by bisection (Zhang et al., IEEE TEC 19 (2015) 201)."""
    import numpy as np

    found, fronts, counts = np.zeros(len(rows), int), [], []
    for i in reversed(range(len(rows))):
        low, high = 0, len(fronts)
        while low < high:
            middle = (low + high) // 2
            beaten = (fronts[middle][: counts[middle]] >= rows[i]).all(axis=1).any()
            low, high = (middle + 1, high) if beaten else (low, middle)
        if low == len(fronts):
            fronts.append(np.empty((4, rows.shape[1])))
            counts.append(0)
        elif counts[low] == len(fronts[low]):
            fronts[low] = np.concatenate([fronts[low], np.empty_like(fronts[low])])
        fronts[low][counts[low]] = rows[i]
        counts[low] += 1
        found[i] = low
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
