"""The folder of a built design: whole, the same twice, and of use without this program."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from flow.errors import BadInput
from flow.firmware import project

pytest.importorskip("hls4ml")
pytest.importorskip("alkaid")

from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from weights import example_weights

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign
from flow.firmware import hls, verify
from flow.formats import Fixed, Relu
from flow.topology import Dense, Topology
from flow.train import qkeras_model

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("logits", 6, 3, "linear")))
SCALING = InputScaling(("pt", "eta", "phi", "mass"), Fixed(10, 3), (-2, 3, 0, 0), (0.5, -1.25, 0.0, 3.0))
DESIGN = Design(
    Fixed(6, 1),
    (
        ("fc0", LayerDesign(Fixed(5, 0), Fixed(5, 0), Relu(4, 1))),
        ("logits", LayerDesign(Fixed(4, -1), Fixed(5, 1), None)),
    ),
)
TARGET = project.Target("xcvu13p-flga2577-2-e", 5.0)


def build(folder, **more):
    random = np.random.default_rng(1)
    weights = {
        x.name: (random.normal(0, 0.6, (x.n_in, x.n_out)), random.normal(0, 0.4, x.n_out)) for x in TOPOLOGY.layers
    }
    model = qkeras_model.build(TOPOLOGY, DESIGN, SCALING, weights)
    words = verify.vectors(SCALING, np.zeros((1, 4)), 60, 2)
    logits = qkeras_model.reference(model, words)["logits"]
    arguments = {"words": words, "logits": logits, "provenance": {"seed": 1, "commit": "abc"}, **more}
    return project.build(model, DESIGN, SCALING, TOPOLOGY, "tiny-jets", TARGET, folder, **arguments)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("projects") / "tiny-jets")


def test_all_parts_are_there(built):
    assert built.name == DESIGN.digest and project.is_complete(built)
    assert [path.name for path in built.parent.iterdir()] == [DESIGN.digest]
    names = set(project.digests(built))
    for name in (
        "hls/firmware/tiny_jets.cpp",
        "hls/csim.cpp",
        "rtl/src/tiny_jets.v",
        "rtl/yosys.ys",
        "vectors/inputs.txt",
        "vectors/logits.txt",
        "vectors/README.md",
        "model.keras",
        "design.json",
        "scaling.json",
        "topology.json",
        "Makefile",
        "README.md",
    ):
        assert name in names
    metadata = json.loads((built / "metadata.json").read_text())
    assert metadata["files"] == project.digests(built)
    assert metadata["provenance"]["seed"] == 1 and metadata["latency_cycles"] > 0 and metadata["versions"]["hls4ml"]
    assert Design.from_json(json.loads((built / "design.json").read_text())) == DESIGN
    assert InputScaling.from_json(json.loads((built / "scaling.json").read_text())) == SCALING


def test_readme_tells_the_interface(built):
    text = (built / "README.md").read_text()
    assert "| 0 | pt | 0.25 | 0.0625 | 0.5 |" in text and "ap_fixed<10,4>" in text and "clock cycle" in text
    assert str(built.parent) not in text


def test_vectors_are_integer_words(built):
    words = np.loadtxt(built / "vectors" / "inputs.txt", dtype=int)
    logits = np.loadtxt(built / "vectors" / "logits.txt", dtype=int)
    assert words.min() == -512 and words.max() == 511 and len(words) == len(logits)
    output = json.loads((built / "hls" / "csim.json").read_text())["output_type"]
    width, integer = (int(x) for x in output.split("<")[1].rstrip(">").split(","))
    simulated = hls.simulate(built / "hls", words * SCALING.word.step, layers=False)["logits"]
    assert np.array_equal(simulated, logits * 2.0 ** (integer - width))
    assert project.is_complete(built)


def test_model_comes_back(built):
    import keras
    import qkeras  # noqa: F401

    model = keras.models.load_model(built / "model.keras")
    words = np.loadtxt(built / "vectors" / "inputs.txt", dtype=int) * SCALING.word.step
    assert np.array_equal(
        qkeras_model.reference(model, words)["logits"], hls.simulate(built / "hls", words, False)["logits"]
    )


def test_same_input_same_bytes(built, tmp_path):
    again = build(tmp_path / "other")
    recorded = json.loads((built / "metadata.json").read_text())
    assert json.loads((again / "metadata.json").read_text()) == recorded
    assert build(tmp_path / "other") == again and project.is_complete(again)
    assert len(list(again.parent.iterdir())) == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None or shutil.which("g++") is None, reason="needs make and g++")
def test_makefile_stands_alone(built, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)

    def make(*arguments):
        command = ["make", "-C", str(folder), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)

    assert "make csim" in make().stdout
    launched = make("csim", "LAUNCHER=env LAUNCHED=1")
    assert launched.returncode == 0 and ", 0 differ" in launched.stdout and "env LAUNCHED=1 g++" in launched.stdout
    dry = make("-n", "csynth", "vivado", "yosys", "LAUNCHER=srun").stdout
    for tool in ("srun vitis-run", "srun vivado -mode batch", "srun yosys"):
        assert tool in dry
    logits = folder / "vectors" / "logits.txt"
    first, rest = logits.read_text().split(" ", 1)
    logits.write_text(f"{int(first) + 1} {rest}")
    wrong = make("csim")
    assert wrong.returncode != 0 and ", 1 differ" in wrong.stdout
    make("clean")
    logits.write_text(f"{first} {rest}")
    assert (
        project.is_complete(folder)
        and project.digests(folder) == json.loads((folder / "metadata.json").read_text())["files"]
    )


def test_incomplete_builds(built, tmp_path):
    assert not project.is_complete(tmp_path / "nothing")
    for spoil in ("metadata.json", "hls/firmware/defines.h"):
        folder = tmp_path / spoil.replace("/", "_")
        shutil.copytree(built, folder)
        (folder / spoil).write_text("{}")
        assert not project.is_complete(folder)


def test_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(BadInput, match="not all values"):
        build(tmp_path, words=np.zeros((5, 4)), logits=np.full((5, 3), 0.3))
    with pytest.raises(BadInput, match="JSON"):
        build(tmp_path, provenance={"seed": object()})
    assert list(tmp_path.iterdir()) == []


def test_top_names():
    assert project.top_name("lhc-jets") == "lhc_jets"
    with pytest.raises(BadInput, match="task"):
        project.top_name("5jets")


def test_a_network_of_images_is_built_with_its_test_vectors(tmp_path):
    topology = NETWORKS["residual"]
    design, scaling = example_design(topology, kernels=(Fixed(4, 0),)), example_scaling(topology)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology))
    words = verify.vectors(scaling, example_words(topology, scaling, 20), 20, 2, design.input)
    logits = qkeras_model.reference(model, words)[topology.output]
    built = project.build(
        model, design, scaling, topology, "images", TARGET, tmp_path, {"seed": 1}, words=words, logits=logits
    )
    assert project.is_complete(built)
    assert Topology.from_json(json.loads((built / "topology.json").read_text())) == topology
    assert np.loadtxt(built / "vectors" / "inputs.txt", dtype=int).shape == (len(words), topology.n_in)
    text = (built / "README.md").read_text()
    assert "an input of 6 x 6 x 2 in one row" in text and "| rectified | none | none | `quantized_relu" in text
