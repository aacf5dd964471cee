"""Designs as rows of places in their parameters' lists, and new designs that nobody has proposed yet."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from flow.search.problem import Chosen, Key, Past, Problem, Proposal, key_of

if TYPE_CHECKING:
    import numpy as np

MEAN_STEPS = 3.0


def sizes(problem: Problem) -> "np.ndarray":
    """Number of choices of each parameter (parameters,)."""
    import numpy as np

    return np.array([len(options) for options in problem.parameters.values()])


def places_of(problem: Problem, designs: Sequence[Chosen]) -> "np.ndarray":
    """Places of the choices (designs, parameters)."""
    import numpy as np

    rows = [[options.index(chosen[name]) for name, options in problem.parameters.items()] for chosen in designs]
    return np.array(rows, int).reshape(len(designs), len(problem.parameters))


def chosen_at(problem: Problem, places: Iterable[int]) -> dict[str, str]:
    """The choices at places (parameters,)."""
    return {name: options[place] for (name, options), place in zip(problem.parameters.items(), places)}


def taken(past: Sequence[Past]) -> set[Key]:
    """What was proposed before."""
    return {key_of(item.chosen) for item in past}


def told(past: Sequence[Past]) -> list[Past]:
    """The trials whose training succeeded."""
    return [item for item in past if item.values]


def fresh(
    problem: Problem, past: Sequence[Past], n: int, draw: Callable[[], Chosen | None], tries: int | None = None
) -> list[Proposal]:
    """Up to `n` designs from `draw` that are allowed and neither proposed before nor drawn twice; a small space may
    hold fewer. `draw` may say None where it has nothing; it is asked `tries` times at most (50 for each)."""
    seen, found = taken(past), []
    size = math.prod(len(options) for options in problem.parameters.values())
    for _ in range(50 * n if tries is None else tries):
        if len(found) == n or len(seen) >= size:
            break
        chosen = draw()
        if chosen is not None and key_of(chosen) not in seen and problem.allowed(chosen):
            seen.add(key_of(chosen))
            found.append(Proposal(dict(chosen)))
    return found


def random_designs(problem: Problem, count: int, rng: "np.random.Generator") -> list[dict[str, str]]:
    """Up to `count` allowed designs, each as likely as any other; the same one may come twice."""
    rows = rng.integers(sizes(problem), size=(count, len(problem.parameters)))
    designs = (chosen_at(problem, row) for row in rows)
    return [chosen for chosen in designs if problem.allowed(chosen)]


def step(parent: "np.ndarray", sizes: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """The parent (parameters,) with a few places, chosen at random, moved one up or down."""
    child = parent.copy()
    movable = (sizes > 1).nonzero()[0]
    count = min(1 + rng.poisson(MEAN_STEPS - 1.0), len(movable))
    for i in rng.choice(movable, size=count, replace=False) if count else ():
        direction = 1 if child[i] == 0 else -1 if child[i] == sizes[i] - 1 else rng.choice((-1, 1))
        child[i] += direction
    return child
