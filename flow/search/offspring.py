"""Children of designs: whole blocks from two parents, and steps up or down where they pay."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flow.search.pareto import octaves
from flow.search.places import chosen_at, sizes
from flow.search.pricing import priced
from flow.search.problem import Key, Measure, Problem, key_of

if TYPE_CHECKING:
    import numpy as np

MIXED = 0.6  # of the children have two parents
MEAN_STEPS = 2.0
STRAIGHT = 0.7  # of a child's steps go its own way, all to more or all to less
LEAST = 0.3  # weight of a step that pays for nothing, against 1 of one that costs nothing


@dataclass(frozen=True)
class Guide:
    """Where steps pay. `down` and `up` (parameters, choices): how likely each parameter is to move by one place, by
    the place where it stands; 0 at the end of its list. What the step wins, log cost or log damage, counts against
    what it loses of the other, everything else standing in the middle of its list."""

    down: "np.ndarray"
    up: "np.ndarray"

    @staticmethod
    def of(problem: Problem) -> "Guide":
        import numpy as np

        room = sizes(problem)
        middle = chosen_at(problem, (room - 1) // 2)
        swaps = [middle | {name: choice} for name, options in problem.parameters.items() for choice in options]
        cost = math.log(2.0) * octaves(priced(problem, swaps)[0])
        damages = problem.knowledge.damages(Measure.FIT).of(problem.parameters, swaps)
        bounds = np.cumsum(room)[:-1]
        both = zip(np.split(cost, bounds), np.split(np.log(np.maximum(damages, 1e-30)), bounds))
        down, up = np.zeros((len(room), room.max())), np.zeros((len(room), room.max()))
        for i, (own, hurt) in enumerate(both):
            rise = np.stack([np.diff(own), np.diff(hurt)])  # of a step up, what it loses
            lost, won = np.clip(rise, 0.0, None).sum(0), np.clip(-rise, 0.0, None).sum(0)
            total = np.maximum(lost + won, 1e-9)
            up[i, : room[i] - 1], down[i, 1 : room[i]] = LEAST + won / total, LEAST + lost / total
        return Guide(down, up)


def children(
    problem: Problem, rows: "np.ndarray", order: "np.ndarray", guide: Guide, seen: set[Key], count: int, rng
) -> "np.ndarray":
    """About `count` allowed designs (children, parameters) that are not in `seen`, which takes them in. Parents are
    `rows`, `order` naming the best first: of two that are drawn the better one has the child."""
    import numpy as np

    if not len(rows):
        return rows
    found = []
    for child in _stepped(_mixed(problem, rows, order, count, rng), guide, rng):
        chosen = chosen_at(problem, child)
        if key_of(chosen) not in seen and problem.allowed(chosen):
            seen.add(key_of(chosen))
            found.append(child)
    return np.array(found, int).reshape(len(found), rows.shape[1])


def _mixed(problem: Problem, rows: "np.ndarray", order: "np.ndarray", count: int, rng) -> "np.ndarray":
    """Children (count, parameters) of one parent, or of two whose blocks they take at random."""
    import numpy as np

    one, other = (rows[order[rng.integers(len(order), size=(count, 2)).min(axis=1)]] for _ in range(2))
    block = np.zeros(rows.shape[1], int)
    for i, places in enumerate(_blocks(problem)):
        block[places] = i
    swap = (rng.random((count, block.max() + 1)) < 0.5) & (rng.random((count, 1)) < MIXED)
    return np.where(swap[:, block], other, one)


def _stepped(rows: "np.ndarray", guide: Guide, rng) -> "np.ndarray":
    """Rows (n, parameters) with a few places moved by one, each row's mostly in one direction."""
    import numpy as np

    rows, every = rows.copy(), np.arange(len(rows))
    way, steps = rng.choice((-1, 1), size=len(rows)), 1 + rng.poisson(MEAN_STEPS - 1.0, size=len(rows))
    parameters = np.arange(rows.shape[1])
    for step in range(steps.max(initial=0)):
        own = np.where(rng.random(len(rows)) < STRAIGHT, way, -way)
        weights = np.where(own[:, None] > 0, guide.up[parameters, rows], guide.down[parameters, rows])
        summed = np.cumsum(weights, axis=1)
        place = (summed < rng.random((len(rows), 1)) * summed[:, -1:]).sum(axis=1).clip(max=rows.shape[1] - 1)
        moves = (steps > step) & (weights[every, place] > 0)
        rows[every, place] += np.where(moves, own, 0)
    return rows


def _blocks(problem: Problem) -> list[list[int]]:
    """Places of the parameters that are handed on together; one that is in no block goes by itself."""
    place = {name: i for i, name in enumerate(problem.parameters)}
    held = {name for block in problem.blocks for name in block}
    blocks = [[place[name] for name in block if name in place] for block in problem.blocks]
    return [block for block in blocks if block] + [[i] for name, i in place.items() if name not in held]
