"""Every design of the space once, in an order that is spread out from its start: blind, and without chance.

Counting gives each design a row of digits, the first running fastest. A parameter's place is its own digit plus multiples
of the digits before it, so that no two numbers give the same design, and so that with every step nearly all
parameters change: after few designs each parameter has had each of its choices about equally often, and after some
more each pair of parameters each pair of choices, as in an orthogonal array (Hedayat, Sloane, Stufken, Orthogonal Arrays,
Springer 1999, chapter 3). The first designs are uniform: all of the first choices, all of the second ones.

The seed does nothing, and what was measured changes nothing: but for the uniform designs at its start, don't expect more of
it than of `random`. It is for spaces that are small enough to be seen whole, which `flow space` tells.
"""

from collections.abc import Iterator, Sequence

from flow.search.places import chosen_at, fresh
from flow.search.problem import Chosen, Past, Problem, Proposal

TRIES = 100_000  # designs in a row that may be known or forbidden


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """The next designs in the grid's order that nobody has proposed."""
    left = designs(problem)
    return fresh(problem, past, n, lambda: next(left, None), tries=len(past) + n + TRIES)


def designs(problem: Problem) -> Iterator[Chosen]:
    """All designs, forbidden ones among them, in the grid's order."""
    sizes = [len(options) for options in problem.parameters.values()]
    steps = [[_step(i, j, size) for i in range(j)] for j, size in enumerate(sizes)]
    digits = [0] * len(sizes)
    while True:
        places = ((own + sum(map(_times, row, digits))) % size for own, row, size in zip(digits, steps, sizes))
        yield chosen_at(problem, places)
        if not _count(digits, sizes):
            return


def _step(i: int, j: int, size: int) -> int:
    """By how many places parameter `j` moves where digit `i` before it moves by one: powers, as in the arrays of
    Reed-Solomon codes, so that no two parameters move alike for long."""
    return pow(j + 1, i, 97) % size


def _times(step: int, digit: int) -> int:
    return step * digit


def _count(digits: list[int], sizes: Sequence[int]) -> bool:
    """Count on by one, in place; False behind the last."""
    for i, size in enumerate(sizes):
        digits[i] += 1
        if digits[i] < size:
            return True
        digits[i] = 0
    return False
