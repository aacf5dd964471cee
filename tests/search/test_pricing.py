"""Costs by closed form against the budget."""

from dataclasses import replace

import numpy as np
import pytest
from search.problems import PROBLEM, with_dsp

from flow.search import STRATEGIES
from flow.search.places import random_designs
from flow.search.pricing import beyond, priced
from flow.search.problem import Objective

LED = ("fit", "fitcompress", "sensitivity", "fbm", "amed", "evolve")


def test_the_worst_limit_counts():
    designs = random_designs(PROBLEM, 20, np.random.default_rng(0))
    prices = PROBLEM.prices(designs)
    cost, excess = priced(replace(PROBLEM, limits={"lut": 100.0, "latency_ns": 30.0, "uram": 1.0}), designs)
    assert cost.tolist() == prices["lut"].tolist()
    assert excess == pytest.approx(np.maximum(prices["lut"] / 100.0, prices["latency_ns"] / 30.0) - 1.0)
    assert priced(replace(PROBLEM, limits={}), designs)[1].tolist() == [-1.0] * 20


def test_a_limit_of_nothing_is_a_limit():
    assert beyond(np.array([0.0, 1.0, 7.0]), 0.0).tolist() == [0.0, 1.0, 7.0]
    assert beyond(np.array([0.0, 1.0, 7.0]), 2.0).tolist() == [-1.0, -0.5, 2.5]


@pytest.mark.parametrize("name", ["fit", "fitcompress", "evolve"])
def test_no_design_with_dsp_blocks_where_none_is_allowed(name):
    """Kernels of 5 and 6 bits take DSP blocks and hurt least."""
    problem = with_dsp(limits={"dsp": 0.0})
    found = [proposal.chosen for proposal in STRATEGIES[name](problem, [], 10, 1)]
    none = problem.prices(found)["dsp"] == 0
    assert none.all() if name == "fit" else none.mean() >= 0.5  # the others have uniform, dense or random designs too


@pytest.mark.parametrize("name", LED)
def test_a_physics_figure_may_be_minimised_first(name):
    asked = (Objective("accuracy", True), Objective("background_efficiency", False), Objective("lut", False))
    problem = replace(PROBLEM, objectives=asked)
    assert problem.objectives[problem.cost].name == "lut" and problem.metric == 0
    assert len(STRATEGIES[name](problem, [], 6, 1)) == 6


@pytest.mark.parametrize("name", LED)
def test_dsp_blocks_may_be_minimised_first_with_none_allowed(name):
    asked = (Objective("accuracy", True), Objective("dsp", False), Objective("lut", False))
    problem = with_dsp(objectives=asked, limits={"dsp": 0.0, "lut": 250.0})
    assert len(STRATEGIES[name](problem, [], 6, 1)) == 6
