"""How a task's training keys reach the trials: starting points, halving, teacher, importance, other kinds of formats."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from loop.running import ROOT, TINY, flow, one_line

OPTIONS = {
    "start": "nearest",
    "importance": "fisher",
    "halving": 4,
    "patience": 4,
    "distillation": 0.5,
    "epochs": 8,
    "float_epochs": 5,
    "final_epochs": 3,
}


def task_with(folder: Path, **parts: dict) -> Path:
    """A copy of models/tiny whose keys are changed."""
    shutil.copytree(ROOT / TINY, folder)
    settings = yaml.safe_load((folder / "task.yaml").read_text())
    settings["data"]["file"] = str(ROOT / "models" / "jet_tagger" / "jets.parquet")
    for part, keys in parts.items():
        settings[part] = settings.get(part, {}) | keys
    (folder / "task.yaml").write_text(yaml.safe_dump(settings))
    return folder


def inputs_of(out: Path, name: str) -> list[dict]:
    """The inputs of a run's steps of one kind."""
    return [json.loads(path.read_text())["inputs"] for path in sorted(out.glob(f"steps/{name}-*/inputs.json"))]


@pytest.mark.slow
def test_every_training_key_reaches_the_trials(tmp_path):
    activations = ["truncated_relu(3)", "half_up_relu(4)", "quantized_relu(4,1)"]
    space = {"activation": activations, "kernel": ["quantized_bits(3)", "quantized_po2(3)", "stochastic_ternary"]}
    task = task_with(tmp_path / "trained", train=OPTIONS, space=space | {"keep": [0.3, 1.0]})
    out = tmp_path / "out"
    done = flow("search", task, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((out / "result.json").read_text())
    assert result["trials"]["failed"] == 0 and result["trials"]["cut"] > 0
    trials = inputs_of(out, "trials")
    starts = [start for step in trials for start in step["starts"]]
    floating = {start for start in starts if not start.startswith("trials-")}
    assert len(trials) == 2 and len(floating) == 1 and len(set(starts)) > 1
    schedule = trials[0]["schedule"]
    assert schedule["halving"]["factor"] == 4 and schedule["distillation"]["weight"] == 0.5
    assert schedule["pruning"]["importance"] == "fisher" and schedule["patience"] == 4
    assert all(step["teacher"] in floating for step in trials)
    for step in inputs_of(out, "float"):
        assert step["schedule"]["distillation"] is None and step["schedule"]["halving"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "part, keys, said",
    [
        ("train", {"halving": 0}, "train.halving: 0 is not allowed"),
        ("train", {"distillation": 1.5}, "train.distillation: 1.5 is not allowed"),
        ("train", {"importance": "size"}, "train.importance: 'size' is not allowed; 'magnitude' or 'fisher'"),
        ("train", {"start": "nearby"}, "train.start: 'nearby' is not allowed; 'float' or 'nearest'"),
        ("train", {"pruned_after": 0}, "train.pruned_after: 0 is not allowed"),
        ("space", {"activation": ["quantized_relu_po2(4)"]}, "quantized_relu_po2"),
        ("space", {"kernel": ["quantized_bits(4,0,alpha='auto')"]}, "space: fc0.kernel"),
        ("space", {"bias": ["ternary"]}, "ternary is not for bias"),
        ("space", {"bias": ["quantized_bits(4,0,alpha='auto_po2')"]}, "scale that depends on the data"),
        ("space", {"tanh": ["quantized_relu(3)"]}, "space: tanh: 'quantized_relu(3)'"),
        ("space", {"kernel": ["ternary", "ternary"]}, "space: fc0.kernel lists ternary twice"),
        ("train", {"temperature": float("inf")}, "train.temperature: inf is not allowed"),
        ("data", {"word": "quantized_bits(5,1,0,keep_negative=0)"}, "data.word"),
    ],
)
def test_what_a_task_can_not_have_is_said_before_training(tmp_path, part, keys, said):
    task = task_with(tmp_path / "trained", **{part: keys})
    line = one_line(flow("train", task, "--out", tmp_path / "out"), 2)
    assert said in line and "task.yaml" in line
    assert not list((tmp_path / "out").glob("steps/float-*"))
