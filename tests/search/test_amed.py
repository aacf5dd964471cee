"""AMED: what the device reported steers the proposals."""

from collections import Counter

import numpy as np
import pytest
from search.problems import PROBLEM, trained

from flow.search import amed
from flow.search.places import random_designs
from flow.search.problem import Past, Proposal


def test_a_choices_score_is_the_mean_of_its_trials_shrunk_to_the_mean_of_all():
    name, options = "fc0.kernel", PROBLEM.parameters["fc0.kernel"]
    middle = {p: o[len(o) // 2] for p, o in PROBLEM.parameters.items()}
    past = [
        Past(0, {**middle, name: options[0]}, (0.5, 0.0)),
        Past(1, {**middle, name: options[1]}, (0.7, 0.0)),
    ]
    found = amed.measured(PROBLEM, past, 1.0, 0.0, 1.0)[name]
    assert found[options[0]] == pytest.approx((0.5 + 3 * 0.4) / 4)
    assert found[options[1]] == pytest.approx((0.3 + 3 * 0.4) / 4)
    assert found[options[2]] == pytest.approx(0.4)


def test_proposals_follow_reported_costs():
    """Where reports say that wide kernels of fc1 cost far more than predicted, fewer of them are proposed."""
    rng = np.random.default_rng(4)
    past = trained(PROBLEM, [], [Proposal(chosen) for chosen in random_designs(PROBLEM, 60, rng)], "random")
    wide = PROBLEM.parameters["fc1.kernel"][-1]
    dear = [
        Past(p.number, p.chosen, (p.values[0], p.values[1] + 400.0 * (p.chosen["fc1.kernel"] == wide)),
             {"lut": 1.6 * (p.chosen["fc1.kernel"] == wide)}, p.epochs, reported=True, by=p.by)
        for p in past
    ]  # fmt: skip
    counts = [
        Counter(p.chosen["fc1.kernel"] for p in amed.propose(PROBLEM, trials, 200, 7))[wide] for trials in (past, dear)
    ]
    assert counts[1] < 0.5 * counts[0]
