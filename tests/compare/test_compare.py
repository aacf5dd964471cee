"""Strategies side by side: hypervolume in octaves, equal budget, a page, and what is wrong said before any work."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from loop.running import flow, here, one_line
from loop.test_search import SMALL
from loop.test_training import task_with

from flow.compare import contest
from flow.compare.command import _competitors, _seeds, lines
from flow.compare.command import result as result_of
from flow.compare.contest import Outcome, Reference
from flow.compare.page import came_to_be, write
from flow.errors import BadInput, Storage
from flow.loop.context import Context
from flow.search import STRATEGIES
from flow.search.problem import Objective

REFERENCE = Reference((Objective("accuracy", True), Objective("lut", False)), (0.6, 1024.0))


def outcome(strategy: str, seed: int, *points: tuple[float, float, float]) -> Outcome:
    return Outcome(strategy, seed, tuple((spent, (metric, lut)) for spent, metric, lut in points), points[-1][0])


def test_costs_count_in_octaves():
    assert REFERENCE.volume(np.array([[0.7, 256.0]])) == pytest.approx(0.1 * 2)
    assert REFERENCE.volume(np.array([[0.7, 256.0], [0.65, 64.0]])) == pytest.approx(0.1 * 2 + 0.05 * 2)
    assert REFERENCE.volume(np.array([[0.59, 64.0], [0.7, 2048.0]])) == 0.0
    assert REFERENCE.volume(np.zeros((0, 2))) == 0.0


def test_a_cost_of_nothing_is_as_one_unit():
    """Two designs without a DSP block, and one with one: no LUTs are swamped by what is 0."""
    reference = Reference(
        (Objective("accuracy", True), Objective("dsp", False), Objective("lut", False)), (0.6, 4, 1024)
    )
    volumes = [reference.volume(np.array([[0.7, dsp, 256.0]])) for dsp in (0.0, 1.0, 2.0, 4.0)]
    assert volumes == pytest.approx([0.1 * 2 * 2, 0.1 * 2 * 2, 0.1 * 1 * 2, 0.0])


def test_only_what_was_trained_within_the_budget_counts():
    found = outcome("random", 1, (1e6, 0.65, 512.0), (2e6, 0.7, 256.0), (3e6, 0.75, 128.0))
    assert found.rows(2e6).tolist() == [[0.65, 512.0], [0.7, 256.0]]
    assert found.front(REFERENCE, 2e6) == [(0.7, 256.0)]
    assert found.rows(0.5e6).shape[0] == 0 and REFERENCE.volume(found.rows(0.5e6)) == 0.0


def result() -> dict:
    return {
        "task": "tiny", "stand_in": True, "objectives": {"accuracy": "maximize", "lut": "minimize"},
        "reference": {"accuracy": 0.58, "lut": 1184.0}, "budget_events": 1e6,
        "fidelity": {"accuracy": ["measured"], "lut": ["weights"]},
        "strategies": {
            name: {
                "hypervolume": {"mean": mean, "deviation": deviation, "by_seed": {"1": mean, "2": mean}},
                "against_budget": [[1e5, 0.1, 0.1], [1e6, mean, mean]], "spent": {"1": 1e6, "2": 1e6}, "short": [],
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


def spending(strategy: str, seed: int, spent: float, fidelity: str = "weights") -> Outcome:
    points = ((spent / 2, (0.65, 512.0)), (spent, (0.7, 256.0)))
    return Outcome(strategy, seed, points, spent, {"accuracy": "measured", "lut": fidelity})


def compared(*outcomes: Outcome) -> dict:
    return result_of(Context.of(Path("models/tiny")), REFERENCE, list(outcomes), 1e6, False)


def test_a_strategy_that_stops_short_of_the_budget_is_marked(tmp_path):
    found = compared(spending("random", 1, 1.2e6), spending("grid", 1, 1e6), spending("grid", 2, 4.5e5))
    assert found["strategies"]["random"]["short"] == [] and found["strategies"]["grid"]["short"] == ["2"]
    told = {line.split()[0]: line for line in lines(found)}
    assert "stopped short of the budget: 45% with seed 2" in told["grid"] and "short" not in told["random"]
    page = write(found, tmp_path).read_text()
    assert "grid stopped before" in page and "45% with seed 2" in page and "4.5e+05 to 1e+06" in page
    page = write(compared(spending("random", 1, 1.2e6)), tmp_path).read_text()
    assert "stopped" not in page


@pytest.mark.parametrize("fidelity, said, other", [
    ("weights", "from the trained weights", "from the design"),
    ("model", "from the design", "from the trained weights"),
])  # fmt: skip
def test_it_says_how_costs_came_to_be(tmp_path, fidelity, said, other):
    found = compared(spending("random", 1, 1e6, fidelity), spending("random", 2, 1e6, fidelity))
    assert found["fidelity"] == {"accuracy": ["measured"], "lut": [fidelity]}
    for text in ("\n".join(lines(found)), write(found, tmp_path).read_text()):
        assert said in text and other not in text
    assert f"({fidelity})" in write(found, tmp_path).read_text()


def test_objectives_of_one_fidelity_are_named_together():
    found = {"fidelity": {"accuracy": ["measured"], "lut": ["model"], "bits": ["model"], "ff": []}}
    assert came_to_be(found).startswith("accuracy measured on the validation sample, LUT and bits by closed form")
    assert came_to_be(compared(Outcome("random", 1, (), 0.0))).endswith("of no design")


def test_where_nothing_was_trained(tmp_path):
    found = compared(Outcome("random", 1, (), 1e6), spending("grid", 1, 1e6))
    assert found["strategies"]["random"]["hypervolume"]["mean"] == 0.0
    assert found["fidelity"]["lut"] == ["weights"] and write(found, tmp_path).exists()


@pytest.mark.parametrize("text", ["3,1,2", "1,2,3", "2,3,1"])
def test_seeds_in_any_order_are_the_same(text):
    assert _seeds(text) == (1, 2, 3)


def test_the_reference_is_that_of_the_smallest_seed(monkeypatch):
    """The float network depends on the seed, and with it what hypervolumes are measured from."""
    laid = []
    ground = type("Ground", (), {"train": type("Sample", (), {"truth": type("Truth", (), {"labels": range(10)})})})

    def lay(context):
        laid.append(context.task.search.seed)
        return ground

    monkeypatch.setattr(contest, "lay_ground", lay)
    monkeypatch.setattr(contest, "reference_of", lambda context, _: context.task.search.seed)
    monkeypatch.setattr(contest, "_search", lambda *arguments: arguments[2:4])
    _, reference, found, _ = contest.compete(Path("models/tiny"), None, ("random", "grid"), (3, 1, 2), None)
    assert reference == 1 and laid == [1, 1, 2, 2, 3, 3]
    assert found == [(name, seed) for seed in (1, 2, 3) for name in ("random", "grid")]


@pytest.mark.parametrize("trials, wanted", [(None, 16), (40, 40)])
def test_the_budget_is_all_trials_that_the_task_asks_for(monkeypatch, trials, wanted):
    """Of 6 epochs each; they are trained in batches of 8."""
    ground = type("Ground", (), {"train": type("Sample", (), {"truth": type("Truth", (), {"labels": range(10)})})})
    monkeypatch.setattr(contest, "lay_ground", lambda context: ground)
    monkeypatch.setattr(contest, "reference_of", lambda context, _: None)
    monkeypatch.setattr(contest, "_search", lambda *arguments: arguments[5])
    *_, found, budget = contest.compete(Path("models/tiny"), None, ("random",), (1,), trials)
    assert budget == 10 * wanted * 6 and found == [budget]


def test_what_can_not_run_here_is_left_out_with_a_line(monkeypatch, capsys):
    context = Context.of(Path("models/tiny"))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    assert _competitors(None, context) == tuple(name for name in STRATEGIES if name != "gp")
    said = capsys.readouterr().err
    assert said.startswith("[tiny] left out: gp needs torch") and said.count("\n") == 1
    with pytest.raises(BadInput, match="^--strategies: gp needs torch"):
        _competitors("random,gp", context)


@pytest.mark.slow
def test_a_storage_that_can_not_be_used_is_said_before_any_work(tmp_path):
    (tmp_path / "file").write_text("no folder")
    task = task_with(tmp_path / "few", search={"storage": f"sqlite:///{tmp_path}/file/study.db"})
    done = flow("compare", task, "--strategies", "random", "--seeds", "1", "--out", tmp_path / "out")
    assert "search.storage" in one_line(done, Storage.exit_status)
    assert not list((tmp_path / "out").glob("steps/*"))


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
        (["--seeds", "1,01"], "--seeds '1,01': each seed once"),
        (["--seeds", "1,x"], "--seeds 'x': a whole number from 0"),
        (["--trials", "0"], "--trials '0'"),
    ],
)
def test_wrong_options(arguments, said, tmp_path):
    assert said in one_line(here("compare", "models/tiny", "--out", tmp_path / "out", *arguments), 2)
