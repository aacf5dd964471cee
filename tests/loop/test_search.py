"""The search as users run it: strategies, several processes at once, kills, limits of time, objectives."""

import json
import sqlite3
from pathlib import Path

import pytest
from loop.running import Watched, flow, here, one_line
from loop.test_training import inputs_of, task_with

SMALL = {"epochs": 4, "float_epochs": 5, "final_epochs": 3, "population": 8}


def searched(task: Path, out: Path, *arguments: str) -> dict:
    """What a search has found, after it ended well."""
    done = flow("search", task, "--out", out, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "result.json").read_text())


def trials_of(out: Path) -> dict[int, tuple]:
    """Trial number → digest, state and figures, as the study has them."""
    import optuna

    study = optuna.load_study(study_name=None, storage=f"sqlite:///{out / 'study.db'}")
    return {
        trial.user_attrs["trial"]: (trial.user_attrs["digest"], trial.state.name, trial.values)
        for trial in study.get_trials(deepcopy=False)
    }


@pytest.fixture
def task(tmp_path) -> Path:
    return task_with(tmp_path / "few", train=SMALL, search={"trials": 24, "parallel": 2, "strategy": "neighbours"})


@pytest.mark.slow
def test_two_processes_share_a_search_and_one_is_killed(task, tmp_path):
    """Alone, together, and with a kill in the middle: the same trials, each trained once."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    searched(task, alone)
    with Watched(shared, task=task, command="search", log="a") as first:
        first.until("training trials")
        with Watched(shared, task=task, command="search", log="b") as second:
            second.until("training trials")
            first.kill()
            assert second.process.wait(300) == 0, second.said[-3000:]
    assert trials_of(shared) == trials_of(alone)
    assert len(trials_of(alone)) == 24
    assert [len(step["designs"]) for step in inputs_of(shared, "trials")] == [8, 8, 8]
    with sqlite3.connect(shared / "study.db") as database:
        assert database.execute("select count(*) from trials").fetchone() == (24,)


@pytest.mark.slow
def test_a_search_whose_time_is_over_goes_on(task, tmp_path):
    out = tmp_path / "out"
    done = flow("search", task, "--out", out, "--minutes", "0.001")
    assert done.returncode == 0 and "the time is over after 0 of 24 trials" in done.stderr
    searched(task, out, "--trials", "8")
    assert len(trials_of(out)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["evolve", "autoqkeras", "amed", "auto"])
def test_strategies_on_a_real_network(strategy, tmp_path):
    """Weights are inherited, designs go on where they were, and a second run has nothing to do."""
    options = {"autoqkeras": {"tuner": "hyperband"}}
    task = task_with(tmp_path / "few", train=SMALL, search={"trials": 24, "strategy": strategy, "options": options})
    out = tmp_path / "out"
    searched(task, out)
    starts = {start for step in inputs_of(out, "trials") for start in step["starts"]}
    assert any(start.startswith("trials-") for start in starts)
    again = flow("search", task, "--out", out)
    assert again.returncode == 0 and "training" not in again.stderr


@pytest.mark.slow
def test_several_objectives_and_the_forgiving_score(tmp_path):
    objective = {
        "maximize": ["accuracy", "forgiving_score"], "minimize": ["lut", "energy"], "forgiving": {"goal": "bits", "stress": 0.5},
    }  # fmt: skip
    task = task_with(tmp_path / "few", train=SMALL, objective=objective, search={"trials": 16, "strategy": "nsga2"})
    out = tmp_path / "out"
    searched(task, out)
    assert all(len(values) == 4 for _, state, values in trials_of(out).values() if state == "COMPLETE")


@pytest.mark.slow
def test_widths_groups_and_rules_in_a_search(tmp_path):
    space = {
        "width": [0.5, 1, 1.5], "groups": {"hidden": ["fc0.kernel", "logits.kernel"]},
        "forbidden": [{"input": "quantized_bits(4)", "fc0.keep": 0.2}],
    }  # fmt: skip
    task = task_with(tmp_path / "few", train=SMALL, space=space, search={"trials": 16, "strategy": "random"})
    out = tmp_path / "out"
    searched(task, out)
    designs = [design for step in inputs_of(out, "trials") for design in step["designs"]]
    assert {layer.get("width", 1.0) for design in designs for layer in design["layers"].values()} == {0.5, 1.0, 1.5}
    for design in designs:
        assert design["layers"]["fc0"]["kernel"].split("(")[0] == design["layers"]["logits"]["kernel"].split("(")[0]
        assert not (design["input"].startswith("quantized_bits(4") and design["layers"]["fc0"]["keep"] == 0.2)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--strategy", "evolv"], "--strategy: unknown strategy 'evolv'; did you mean 'evolve'? known: random"),
        (["--trials", "0"], "--trials '0': a whole number from 1"),
        (["--minutes", "-3"], "--minutes '-3': a number above 0"),
        (["--seed", "x"], "--seed 'x': a whole number from 0"),
    ],
)
def test_wrong_options(arguments, said, tmp_path):
    assert said in one_line(here("search", "models/tiny", "--out", tmp_path / "out", *arguments), 2)
