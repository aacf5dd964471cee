"""Allocation is exact: against every design of small spaces."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import milp
from search.problems import PROBLEM, SmallKnown, front_volume, small, trained, with_dsp

from flow.errors import BadInput
from flow.search import random
from flow.search.damages import Damages
from flow.search.integer import Block, Program
from flow.search.layers import cost_blocks
from flow.search.places import random_designs
from flow.search.problem import Objective, Past
from flow.search.sensitivity import _program, allocated, propose

NAMES = {f"p{i}": ("a", "b", "c") for i in range(5)}


def program(seed: int, forbidden=()) -> Program:
    """Pairs that overlap, whose damages span five orders of magnitude, as formats' do."""
    rng = np.random.default_rng(seed)
    pairs = [("p0", "p1"), ("p1", "p2"), ("p4", "p3"), ("p2",), ("p0",)]
    damage = [Block(names, 10.0 ** rng.uniform(-5, 0, [3] * len(names))) for names in pairs]
    cost = [Block(names, rng.uniform(1, 10, [3] * len(names))) for names in [("p2", "p1", "p3"), ("p0",), ("p4",)]]
    return Program(NAMES, damage, {"lut": cost}, forbidden)


def every(names=NAMES):
    return [dict(zip(names, values)) for values in itertools.product(*names.values())]


@pytest.mark.parametrize("seed", range(8))
def test_least_damage_under_a_limit(seed):
    rule = {"p0": ("a", "b"), "p3": ("b",)}
    of = program(seed, (rule,))
    designs = [d for d in every() if not (d["p0"] in "ab" and d["p3"] == "b")]
    costs = np.array([of.cost_of("lut", d) for d in designs])
    for limit in np.quantile(costs, [0.02, 0.3, 1.0]):
        inside = [d for d, cost in zip(designs, costs) if cost <= limit]
        least = min(inside, key=of.damage_of)
        assert of.solve({"lut": limit}) == least
        second = min((d for d in inside if d != least), key=of.damage_of)
        assert of.solve({"lut": limit}, [least]) == second
    assert of.solve({"lut": costs.min() - 0.01}) is None


def test_what_layers_cost_is_found_exactly():
    """On the synthetic network costs are products of three choices in each layer: tables give every price."""
    blocks = cost_blocks(PROBLEM, ["lut", "uram"])
    assert set(blocks) == {"lut"}  # nobody tells URAM blocks
    assert sorted(block.names for block in blocks["lut"])[0] == ("fc0.activation", "fc1.kernel", "fc1.keep")
    for chosen in random_designs(PROBLEM, 20, np.random.default_rng(2)):
        priced = sum(block.of(PROBLEM.parameters, chosen) for block in blocks["lut"])
        assert priced == pytest.approx(float(PROBLEM.prices([chosen])["lut"][0]))


@pytest.mark.parametrize("figure", ["energy", "bits", "latency_ns"])
def test_what_layers_do_not_tell_is_found_for_the_network(figure):
    blocks = cost_blocks(PROBLEM, [figure])[figure]
    for chosen in random_designs(PROBLEM, 20, np.random.default_rng(2)):
        priced = sum(block.of(PROBLEM.parameters, chosen) for block in blocks)
        assert priced == pytest.approx(float(PROBLEM.prices([chosen])[figure][0]))


@pytest.mark.parametrize("figure", ["energy", "bits", "latency_ns"])
def test_the_ladder_is_one_of_the_cost_whatever_it_is(figure):
    """Not the densest designs, one after another."""
    ends = [{name: own[place] for name, own in PROBLEM.parameters.items()} for place in (0, -1)]
    least, most = map(float, PROBLEM.prices(ends)[figure])
    problem = replace(
        PROBLEM, objectives=(Objective("accuracy", True), Objective(figure, False)), limits={figure: 0.6 * most}
    )
    costs = problem.prices([proposal.chosen for proposal in propose(problem, [], 6, 1)])[figure]
    assert len(costs) == 6 and max(costs) <= 1.2 * 0.6 * most and min(costs) < least + 0.35 * (most - least)


