"""Sensitivity by choice, and the exact allocation under a budget by integer programming (HiGHS, through SciPy).

The damage of a design (`measure`: output, kl, hessian or fit) is a sum over terms of few parameters each, and its
cost a sum over layers, each of few parameters too: the design of least damage at a cost is an integer linear program
(`integer`). One program for each rung of a ladder of budgets gives the proposals; designs that were proposed before
are cut off.

Which parameters a layer's cost depends on is found by pricing (`layers`), and for what layers don't tell, such as the
energy, which ones the network's does. Where tables don't add up to the price, the limit is corrected by the true one,
and the program solved again.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flow.search.integer import Block, Program
from flow.search.layers import cost_blocks
from flow.search.options import Option, settings
from flow.search.places import chosen_at, fresh, sizes
from flow.search.problem import Chosen, Measure, Past, Problem, Proposal

if TYPE_CHECKING:
    import numpy as np

OPTIONS: dict[str, Option] = {
    "measure": Option(
        Measure.OUTPUT.value, tuple(item.value for item in Measure), "What tells how much a choice hurts the network."
    ),
}
CORRECTIONS = 4  # programs that are solved for one rung
LOWEST, HIGHEST = 0.1, 1.2  # rungs, times the budget
SLACK = 1e-9
CLOSE = 0.01  # of a limit: the correction that is not worth another program


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """The designs of least damage at each rung of a ladder of costs, without those proposed before."""
    import numpy as np

    rng = np.random.default_rng(seed)
    program = _program(problem)
    seen: list[Chosen] = [item.chosen for item in past if set(item.chosen) == set(problem.parameters)]
    found: list[Chosen] = []
    for rung in _ladder(problem, n, rng):
        chosen = allocated(problem, program, rung, [*seen, *found])
        if chosen is not None:
            found.append(chosen)
    room, ready = sizes(problem), iter(found)
    return fresh(problem, past, n, lambda: next(ready, None) or chosen_at(problem, rng.integers(room)))


def allocated(problem: Problem, program: Program, limits: Mapping[str, float], excluded: Sequence[Chosen]):
    """The design of least damage whose true prices keep to `limits` (figure → value); None where there is none.

    Where the layers' sum is not the price, each limit is moved by their difference at the last solution, a few times;
    the best design that kept to the limits comes out.
    """
    import numpy as np

    limits = {name: limit for name, limit in limits.items() if name in program.costs}
    moved, tried, best = dict(limits), [], None
    for _ in range(CORRECTIONS):
        chosen = program.solve(moved, excluded)
        if chosen is None or chosen in tried:
            break
        tried.append(chosen)
        prices = problem.prices([chosen])
        true = {name: float(np.asarray(prices[name])[0]) for name in limits}
        if all(true[name] <= limit * (1.0 + SLACK) for name, limit in limits.items()):
            if best is None or program.damage_of(chosen) < program.damage_of(best):
                best = chosen
        before = moved
        moved = {name: limit - (true[name] - program.cost_of(name, chosen)) for name, limit in limits.items()}
        if best is not None and all(abs(moved[name] - before[name]) <= CLOSE * abs(limits[name]) for name in limits):
            break  # it adds up, or nearly: another program would hardly have another limit
    return best


def _program(problem: Problem) -> Program:
    asked = settings(OPTIONS, problem.options, "search.options.sensitivity")
    terms = problem.knowledge.damages(Measure(asked["measure"])).terms
    minimised = (objective.name for objective in problem.objectives if not objective.maximize)
    figures = dict.fromkeys([*minimised, *problem.limits])
    return Program(
        problem.parameters,
        [Block(tuple(names), table[_choices(problem, names)]) for names, table in terms.items()],
        cost_blocks(problem, list(figures)),
        problem.forbidden,
    )


def _choices(problem: Problem, names: Sequence[str]) -> tuple[slice, ...]:
    """The part of a table that the parameters' choices are on."""
    return tuple(slice(len(problem.parameters[name])) for name in names)


def _axis(problem: Problem, prices: Mapping) -> str:
    """The figure that rungs differ in: the cost, or where its limit is 0, the next minimised one that has a price."""
    cost = problem.objectives[problem.cost].name
    names = [cost, *(objective.name for objective in problem.objectives if not objective.maximize)]
    return next((name for name in names if name in prices and problem.limits.get(name) != 0), cost)


def _ladder(problem: Problem, n: int, rng: "np.random.Generator") -> list[dict[str, float]]:
    """Limits of each rung: the cost's own, evenly in its logarithm and other ones in each batch, and the budget's other
    limits as they are (stretched as far as the cost's is, beyond the budget)."""
    import numpy as np

    ends = [chosen_at(problem, sizes(problem) * 0), chosen_at(problem, sizes(problem) - 1)]
    prices = problem.prices(ends)
    figure = _axis(problem, prices)
    least, most = sorted(float(value) for value in prices[figure])
    if problem.limits.get(figure):
        limit = problem.limits[figure]
        least, most = max(least, min(LOWEST * limit, most)), min(HIGHEST * limit, most)
    if most > 1.0:  # a ladder has no rungs below one unit, where costs are whole numbers and may be 0
        least = max(least, 1.0)
    least, most = max(min(least, most), 1e-9), max(least, most, 1e-9)
    shares = (np.arange(n) + rng.uniform(0.0, 1.0)) / max(n, 1)
    rungs = []
    for share in shares:
        cost = float(np.exp(np.log(least) + share * (np.log(most) - np.log(least))))
        stretch = max(cost / problem.limits[figure], 1.0) if problem.limits.get(figure) else 1.0
        others = {name: limit * stretch for name, limit in problem.limits.items() if name != figure}
        rungs.append({figure: cost} | others)
    return rungs
