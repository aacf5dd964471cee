"""FIT ranks designs without training, and learns from trials where it is wrong."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from search.problems import (
    DAMAGES,
    LIMIT,
    PROBLEM,
    WIDTHS,
    Known,
    front_volume,
    metric,
    parameters,
    trained,
    with_widths,
)

from flow.search import random
from flow.search.damages import Damages
from flow.search.fit import LEAST, NEAR, _score, front, propose, spread
from flow.search.places import places_of, random_designs
from flow.search.problem import Measure, Proposal


def history(problem, count: int, seed: int = 3):
    designs = random_designs(problem, count, np.random.default_rng(seed))
    return trained(problem, [], [Proposal(chosen) for chosen in designs])


def test_front_and_spread():
    cost, merit = np.array([4.0, 1.0, 2.0, 2.0, 8.0]), np.array([3.0, 1.0, 0.5, 2.0, 2.5])
    assert front(cost, merit).tolist() == [1, 3, 0]
    assert spread(cost, merit, np.ones(5, bool), 3) == [1, 3, 0]
    assert spread(cost, merit, np.ones(5, bool), 2) == [1, 0]  # the ends
    assert spread(cost, merit, np.array([True, False, True, True, True]), 4) == [3, 0, 2, 4]  # behind the front


def test_first_batch_beats_random_designs_untrained():
    """Each proposal hurts less than any of thousands of random designs that cost no more."""
    problem = replace(PROBLEM, limits={"lut": 60.0})
    found = [proposal.chosen for proposal in propose(problem, [], 12, 1)]
    others = random_designs(problem, 1000, np.random.default_rng(77))
    hurt, cost = DAMAGES.of(parameters(), others), np.asarray(problem.prices(others)["lut"])
    own, paid = DAMAGES.of(parameters(), found), np.asarray(problem.prices(found)["lut"])
    assert (paid <= 60.0 * (1 + NEAR)).all()
    assert all(not ((cost <= c) & (hurt < d)).any() for c, d in zip(paid, own))
    assert paid.max() > 2.0 * paid.min()
    assert LIMIT > 60.0


def test_trials_correct_a_wrong_term():
    """A measure that overrates one place by a hundred: after trials the ranking is better than the measure's own."""
    wrong = dict(DAMAGES.terms)
    wrong["fc0.activation",] = 100.0 * wrong["fc0.activation",]

    class Wrong(Known):
        def damages(self, measure: Measure, at=None) -> Damages:
            return Damages(wrong)

    past = history(PROBLEM, 60)
    fresh = random_designs(PROBLEM, 200, np.random.default_rng(11))
    truth = -DAMAGES.of(parameters(), fresh)
    rows = places_of(PROBLEM, fresh)

    def agreement(score) -> float:
        ranks = [np.argsort(np.argsort(values)) for values in (score(rows), truth)]
        return float(np.corrcoef(*ranks)[0, 1])

    before = agreement(_score(PROBLEM, Damages(wrong), past[: LEAST - 1]))
    after = agreement(_score(PROBLEM, Damages(wrong), past))
    assert after > before + 0.2
    right = agreement(_score(PROBLEM, DAMAGES, past))
    assert right > 0.9  # and what is right stays right


def test_trials_tell_what_widths_are_worth():
    """A measure that knows nothing of widths: of designs that differ in nothing else, trials say who is better."""
    problem = with_widths(told=False)
    past, middle = history(problem, 60), {name: options[-2] for name, options in problem.parameters.items()}
    fresh = [
        middle | {name: choice for name, choice in zip(WIDTHS, row)} for row in itertools.product(*WIDTHS.values())
    ]
    truth, rows = [metric(chosen) for chosen in fresh], places_of(problem, fresh)

    before, after = (_score(problem, problem.knowledge.damages(Measure.FIT), past[:n])(rows) for n in (LEAST - 1, 60))
    assert np.ptp(before) == 0.0 and np.corrcoef(after, truth)[0, 1] > 0.8


def test_widths_that_hurt_are_not_narrowed_for_nothing():
    """Where damages tell of widths, the better half of the first batch has few that are narrower than the network."""
    narrow = {}
    for told in (True, False):
        problem = with_widths(told)
        found = [proposal.chosen for proposal in propose(problem, [], 16, 1)]
        dear = sorted(found, key=lambda chosen: problem.prices([chosen])["lut"][0])[8:]
        narrow[told] = sum(chosen[name] == "0.5" for chosen in dear for name in WIDTHS)
    assert narrow[True] < 0.3 * 16 and narrow[True] < narrow[False] - 4


@pytest.mark.slow
def test_more_front_than_random_designs():
    """After 3 batches of 16, for each of 3 seeds."""
    for seed in range(3):
        volumes = []
        for strategy in (propose, random.propose):
            past = []
            for batch in range(3):
                past += trained(PROBLEM, past, strategy(PROBLEM, past, 16, 100 * seed + batch))
            volumes.append(front_volume(past))
        assert volumes[0] > 1.1 * volumes[1]
