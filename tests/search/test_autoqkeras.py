"""AutoQKeras' procedure against the formulas of QKeras 0.9.0 and KerasTuner 1.4.7."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from search.problems import LAYERS, PROBLEM, prices, small, trained

from flow.cost.forgiving import Forgiving, forgiving_score
from flow.errors import BadInput
from flow.search import autoqkeras, check_settings
from flow.search.autoqkeras import hyperband
from flow.search.autoqkeras.stages import block_costs, blocks, reference, stages, trials
from flow.search.autoqkeras.tuners import startup
from flow.search.options import settings
from flow.search.problem import Objective, Past, Problem, Proposal, key_of


def asked(**options) -> dict:
    return settings(autoqkeras.OPTIONS, options, autoqkeras.WHERE)


def problem(base: Problem = PROBLEM, **options) -> Problem:
    return replace(base, options=options)


def search(of: Problem, batches: list[int], seed: int = 0) -> list[Past]:
    past: list[Past] = []
    for batch, size in enumerate(batches):
        past += trained(of, past, autoqkeras.propose(of, past, size, 1000 * seed + batch), "autoqkeras")
    return past


def best(of: Problem, past: list[Past]) -> Past:
    scores = autoqkeras.scores(of, past, asked(**of.options))
    return max((item for item in past if item.values), key=lambda item: scores[item.number])


# `HyperbandOracle(max_epochs, factor)` of KerasTuner 1.4.7: (`_get_size`, `_get_epochs`) of each round, bracket by bracket
# in the order in which it starts them.
BRACKETS = {
    (12, 3): [[(12, 2), (4, 4), (2, 12)], [(6, 4), (2, 12)], [(4, 12)]],
    (81, 3): [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (12, 9), (4, 27), (2, 81)],
        [(15, 9), (5, 27), (2, 81)],
        [(8, 27), (3, 81)],
        [(5, 81)],
    ],
    (15, 3): [[(12, 2), (4, 5), (2, 15)], [(6, 5), (2, 15)], [(4, 15)]],
    (10, 2): [[(10, 2), (5, 3), (3, 5), (2, 10)], [(7, 3), (4, 5), (2, 10)], [(5, 5), (3, 10)], [(5, 10)]],
    (27, 4): [[(22, 2), (6, 7), (2, 27)], [(8, 7), (2, 27)], [(4, 27)]],
    (4, 3): [[(5, 2), (2, 4)], [(3, 4)]],
    (1, 3): [[(1, 1)]],
}


@pytest.mark.parametrize("epochs, factor", BRACKETS)
def test_brackets_are_kerastuners(epochs, factor):
    found = [
        [(hyperband.size(b, r, epochs, factor), hyperband.epochs_of(b, r, epochs, factor)) for r in range(b + 1)]
        for b in reversed(range(hyperband.brackets(epochs, factor)))
    ]
    assert found == BRACKETS[epochs, factor]
    assert hyperband.iteration(epochs, factor) == sum(size for rounds in found for size, _ in rounds)


# What `AutoQKerasScheduler.fit` prints for the network 16-64-32-32-5, one block for each layer: goal, block costs
# (fc1, fc0, fc2, fc3: dearest first), reference, and for max_trials of 30, 100 and 400 the blocks' trials.
SCHEDULES = (
    (
        (16896, 9216, 8704, 1320),  # bits
        36264.0,
        {30: (13, 10, 10, 10), 100: (46, 25, 24, 10), 400: (186, 101, 96, 14)},
    ),
    (
        (9598.37, 4795.65, 4791.57, 756.61),  # energy, float reference
        19942.0,
        {30: (14, 10, 10, 10), 100: (48, 24, 24, 10), 400: (192, 96, 96, 15)},
    ),
)


@pytest.mark.parametrize("costs, reference_size, expected", SCHEDULES)
def test_trials_of_blocks_are_the_originals(costs, reference_size, expected):
    for planned, counts in expected.items():
        assert tuple(trials(planned, cost, reference_size) for cost in costs) == counts


def test_random_start_of_the_model_is_kerastuners_until_it_is_cut():
    assert startup(1, 300) == 3 and startup(13, 300) == 39
    assert startup(13, 60) == 20 and startup(13, 3) == 3


def test_scores_are_the_forgiving_factors():
    past = trained(
        PROBLEM, [], [Proposal(reference(PROBLEM)), Proposal({n: o[0] for n, o in PROBLEM.parameters.items()})]
    )
    energies = prices([item.chosen for item in past])["energy"]
    found = autoqkeras.scores(PROBLEM, past, asked(reference_price=500.0, stress=0.5, delta_p=4.0, rate=3.0))
    factor = Forgiving(500.0, 4.0, 8.0, 3.0, 0.5)
    for item, energy in zip(past, energies):
        assert found[item.number] == pytest.approx(forgiving_score(item.values[0], float(energy), factor))
    # Without a price of its own the reference is the widest choice everywhere, which then scores its metric.
    assert autoqkeras.scores(PROBLEM, past, asked())[0] == past[0].values[0]
    bits = autoqkeras.scores(PROBLEM, past, asked(goal="bits"))
    assert bits[0] == past[0].values[0] and bits[1] != pytest.approx(autoqkeras.scores(PROBLEM, past, asked())[1])


def test_a_score_that_is_an_objective_is_not_made_twice():
    told = replace(PROBLEM, objectives=(Objective("forgiving_score", True), Objective("lut", False)))
    past = [Past(0, reference(PROBLEM), (0.9, 100.0))]
    assert autoqkeras.scores(told, past, asked()) == {0: 0.9}


@pytest.mark.parametrize(
    "own, says",
    [
        ({"rate": 3.0}, "search.options.autoqkeras.rate: .* set objective.forgiving.rate in its place"),
        ({"tuner": "random", "reference_price": 9.0}, "search.options.autoqkeras.reference_price: .* leave it out"),
    ],
)
def test_settings_of_a_score_that_the_objective_makes(own, says):
    check_settings({"autoqkeras": own}, metric="accuracy")
    check_settings({"autoqkeras": {"tuner": "random"}}, metric="forgiving_score")
    with pytest.raises(BadInput, match=says):
        check_settings({"autoqkeras": own}, metric="forgiving_score")


def test_names_of_groups_say_nothing():
    """A width that is called otherwise still has a reference of 1, and a name like a width is none."""
    names = {"w": ("0.5", "1", "2"), "line.width": ("quantized_bits(2)", "quantized_bits(4)")}
    of = replace(PROBLEM, parameters=names, blocks=(), parts={"w": "width", "line.width": "kernel"})
    assert reference(of) == {"w": "1", "line.width": "quantized_bits(4)"}
    (stage,) = stages(of, asked(schedule_block="none", tune_filters="none"))
    assert set(stage.free) == {"line.width"}


def test_blocks_hold_every_parameter_once():
    found = blocks(PROBLEM)
    assert found[:-1] == list(PROBLEM.blocks) and found[-1] == ("input",)
    shared = replace(PROBLEM, blocks=(*PROBLEM.blocks, ("fc0.kernel", "input", "not there")))
    assert blocks(shared) == found
    assert sorted(Counter(name for block in found for name in block).items()) == sorted(
        (name, 1) for name in PROBLEM.parameters
    )


def test_the_dearest_block_comes_first():
    plan = stages(PROBLEM, asked())
    costs = block_costs(PROBLEM, [stage.free for stage in plan], "energy")
    assert costs == sorted(costs, reverse=True) and "fc1.kernel" in plan[0].free
    assert plan[0].trials == trials(PROBLEM.trials, costs[0], sum(costs)) > plan[-1].trials == 10
    in_order = stages(PROBLEM, asked(schedule_block="sequential"))
    assert [next(iter(stage.free)) for stage in in_order] == [block[0] for block in blocks(PROBLEM)]
    assert {tuple(stage.free): stage.trials for stage in plan} == {tuple(s.free): s.trials for s in in_order}


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_one_block_after_the_other(tuner):
    """One at a time, as the original goes: each stage fixes the best of the one before, the rest is at its reference."""
    of = replace(problem(tuner=tuner), trials=40)
    plan = stages(of, asked(tuner=tuner))
    past = search(of, [1] * (plan[0].trials + plan[1].trials))
    widest = reference(of)
    for item in past[: plan[0].trials]:
        assert all(item.chosen[name] == widest[name] for name in of.parameters if name not in plan[0].free)
    first = best(of, past[: plan[0].trials]).chosen
    for item in past[plan[0].trials : plan[0].trials + plan[1].trials - 1]:  # the best one counts as the second's
        assert all(item.chosen[name] == first[name] for name in of.parameters if name not in plan[1].free)
    assert past[-1].chosen != first


def test_the_sweep_starts_again_from_the_best():
    of = problem(tuner="random")
    past = search(of, [10] * 24)
    assert len({key_of(item.chosen) for item in past}) == 240 > sum(stage.trials for stage in stages(of, asked()))
    ends = [best(of, past[:count]) for count in (120, 240)]
    scores = autoqkeras.scores(of, past, asked())
    assert scores[ends[1].number] >= scores[ends[0].number]


@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_a_resumed_search_proposes_the_same(tuner):
    of = problem(tuner=tuner)
    past = search(of, [17, 17, 17])
    again = search(of, [17, 17])
    assert past[:34] == again
    assert autoqkeras.propose(of, list(reversed(past)), 9, 5) == autoqkeras.propose(of, past, 9, 5)


def test_hyperband_goes_through_kerastuners_rounds():
    of = problem(tuner="hyperband", schedule_block="none")
    past = search(of, [1] * 30)
    rounds = [(size, b, r) for b, sizes in zip((2, 1, 0), ((12, 4, 2), (6, 2), (4,))) for r, size in enumerate(sizes)]
    place = 0
    for size, bracket, round_ in rounds:
        here = past[place : place + size]
        had = hyperband.epochs_of(bracket, round_ - 1, 12, 3) if round_ else 0
        assert [item.epochs for item in here] == [hyperband.epochs_of(bracket, round_, 12, 3) - had] * size
        if round_:
            before = past[place - rounds[rounds.index((size, bracket, round_)) - 1][0] : place]
            scores = autoqkeras.scores(of, past, asked())
            best_ones = sorted(before, key=lambda item: -scores[item.number])[:size]
            assert {item.parent for item in here} == {item.number for item in best_ones}
            assert all(key_of(item.chosen) == key_of(past[item.parent].chosen) for item in here)
        else:
            assert all(item.parent is None for item in here)
        place += size
    assert past[-1].epochs == 12 and autoqkeras.propose(of, past, 1, 0)[0].epochs == 2  # the next iteration


def test_hyperband_in_batches_loses_no_round():
    of = problem(tuner="hyperband", schedule_block="none")
    past = search(of, [11] * 6)
    longest = [item for item in past if item.parent is not None and past[item.parent].parent is not None]
    assert len({key_of(item.chosen) for item in longest}) == len(longest) >= 2
    for item in longest:
        assert item.epochs + past[item.parent].epochs + past[past[item.parent].parent].epochs == 12


def test_hyperband_waits_for_trials_on_their_way():
    """As the loop shows them: a batch in flight has neither values nor epochs."""
    of = problem(tuner="hyperband", schedule_block="none")
    sent = autoqkeras.propose(of, [], 12, 0)
    flying = [Past(i, proposal.chosen, ()) for i, proposal in enumerate(sent)]
    more = autoqkeras.propose(of, flying, 4, 1)
    assert all(proposal.parent is None and proposal.epochs == 4 for proposal in more)  # the next bracket's
    done = trained(of, [], sent)
    ahead = autoqkeras.propose(of, done, 6, 1)
    assert [proposal.parent is not None for proposal in ahead] == [True] * 4 + [False] * 2
    flying = done + [Past(12 + i, proposal.chosen, ()) for i, proposal in enumerate(ahead)]
    assert all(proposal.parent is None for proposal in autoqkeras.propose(of, flying, 6, 2))


def test_hyperband_takes_no_failed_trial_on():
    of = problem(tuner="hyperband", schedule_block="none")
    past = trained(of, [], autoqkeras.propose(of, [], 12, 0))
    scores = autoqkeras.scores(of, past, asked())
    first = max(past, key=lambda item: scores[item.number])
    past[first.number] = replace(first, values=())
    assert first.number not in [proposal.parent for proposal in autoqkeras.propose(of, past, 4, 1)]


def wide(**more) -> Problem:
    """A space with width factors of two layers, and of one with other factors."""
    factors = {"fc0.width": ("0.5", "1", "2"), "fc1.width": ("0.5", "1", "2"), "fc2.width": ("1", "1.5")}

    def price(designs):
        factor = np.array([math.prod(float(chosen[name]) for name in factors) for chosen in designs])
        return {name: row * factor for name, row in prices(designs).items()}

    named = tuple(tuple([*block, f"{layer}.width"]) for layer, block in zip(LAYERS, PROBLEM.blocks))
    base = replace(PROBLEM, parameters=PROBLEM.parameters | factors, prices=price, blocks=named)
    return replace(base, options=more)


def test_filter_sweep():
    widths = ("fc0.width", "fc1.width", "fc2.width")
    rows = {}
    for filters in ("layer", "block", "none"):
        of = wide(tuner="random", schedule_block="none", tune_filters=filters)
        rows[filters] = [tuple(p.chosen[name] for name in widths) for p in autoqkeras.propose(of, [], 60, 0)]
    assert {row[0] for row in rows["layer"]} == {"0.5", "1", "2"} and any(row[0] != row[1] for row in rows["layer"])
    assert all(row[0] == row[1] for row in rows["block"]) and {row[2] for row in rows["block"]} == {"1", "1.5"}
    assert set(rows["none"]) == {("1", "1", "1")}  # the reference's, not the widest


def test_forbidden_combinations_across_blocks():
    rule = {"fc0.kernel": ("quantized_bits(2)", "quantized_bits(3)"), "fc1.kernel": ("quantized_bits(6)",)}
    for filters in ("layer", "block"):
        of = replace(problem(tuner="random", tune_filters=filters), forbidden=(rule,))
        past = search(of, [24] * 4)
        assert len(past) == 96 and all(of.allowed(item.chosen) for item in past)


def test_a_forbidden_reference_stops_nothing():
    rule = {"fc3.kernel": ("quantized_bits(6)",), "input": ("quantized_bits(6)",)}
    of = replace(problem(), forbidden=(rule,))
    past = search(of, [12, 12])
    assert len(past) == 24 and all(of.allowed(item.chosen) for item in past)


@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_a_small_space_is_seen_whole(tuner):
    past = search(problem(small(), tuner=tuner), [4] * 6)
    assert len({key_of(item.chosen) for item in past}) == 6


@pytest.mark.parametrize(
    "options, says",
    [
        ({"tuner": "genetic"}, "search.options.autoqkeras.tuner: 'genetic' is not allowed; allowed: random, bayesian"),
        ({"goal": "lut"}, "search.options.autoqkeras.goal: 'lut' is not allowed; allowed: bits, energy"),
        ({"factor": 1}, "search.options.autoqkeras.factor: 1 is not allowed"),
        ({"stres": 2.0}, "unknown setting 'stres'"),
        ({"rate": 1.0}, r"search.options.autoqkeras.rate: 1.0 is not allowed; allowed: a number above 1$"),
        ({"rate": math.inf}, "search.options.autoqkeras.rate: inf is not allowed; allowed: a number above 1$"),
        ({"reference_price": math.inf}, "reference_price: inf is not allowed; allowed: a number from 0 on"),
    ],
)
def test_bad_settings(options, says):
    with pytest.raises(BadInput, match=says):
        autoqkeras.propose(problem(**options), search(PROBLEM, [2]), 2, 0)
