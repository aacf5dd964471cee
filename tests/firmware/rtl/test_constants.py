"""Units, layers and whole networks whose outputs are constant: what pruning leaves of some designs."""

import json

import numpy as np
import pytest

pytest.importorskip("alkaid")
pytest.importorskip("qkeras")

from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from weights import example_weights

from flow.cost.rtl import predict_traced, prior
from flow.firmware import gate, project, rtl
from flow.firmware.gate import comparison
from flow.firmware.outputs import reference
from flow.firmware.settings import Output, Target
from flow.formats import Fixed
from flow.train import qkeras_model

DEAD, ALIVE = -2.0, 0.75  # biases: behind a rectifier the first gives 0
TARGET = Target("xcvu9p-flga2104-2-e", 4.0)


def constant(layer, units, bias=DEAD):
    """Units of a layer without weights."""

    def change(weights):
        kernel, biases = weights[layer]
        kernel[..., units] = 0.0
        biases[units] = bias

    return change


def only(layer, row, unit):
    """One weight of a layer kept."""

    def change(weights):
        kernel, _ = weights[layer]
        kernel[:] = 0.0
        kernel[..., row, unit] = 0.5

    return change


def saturated(layer, unit):
    def change(weights):
        weights[layer][1][unit] = 100.0

    return change


ALL = slice(None)
PARTLY = {
    "a dead unit": ("dense", constant("fc0", [0])),
    "a constant unit": ("dense", constant("fc0", [0], ALIVE)),
    "several of each": ("dense", constant("fc0", [0, 1]), constant("fc0", [2, 3], ALIVE), constant("fc1", [4], ALIVE)),
    "a unit that always saturates": ("dense", saturated("fc0", 2)),
    "negative constants": ("tanh", constant("fc0", [0, 3], -ALIVE)),
    "a constant logit": ("dense", constant("out", [1], ALIVE)),
    "folded": ("dense normalized", constant("fc0", [0, 2], ALIVE)),
    "a factor of zero": ("scale", lambda weights: weights["norm"][0].__setitem__(slice(0, 2), 0.0)),
    "one of two branches": ("concatenate", constant("left", ALL)),
    "a constant summand": ("add", constant("left", ALL, -0.5), constant("fc0", [1, 2], ALIVE)),
    "a branch of one weight, on a dead unit": ("add", constant("fc0", [0]), only("left", 0, 1)),
    "filters": ("conv1d same, stride 2", constant("conv", [0]), constant("conv", [1], ALIVE)),
    "filters, pooled": ("pooling 1d", constant("conv", [0]), constant("conv", [1], ALIVE)),
    "filters, averaged": ("global average", constant("conv", [0]), constant("conv", [1], ALIVE)),
    "filters behind filters": ("residual", constant("conv0", [0]), constant("conv1", [0, 1], ALIVE)),
}
WHOLLY = {
    "one weight, on a dead unit": ("dense", constant("fc0", [0]), only("fc1", 0, 1)),
    "one weight, on a constant unit": ("dense", constant("fc0", [0], ALIVE), only("fc1", 0, 1)),
    "one weight of the logits, on a dead unit": ("dense", constant("fc1", [0]), only("out", 0, 1)),
    "a dead layer": ("dense", constant("fc0", ALL)),
    "a constant layer": ("dense", constant("fc0", ALL, ALIVE)),
    "logits without weights": ("dense", constant("out", ALL, ALIVE)),
    "logits of 0": ("dense", constant("out", ALL, 0.0)),
    "without bias": ("dense without bias", lambda weights: weights["fc0"][0].fill(0.0)),
    "both branches": ("concatenate", constant("left", ALL), constant("right", ALL, ALIVE)),
    "all filters": ("conv1d same, stride 2", constant("conv", [0, 1]), constant("conv", [2, 3], ALIVE)),
}


