"""Grid, NSGA-III and Gaussian processes: what the contract of every strategy does not say."""

import itertools
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from search.problems import PROBLEM, front_volume, small, trained

from flow.errors import BadInput
from flow.search import STRATEGIES, gp, grid, nsga3
from flow.search.places import places_of, random_designs, sizes
from flow.search.problem import Objective, Past, Proposal, key_of


def space(*sizes: int):
    """A problem with so many choices of each parameter."""
    return replace(PROBLEM, parameters={f"p{i}": tuple(map(str, range(size))) for i, size in enumerate(sizes)})


def random_past(count: int, seed: int = 5) -> list[Past]:
    designs = random_designs(PROBLEM, count, np.random.default_rng(seed))
    return trained(PROBLEM, [], [Proposal(chosen) for chosen in designs], "random")


class TestGrid:
    @pytest.mark.parametrize("shape", [(5, 4, 3), (2, 2, 2, 2, 2), (1, 6, 1, 4), (3,), (4, 6, 9), (7, 7)])
    def test_every_design_once(self, shape):
        found = [tuple(chosen.values()) for chosen in grid.designs(space(*shape))]
        assert sorted(found) == sorted(itertools.product(*(tuple(map(str, range(size))) for size in shape)))

    def test_uniform_designs_come_first(self):
        rows = places_of(PROBLEM, list(itertools.islice(grid.designs(PROBLEM), 4)))
        assert all(len(set(row)) == 1 for row in rows.tolist())

    def test_spread_out_from_the_start(self):
        """After 25 designs each choice of a parameter of 5 has come 5 times; after 125, each pair of choices of most
        pairs of parameters 5 times, and of all pairs together more evenly than drawn at random."""
        rows = places_of(PROBLEM, list(itertools.islice(grid.designs(PROBLEM), 125)))
        five = np.flatnonzero(sizes(PROBLEM) == 5)
        assert all((np.bincount(rows[:25, i]) == 5).all() for i in five)
        drawn = np.random.default_rng(0).integers(5, size=(125, len(five)))

        def uneven(places) -> list[float]:
            tables = (np.bincount(5 * places[:, i] + places[:, j], minlength=25) for i, j in pairs)
            return [float(np.var(table)) for table in tables]

        pairs = list(itertools.combinations(range(len(five)), 2))
        found = uneven(rows[:, five])
        assert np.mean(np.array(found) == 0.0) > 0.6
        assert np.median(found) < np.median(uneven(drawn))

    def test_neither_seed_nor_values_change_it(self):
        first = grid.propose(PROBLEM, [], 10, 1)
        past = trained(PROBLEM, [], first)
        assert grid.propose(PROBLEM, [], 10, 99) == first
        worse = [replace(item, values=()) for item in past]
        assert grid.propose(PROBLEM, past, 10, 3) == grid.propose(PROBLEM, worse, 10, 4)

    def test_batches_of_any_size_give_the_same_designs(self):
        whole = [key_of(proposal.chosen) for proposal in grid.propose(PROBLEM, [], 24, 0)]
        past: list[Past] = []
        for size in (5, 1, 11, 7):
            past += trained(PROBLEM, past, grid.propose(PROBLEM, past, size, size))
        assert [key_of(item.chosen) for item in past] == whole

    def test_what_is_not_forbidden_is_all_seen(self):
        rule = {"p0": ("0", "1", "2", "3"), "p1": ("1", "2", "3")}
        of = replace(space(5, 4, 3), forbidden=(rule,))
        found = grid.propose(of, [], 100, 0)
        assert len(found) == 60 - 4 * 3 * 3 and all(of.allowed(proposal.chosen) for proposal in found)

    def test_a_space_without_an_allowed_design(self):
        names = {name: options for name, options in small().parameters.items()}
        assert grid.propose(replace(small(), forbidden=(names,)), [], 3, 0) == []


class TestNsga3:
    def test_a_reference_direction_for_each_member(self):
        for objectives, population in itertools.product((2, 3, 4), (2, 10, 24, 32)):
            p = nsga3.divisions(objectives, population)
            assert math.comb(objectives + p - 1, p) >= population
            assert p == 1 or math.comb(objectives + p - 2, p - 1) < population

    def test_learns_where_trials_failed(self):
        """Its children resemble the best trials, though less than a population of all trials succeeded."""
        past = random_past(24)
        past = [item if i < 16 else replace(item, values=()) for i, item in enumerate(past)]
        found = places_of(PROBLEM, [proposal.chosen for proposal in nsga3.propose(PROBLEM, past, 20, 1)])
        known = places_of(PROBLEM, [item.chosen for item in past if item.values])
        drawn = places_of(PROBLEM, random_designs(PROBLEM, 20, np.random.default_rng(0)))

        def nearest(rows) -> float:
            return float(np.mean((rows[:, None] != known[None]).sum(-1).min(-1)))

        assert nearest(found) < 0.8 * nearest(drawn)

    def test_three_objectives(self):
        of = replace(PROBLEM, objectives=(*PROBLEM.objectives, Objective("latency_ns", False)))
        past = trained(of, [], [Proposal(chosen) for chosen in random_designs(of, 30, np.random.default_rng(1))])
        assert len({len(item.values) for item in past}) == 1 and len(past[0].values) == 3
        assert len(nsga3.propose(of, past, 12, 2)) == 12


class TestGaussianProcesses:
    def test_without_torch_it_says_what_to_install(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "torch", raising=False)
        monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
        with pytest.raises(BadInput, match=r"pip install 'flow\[gp\]'"):
            gp.propose(PROBLEM, [], 4, 1)

    def test_random_designs_first(self):
        past = random_past(gp.FIRST - 1)
        assert len(gp.propose(PROBLEM, past, 8, 1)) == 8  # in no time: no process has been fitted
        failed = [replace(item, values=()) for item in random_past(40)]
        assert len(gp.propose(PROBLEM, failed, 8, 1)) == 8

    def test_old_trials_are_known_but_not_learned_from(self, monkeypatch):
        monkeypatch.setattr(gp, "LATEST", 20)
        past = random_past(30)
        past[3] = replace(past[3], values=())
        found = gp._lately(past)
        assert [item.number for item in found if item.values] == list(range(10, 30))
        assert [item.chosen for item in found] == [item.chosen for item in past]

    @pytest.mark.slow
    def test_learns_more_than_random(self):
        """The front after 3 batches of 24, one seed, against ten random searches: it thinks for long. After two small
        batches it is not ahead yet."""

        def volume(name: str, seed: int) -> float:
            past: list[Past] = []
            for batch in range(3):
                past += trained(PROBLEM, past, STRATEGIES[name](PROBLEM, past, 24, 1000 * seed + batch), name)
            return front_volume(past)

        blind = [volume("random", seed) for seed in range(10)]
        assert volume("gp", 0) > np.mean(blind) + np.std(blind)
