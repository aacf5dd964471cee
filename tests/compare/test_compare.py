"""Strategies side by side: hypervolume in octaves, equal budget, a page, and what is wrong said before any work."""

import json
import re

import numpy as np
import pytest
from loop.running import flow, one_line
from loop.test_search import SMALL
from loop.test_training import task_with

from flow.compare.command import lines
from flow.compare.contest import Outcome, Reference
from flow.compare.page import write
from flow.search.problem import Objective

REFERENCE = Reference((Objective("accuracy", True), Objective("lut", False)), (0.6, 1024.0))


def outcome(strategy: str, seed: int, *points: tuple[float, float, float]) -> Outcome:
    return Outcome(strategy, seed, tuple((spent, (metric, lut)) for spent, metric, lut in points), points[-1][0])


def test_costs_count_in_octaves():
    assert REFERENCE.volume(np.array([[0.7, 256.0]])) == pytest.approx(0.1 * 2)
    assert REFERENCE.volume(np.array([[0.7, 256.0], [0.65, 64.0]])) == pytest.approx(0.1 * 2 + 0.05 * 2)
    assert REFERENCE.volume(np.array([[0.59, 64.0], [0.7, 2048.0]])) == 0.0
    assert REFERENCE.volume(np.zeros((0, 2))) == 0.0


def test_only_what_was_trained_within_the_budget_counts():
    found = outcome("random", 1, (1e6, 0.65, 512.0), (2e6, 0.7, 256.0), (3e6, 0.75, 128.0))
    assert found.rows(2e6).tolist() == [[0.65, 512.0], [0.7, 256.0]]
    assert found.front(REFERENCE, 2e6) == [(0.7, 256.0)]
    assert found.rows(0.5e6).shape[0] == 0 and REFERENCE.volume(found.rows(0.5e6)) == 0.0


def result() -> dict:
    return {
        "task": "tiny", "stand_in": True, "objectives": {"accuracy": "maximize", "lut": "minimize"},
        "reference": {"accuracy": 0.58, "lut": 1184.0}, "budget_events": 1.1e6,
        "strategies": {
            name: {
                "hypervolume": {"mean": mean, "deviation": deviation, "by_seed": {"1": mean, "2": mean}},
                "against_budget": [[1e5, 0.1, 0.1], [1e6, mean, mean]], "spent": {"1": 1e6, "2": 1e6},
                "fronts": {"1": [[0.65, 300.0], [0.66, 500.0]], "2": []},
            }
            for name, mean, deviation in (("random", 0.2, 0.01), ("evolve", 0.3, None))
        },
    }  # fmt: skip


def test_the_best_comes_first_with_its_error():
    told = lines(result())
    assert told[1].startswith("evolve") and "0.2000 ± 0.0100" in told[2]


def test_the_page_stands_alone(tmp_path):
    page = write(result(), tmp_path).read_text()
    assert page == write(result(), tmp_path).read_text()
    assert page.count("<svg") == 3 and "stand-in" in page and "0.2000 ± 0.0100" in page
    assert not re.search(r'(src|href)="https?://', page)


@pytest.mark.slow
def test_two_strategies_with_two_seeds(tmp_path):
    task = task_with(tmp_path / "few", train=SMALL, search={"trials": 16})
    arguments = ["--strategies", "random,neighbours", "--seeds", "1,2", "--out", tmp_path / "out", "--json"]
    done = flow("compare", task, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert set(found["strategies"]) == {"random", "neighbours"}
    for row in found["strategies"].values():
        assert row["hypervolume"]["deviation"] is not None and row["hypervolume"]["mean"] > 0
        assert all(spent >= found["budget_events"] for spent in row["spent"].values())
        growth = [mean for _, mean, *_ in row["against_budget"]]
        assert growth == sorted(growth)
    again = flow("compare", task, *arguments)
    assert json.loads(again.stdout) == found and "training" not in again.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--strategies", "random,evolv"], "--strategies: unknown strategy 'evolv'; did you mean 'evolve'?"),
        (["--strategies", "random,random"], "none twice"),
        (["--seeds", "1,x"], "--seeds 'x': a whole number from 0"),
        (["--trials", "0"], "--trials '0'"),
    ],
)
def test_wrong_options(arguments, said, tmp_path):
    assert said in one_line(flow("compare", "models/tiny", "--out", tmp_path / "out", *arguments), 2)
