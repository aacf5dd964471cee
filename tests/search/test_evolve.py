"""Evolution led by Fisher information and by what trials teach."""

from dataclasses import replace

import numpy as np
import pytest
from search.problems import PROBLEM, front_volume, metric, trained

from flow.search import evolve, random
from flow.search.inherit import ages, heirs, inherits
from flow.search.offspring import Guide, children
from flow.search.pareto import hypervolume
from flow.search.places import chosen_at, places_of, random_designs, sizes
from flow.search.problem import Objective, Past, Proposal, key_of
from flow.search.surrogate import fit

LARGEST = {name: options[-1] for name, options in PROBLEM.parameters.items()}


def history(count: int = 40, seed: int = 5) -> list[Past]:
    designs = random_designs(PROBLEM, count, np.random.default_rng(seed))
    return trained(PROBLEM, [], [Proposal(chosen) for chosen in designs], "random")


def searched(propose, seed: int, batches: int = 5, size: int = 24, problem=PROBLEM) -> list[Past]:
    past: list[Past] = []
    for batch in range(batches):
        past += trained(problem, past, propose(problem, past, size, 1000 * seed + batch), "evolve")
    return past


class TestInherit:
    def test_what_was_pruned_is_gone(self):
        sparse = {**LARGEST, "fc1.keep": "0.4"}
        assert inherits(PROBLEM, sparse, LARGEST) and not inherits(PROBLEM, LARGEST, sparse)
        assert inherits(PROBLEM, {**LARGEST, "fc0.kernel": "quantized_bits(2)"}, LARGEST)

    def test_another_width_is_another_network(self):
        problem = replace(PROBLEM, parameters={**PROBLEM.parameters, "fc0.width": ("0.5", "1")})
        narrow, wide = ({**LARGEST, "fc0.width": factor} for factor in ("0.5", "1"))
        assert inherits(problem, narrow, narrow)
        assert not inherits(problem, narrow, wide) and not inherits(problem, wide, narrow)

    def test_names_of_groups_say_nothing(self):
        names = {"sparsity": ("0.2", "1"), "w": ("0.5", "1"), "book.keep": ("0.2", "1")}
        problem = replace(PROBLEM, parameters=names, parts={"sparsity": "keep", "w": "width", "book.keep": "kernel"})
        last = {name: options[-1] for name, options in names.items()}
        sparse, narrow, other = ({**last, name: names[name][0]} for name in names)
        assert inherits(problem, sparse, last) and not inherits(problem, last, sparse)
        assert not inherits(problem, last, narrow) and not inherits(problem, narrow, last)
        assert inherits(problem, last, other)
        rows = places_of(problem, [last, sparse, narrow, other])
        for child in range(4):
            for parent in range(4):
                able = heirs(problem, rows[[child]], rows[[parent]], np.ones(1))[0] == 0
                assert able == (rows[child][0] <= rows[parent][0] and rows[child][1] == rows[parent][1])

    def test_heirs_agree_with_inherits_and_are_nearest(self):
        past = [*trained(PROBLEM, [], [Proposal(LARGEST)]), *history(29)]
        rows = places_of(PROBLEM, [item.chosen for item in past])
        found = heirs(PROBLEM, rows[:10], rows[10:], np.ones(20))
        assert (found >= 0).any() and (found < 0).any()
        for i, heir in enumerate(found):
            able = [j for j in range(20) if inherits(PROBLEM, past[i].chosen, past[10 + j].chosen)]
            far = {j: np.abs(rows[10 + j] - rows[i]).sum() for j in able}
            assert heir == -1 if not able else far[heir] == min(far.values())

    def test_of_equally_near_ones_the_longest_trained(self):
        rows = places_of(PROBLEM, [LARGEST])
        assert heirs(PROBLEM, rows, np.repeat(rows, 3, axis=0), np.array([1.0, 9.0, 3.0])).tolist() == [1]

    def test_ages_add_up_along_parents(self):
        past = [Past(0, {}, (), epochs=4), Past(1, {}, (), epochs=2, parent=0), Past(2, {}, (), epochs=3, parent=1)]
        assert ages(past) == {0: 4, 1: 6, 2: 9}


class TestSurrogate:
    def test_predicts_what_it_was_told_and_doubts_what_is_far(self):
        rng = np.random.default_rng(0)
        x, line = rng.uniform(size=(60, 4)), rng.normal(size=(60, 2))
        y = 3.0 + line[:, 0] - 0.5 * line[:, 1] + np.sin(3 * x[:, 0]) * x[:, 1]
        model = fit(x[:50], line[:50], y[:50])
        mean, error = model.predict(x, line)
        assert np.abs(mean[:50] - y[:50]).max() < 0.1
        assert np.abs(mean[50:] - y[50:]).std() < 0.3 * y.std()
        _, far = model.predict(x + 5.0, line)
        assert far.min() > error[:50].max()

    def test_noise_is_not_learned(self):
        rng = np.random.default_rng(1)
        x, line = rng.uniform(size=(80, 3)), rng.normal(size=(80, 1))
        y = line[:, 0] + 0.5 * rng.normal(size=80)
        mean, _ = fit(x, line, y).predict(x, line)
        assert np.abs(mean - line[:, 0]).std() < 0.25  # half of the noise's spread

    def test_one_value_everywhere(self):
        mean, _ = fit(np.zeros((5, 2)), np.zeros((5, 1)), np.ones(5)).predict(np.zeros((1, 2)), np.zeros((1, 1)))
        assert mean == pytest.approx([1.0])


