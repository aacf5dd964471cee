"""The design nearest to the budget, by price alone, and the line that names it."""

import itertools

import numpy as np
import pytest
from loop.running import flow, one_line
from loop.test_training import task_with
from search.problems import PROBLEM, prices

from flow.search.nearest import nearest


def excess(limit: float):
    return lambda designs: np.maximum(prices(designs)["lut"] / limit - 1.0, 0.0)


def test_the_least_design_where_none_is_inside():
    found = nearest(PROBLEM.parameters, PROBLEM.allowed, excess(1.0))
    assert found == {name: options[0] for name, options in PROBLEM.parameters.items()}


def test_any_design_inside_will_do():
    found = nearest(PROBLEM.parameters, PROBLEM.allowed, excess(60.0))
    assert excess(60.0)([found])[0] == 0.0


def test_forbidden_designs_are_gone_round():
    names = {name: PROBLEM.parameters[name][:2] for name in ("input", "fc0.kernel", "fc0.keep")}
    fixed = {name: options[0] for name, options in PROBLEM.parameters.items()}
    rule = {"input": "quantized_bits(2)", "fc0.kernel": "quantized_bits(2)"}

    def allowed(chosen) -> bool:
        return any(chosen[name] != text for name, text in rule.items())

    def price(designs):
        return prices([fixed | chosen for chosen in designs])["lut"]

    every = [dict(zip(names, row)) for row in itertools.product(*names.values())]
    least = min(filter(allowed, every), key=lambda chosen: price([chosen])[0])
    found = nearest(names, allowed, price)
    assert allowed(found) and price([found])[0] == price([least])[0]


def test_everything_forbidden_is_an_error():
    with pytest.raises(ValueError):
        nearest({"a": ("x", "y")}, lambda chosen: False, lambda designs: np.ones(len(designs)))


@pytest.mark.slow
def test_a_space_without_a_design_inside_names_the_nearest(tmp_path):
    task = task_with(tmp_path / "few", budget={"lut": 40}, space={"forbidden": [{"fc0.keep": 0.2, "logits.keep": 0.2}]})
    said = one_line(flow("search", task, "--out", tmp_path / "out"), 3)
    assert "budget.lut: 40 LUT can't be met" in said and "(model)" in said
    assert "fc0.keep 0.2, " in said or "logits.keep 0.2; " in said
    assert not list((tmp_path / "out" / "steps").glob("float-*"))
