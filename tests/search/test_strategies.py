"""The contract of every strategy."""

from dataclasses import replace

import numpy as np
import pytest
from search.problems import (
    PROBLEM,
    WIDTHS,
    best_inside,
    front_volume,
    known_front,
    metric,
    small,
    trained,
    with_widths,
)

from flow.errors import BadInput
from flow.search import STRATEGIES, autoqkeras, strategy
from flow.search.options import settings
from flow.search.pareto import hypervolume, ranks
from flow.search.places import random_designs
from flow.search.problem import Past, Proposal, key_of


def history(count: int, seed: int = 5) -> list[Past]:
    designs = random_designs(PROBLEM, count, np.random.default_rng(seed))
    return trained(PROBLEM, [], [Proposal(chosen) for chosen in designs], "random")


def keys(proposals) -> set:
    return {key_of(proposal.chosen) for proposal in proposals}


DEAR = {"gp"}  # a minute for its contract


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DEAR else name for name in STRATEGIES]
)
class TestContract:
    def test_proposes_what_is_asked_for(self, name):
        found = STRATEGIES[name](PROBLEM, [], 20, 1)
        assert len(found) == 20 == len(keys(found))
        for proposal in found:
            assert set(proposal.chosen) == set(PROBLEM.parameters)
            assert all(proposal.chosen[p] in options for p, options in PROBLEM.parameters.items())
            assert proposal.parent is None

    def test_same_arguments_same_proposals(self, name):
        past = history(30)
        assert STRATEGIES[name](PROBLEM, past, 10, 3) == STRATEGIES[name](PROBLEM, past, 10, 3)

    def test_parents_are_trials_that_were_trained(self, name):
        past = history(30)
        past[7] = replace(past[7], values=())
        for proposal in STRATEGIES[name](PROBLEM, past, 12, 3):
            assert proposal.parent is None or past[proposal.parent].values
            assert proposal.epochs is None or proposal.epochs >= 1

    def test_a_design_comes_again_only_to_go_on(self, name):
        problem = small()
        past = trained(problem, [], [Proposal({"fc0.kernel": "quantized_bits(2)", "fc0.keep": "0.2"})])
        found = STRATEGIES[name](problem, past, 20, 1)
        new = [p for p in found if p.parent is None or key_of(past[p.parent].chosen) != key_of(p.chosen)]
        assert len(keys(new)) == len(new) <= 5
        assert key_of(past[0].chosen) not in keys(new)

    def test_a_failed_design_is_not_proposed_again(self, name):
        problem = small()
        past = trained(problem, [], [Proposal({"fc0.kernel": "quantized_bits(4)", "fc0.keep": "1"})])
        failed = [replace(past[0], values=())]
        assert key_of(past[0].chosen) not in keys(STRATEGIES[name](problem, failed, 20, 1))

    def test_nothing_forbidden(self, name):
        rule = {"fc0.kernel": ("quantized_bits(2)",), "fc0.keep": ("0.2", "0.4")}
        found = STRATEGIES[name](small(forbidden=(rule,)), [], 20, 1)
        assert 1 <= len(found) <= 4
        assert all(small(forbidden=(rule,)).allowed(proposal.chosen) for proposal in found)

    def test_width_factors(self, name):
        problem = with_widths()
        past = trained(problem, [], STRATEGIES[name](problem, [], 8, 1))
        found = STRATEGIES[name](problem, past, 4, 2)
        assert len(found) == 4
        for proposal in found:
            assert set(proposal.chosen) == set(problem.parameters)
            parent = proposal.chosen if proposal.parent is None else past[proposal.parent].chosen
            assert all(
                proposal.chosen[width] == parent[width] for width in WIDTHS
            )  # of other widths nothing is inherited

    def test_a_space_that_ran_out(self, name):
        problem, past = small(), []
        for batch in range(8):
            past += trained(problem, past, STRATEGIES[name](problem, past, 6, batch), name)
        assert len({key_of(item.chosen) for item in past}) <= 6

    def test_one_choice_everywhere(self, name):
        problem = small()
        only = {parameter: options[:1] for parameter, options in problem.parameters.items()}
        problem = replace(problem, parameters=only, blocks=(tuple(only),))
        assert len(keys(STRATEGIES[name](problem, [], 4, 1))) == 1

    def test_warns_of_nothing(self, name, recwarn):
        STRATEGIES[name](PROBLEM, history(9), 4, 3)
        assert not [w for w in recwarn if "optuna" in str(w.filename) or "numpy" in str(w.filename)]


def best_score(past: list[Past]) -> float:
    """The best of AutoQKeras' scores by its usual settings, the reference being the widest choice everywhere."""
    return max(autoqkeras.scores(PROBLEM, past, settings(autoqkeras.OPTIONS, {}, "")).values())


# What each is for: the whole front, the best design inside the budget, or a score. Not here: grid, which learns nothing,
# and gp and auto, which think for long over so many trials (test_classic.py and test_auto.py have less of them).
AIMS = {
    "tpe": front_volume,
    "nsga2": front_volume,
    "nsga3": front_volume,
    "autoqkeras": best_score,
    "neighbours": best_inside,
    "fbm": front_volume,
    "amed": front_volume,
    "evolve": front_volume,
}


def search(name: str, seed: int, batches: int = 5, size: int = 24) -> list[Past]:
    past: list[Past] = []
    for batch in range(batches):
        past += trained(PROBLEM, past, STRATEGIES[name](PROBLEM, past, size, 1000 * seed + batch), name)
    return past


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name in AIMS])
def test_learns_more_than_random(name):
    """What the strategy is for, after 5 batches of 24, mean of 5 seeds."""

    def mean(who: str) -> float:
        return float(np.mean([AIMS[name](search(who, seed)) for seed in range(5)]))

    assert mean(name) > mean("random")


def test_no_design_beats_the_known_front():
    designs = random_designs(PROBLEM, 2000, np.random.default_rng(0))
    front = known_front()
    for chosen, lut in zip(designs, PROBLEM.prices(designs)["lut"]):
        assert metric(chosen) <= front[front[:, 1] <= lut + 1e-9, 0].max() + 1e-12


def test_unknown_strategy_lists_the_known():
    with pytest.raises(BadInput, match="did you mean 'nsga2'.*known: random, "):
        strategy("nsga2x")


def test_hypervolume_of_boxes():
    points = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [1.0, 1.0]])
    assert hypervolume(points, np.zeros(2)) == 6.0
    cube = np.array([[1.0, 1.0, 2.0], [2.0, 1.0, 1.0]])
    assert hypervolume(cube, np.zeros(3)) == 3.0
    assert hypervolume(points - 5.0, np.zeros(2)) == 0.0


def test_hypervolume_against_drawing_points():
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(20, 3))
    drawn = rng.uniform(size=(200_000, 3))
    share = (drawn[:, None] < points[None]).all(-1).any(-1).mean()
    assert hypervolume(points, np.zeros(3)) == pytest.approx(share, abs=5e-3)


def test_ranks_put_what_keeps_the_budget_first():
    points = np.array([[1.0, 1.0], [2.0, 2.0], [9.0, 9.0], [0.0, 3.0]])
    assert ranks(points).tolist() == [2, 1, 0, 1]
    assert ranks(points, np.array([0.0, 0.0, 1.0, 0.5])).tolist() == [1, 0, 3, 2]
