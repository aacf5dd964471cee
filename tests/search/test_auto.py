"""The portfolio: who pushes the front gets more of the next batch."""

from collections import Counter
from dataclasses import replace

import pytest
from search.problems import PROBLEM, front_volume, trained

from flow.errors import BadInput
from flow.search import auto, random
from flow.search.problem import Past, Proposal

NAMES = ("neighbours", "nsga2", "fbm")
MIDDLE = {name: options[len(options) // 2] for name, options in PROBLEM.parameters.items()}
START = Past(0, MIDDLE, (0.5, 100.0), {"lut": -0.6}, 12, None, 0, "random")


def trial(number: int, metric: float, by: str, epochs: int = 12, batch: int = 1, **more) -> Past:
    return Past(number, MIDDLE, (metric, 100.0), {"lut": -0.6}, epochs, None, batch, by, **more)


def rates(past, **options):
    return auto.rates(replace(PROBLEM, options=options), past, NAMES)


def test_without_trials_all_share_alike():
    assert auto.shares(PROBLEM, [], NAMES, 12) == dict.fromkeys(NAMES, 4)
    assert auto.shares(PROBLEM, [], NAMES, 2) == {"neighbours": 1, "nsga2": 1, "fbm": 0}


def test_who_pushed_the_front_gets_the_most_and_the_others_the_floor():
    past = [START, trial(1, 0.7, "nsga2"), trial(2, 0.4, "neighbours"), trial(3, 0.4, "fbm")]
    share = auto.shares(replace(PROBLEM, options={"floor": 0.1}), past, NAMES, 20)
    assert share == {"neighbours": 2, "nsga2": 16, "fbm": 2}


def test_gain_counts_per_epoch():
    short, long = ([START, trial(1, 0.7, "nsga2", epochs=epochs)] for epochs in (12, 48))
    assert rates(short)["nsga2"] == pytest.approx(4 * rates(long)["nsga2"])
    assert rates([*short, trial(2, 0.4, "fbm")])["fbm"] == 0.0


def test_a_synthesis_counts_as_so_many_epochs():
    plain, built = ([START, trial(1, 0.7, "nsga2", reported=reported)] for reported in (False, True))
    assert rates(plain, synthesis=24)["nsga2"] == pytest.approx(3 * rates(built, synthesis=24)["nsga2"])


def test_older_batches_count_less():
    past = [START, trial(1, 0.6, "nsga2"), trial(2, 0.4, "fbm"), trial(3, 0.4, "neighbours")]
    later = [
        *past,
        trial(4, 0.4, "nsga2", batch=4),
        trial(5, 0.65, "fbm", batch=4),
        trial(6, 0.4, "neighbours", batch=4),
    ]
    assert rates(past)["nsga2"] > rates(past)["fbm"] == 0.0
    assert rates(later, discount=0.1)["fbm"] > rates(later, discount=0.1)["nsga2"]


def test_what_two_found_neither_is_needed_for():
    found = rates([START, trial(1, 0.7, "nsga2"), trial(2, 0.7, "fbm"), trial(3, 0.4, "neighbours")])
    assert found == dict.fromkeys(NAMES, 0.0)
    better = rates([START, trial(1, 0.71, "nsga2"), trial(2, 0.7, "fbm"), trial(3, 0.4, "neighbours")])
    assert better["nsga2"] > 0.0 == better["fbm"]


def test_who_was_never_asked_counts_as_the_best():
    past = [START, trial(1, 0.7, "nsga2"), trial(2, 0.4, "neighbours")]
    assert rates(past)["fbm"] == rates(past)["nsga2"] > 0


def test_outside_the_budget_nothing_is_gained():
    out = replace(trial(1, 0.9, "nsga2"), excess={"lut": 0.5})
    assert rates([START, out, trial(2, 0.6, "fbm")])["nsga2"] == 0.0


def test_each_proposal_says_whose_it_is():
    problem = replace(PROBLEM, options={"strategies": list(NAMES)})
    found = auto.propose(problem, [], 12, 3)
    assert Counter(proposal.by for proposal in found) == dict.fromkeys(NAMES, 4)
    past = trained(problem, [], found)
    again = auto.propose(problem, past, 12, 4)
    assert {proposal.by for proposal in again} == set(NAMES)
    assert Counter(p.by for p in again) == {k: v for k, v in auto.shares(problem, past, NAMES, 12).items() if v}


def test_the_strategies_own_settings_hold():
    problem = replace(PROBLEM, options={"strategies": ["fbm"]}, settings={"fbm": {"recovery": 0.5}})
    past = trained(problem, [], [Proposal(MIDDLE)], "random")
    epochs = {p.epochs for p in auto.propose(problem, past, 12, 3) if p.parent is not None}
    assert epochs == {PROBLEM.epochs // 2}


@pytest.mark.parametrize(
    ("asked", "clue"), [(["nsga"], "'nsga' is not allowed"), (["auto"], "'auto'"), ([], "nothing is named")]
)
def test_a_portfolio_that_makes_no_sense(asked, clue):
    with pytest.raises(BadInput, match=rf"search\.options\.auto\.strategies: .*{clue}.*allowed: random, "):
        auto.propose(replace(PROBLEM, options={"strategies": asked}), [], 4, 1)


@pytest.mark.slow
def test_learns_more_than_random_and_moves_to_who_pushes():
    """Three batches of 24 after which evolve has the largest share, two seeds."""
    problem = replace(PROBLEM, options={"strategies": ["random", "nsga2", "evolve"]})
    for seed in (1, 2):
        ours, theirs = [], []
        for batch in range(3):
            ours += trained(problem, ours, auto.propose(problem, ours, 24, 100 * seed + batch))
            theirs += trained(problem, theirs, random.propose(problem, theirs, 24, 100 * seed + batch))
        assert front_volume(ours) > front_volume(theirs)
        assert max(Counter(item.by for item in ours if item.batch == 48).items(), key=lambda x: x[1])[0] == "evolve"
