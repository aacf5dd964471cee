"""The contract of every strategy."""

import numpy as np
import pytest

from flow.errors import BadInput
from flow.search import STRATEGIES, strategy
from flow.search.history import Past

PARAMETERS = {f"p{i}": tuple("abcde") for i in range(12)}
WEIGHTS = np.random.default_rng(0).uniform(0.3, 1, 12)


def score(chosen) -> tuple[float, float]:
    places = np.array(["abcde".index(chosen[name]) for name in PARAMETERS])
    return float(1 - np.mean(WEIGHTS * (4 - places) ** 2 / 16)), float(np.sum(WEIGHTS[::-1] * places))


def past_of(proposals, limit=14.0) -> list[Past]:
    rows = []
    for chosen in proposals:
        metric, cost = score(chosen)
        rows.append(Past(chosen, metric, cost, {"lut": cost / limit - 1}))
    return rows


def hypervolume(points) -> float:
    """Area that points (metric up, cost down) dominate, from metric 0 and cost 40."""
    area, best = 0.0, 0.0
    for metric, cost in sorted(points, key=lambda point: point[1]):
        if metric > best and cost < 40:
            area += (metric - best) * (40 - cost)
            best = metric
    return area


@pytest.mark.parametrize("name", STRATEGIES)
class TestContract:
    def test_proposes_what_is_asked_for(self, name):
        found = STRATEGIES[name](PARAMETERS, [], 20, 1)
        assert len(found) == 20
        for chosen in found:
            assert set(chosen) == set(PARAMETERS)
            assert all(chosen[p] in options for p, options in PARAMETERS.items())

    def test_same_arguments_same_proposals(self, name):
        past = past_of(STRATEGIES["random"](PARAMETERS, [], 30, 5))
        assert STRATEGIES[name](PARAMETERS, past, 10, 3) == STRATEGIES[name](PARAMETERS, past, 10, 3)
        assert STRATEGIES[name](PARAMETERS, past, 10, 3) != STRATEGIES[name](PARAMETERS, past, 10, 4)

    def test_nothing_twice(self, name):
        small = {"a": ("x", "y"), "b": ("x", "y", "z")}
        past = [Past({"a": "x", "b": "x"}, 0.5, 1.0, {})]
        found = STRATEGIES[name](small, past, 20, 1)
        keys = {tuple(sorted(c.items())) for c in found}
        assert len(keys) == len(found) <= 5
        assert (("a", "x"), ("b", "x")) not in keys

    def test_warns_of_nothing(self, name, recwarn):
        STRATEGIES[name](PARAMETERS, past_of(STRATEGIES["random"](PARAMETERS, [], 9, 5)), 4, 3)
        assert not [w for w in recwarn if "optuna" in str(w.filename)]


def best_inside(past) -> float:
    return max((p.metric for p in past if p.excess["lut"] <= 0), default=0.0)


def front_of(past) -> float:
    return hypervolume([(p.metric, p.cost) for p in past])


# What each is for: the whole front, or the best design inside the budget.
AIMS = {"tpe": front_of, "nsga2": front_of, "neighbours": best_inside}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "random"])
def test_learns_more_than_random(name):
    """What the strategy is for, after 5 batches of 24, mean of 5 seeds."""

    def mean(propose) -> float:
        found = []
        for seed in range(5):
            past: list[Past] = []
            for batch in range(5):
                past += past_of(propose(PARAMETERS, past, 24, 1000 * seed + batch))
            found.append(AIMS[name](past))
        return float(np.mean(found))

    assert mean(STRATEGIES[name]) > mean(STRATEGIES["random"])


def test_unknown_strategy_lists_the_known():
    with pytest.raises(BadInput, match="did you mean 'nsga2'.*random, tpe, nsga2, neighbours"):
        strategy("nsga3")
