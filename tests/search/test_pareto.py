"""Fronts, ranks and octaves."""

from dataclasses import replace

import numpy as np
import pytest
from search.problems import PROBLEM

from flow.search.pareto import front, in_octaves, octaves, ranks
from flow.search.problem import Objective


def by_definition(points: np.ndarray, excess: np.ndarray) -> list[int]:
    """Fronts peeled off one after another, each pair of points compared."""
    n, found, left, rank = len(points), {}, set(range(len(points))), 0

    def beats(i: int, j: int) -> bool:
        if excess[i] != excess[j]:
            return bool(excess[i] < excess[j])
        return bool((points[i] >= points[j]).all() and (points[i] > points[j]).any())

    while left:
        first = {j for j in left if not any(beats(i, j) for i in left)}
        found |= dict.fromkeys(first, rank)
        left, rank = left - first, rank + 1
    return [found[i] for i in range(n)]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_ranks_are_by_definition(objectives):
    rng = np.random.default_rng(objectives)
    for size in (1, 7, 60):
        points = rng.integers(0, 5, (size, objectives)).astype(float)  # with ties and equal points
        excess = np.maximum(rng.integers(-3, 3, size), 0) / 2.0
        assert ranks(points).tolist() == by_definition(points, np.zeros(size))
        assert ranks(points, excess).tolist() == by_definition(points, excess)
    assert ranks(np.zeros((0, objectives))).tolist() == []


@pytest.mark.parametrize("objectives", [2, 3])
def test_ranks_of_many_points_need_little_memory(objectives):
    import tracemalloc

    points = np.random.default_rng(0).normal(size=(3000, objectives))
    tracemalloc.start()
    found = ranks(points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.max() > 3 and peak < 5e6  # a byte for each pair of points would be 9e6


def test_the_front_of_cost_and_merit():
    cost, merit = np.array([4.0, 1.0, 2.0, 2.0, 8.0]), np.array([3.0, 1.0, 0.5, 2.0, -np.inf])
    assert front(cost, merit).tolist() == [1, 3, 0]


def test_nothing_costs_no_less_than_one_unit():
    assert octaves(np.array([0.0, 1.0, 2.0, 1024.0])).tolist() == [0.0, 0.0, 1.0, 10.0]
    assert octaves(np.array([0.25]), "background_efficiency").tolist() == [-2.0]  # a share of events has no unit


def test_objectives_in_octaves():
    asked = (Objective("accuracy", True), Objective("dsp", False), Objective("background_efficiency", False))
    points = np.array([[0.7, -8.0, -0.5], [0.6, -0.0, -0.25]])
    found = in_octaves(replace(PROBLEM, objectives=asked), points)
    assert found.tolist() == [[0.7, -3.0, 1.0], [0.6, 0.0, 2.0]]
