"""What layers cost, as tables: which choices a layer's cost depends on, found by pricing designs layer by layer.

What layers don't tell, such as an energy, is found for the network as a whole in the same way.
"""

import itertools
import math
from collections.abc import Sequence

from flow.search.integer import Block
from flow.search.places import chosen_at, random_designs
from flow.search.problem import Chosen, Problem, key_of

COMBINATIONS = 256  # that one table may hold: each is priced once
WHOLE = ""  # the network, in place of a layer's name
TOLERANCE = 0.02  # of the layer's cost: what two choices may change together and still count as additive


def cost_blocks(problem: Problem, figures: Sequence[str]) -> dict[str, list[Block]]:
    """Figure → tables whose sum is the layers' cost, exactly where parameters that stand in different tables of a layer
    add up, and where a table holds all that depend on each other; figures that closed forms don't tell are left out."""
    price = _Prices(problem)
    known = {name for row in price(price.base).values() for name in row}
    prices = problem.prices([price.base])
    found: dict[str, list[Block]] = {}
    for figure in figures:
        if figure in known:
            found[figure] = [block for layer in price(price.base) for block in _of_layer(problem, price, layer, figure)]
        elif figure in prices:
            found[figure] = _of_layer(problem, price, WHOLE, figure)
    return found


class _Prices:
    """Costs by layer or as a whole, each design priced once. `base` is the middle of the space; `bases` has a random design too."""

    def __init__(self, problem: Problem):
        import numpy as np

        middle = chosen_at(problem, [len(options) // 2 for options in problem.parameters.values()])
        some = random_designs(problem, 4, np.random.default_rng(0))[:1]
        self.problem, self.base, self.bases = problem, middle, [middle, *some]
        self._known: dict = {}
        self._whole: dict = {}

    def __call__(self, chosen: Chosen):
        key = key_of(chosen)
        if key not in self._known:
            self._known[key] = self.problem.by_layer(chosen)
        return self._known[key]

    def of(self, layer: str, figure: str, chosen: Chosen) -> float:
        if layer != WHOLE:
            return float(self(chosen)[layer].get(figure, 0.0))
        self.ask(figure, [chosen])
        return self._whole[figure, key_of(chosen)]

    def ask(self, figure: str, designs: Sequence[Chosen]) -> None:
        """Price designs as wholes, many at once."""
        new = {key_of(chosen): chosen for chosen in designs if (figure, key_of(chosen)) not in self._whole}
        if new:
            values = self.problem.prices(list(new.values()))[figure]
            self._whole |= {(figure, key): float(value) for key, value in zip(new, values)}


def _of_layer(problem: Problem, price: _Prices, layer: str, figure: str) -> list[Block]:
    """The tables of one layer: the first has the base's cost in it, the others what they change of it."""
    import numpy as np

    start = price.of(layer, figure, price.base)
    blocks = []
    for names in _together(problem, price, layer, figure):
        table = np.zeros([len(problem.parameters[name]) for name in names])
        for place in np.ndindex(*table.shape):
            own = {name: problem.parameters[name][i] for name, i in zip(names, place)}
            table[place] = price.of(layer, figure, {**price.base, **own}) - (start if blocks else 0.0)
        blocks.append(Block(names, table))
    return blocks or [Block((), np.array(start))]


def _together(problem: Problem, price: _Prices, layer: str, figure: str) -> list[tuple[str, ...]]:
    """The parameters that a layer's cost depends on, those that do not add up in one group, as far as it fits."""
    if layer == WHOLE:
        price.ask(
            figure, [{**b, name: c} for b in price.bases for name, own in problem.parameters.items() for c in own]
        )
    names = [name for name in problem.parameters if _matters(problem, price, layer, figure, name)]
    if layer == WHOLE:
        some = itertools.combinations(names, 2)
        price.ask(figure, [corner for a, b in some for base in price.bases for corner in _corners(problem, base, a, b)])
    pairs = {pair: _joint(problem, price, layer, figure, pair) for pair in itertools.combinations(names, 2)}
    size = max(abs(price.of(layer, figure, base)) for base in price.bases) or 1.0
    groups = [{name} for name in names]
    for (a, b), joint in sorted(pairs.items(), key=lambda item: -item[1]):
        if joint <= TOLERANCE * size:
            break
        one, other = (next(group for group in groups if name in group) for name in (a, b))
        both = one | other
        if one is not other and math.prod(len(problem.parameters[name]) for name in both) <= COMBINATIONS:
            groups = [group for group in groups if group is not one and group is not other] + [both]
    order = list(problem.parameters)
    return [tuple(sorted(group, key=order.index)) for group in groups]


def _matters(problem: Problem, price: _Prices, layer: str, figure: str, name: str) -> bool:
    """Whether a parameter's choice changes a layer's cost."""
    for base in price.bases:
        values = {price.of(layer, figure, {**base, name: choice}) for choice in problem.parameters[name]}
        if len(values) > 1:
            return True
    return False


def _joint(problem: Problem, price: _Prices, layer: str, figure: str, pair: tuple[str, str]) -> float:
    """By how much two parameters' changes, from their first choices to their last, do not add up."""
    a, b = pair
    largest = 0.0
    for base in price.bases:
        values = [price.of(layer, figure, corner) for corner in _corners(problem, base, a, b)]
        largest = max(largest, abs(values[0] - values[1] - values[2] + values[3]))
    return largest


def _corners(problem: Problem, base: Chosen, a: str, b: str) -> list[dict[str, str]]:
    """A design with the first and last choices of two parameters, in all four ways."""
    return [{**base, a: first, b: second} for first in _ends(problem, a) for second in _ends(problem, b)]


def _ends(problem: Problem, name: str) -> tuple[str, str]:
    return problem.parameters[name][0], problem.parameters[name][-1]