class TestGain:
    def test_is_the_hypervolume_that_a_point_adds(self):
        rng = np.random.default_rng(0)
        front, points = rng.uniform(1, 2, size=(12, 2)), rng.uniform(1, 2.2, size=(20, 2))
        low = np.array([1.0, 1.0])
        span = np.concatenate([front, points]).max(axis=0) - low
        base = low - evolve.ENDS * span
        found = evolve.gain(points, front, low, rng) * span.prod()
        for point, value in zip(points, found):
            more = hypervolume(np.concatenate([front, point[None]]), base) - hypervolume(front, base)
            assert value == pytest.approx(more, abs=1e-12)

    def test_without_a_front_it_is_the_points_own(self):
        found = evolve.gain(np.array([[1.0, 1.0], [2.0, 2.0]]), np.zeros((0, 2)), np.zeros(2), None)
        assert found[1] > found[0] > 0

    def test_with_three_objectives_who_is_beaten_gains_nothing(self):
        points, front = np.array([[0.4, 0.4, 0.4], [0.9, 0.9, 0.9]]), np.array([[0.5, 0.5, 0.5]])
        found = evolve.gain(points, front, np.zeros(3), np.random.default_rng(0))
        assert found[0] < 0 < found[1]


class TestOffspring:
    def test_steps_that_pay_come_first(self):
        """fc1 costs most and hurts little: the step down that pays best is there, not in fc3."""
        guide = Guide.of(PROBLEM)
        place = {name: i for i, name in enumerate(PROBLEM.parameters)}
        assert guide.down[place["fc1.kernel"], 3] > guide.down[place["fc3.kernel"], 3]
        assert guide.up[place["fc3.kernel"], 1] > guide.up[place["fc1.kernel"], 1]
        assert not guide.down[:, 0].any()
        assert all(guide.up[i, size - 1] == 0 for i, size in enumerate(sizes(PROBLEM)))

    def test_children_are_new_allowed_and_take_blocks_from_both(self):
        rule = {"fc0.kernel": ("quantized_bits(2)",)}
        problem = replace(PROBLEM, forbidden=(rule,))
        rows = np.stack([np.ones(len(PROBLEM.parameters), int), 3 * np.ones(len(PROBLEM.parameters), int)])
        rows = np.minimum(rows, sizes(PROBLEM) - 1)
        seen = {key_of(chosen_at(PROBLEM, row)) for row in rows}
        found = children(problem, rows, np.array([0, 1]), Guide.of(problem), seen, 300, np.random.default_rng(0))
        assert len({row.tobytes() for row in found}) == len(found) > 200
        designs = [chosen_at(problem, row) for row in found]
        assert all(problem.allowed(chosen) for chosen in designs)
        nearer = np.abs(found[:, None] - rows[None]).sum(axis=2).min(axis=1)
        assert (nearer > 4).any()  # no single parent is near: blocks of both
        assert (nearer <= 2).any()


