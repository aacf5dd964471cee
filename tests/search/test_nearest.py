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
    found = nearest(PROBLEM.parameters, (), excess(1.0))
    assert found == {name: options[0] for name, options in PROBLEM.parameters.items()}


def test_any_design_inside_will_do():
    found = nearest(PROBLEM.parameters, (), excess(60.0))
    assert excess(60.0)([found])[0] == 0.0


def test_forbidden_designs_are_gone_round():
    names = {name: PROBLEM.parameters[name][:2] for name in ("input", "fc0.kernel", "fc0.keep")}
    fixed = {name: options[0] for name, options in PROBLEM.parameters.items()}
    rules = [{"input": ("quantized_bits(2)",), "fc0.kernel": ("quantized_bits(2)",)}]
    allowed = forbids(rules)

    def price(designs):
        return prices([fixed | chosen for chosen in designs])["lut"]

    every = [dict(zip(names, row)) for row in itertools.product(*names.values())]
    least = min(filter(allowed, every), key=lambda chosen: price([chosen])[0])
    found = nearest(names, rules, price)
    assert allowed(found) and price([found])[0] == price([least])[0]


def test_everything_forbidden_is_an_error():
    with pytest.raises(ValueError):
        nearest({"a": ("x", "y")}, [{"a": ("x", "y")}], lambda designs: np.ones(len(designs)))


MANY = {f"p{i}": tuple("abcdefghi") for i in range(30)}


def forbids(rules):
    return lambda chosen: not any(all(chosen[name] in some for name, some in rule.items()) for rule in rules)


@pytest.mark.parametrize(
    "rules",
    [
        [{"p7": tuple("abcdefgh")}],
        [{f"p{i}": ("a", "b"), f"p{i + 1}": ("a", "c")} for i in range(29)],
        [{f"p{i}": tuple("abcdefgh")} for i in range(30)],
    ],
)
def test_a_large_space_whose_first_design_is_forbidden(rules):
    found = nearest(MANY, rules, lambda designs: np.zeros(len(designs)))
    assert forbids(rules)(found)
    named = {name for rule in rules for name in rule}
    assert all(found[name] == "a" for name in MANY if name not in named)


def test_rules_that_together_forbid_everything_are_an_error():
    names = {name: MANY[name] for name in ("p0", "p1", "p2", "p3")}
    rules = [{"p0": (a,), "p1": (b,)} for a in MANY["p0"] for b in MANY["p1"]]
    with pytest.raises(ValueError, match="forbidden"):
        nearest(names, rules, lambda designs: np.ones(len(designs)))


@pytest.mark.parametrize("seed", range(20))
def test_an_allowed_design_is_found_where_there_is_one(seed):
    rng = np.random.default_rng(seed)
    names = {f"p{i}": ("a", "b", "c") for i in range(4)}
    rules = []
    for _ in range(7):
        own = rng.choice(list(names), size=2, replace=False)
        rules.append({str(name): tuple(rng.choice(["a", "b", "c"], size=2, replace=False).tolist()) for name in own})
    every = [dict(zip(names, row)) for row in itertools.product(*names.values())]
    if any(map(forbids(rules), every)):
        assert forbids(rules)(nearest(names, rules, lambda designs: np.zeros(len(designs))))
    else:
        with pytest.raises(ValueError):
            nearest(names, rules, lambda designs: np.zeros(len(designs)))


@pytest.mark.slow
def test_a_space_without_a_design_inside_names_the_nearest(tmp_path):
    task = task_with(tmp_path / "few", budget={"lut": 40}, space={"forbidden": [{"fc0.keep": 0.2, "logits.keep": 0.2}]})
    said = one_line(flow("search", task, "--out", tmp_path / "out"), 3)
    assert "budget.lut: 40 LUT can't be met" in said and "(model)" in said
    assert "fc0.keep 0.2, " in said or "logits.keep 0.2; " in said
    assert not list((tmp_path / "out" / "steps").glob("float-*"))