def example(case):
    """Model, design, scaling, topology and words of a case."""
    name, *changes = case
    topology = NETWORKS[name]
    scaling = example_scaling(topology)
    design = example_design(topology, kernels=(Fixed(4, 0),), biases=(Fixed(6, 1),))
    weights = example_weights(topology)
    for change in changes:
        change(weights)
    model = qkeras_model.build(topology, design, scaling, weights)
    return model, design, scaling, topology, example_words(topology, scaling, 200)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "filters behind filters")) for name in (*PARTLY, *WHOLLY)],
)
def test_constants_are_traced_exactly_in_every_layer(name):
    model, _, scaling, _, words = example((PARTLY | WHOLLY)[name])
    expected = qkeras_model.reference(model, words)
    assert (np.ptp(list(expected.values())[-1], axis=0) == 0).all() == (name in WHOLLY)  # the case is what it says
    traced = rtl.trace(model, scaling.word)
    got = traced.run(words)
    assert list(got) == list(expected)
    for layer, values in expected.items():
        np.testing.assert_array_equal(got[layer], values, err_msg=layer)
    summary = rtl.summarise(traced, TARGET)
    assert list(summary.counts) == [block.name for block in traced.blocks]
    assert predict_traced(prior(), summary.counts, summary.latency_cycles, TARGET.clock_ns)["lut"].value >= 0
    assert (summary.lut_estimate == 0) == (name in WHOLLY)


def test_a_constant_network_is_its_last_layer_and_all_ports(tmp_path):
    model, _, scaling, topology, _ = example(WHOLLY["logits of 0"])
    rtl.write(rtl.trace(model, scaling.word), tmp_path, "net", TARGET)
    description = json.loads((tmp_path / "rtl.json").read_text())
    assert {block: row["modules"] for block, row in description["blocks"].items()} == {
        "input": [], "fc0": [], "fc1": [], "out": ["out_s0"]
    }  # fmt: skip
    assert len(description["inputs"]) == topology.n_in and description["latency_cycles"] == 2
    assert sum(row["bits"] for row in description["outputs"]) == len(description["outputs"]) == 3  # no port of no bits


@pytest.mark.parametrize("output", [output for output in Output if output != Output.LOGITS])
@pytest.mark.parametrize("name", ["logits of 0", "logits without weights", "a constant layer"])
def test_what_follows_constant_logits_is_within_its_accuracy(name, output):
    model, _, scaling, _, words = example(WHOLLY[name])
    logits = list(qkeras_model.reference(model, words).values())[-1]
    target = Target(TARGET.part, TARGET.clock_ns, output=output)
    got = rtl.trace(model, scaling.word, target).run(words)[str(output)]
    np.testing.assert_allclose(got, reference(output, logits), rtol=0, atol=target.accuracy)


@pytest.mark.slow
def test_the_simulated_verilog_of_a_constant_network_is_exact_at_a_latency(tmp_path):
    model, _, scaling, _, words = example(WHOLLY["one weight of the logits, on a dead unit"])
    rtl.write(rtl.trace(model, scaling.word), tmp_path, "net", Target(TARGET.part, 4.0, cycles=5))
    assert json.loads((tmp_path / "rtl.json").read_text())["latency_cycles"] == 5
    np.testing.assert_array_equal(rtl.simulate(tmp_path, words), qkeras_model.reference(model, words)["out"])


@pytest.mark.slow
def test_a_project_with_dead_units_is_equal_on_every_side(tmp_path):
    """QKeras, the C simulation of the HLS project, the trace and the simulated Verilog."""
    model, design, scaling, topology, _ = example(PARTLY["several of each"])
    words = comparison.vectors(scaling, np.zeros((1, topology.n_in)), 80, 2, design.input)
    logits = qkeras_model.reference(model, words)[topology.output]
    built = project.build(
        model, design, scaling, topology, "dead", TARGET, tmp_path, {"seed": 1}, words=words, logits=logits
    )
    record = gate.verify(built, random=200)
    comparison.require(record)
    assert all(pair.largest == pair.allowed == 0.0 for pair in record.pairs) and record.not_run == ()
    assert {"qkeras=csim", "qkeras=traced", "qkeras=rtl"} <= {pair.name for pair in record.pairs}
