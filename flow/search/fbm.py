"""FBM: bit allocation by simulated latency and resources, before any trial and with few of them.

The relative of `amed` that asks no device: a choice's score is alpha times the loss that its quantization error lets
expect (Fisher information, `Measure.FIT`) plus beta times what the closed-form models say that it adds to the cost,
with everything else in the middle of its list. A softmax over these scores proposes layer by layer, Metropolis and
Hastings accept on the trained loss and the cost, and few epochs from the kept weights recover what a transition broke
(`flow.search.metropolis`).

We know the method by a summary only (bits 2, 3, 4 and 8; a softmax over scores; a simulator's latency), so the tables,
which simulated damage and cost fill here, are our own reading. A latency among the minimised objectives, or one that
the budget limits, counts beside the cost.
"""

from collections.abc import Mapping, Sequence

from flow.search.metropolis import Settings, Table, budget, walk
from flow.search.places import chosen_at
from flow.search.problem import Measure, Past, Problem, Proposal

NAME = "fbm"
STEEP = 0.05  # loss at the damage of the middle design: damages are counted in it


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Moves of Markov chains whose proposals follow simulated damage and cost."""
    alpha = Settings.of(problem, NAME).alpha
    hurts, costs = _damages(problem), _costs(problem)

    def tables(beta: float, known: Sequence[Past]) -> Table:
        return {
            name: {choice: alpha * hurts[name][choice] + beta * costs[name][choice] for choice in options}
            for name, options in problem.parameters.items()
        }

    return walk(problem, past, n, seed, NAME, tables)


def _swaps(problem: Problem) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The design in the middle of all lists, and it with each choice of each parameter in turn."""
    middle = chosen_at(problem, [len(options) // 2 for options in problem.parameters.values()])
    return middle, [middle | {name: choice} for name, options in problem.parameters.items() for choice in options]


def _by_choice(problem: Problem, values: Sequence[float]) -> dict[str, dict[str, float]]:
    """Values of the swaps, in their order, as a table."""
    rest = iter(values)
    return {name: {choice: float(next(rest)) for choice in options} for name, options in problem.parameters.items()}


def _damages(problem: Problem) -> Table:
    """Loss that each choice lets expect: the root of its damage, in units of the middle design's (a loss of
    `STEEP`)."""
    import numpy as np

    middle, swaps = _swaps(problem)
    damages = problem.knowledge.damages(Measure.FIT)
    whole = max(float(damages.of(problem.parameters, [middle])[0]), 1e-30)
    return _by_choice(problem, STEEP * np.sqrt(np.maximum(damages.of(problem.parameters, swaps), 0.0) / whole))


def _costs(problem: Problem) -> Table:
    """Simulated cost of the design with each choice, in budgets, a limited or minimised latency beside it."""
    import numpy as np

    middle, swaps = _swaps(problem)
    name = problem.objectives[problem.cost].name
    prices, here = problem.prices(swaps), problem.prices([middle])
    total = np.asarray(prices[name], float) / budget(problem)
    for other, unit in _latencies(problem, here).items():
        total = total + np.asarray(prices[other], float) / unit
    return _by_choice(problem, total)


def _latencies(problem: Problem, here: Mapping) -> dict[str, float]:
    """Latency figures that count, and what each is counted in: its limit, or the middle design's own."""
    cost = problem.objectives[problem.cost].name
    asked = [*problem.limits, *(o.name for o in problem.objectives if not o.maximize)]
    names = [name for name in dict.fromkeys(asked) if name.startswith("latency") and name != cost and name in here]
    return {name: problem.limits.get(name) or max(float(here[name][0]), 1e-9) for name in names}
