"""Layers that share their hardware: exact at the interval, with gaps, and as small as their reuse factor tells."""

import json
import re
import subprocess

import numpy as np
import pytest

pytest.importorskip("alkaid")
pytest.importorskip("qkeras")

from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from weights import example_weights

from flow.cost.rtl import CLOCK_NS, predict_traced, prior
from flow.errors import BadInput
from flow.firmware import multiplexed, rtl, simulate
from flow.firmware.multiplexed import reuse
from flow.firmware.multiplexed.chain import chain
from flow.firmware.multiplexed.content import Dense
from flow.firmware.multiplexed.lanes import module
from flow.firmware.rtl import testbench
from flow.firmware.settings import Target
from flow.formats import Binary, Fixed, Relu, Ternary
from flow.synth.job import synthesise
from flow.topology import Activation, Conv, Merge, Reshape, Topology
from flow.topology import Dense as DenseLayer
from flow.train import qkeras_model

PART = "xcvu9p-flga2104-2-e"
KERNELS = (Fixed(3, -1), Fixed(4, 0), Ternary(-3), Binary(-2))

BRANCHES = Topology(
    (
        Conv("conv", (3, 3, 1), 2, (2, 2), (2, 2), "same", "relu"),
        Conv("depthwise", (2, 2, 2), 2, (2, 2), (1, 1), "same", "linear", ("conv",), depthwise=True),
        Merge("sum", (2, 2, 2), "add", ("depthwise", "conv")),
        Activation("rectified", (2, 2, 2), "relu", ("sum",)),
        Reshape("flat", (8,)),
        DenseLayer("out", 8, 3),
    ),
    (3, 3, 1),
)


def example(topology, n=100, **options):
    """A model of random formats and weights, the format of its words, and words that reach its ends."""
    scaling, design = example_scaling(topology), example_design(topology, kernels=KERNELS, **options)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology))
    return model, scaling.word, example_words(topology, scaling, n)


def foreign():
    """A network that is not of ours: no input quantizer, activations inside layers, a dense layer over two axes."""
    import keras
    from qkeras import QActivation, QDense

    keras.utils.set_random_seed(3)
    bias = {"bias_quantizer": "quantized_bits(5,1,alpha=1)", "bias_initializer": "random_normal"}
    words = keras.Input((6,), name="words")
    x = QDense(5, activation="quantized_relu(4,1)", kernel_quantizer="quantized_po2(4)", name="first", **bias)(words)
    x = QActivation("quantized_bits(5,2,alpha=1)", name="grid")(x)
    x = keras.layers.Reshape((1, 5), name="rows")(x)
    kernel = "quantized_bits(4,0,alpha=1)"
    x = QDense(4, activation="quantized_bits(4,1,alpha=1)", kernel_quantizer=kernel, name="second", **bias)(x)
    x = keras.layers.Flatten(name="flat")(x)
    model = keras.Model(words, QDense(3, kernel_quantizer=kernel, name="out", **bias)(x))
    word = Fixed(6, 2)
    return model, word, word.quantize(np.random.default_rng(0).normal(0, 2, (100, 6)))


def target(**settings):
    return Target(PART, CLOCK_NS, **settings)


@pytest.fixture(scope="module")
def models():
    made = {}

    def model_of(name):
        if name not in made:
            made[name] = example(NETWORKS[name])
        return made[name]

    return model_of


def test_the_global_factor_is_what_each_layer_can_use(models):
    model, _, _ = models("dense")
    assert reuse.factors(model, target(reuse_factor=4)) == {"fc0": 4, "fc1": 4, "out": 3}
    assert reuse.factors(model, target(reuse_factor=4, reuse=(("fc1", 1),))) == {"fc0": 4, "out": 3}
    model, _, _ = models("conv2d normalized")
    assert reuse.factors(model, target(reuse=(("conv", 4),))) == {"conv": 4}


REFUSED = {
    "fc0_relu": (2, "fc0_relu: QActivation has nothing to share; reuse factors are for QDense"),
    "fc9": (2, "reuse factor of layer fc9: there is no such layer; layers: words, input_offset, input_grid, fc0"),
    "fc1": (6, "reuse factor 6 of layer fc1: it has 5 outputs; 1 to 5 is allowed"),
}