def test_where_the_cost_has_no_room_the_next_one_is_the_ladders():
    asked = (Objective("accuracy", True), Objective("dsp", False), Objective("lut", False))
    problem = with_dsp(objectives=asked, limits={"dsp": 0.0})
    found = problem.prices([proposal.chosen for proposal in propose(problem, [], 6, 1)])
    assert not found["dsp"].any() and found["lut"].max() > 2.0 * found["lut"].min()


def test_the_solvers_work_has_an_end(monkeypatch):
    """With few nodes the design is not always the best one, but it keeps the limits, or there is none."""
    monkeypatch.setattr("flow.search.integer.NODES", 1)
    found = [(of, limit, of.solve({"lut": limit})) for of in map(program, range(8)) for limit in (12.0, 20.0)]
    assert any(chosen is not None for _, _, chosen in found)
    assert all(of.cost_of("lut", chosen) <= limit + 1e-6 for of, limit, chosen in found if chosen is not None)
    calls = []
    monkeypatch.setattr(
        "scipy.optimize.milp", lambda *args, options, **more: calls.append(options) or milp(*args, **more)
    )
    program(0).solve({"lut": 20.0})
    assert calls[0]["node_limit"] == 1


def test_a_price_that_does_not_add_up_is_corrected():
    """The true price has a part that no layer tells."""

    def prices(designs):
        own = small().prices(designs)
        return {name: 1.5 * values + 0.7 for name, values in own.items()}

    problem = small(prices=prices)
    of = _program(problem)
    for limit in (1.5, 2.4, 4.0, 7.0):
        inside = [d for d in every(problem.parameters) if prices([d])["lut"][0] <= limit]
        found = allocated(problem, of, {"lut": limit}, [])
        assert prices([found])["lut"][0] <= limit
        assert of.damage_of(found) == min(map(of.damage_of, inside))


def test_excluded_to_the_last():
    problem, seen = small(), []
    for number in range(6):
        found = propose(problem, seen, 1, number)
        assert len(found) == 1
        seen.append(Past(number, found[0].chosen, (0.5, 1.0)))
    assert propose(problem, seen, 1, 9) == []


def test_each_rung_is_the_best_at_its_cost():
    """Of thousands of random designs none hurts less at no more cost than one of the ladder."""
    found = [proposal.chosen for proposal in propose(PROBLEM, [], 6, 1)]
    of, others = _program(PROBLEM), random_designs(PROBLEM, 3000, np.random.default_rng(1))
    hurt = Damages({b.names: b.table for b in of.damage}).of(PROBLEM.parameters, others)
    cost = np.asarray(PROBLEM.prices(others)["lut"])
    for chosen in found:
        assert not ((cost <= PROBLEM.prices([chosen])["lut"][0]) & (hurt < of.damage_of(chosen))).any()


def test_the_measure_is_asked_for():
    asked = []

    class Known(SmallKnown):
        def damages(self, measure, at=None):
            asked.append(measure.value)
            return super().damages(measure, at)

    propose(small(knowledge=Known(), options={"measure": "kl"}), [], 2, 1)
    propose(small(knowledge=Known()), [], 2, 1)
    assert asked == ["kl", "output"]
    with pytest.raises(BadInput, match="sensitivity.measure: 'size' is not allowed; allowed: .*hessian"):
        propose(replace(small(), options={"measure": "size"}), [], 2, 1)


@pytest.mark.slow
def test_more_front_than_random_designs():
    """After 2 batches of 12."""
    volumes = []
    for strategy in (propose, random.propose):
        past = []
        for batch in range(2):
            past += trained(PROBLEM, past, strategy(PROBLEM, past, 12, batch))
        volumes.append(front_volume(past))
    assert volumes[0] > 1.1 * volumes[1]
