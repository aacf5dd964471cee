"""Designs of every kind of network as hls4ml networks."""

import itertools

import numpy as np
import pytest
from cost.hls.example import SIZES
from designs import example_design
from networks import NETWORKS

from flow.cost import hls
from flow.design import Design, LayerDesign
from flow.formats import Binary, Fixed, PowerOfTwo, Relu, StochasticTernary
from flow.topology import Conv, Dense, Topology

SETTINGS = {
    "strategy": hls.Strategy.LATENCY,
    "reuse_factor": 1,
    "io_type": hls.IoType.PARALLEL,
    "tool": hls.Tool.VITIS_HLS,
    "tool_version": None,
    "part": "xcvu9p-flga2104-2L-e",
    "clock_ns": 5.0,
}
TOPOLOGY = Topology(
    tuple(Dense(f"fc{i}", a, b, "relu" if i < 3 else "linear") for i, (a, b) in enumerate(itertools.pairwise(SIZES)))
)


def design(kernel, keep=1.0) -> Design:
    layers = [
        (layer.name, LayerDesign(kernel, Fixed(6, 0), Relu(4, 1) if layer.activation == "relu" else None, keep))
        for layer in TOPOLOGY.layers
    ]
    return Design(Fixed(8, 2), tuple(layers))


def lut(topology, chosen, **changes) -> float:
    network = hls.network(topology, chosen, **SETTINGS | changes)
    return float(hls.predict(hls.prior(), [network], "csynth")["lut"].value[0])


@pytest.mark.parametrize("io_type", hls.IoType)
@pytest.mark.parametrize("strategy", hls.Strategy)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_cost(name, strategy, io_type):
    topology = NETWORKS[name]
    chosen = example_design(topology, seed=1)
    network = hls.network(topology, chosen, **SETTINGS | {"strategy": strategy, "io_type": io_type, "reuse_factor": 2})
    assert [layer.name for layer in network.layers] == ["input", *(layer.name for layer in topology.layers)]
    found = hls.predict(hls.prior(), [network], "synth")
    assert all(np.isfinite(row.value).all() for row in found.values())
    assert found["lut"].value[0] > 0
    assert found["interval_cycles"].value[0] >= 1


def test_layers_carry_the_designs_formats():
    network = hls.network(TOPOLOGY, design(Fixed(6, 0), 0.25), **SETTINGS)
    first, second = network.layers[1:3]
    assert (first.n_in, first.n_out, first.weight_bits, first.weight_int, first.zeros) == (16, 64, 6, 1, 0.75)
    assert (first.data_bits, second.data_bits, first.activation) == (8, 4, "relu")
    assert first.result_bits == 8 + 6 + 3  # 4 of 16 weights are kept, and a bias


def test_fewer_and_narrower_weights_cost_less():
    wide, narrow, pruned = (
        lut(TOPOLOGY, design(Fixed(6, 0))),
        lut(TOPOLOGY, design(Fixed(3, 0))),
        lut(TOPOLOGY, design(Fixed(6, 0), 0.3)),
    )
    assert narrow < 0.7 * wide
    assert pruned < 0.6 * wide


@pytest.mark.parametrize("kernel", [Binary(-1), StochasticTernary(-1), PowerOfTwo(4)])
def test_simple_kernels_take_no_dsp_with_any_strategy(kernel):
    for strategy, factor in ((hls.Strategy.LATENCY, 1), (hls.Strategy.RESOURCE, 16)):
        network = hls.network(TOPOLOGY, design(kernel), **SETTINGS | {"strategy": strategy, "reuse_factor": factor})
        assert hls.predict(hls.prior(), [network], "csynth")["dsp"].value.tolist() == [0]


def test_a_convolution_takes_its_positions_in_turn():
    conv = Conv("conv", (10, 10, 3), 8, (3, 3), (1, 1), "valid", "linear")
    topology = Topology((conv,), (10, 10, 3))
    network = hls.network(topology, example_design(topology), **SETTINGS)
    assert network.layers[1].positions == 64
    assert hls.predict(hls.prior(), [network], "csynth")["interval_cycles"].value[0] == pytest.approx(64, rel=0.01)
