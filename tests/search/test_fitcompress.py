"""Paths from the dense network down to goals."""

from dataclasses import replace

import numpy as np
import pytest
from search.problems import PROBLEM, Known, front_volume, parameters, trained

from flow.search import random
from flow.search.fitcompress import Node, _keeps, _moves, _path, propose
from flow.search.places import chosen_at, places_of, sizes
from flow.search.problem import Measure

DENSE = Node(tuple(int(size) - 1 for size in sizes(PROBLEM)))


def cost(chosen) -> float:
    return float(PROBLEM.prices([chosen])["lut"][0])


def test_moves_are_one_format_or_all_kernels_sparser():
    moves = _moves(PROBLEM, DENSE)
    keeps = [i for i, name in enumerate(PROBLEM.parameters) if name.endswith("keep")]
    formats = [item for item in moves if item.sparsity == 0]
    assert len(formats) == len(PROBLEM.parameters) - len(keeps)
    (sparser,) = [item for item in moves if item.sparsity > 0]
    assert all(sparser.places[i] == DENSE.places[i] - 1 for i in keeps)
    # The first of the 40 steps whose kept fraction is nearer to 0.7 than to 1.
    assert 10 ** (-3 * sparser.sparsity / 39) < 0.85 < 10 ** (-3 * (sparser.sparsity - 1) / 39)


def test_names_of_groups_say_nothing():
    parts = {"sparsity": "keep", "cell.keep": "kernel"}
    names = {"sparsity": ("0.2", "1"), "cell.keep": ("0.2", "1")}
    assert _keeps(replace(PROBLEM, parameters=names, parts=parts)) == {0: [0.2, 1.0]}


def test_a_path_reaches_its_goals_and_never_goes_back():
    damages, dense = PROBLEM.knowledge.damages(Measure.FIT), cost(chosen_at(PROBLEM, DENSE.places))
    goals = [0.8, 0.5, 0.25, 0.1]
    found = list(_path(PROBLEM, DENSE, damages, goals))
    assert all(cost(chosen) <= goal * dense for chosen, goal in zip(found, goals, strict=True))
    rows = places_of(PROBLEM, found)
    assert (np.diff(rows, axis=0) <= 0).all()


def test_the_path_spares_what_is_fragile():
    """Half way down, the layer that hurts most for its cost has kept more bits than the one that hurts least."""
    dense = chosen_at(PROBLEM, DENSE.places)
    (found,) = _path(PROBLEM, DENSE, PROBLEM.knowledge.damages(Measure.FIT), [0.4])
    place = {name: options.index(found[name]) for name, options in parameters().items()}
    assert place["fc3.kernel"] > place["fc1.kernel"]
    assert cost(found) <= 0.4 * cost(dense)


def test_later_paths_start_from_trained_designs_measured_anew():
    asked = []

    class Watching(Known):
        def damages(self, measure, at=None):
            asked.append(at)
            return super().damages(measure, at)

    problem = replace(PROBLEM, knowledge=Watching(parameters()))
    past = trained(problem, [], propose(problem, [], 12, 1))
    assert asked == [None]
    found = propose(problem, past, 12, 2)
    children = [proposal for proposal in found if proposal.parent is not None]
    assert children and set(asked) > {None}
    for child in children:
        parent = past[child.parent].chosen
        places = places_of(problem, [parent, child.chosen])
        assert child.parent in asked and (places[1] <= places[0]).all()


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
        assert volumes[0] > 1.05 * volumes[1]
