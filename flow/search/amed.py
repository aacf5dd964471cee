"""AMED (Kimhi et al., arXiv 2205.15437): bit allocation as a Markov chain on what training and the device reported.

Each choice's score is the mean quality of the trials that had it: alpha·loss + beta·cost as they were measured, costs
that a tool reported counting as reported. A softmax over these scores proposes, Metropolis and Hastings accept, and
few epochs from the kept weights recover what a transition broke (`flow.search.metropolis`).

What differs from the paper: several chains, one for each price of cost, instead of one; choices of the space instead
of bits 2, 3, 4 and 8; a move redraws one block; and the trials' own epochs stand for training that goes on all the
while.
"""

from collections.abc import Sequence

from flow.search.metropolis import Settings, Table, budget, score, walk
from flow.search.problem import Past, Problem, Proposal

NAME = "amed"
SHRINKAGE = 3.0  # trials' worth of the mean of all, in each choice's score


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Moves of Markov chains whose proposals follow the trials' measured quality."""
    alpha, unit = Settings.of(problem, NAME).alpha, budget(problem)

    def tables(beta: float, known: Sequence[Past]) -> Table:
        return measured(problem, known, alpha, beta, unit)

    return walk(problem, past, n, seed, NAME, tables)


def measured(problem: Problem, known: Sequence[Past], alpha: float, beta: float, unit: float) -> Table:
    """Parameter → choice → mean score of the trials with it, shrunk to the mean of all."""
    scores = [score(problem, item, alpha, beta, unit) for item in known]
    mean = sum(scores) / len(scores) if scores else 0.0
    found = {}
    for name, options in problem.parameters.items():
        sums, counts = dict.fromkeys(options, SHRINKAGE * mean), dict.fromkeys(options, SHRINKAGE)
        for item, value in zip(known, scores):
            sums[item.chosen[name]] += value
            counts[item.chosen[name]] += 1.0
        found[name] = {choice: sums[choice] / counts[choice] for choice in options}
    return found
