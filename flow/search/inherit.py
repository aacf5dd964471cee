"""Who can start from whose weights: what was pruned away, or never was there, can't be inherited."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flow.search.problem import Chosen, Past, Problem

if TYPE_CHECKING:
    import numpy as np


def inherits(problem: Problem, child: Chosen, parent: Chosen) -> bool:
    """Whether a design can go on from another one's weights: no kernel keeps more, and all layers are as wide."""
    for name in problem.parameters:
        part = problem.part(name)
        if part == "keep" and _number(child[name]) > _number(parent[name]):
            return False
        if part == "width" and child[name] != parent[name]:
            return False
    return True


def heirs(problem: Problem, rows: "np.ndarray", parents: "np.ndarray", age: "np.ndarray") -> "np.ndarray":
    """For each design at places (designs, parameters) the place of the parent (parents, parameters) whose weights it
    starts from: the fewest steps away of those that it can inherit from, of equal ones the longest trained; -1 where
    none is.
    """
    import numpy as np

    if not len(parents) or not len(rows):
        return np.full(len(rows), -1)
    far = np.stack([np.abs(row - parents).sum(axis=1) for row in rows]).astype(float)
    for i, (name, options) in enumerate(problem.parameters.items()):
        part = problem.part(name)
        if part == "keep":
            kept = np.array([_number(text) for text in options])
            far[kept[rows[:, i]][:, None] > kept[parents[:, i]][None]] = np.inf
        elif part == "width":
            far[rows[:, i][:, None] != parents[:, i][None]] = np.inf
    far = far - 0.5 * (age / max(float(age.max()), 1.0))[None]
    best = far.argmin(axis=1)
    return np.where(np.isfinite(far[np.arange(len(rows)), best]), best, -1)


def ages(past: Sequence[Past]) -> dict[int, int]:
    """Trial → epochs that its weights were trained, those of its ancestors among them."""
    found: dict[int, int] = {}
    for item in sorted(past, key=lambda item: item.number):
        found[item.number] = item.epochs + (0 if item.parent is None else found.get(item.parent, 0))
    return found


def _number(text: str) -> float:
    """A keep fraction as written; what is none counts as everything kept."""
    try:
        return float(text)
    except ValueError:
        return 1.0
