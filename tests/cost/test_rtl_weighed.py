"""What the real weights say of a design's cost: digits, sums, and units that nobody reads or that read nothing."""

from dataclasses import replace

import numpy as np
import pytest
from designs import example_design, example_scaling
from networks import NETWORKS
from weights import example_weights

from flow.cost import rtl
from flow.cost.rtl import Weighed, weigh
from flow.design import Design, LayerDesign
from flow.formats import Fixed, Relu, best_integer
from flow.topology import INPUT, Dense, Topology

WORD, CLOCK_NS = Fixed(13, 5), 5.0
TOPOLOGY = Topology((Dense("fc0", 16, 64, "relu"), Dense("fc1", 64, 32, "relu"), Dense("out", 32, 5, "linear")))


def design(keep: float = 1.0, bits: int = 4) -> Design:
    parts = {
        layer.name: LayerDesign(Fixed(bits, 0), Fixed(6, 0), Relu(4, 1) if layer.activation == "relu" else None, keep)
        for layer in TOPOLOGY.layers
    }
    return Design(Fixed(8, 2), tuple(parts.items()))


def sparse(keep: float, seed: int = 0) -> dict:
    """Normal weights of which the largest are kept."""
    rng, found = np.random.default_rng(seed), {}
    for layer in TOPOLOGY.layers:
        kernel = rng.normal(0, 0.3, layer.kernel_shape)
        kernel[np.abs(kernel) < np.quantile(np.abs(kernel), 1 - keep)] = 0.0
        found[layer.name] = (kernel, rng.normal(0, 0.1, layer.n_out))
    return found


def lut(of: Design, weighed=None) -> float:
    return rtl.predict(rtl.prior(), TOPOLOGY, of, WORD, CLOCK_NS, weighed=weighed)["lut"].value


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_weighed(name):
    topology = NETWORKS[name]
    own = example_design(topology)
    found = weigh(topology, own, example_weights(topology))
    assert set(found) == set(topology.shapes)
    for layer, row in found.items():
        assert 0.0 <= row.used <= 1.0 and np.isfinite([row.nonzero, row.digits, row.size, row.adders]).all(), layer
    word = example_scaling(topology).word
    figures = rtl.predict(rtl.prior(), topology, own, word, CLOCK_NS, weighed=found)
    assert figures["lut"].value > 0 and figures["lut"].fidelity.value == "weights"


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.2])
def test_weights_as_expected_cost_what_was_expected(keep):
    ratios = []
    for step in range(8):
        weights = {name: (2 ** (step / 8) * kernel, bias) for name, (kernel, bias) in sparse(keep, step).items()}
        parts = dict(design(keep).layers)
        suited = {
            name: replace(parts[name], kernel=best_integer(weights[name][0], 4, "quantized_bits")) for name in parts
        }
        own = Design(Fixed(8, 2), tuple(suited.items()))
        ratios.append(lut(own, weigh(TOPOLOGY, own, weights)) / lut(own))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)


def test_counts_by_hand():
    topology = Topology((Dense("a", 2, 3, "relu"), Dense("b", 3, 1, "linear")))
    parts = (("a", LayerDesign(Fixed(5, 2), None, Relu(4, 2))), ("b", LayerDesign(Fixed(5, 2), None, None)))
    first = np.array([[3.0, 1.0, 0.0], [1.0, 0.0, 0.0]])  # 3 = 4 - 1: two digits; the last unit reads nothing
    second = np.array([[1.0], [0.0], [2.0]])  # the second one is read by nobody
    found = weigh(topology, Design(Fixed(6, 2), parts), {"a": (first, None), "b": (second, None)})
    assert found["a"] == Weighed(2 / 6, 3 / 6, (3 + 1) * 4 / 6, 2.0, 1 / 3)
    assert found["b"] == Weighed(1 / 3, 1 / 3, 4 / 3, 0.0, 1.0)
    assert found[INPUT].used == 1.0


def test_what_nobody_reads_costs_nothing():
    weights = sparse(0.3)
    weights["fc1"][0][:, 8:] = 0.0
    without = {name: (kernel.copy(), bias) for name, (kernel, bias) in weights.items()}
    without["out"][0][8:] = 0.0
    rows = [weigh(TOPOLOGY, design(0.3), each) for each in (weights, without)]
    assert rows[0]["fc1"].used == rows[1]["fc1"].used == 0.25
    assert rows[0]["fc0"] == rows[1]["fc0"]


@pytest.mark.slow
def test_nearer_to_the_trace_than_formats_alone():
    """Networks whose kept weights partly round to zero, as trained ones' do."""
    from flow.firmware import rtl as firmware
    from flow.firmware.settings import Target
    from flow.train import qkeras_model

    scaling, errors = example_scaling(TOPOLOGY), {"formats": [], "weights": []}
    target = Target("xcvu9p-flga2104-2L-e", CLOCK_NS)
    for seed, (keep, bits) in enumerate([(0.1, 3), (0.2, 4), (0.3, 3), (0.2, 5)]):
        of, weights = design(keep, bits), sparse(keep, seed)
        for kernel, _ in weights.values():
            kernel[np.random.default_rng(seed).random(kernel.shape) < 0.5] = 0.0
        model = qkeras_model.build(TOPOLOGY, of, scaling, weights)
        told = firmware.summarise(firmware.trace(model, scaling.word, target), target, model)
        traced = rtl.predict_traced(rtl.prior(), told.counts, told.latency_cycles, CLOCK_NS)["lut"].value
        for name, weighed in (("formats", None), ("weights", weigh(TOPOLOGY, of, weights))):
            found = rtl.predict(rtl.prior(), TOPOLOGY, of, scaling.word, CLOCK_NS, weighed=weighed)["lut"].value
            errors[name].append(abs(np.log(found / traced)))
    assert np.mean(errors["weights"]) < 0.5 * np.mean(errors["formats"])
    assert max(errors["weights"]) < 0.35
