"""Hopeless designs are not trained, unless there is nothing else."""

from dataclasses import dataclass, replace

import numpy as np
from search.problems import PROBLEM, Known, parameters, trained

from flow.search.intervals import propose
from flow.search.places import random_designs


@dataclass(frozen=True)
class Strict(Known):
    """`most`: the bound above which designs are hopeless."""

    most: float = 0.0

    def hopeless(self, chosen) -> str:
        return "too coarse" if self.error_bound(chosen) > self.most else ""


def strict(share: float):
    """The problem in which this share of random designs is hopeless."""
    known = Known(parameters())
    bounds = [known.error_bound(chosen) for chosen in random_designs(PROBLEM, 2000, np.random.default_rng(5))]
    return replace(PROBLEM, knowledge=Strict(parameters(), float(np.quantile(bounds, 1.0 - share))))


def test_none_is_hopeless():
    problem, past = strict(0.7), []
    for batch in range(3):
        found = propose(problem, past, 16, batch)
        assert len(found) == 16
        assert not any(problem.knowledge.hopeless(proposal.chosen) for proposal in found)
        past += trained(problem, past, found)


def test_where_all_are_hopeless_the_least_come_first():
    problem = strict(1.0)
    found = [problem.knowledge.error_bound(proposal.chosen) for proposal in propose(problem, [], 8, 1)]
    rest = [problem.knowledge.error_bound(chosen) for chosen in random_designs(problem, 200, np.random.default_rng(9))]
    assert max(found) < np.quantile(rest, 0.2)
