"""Steps from the best designs near the budget: a few choices one place up or down, each batch from the best so far.

Choices stand in order of cost, so a step up buys precision and a step down pays for it. Local search of this kind
spends its trials where the budget lies, not along the whole front.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flow.search.history import Past

if TYPE_CHECKING:
    import numpy as np

PARENTS = 8  # designs inside the budget that steps start from
OUTSIDE = 4  # designs just outside it that may be stepped into it
NEAR = 0.3  # how far outside the budget, relative, is near
MEAN_STEPS = 3.0


def propose(parameters: Mapping[str, tuple[str, ...]], past: Sequence[Past], n: int, seed: int) -> list[dict[str, str]]:
    """Neighbours of the trials that are best inside the budget or near it; random designs while there are none."""
    import numpy as np

    rng = np.random.default_rng(seed)
    names = list(parameters)
    sizes = np.array([len(parameters[name]) for name in names])
    parents = [np.array([parameters[name].index(p.chosen[name]) for name in names]) for p in _parents(past)]
    seen = {tuple(parameters[name].index(p.chosen[name]) for name in names) for p in past}
    found: list[dict[str, str]] = []
    for _ in range(50 * n):  # a small space may hold fewer than n unseen designs
        if len(found) == n:
            break
        places = _step(parents[rng.integers(len(parents))], sizes, rng) if parents else rng.integers(sizes)
        if tuple(places) not in seen:
            seen.add(tuple(places))
            found.append({name: parameters[name][place] for name, place in zip(names, places)})
    return found


def _parents(past: Sequence[Past]) -> list[Past]:
    """The trials with the best metric inside the budget, and the best of those just outside."""
    ranked = sorted(past, key=lambda p: (-p.metric, p.cost))
    over = [max([0.0, *p.excess.values()]) for p in ranked]
    inside = [p for p, excess in zip(ranked, over) if excess <= 0.0][:PARENTS]
    near = [p for p, excess in zip(ranked, over) if 0.0 < excess <= NEAR][:OUTSIDE]
    return inside + near or sorted(past, key=lambda p: p.cost)[:PARENTS]


def _step(parent: "np.ndarray", sizes: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """The parent with a few parameters, chosen at random, moved one place up or down."""
    child = parent.copy()
    movable = (sizes > 1).nonzero()[0]
    count = min(1 + rng.poisson(MEAN_STEPS - 1.0), len(movable))
    for i in rng.choice(movable, size=count, replace=False) if count else ():
        direction = 1 if child[i] == 0 else -1 if child[i] == sizes[i] - 1 else rng.choice((-1, 1))
        child[i] += direction
    return child