class TestProposals:
    def test_first_batch_is_spread_over_cost(self):
        found = evolve.propose(PROBLEM, [], 24, 1)
        cost = PROBLEM.prices([proposal.chosen for proposal in found])["lut"]
        assert cost.min() < 20 and cost.max() > 80
        chance = [metric(chosen) for chosen in random_designs(PROBLEM, 24, np.random.default_rng(0))]
        assert np.median([metric(proposal.chosen) for proposal in found]) > np.median(chance)

    def test_weights_come_from_trials_that_can_hand_them_on(self):
        past = history()
        found = evolve.propose(PROBLEM, past, 24, 3)
        assert sum(proposal.parent is not None for proposal in found) > 12
        for proposal in found:
            if proposal.parent is not None:
                assert inherits(PROBLEM, proposal.chosen, past[proposal.parent].chosen)

    def test_where_every_design_was_trained_nothing_is_proposed(self):
        own = {n: o if n in ("fc0.kernel", "fc0.keep") else o[-1:] for n, o in PROBLEM.parameters.items()}
        problem = replace(PROBLEM, parameters=own)
        designs = [LARGEST | {"fc0.kernel": k, "fc0.keep": s} for k in own["fc0.kernel"] for s in own["fc0.keep"]]
        past = trained(problem, [], [Proposal(chosen) for chosen in designs], "random")
        assert evolve.propose(problem, past, 6, 3) == []
        (last,) = evolve.propose(problem, past[:-1], 6, 3)
        assert key_of(last.chosen) == key_of(past[-1].chosen)

    def test_new_designs_train_as_long_as_the_problem_says(self):
        assert all(proposal.epochs is None for proposal in evolve.propose(PROBLEM, history(), 24, 3))

    def test_without_inheritance_nobody_has_parents(self):
        found = evolve.propose(replace(PROBLEM, options={"inherit": False}), history(), 24, 3)
        assert all(proposal.parent is None for proposal in found)

    def test_stays_near_the_budget(self):
        tight = replace(PROBLEM, limits={"lut": 30.0})
        designs = [Proposal(item.chosen) for item in history()]
        found = evolve.propose(tight, trained(tight, [], designs, "random"), 24, 3)
        cost = tight.prices([proposal.chosen for proposal in found])["lut"]
        assert (cost <= 30.0 * (1 + evolve.NEAR) + 1e-9).all()

    def test_goes_towards_a_budget_that_no_trial_keeps(self):
        tight = replace(PROBLEM, limits={"lut": 2.0})
        past = trained(tight, [], [Proposal(item.chosen) for item in history()], "random")
        assert not any(item.inside for item in past)
        cost = tight.prices([proposal.chosen for proposal in evolve.propose(tight, past, 24, 3)])["lut"]
        assert max(cost) < np.median([item.values[1] for item in past])

    def test_costs_that_reports_told_are_expected_of_the_next_ones(self):
        """Where tools say of every design twice what the closed form does, no candidate is expected to cost half."""
        past = history()
        told = [replace(item, values=(item.values[0], 2 * item.values[1]), reported=True) for item in past]
        designs = [item.chosen for item in history(20, seed=9)]
        for trials, factor in ((past, 1.0), (told, 2.0)):
            judge = evolve._Judge(PROBLEM, evolve._known(PROBLEM, trials), evolve.Settings.of(PROBLEM))
            points = judge.new(places_of(PROBLEM, designs)).points
            assert 2 ** -points[:, 1] == pytest.approx(factor * PROBLEM.prices(designs)["lut"], rel=1e-3)

    def test_weights_that_were_handed_down_for_long_hide_no_fresh_design(self):
        """An octave of training is worth 0.02 here. Trials of very different age are judged as if of the same one."""
        fresh, old = history(60), [1 + 15 * (item.number % 2) for item in history(60)]
        past = [
            replace(item, values=(item.values[0] + 0.02 * np.log2(age), item.values[1]), epochs=PROBLEM.epochs * age)
            for item, age in zip(fresh, old, strict=True)
        ]
        known = evolve._known(PROBLEM, past)
        judge = evolve._Judge(PROBLEM, known, evolve.Settings.of(PROBLEM))
        worth = np.array([item.values[0] for item in fresh]) + 0.08  # as old as the oldest
        points, _ = judge.expected(known.rows)
        assert np.abs(known.points[:, 0] - worth).max() == pytest.approx(0.08)
        assert np.abs(points[:, 0] - worth).max() < 0.02
        assert points[:, 1] == pytest.approx(known.points[:, 1])  # what the closed form says is the same at any age
        others = history(20, seed=9)
        expected, _ = judge.expected(places_of(PROBLEM, [item.chosen for item in others]))
        assert (expected[:, 0] - [item.values[0] + 0.08 for item in others]).std() < 0.02

    def test_luck_is_no_front(self):
        """A trial that was measured far above what its like are is judged as they are."""
        past = history(60)
        lucky = past[30]
        past[30] = replace(lucky, values=(lucky.values[0] + 0.2, lucky.values[1]))
        known = evolve._known(PROBLEM, past)
        points, _ = evolve._Judge(PROBLEM, known, evolve.Settings.of(PROBLEM)).expected(known.rows)
        assert points[30, 0] < lucky.values[0] + 0.1

    def test_optimism_is_for_what_is_new(self):
        past = history()
        problem = replace(PROBLEM, options={"optimism": 2.0})
        known = evolve._known(problem, past)
        judge = evolve._Judge(problem, known, evolve.Settings.of(problem))
        rows = places_of(problem, [item.chosen for item in history(20, seed=9)])
        assert (judge.new(rows).points[:, 0] > judge.expected(rows)[0][:, 0]).all()

    def test_three_objectives(self):
        three = replace(PROBLEM, objectives=(*PROBLEM.objectives, Objective("latency_ns", False)))
        past = trained(three, [], [Proposal(item.chosen) for item in history()], "random")
        found = evolve.propose(three, past, 16, 3)
        assert len(found) == 16 and all(proposal.by == "evolve" for proposal in found)


@pytest.mark.slow
def test_beats_random_search_of_twice_the_trials():
    """At 120 trials against 240, three seeds each."""
    ours = [front_volume(searched(evolve.propose, seed)) for seed in range(3)]
    theirs = [front_volume(searched(random.propose, seed, batches=10)) for seed in range(3)]
    assert min(ours) > max(theirs)
