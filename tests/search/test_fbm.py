"""FBM: what the simulator says of the target steers the proposals."""

from collections import Counter
from dataclasses import replace

import numpy as np
from search.problems import PROBLEM, SIZE, bits, prices

from flow.search import fbm


def widths(problem, layer: str) -> float:
    """Mean bits of a layer's kernel among first proposals."""
    found = Counter(bits(p.chosen[f"{layer}.kernel"]) for p in fbm.propose(problem, [], 200, 5))
    return sum(b * n for b, n in found.items()) / 200


def test_a_layer_that_costs_more_and_hurts_less_gets_fewer_bits():
    assert SIZE["fc1"] > SIZE["fc3"]
    assert widths(PROBLEM, "fc1") < widths(PROBLEM, "fc3") - 0.2


def test_a_higher_price_of_cost_lowers_the_bits():
    low, high = (replace(PROBLEM, options={"beta": beta, "last_beta": beta}) for beta in (0.001, 0.3))
    assert widths(high, "fc1") < widths(low, "fc1") - 0.5


def test_a_latency_that_the_budget_limits_counts():
    def slow(designs):
        found = dict(prices(designs))
        found["latency_ns"] = np.array([100.0 * bits(chosen["fc3.kernel"]) for chosen in designs])
        return found

    plain = replace(PROBLEM, prices=slow, options={"beta": 0.3, "last_beta": 0.3})
    limited = replace(plain, limits={"lut": 250.0, "latency_ns": 300.0})
    assert widths(limited, "fc3") < widths(plain, "fc3") - 0.3


def test_nothing_is_learned_from_trials_but_where_chains_stand():
    assert fbm.propose(PROBLEM, [], 8, 1) != fbm.propose(PROBLEM, [], 8, 2)
