"""Strategies: who proposes designs. One file and one line here add one.

A strategy sees a `Problem` (what there is to choose, what it costs by closed form, how much it hurts), the trials so far
as numbers, how many to propose, and a seed; it knows nothing of networks or tools. The same arguments give the same
proposals.
"""

import difflib
from collections.abc import Sequence

from flow.errors import BadInput
from flow.search import neighbours, nsga2, random, tpe
from flow.search.problem import Past, Problem, Proposal, Propose

STRATEGIES: dict[str, Propose] = {
    "random": random.propose,
    "tpe": tpe.propose,
    "nsga2": nsga2.propose,
    "neighbours": neighbours.propose,
}


def strategy(name: str, where: str = "search.strategy") -> Propose:
    """The strategy of a name; BadInput lists the known ones for any other."""
    if name not in STRATEGIES:
        guess = difflib.get_close_matches(name, STRATEGIES, 1)
        hint = f"did you mean {guess[0]!r}? " if guess else ""
        raise BadInput(f"{where}: unknown strategy {name!r}; {hint}known: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def propose(name: str, problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Up to `n` proposals of the strategy of a name, with its own settings; fewer where the space has run out."""
    return strategy(name)(problem.of(name), past, n, seed)
