"""Steps from the best designs near the budget: a few choices one place up or down, each batch from the best so far.

Choices stand in order of cost, so a step up buys precision and a step down pays for it. Local search of this kind
spends its trials where the budget lies, not along the whole front.
"""

from collections.abc import Sequence

from flow.search.places import chosen_at, fresh, places_of, sizes, step, told
from flow.search.problem import Past, Problem, Proposal

PARENTS = 8  # designs inside the budget that steps start from
OUTSIDE = 4  # designs just outside it that may be stepped into it
NEAR = 0.3  # how far outside the budget, relative, is near


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Neighbours of the trials that are best inside the budget or near it; random designs while there are none."""
    import numpy as np

    rng, room = np.random.default_rng(seed), sizes(problem)
    parents = places_of(problem, [parent.chosen for parent in _parents(problem, told(past))])

    def draw() -> dict[str, str]:
        places = step(parents[rng.integers(len(parents))], room, rng) if len(parents) else rng.integers(room)
        return chosen_at(problem, places)

    return fresh(problem, past, n, draw)


def _parents(problem: Problem, past: Sequence[Past]) -> list[Past]:
    """The trials with the best metric inside the budget, and the best of those just outside."""
    metric, cost = ((lambda p, i=i: p.values[i]) for i in (problem.metric, problem.cost))
    ranked = sorted(past, key=lambda p: (-metric(p), cost(p)))
    inside = [p for p in ranked if p.inside][:PARENTS]
    near = [p for p in ranked if 0.0 < p.over <= NEAR][:OUTSIDE]
    return inside + near or sorted(past, key=cost)[:PARENTS]