@pytest.mark.parametrize("layer", REFUSED)
def test_a_factor_that_a_layer_cannot_use_is_refused_by_name(models, layer, tmp_path):
    model, word, _ = models("dense")
    factor, said = REFUSED[layer]
    with pytest.raises(BadInput, match=re.escape(said)):
        multiplexed.write(model, word, tmp_path / "new", "net", target(reuse=((layer, factor),)))
    assert not (tmp_path / "new").exists()


def test_a_convolution_has_as_many_uses_as_positions(models):
    model, _, _ = models("conv1d valid")
    with pytest.raises(BadInput, match="conv: it has 8 positions; 1 to 8 is allowed"):
        reuse.factors(model, target(reuse=(("conv", 9),)))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_dense_layer_has_its_share_of_multipliers(factor):
    topology = Topology((DenseLayer("fc0", 4, 6, "relu"), DenseLayer("out", 6, 3)))
    model, word, _ = example(topology, keep=1.0)
    (link,) = [link for link in chain(model, word, target(reuse=(("fc0", factor),))).links if hasattr(link, "reuse")]
    assert isinstance(link.layer, Dense)
    made = module(link, False, 4.6)
    products = len(re.findall(r"p\d+_\d+ <= ", made.text))
    used = len(link.live) * link.layer.kernel.any(axis=1).sum()
    assert made.copies == -(-len(link.live) // factor)
    assert used / len(link.live) * made.copies >= products > 0


@pytest.mark.slow
def test_a_convolution_has_its_share_of_copies(models, tmp_path):
    model, word, _ = models("conv2d normalized")  # 4 positions
    for factor, copies in ((2, 2), (3, 2), (4, 1)):
        multiplexed.write(model, word, tmp_path, "net", target(reuse=(("conv", factor),)))
        text = (tmp_path / "src" / "conv_mux.v").read_text()
        assert text.count("conv_kernel _inst_conv_kernel_") == copies


def test_the_same_model_gives_the_same_files_and_its_summary(models, tmp_path):
    model, word, _ = models("add")
    texts = []
    for name in ("first", "second"):
        summary = multiplexed.write(model, word, tmp_path / name, "net", target(reuse_factor=3))
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        texts.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert texts[0] == texts[1]
    assert multiplexed.summarise(model, word, target(reuse_factor=3)) == summary
    assert summary.interval_cycles == 3 and summary.latency_cycles > 3 * 3
    figures = predict_traced(prior(), summary.counts, summary.latency_cycles, CLOCK_NS)
    assert figures["lut"].value > 0 and figures["ff"].value > 0


def test_the_description_names_every_block(models, tmp_path):
    model, word, _ = models("residual")
    multiplexed.write(model, word, tmp_path, "net", target(reuse_factor=3))
    row = json.loads((tmp_path / "rtl.json").read_text())
    assert row["start"] == "in_valid" and row["interval_cycles"] == 3 and row["wrapper"] == "net_valid"
    assert list(row["blocks"]) == ["input", "conv0", "conv1", "out"]
    assert all(name.startswith(block) for block, entry in row["blocks"].items() for name in entry["modules"])
    assert {name for entry in row["blocks"].values() for name in entry["modules"]} <= {
        path.stem for path in (tmp_path / "src").glob("*.v")
    }


def test_a_layer_of_zeros_has_nothing_to_share():
    topology = NETWORKS["add"]  # its logits depend on the input past the layer, too
    scaling, design = example_scaling(topology), example_design(topology, kernels=(Fixed(4, 0),))
    weights = example_weights(topology)
    weights["left"] = (np.zeros_like(weights["left"][0]), weights["left"][1])
    model = qkeras_model.build(topology, design, scaling, weights)
    with pytest.raises(BadInput, match="layer left: its outputs do not depend on its inputs"):
        multiplexed.summarise(model, scaling.word, target(reuse_factor=2))


def test_a_window_that_reads_dead_units_alone_has_nothing_to_share():
    topology = NETWORKS["reshape"]
    scaling = example_scaling(topology)
    design = example_design(topology, kernels=(Fixed(4, 0),), biases=(Fixed(6, 1),))
    weights = example_weights(topology)
    weights["fc0"][0][:, ::2] = 0.0  # one of the two channels that the convolution reads
    weights["fc0"][1][::2] = -2.0
    weights["conv"][0][:, :, 1] = 0.0
    model = qkeras_model.build(topology, design, scaling, weights)
    with pytest.raises(BadInput, match="layer conv: its outputs do not depend on its inputs"):
        multiplexed.summarise(model, scaling.word, target(reuse=(("conv", 2),)))


def test_constant_logits_behind_a_shared_layer_are_refused():
    topology = NETWORKS["dense"]
    scaling, design = example_scaling(topology), example_design(topology, kernels=(Fixed(4, 0),))
    weights = example_weights(topology)
    weights["out"] = (np.zeros_like(weights["out"][0]), weights["out"][1])
    model = qkeras_model.build(topology, design, scaling, weights)
    with pytest.raises(BadInput, match="logits do not depend on the input.*give every layer the reuse factor 1"):
        multiplexed.summarise(model, scaling.word, target(reuse=(("fc0", 2),)))


EXACT = {
    "factors of their own": (foreign, {"reuse": (("first", 3), ("out", 2))}),
    "all layers, and the index of the largest": (BRANCHES, {"reuse_factor": 4, "output": "argmax"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_simulated_layers_are_exact_at_the_interval(name, tmp_path):
    topology, settings = EXACT[name]
    model, word, words = topology() if callable(topology) else example(topology)
    goal = target(**settings)
    multiplexed.write(model, word, tmp_path, "net", goal)
    expected = rtl.trace(model, word, goal).run(words)
    got = rtl.simulate_blocks(tmp_path, words)
    assert rtl.first_difference(got, expected) is None
    output = list(expected)[-1]
    np.testing.assert_array_equal(got[output], expected[output])  # all of it is there


@pytest.mark.slow
def test_words_may_come_with_gaps_and_outputs_stay(tmp_path):
    model, word, words = example(BRANCHES)
    multiplexed.write(model, word, tmp_path, "net", target(reuse=(("conv", 2), ("depthwise", 3))))
    expected = list(qkeras_model.reference(model, words).values())[-1]
    testbench.write(tmp_path, words, expected)  # at the interval, with random gaps, and after a reset
    start, environment = simulate.verilator()
    command = [
        *start, "--binary", "--timing", "-CFLAGS", "-std=c++20", "-Wno-fatal", "-Wno-lint",
        *(word for name in ("FAST", "SLOW", "GLOBAL") for word in ("-MAKEFLAGS", f"OPT_{name}=-O0")),
        "--top-module", "net_tb", "net_tb.v", *sorted(str(path) for path in (tmp_path / "src").glob("*.v")),
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path / "tb", env=environment, check=True, capture_output=True)
    done = subprocess.run(["obj_dir/Vnet_tb"], cwd=tmp_path / "tb", check=True, capture_output=True, text=True)
    assert f"{2 * len(words)} vectors, 0 differ" in done.stdout, done.stdout
    description = json.loads((tmp_path / "rtl.json").read_text())
    # words every 6 clocks instead of 3, outputs read 3 clocks later
    changed = {"interval_cycles": 6, "latency_cycles": description["latency_cycles"] + 3}
    (tmp_path / "rtl.json").write_text(json.dumps(description | changed))
    np.testing.assert_array_equal(rtl.simulate(tmp_path, words), expected)


@pytest.mark.slow
def test_synthesis_tells_the_shared_layer_apart(tmp_path):
    topology = Topology((DenseLayer("fc0", 8, 8, "relu"), DenseLayer("out", 8, 2)))
    activations = {"relu": (Relu(4, 1),)}
    scaling = example_scaling(topology)
    design = example_design(topology, kernels=(Fixed(6, 0),), activations=activations, input=Fixed(6, 2))
    model = qkeras_model.build(topology, design, scaling, example_weights(topology))
    multiplexed.write(model, scaling.word, tmp_path, "net", target(reuse=(("fc0", 4),)))
    report = synthesise(tmp_path)
    shared = report.by_layer["fc0"]
    # a multiplier for each input and lane, but for the few whose weights are narrow in every phase
    assert 8 < shared["dsp"] <= 8 * 2 and report.dsp == shared["dsp"]
    assert shared["lut"] > report.by_layer["out"]["lut"] > 0 and shared["ff"] > 0
    assert report.interval_cycles == (4, 4)
