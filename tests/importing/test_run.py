"""An imported network all the way: `flow import --build`, and `flow run` on the task that an import made."""

import json

import numpy as np
import pytest
from loop.running import flow, one_line

from flow.cli import main
from flow.firmware import project

pytest.importorskip("tensorflow")

from flow.train import backend

backend.start()
import keras
import qkeras
from keras import layers


def quantized(kind, units: int, **more):
    return kind(units, kernel_quantizer=qkeras.quantized_bits(4, 0, alpha=1),
                bias_quantizer=qkeras.quantized_bits(4, 0, alpha=1), **more)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    parts = [
        keras.Input((4,)),
        qkeras.QActivation(qkeras.quantized_bits(5, 2, alpha=1), name="grid"),
        quantized(qkeras.QDense, 5, activation=qkeras.quantized_relu(4, 1), name="fc"),
        quantized(qkeras.QDense, 3, name="out"),
        layers.Softmax(),
    ]
    path, made = tmp_path_factory.mktemp("imported") / "net.keras", keras.Sequential(parts)
    weak = 0.06 * np.random.default_rng(2).normal(size=(5, 5))
    made.set_weights([0.8 * np.eye(4, 5) + weak[:4], np.zeros(5), 0.8 * np.eye(5, 3) + weak[:, :3], np.zeros(3)])
    made.save(path)
    return path


@pytest.mark.slow
def test_a_quantized_network_is_built_at_once(model, tmp_path, capsys):
    arguments = ["import", model, "-o", tmp_path / "net", "--build", "--out", tmp_path / "built", "--clock", "250 MHz"]
    assert main([*map(str, arguments), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    folder = tmp_path / "built" / found["design"]
    assert found["built"]["project"] == str(folder) and project.is_complete(folder)
    assert found["built"]["vectors"] == "random words on the input grid"
    pairs = found["built"]["equivalence"]["pairs"]
    assert pairs and all(pair["mismatches"] == 0 and pair["vectors"] > 0 for pair in pairs)
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["task"] == "net" and metadata["target"]["clock_ns"] == 4.0
    assert metadata["provenance"]["data"].startswith("none")
    figures = found["built"]["figures"]
    assert figures["lut"]["value"] > 0 and figures["latency_ns"]["value"] == 4.0 * found["built"]["latency_cycles"]
    assert main([*map(str, arguments)]) == 2 and "overwrites nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_an_imported_task_starts_from_its_weights(model, tmp_path):
    rng = np.random.default_rng(1)
    values = rng.normal(0.0, 1.0, (3000, 4)).astype(np.float32)
    answers = np.asarray(keras.models.load_model(model, compile=False)(values)).argmax(axis=1)
    assert np.bincount(answers, minlength=3).min() > 300
    np.savez(tmp_path / "events.npz", X=values, y=answers)
    arguments = ["import", model, "-o", tmp_path / "net", "--data", tmp_path / "events.npz"]
    assert main([*map(str, arguments)]) == 0
    assert 'file: "../events.npz"' in (tmp_path / "net" / "task.yaml").read_text()
    text = (tmp_path / "net" / "task.yaml").read_text().replace("float_epochs: 5", "float_epochs: 1")
    (tmp_path / "net" / "task.yaml").write_text(text)
    done = flow("train", tmp_path / "net", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-2000:]
    float_step = next((tmp_path / "out" / "steps").glob("float-*"))
    row = json.loads((float_step / "result.json").read_text())["members"][0]
    # One epoch of two steps from random weights is near 1/3; the file's own weights answer as the file does.
    assert row["figures"]["accuracy"]["value"] > 0.8
    assert len(list((tmp_path / "out" / "steps").glob("weights-*"))) == 1
    (tmp_path / "net" / "weights.npz").unlink()
    assert "train.weights" in one_line(flow("train", tmp_path / "net", "--out", tmp_path / "out"), 2)
