"""The closed form against QTools itself, part by part, before QTools rounds to 0.01 pJ."""

import itertools
import time

import numpy as np
import pytest
from designs import example_design, example_scaling
from networks import NETWORKS

from flow.cost.energy import HOROWITZ, MEMORIES, energy, energy_by_layer, multiplier
from flow.design import Design, LayerDesign
from flow.errors import BadInput
from flow.formats import (
    Binary,
    Fixed,
    HalfUpRelu,
    PowerOfTwo,
    Relu,
    ReluPowerOfTwo,
    StochasticBinary,
    StochasticTernary,
    Tanh,
    Ternary,
    TruncatedBits,
    TruncatedRelu,
)
from flow.topology import INPUT, Conv, Dense, Pool, Scale, Topology

SIZES = (16, 64, 32, 32, 5)
TOPOLOGY = Topology(
    tuple(
        Dense(f"fc{i}", n_in, n_out, "linear" if i == 3 else "relu")
        for i, (n_in, n_out) in enumerate(itertools.pairwise(SIZES))
    )
)


def design_of(source, kernels, biases, activations) -> Design:
    layers = zip(TOPOLOGY.names, kernels, biases, (*activations, None))
    return Design(source, tuple((name, LayerDesign(k, b, a, 0.5)) for name, k, b, a in layers))


BIAS, SOURCE = Fixed(6, 0), Fixed(10, 3)


def uniform(kernel, activation, bias=BIAS, source=SOURCE) -> Design:
    return design_of(source, [kernel] * 4, [bias] * 4, [activation] * 3)


SIX_BITS = uniform(Fixed(6, 0), Relu(6, 0))
DESIGNS = {
    "6 bits": SIX_BITS,
    "negative integer bits": uniform(Fixed(4, -6), Relu(3, 0), Fixed(8, -3)),
    "wide bias": uniform(Fixed(4, -2), Relu(5, 2), Fixed(12, 4)),
    "ternary": uniform(Ternary(-3), Relu(6, 1)),
    "binary": uniform(Binary(-2), Relu(4, 2)),
    "one bit": uniform(Fixed(5, 0), Relu(1, 1)),
    "one bit, ternary": uniform(Ternary(-1), Relu(1, 1)),
    "one bit, binary": uniform(Binary(-1), Relu(1, 1), Ternary(-2)),
    "all ternary": uniform(Ternary(-1), Ternary(0), Ternary(-2), Ternary(0)),
    "all binary": uniform(Binary(-1), Binary(0), Binary(-2), Binary(0)),
    "ternary data": uniform(Fixed(7, 1), Ternary(1)),
    "binary data": uniform(Fixed(3, 1), Binary(1), Fixed(7, 2), Binary(0)),
    "signed activations": uniform(Ternary(-1), Fixed(5, 2)),
    "powers of two": uniform(PowerOfTwo(4), Relu(6, 1)),
    "small powers of two": uniform(PowerOfTwo(4, -1), Relu(6, 1)),
    "powers of two, one bit": uniform(PowerOfTwo(3, 1), Relu(1, 1)),
    "powers of two, ternary data": uniform(PowerOfTwo(3), Ternary(0)),
    "powers of two on both sides": uniform(PowerOfTwo(3, 1), ReluPowerOfTwo(3, 2)),
    "power-of-two data": uniform(Fixed(5, 0), ReluPowerOfTwo(4)),
    "power-of-two data, binary": uniform(Binary(-1), ReluPowerOfTwo(3)),
    "power-of-two bias": uniform(Fixed(4, 0), Relu(4, 1), PowerOfTwo(4, 3)),
    "small power-of-two bias": uniform(Fixed(5, 1), Relu(3, 0), PowerOfTwo(4, -1)),
    "unsigned": uniform(Fixed(4, 0, signed=False), Relu(4, 1), Fixed(6, 0, signed=False)),
    "scaled": uniform(Fixed(4, -2, exponent=-3), Relu(4, 1)),
    "scale from the values": uniform(Fixed(4, 0, exponent=None), Relu(4, 1)),
    "stochastic": design_of(
        Fixed(8, 3),
        [StochasticTernary(-1), StochasticBinary(-1), StochasticTernary(None), Binary(None)],
        [Fixed(6, 0)] * 4,
        [Relu(4, 1)] * 3,
    ),
    "mixed": design_of(
        Fixed(12, 5),
        [Fixed(3, -1), Ternary(-2), Binary(-3), Fixed(8, 0)],
        [Fixed(9, 1), Fixed(4, 0), Fixed(16, -2), Relu(5, 3)],
        [Relu(2, 0), Binary(0), Ternary(2)],
    ),
}
MODES = {
    "sram": {"weights_on": "sram", "activations_on": "sram"},
    "fixed": {"weights_on": "fixed", "activations_on": "sram"},
    "all fixed": {"weights_on": "fixed", "activations_on": "fixed"},
    "dram": {"weights_on": "dram", "activations_on": "dram"},
    "dram and io": {"weights_on": "dram", "activations_on": "sram", "io_on_dram": True},
    "large sram": {"weights_on": "sram", "activations_on": "dram", "min_sram_bits": 2**17, "io_on_dram": True},
}


COMPARED = (
    "dense",
    "dense without bias",
    "dense normalized",
    "tanh",
    "conv1d valid",
    "conv1d same, stride 2",
    "conv2d valid",
    "conv2d same",
    "conv2d stride 2",
    "conv2d normalized",
    "depthwise",
    "separable",
    "max pooling",
    "pooling 1d",
    "global max",
    "add",
    "concatenate",
    "reshape",
    "residual",
)


def dense_model(design: Design, grid: bool):
    import keras
    from qkeras import QActivation, QDense

    from flow.train.qkeras_quantizers import quantizer_of

    values = inputs = keras.Input((SIZES[0],))
    if grid:
        values = QActivation(quantizer_of(design.input), name="input_grid")(values)
    for layer in TOPOLOGY.layers:
        item = design[layer.name]
        values = QDense(
            layer.n_out,
            kernel_quantizer=quantizer_of(item.kernel),
            bias_quantizer=quantizer_of(item.bias),
            name=layer.name,
        )(values)
        if item.activation is not None:
            values = QActivation(quantizer_of(item.activation), name=f"{layer.name}_relu")(values)
    model = keras.Model(inputs, values)
    model(np.ones((1, SIZES[0])))  # QTools looks for the scale that a call leaves
    return model


@pytest.fixture(scope="module")
def tools():
    """QTools' view of each design, made once; with a layer for the input grid or without."""
    made = {}

    def of(name: str, grid: bool):
        from qkeras.qtools import run_qtools

        from flow.train.qkeras_quantizers import quantizer_of

        if (name, grid) not in made:
            design = DESIGNS[name]
            source = None if grid else [quantizer_of(design.input)]
            made[name, grid] = run_qtools.QTools(dense_model(design, grid), "horowitz", source, is_inference=False)
        return made[name, grid]

    return of


def by_qtools(tool, monkeypatch, weights_on, activations_on, min_sram_bits=0, io_on_dram=False) -> dict[str, float]:
    """What QTools adds up by layer, unrounded: its parts pass `to_scalar` in a fixed order."""
    from qkeras.qtools.qenergy import qenergy
    from qkeras.qtools.settings import cfg

    seen, scalar = [], qenergy.to_scalar
    with monkeypatch.context() as patch:
        patch.setattr(qenergy, "to_scalar", lambda x: seen.append(float(scalar(x))) or seen[-1])
        rows = tool.pe(weights_on, activations_on, min_sram_bits, io_on_dram)
    rows.pop("total_cost")
    assert len(seen) == 4 * len(rows)
    found = {}
    for (name, row), parts in zip(rows.items(), zip(*[iter(seen)] * 4)):
        parts = dict(zip(("inputs", "outputs", "parameters", "op_cost"), parts))
        keys = cfg.include_energy.get(row["class_name"], cfg.include_energy["default"])
        found[name] = sum(parts[key] for key in keys)
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DESIGNS)
def test_agrees_with_qtools(name, mode, tools, monkeypatch):
    found = energy_by_layer(TOPOLOGY, DESIGNS[name], **MODES[mode])
    expected = by_qtools(tools(name, grid=False), monkeypatch, **MODES[mode])
    assert found == pytest.approx(expected, rel=1e-6)
    assert energy(TOPOLOGY, DESIGNS[name], **MODES[mode]) == pytest.approx(sum(expected.values()), rel=1e-6)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_layer_for_the_input_grid_changes_no_other(name, tools, monkeypatch):
    expected = by_qtools(tools(name, grid=True), monkeypatch, "sram", "sram")
    expected.pop("input_grid")
    assert energy_by_layer(TOPOLOGY, DESIGNS[name]) == pytest.approx(expected, rel=1e-6)


def test_what_qtools_has_no_answer_to_is_known():
    """The networks left out below; a new QKeras may learn to answer."""
    kinds = {
        name
        for name, topology in NETWORKS.items()
        for layer in topology.layers
        if isinstance(layer, Scale)
        or (isinstance(layer, Pool) and layer.operation == "average")
        or getattr(layer, "activation", "") == "sigmoid"
    }
    assert set(NETWORKS) - kinds == set(COMPARED)


KERNELS = (
    Fixed(5, 0),
    Fixed(4, 0, signed=False),
    Fixed(4, 0, exponent=None),
    PowerOfTwo(4),
    PowerOfTwo(4, -1),
    Ternary(-1),
    Binary(-1),
    StochasticTernary(-1),
    StochasticBinary(-1),
)
# One format for each function in a network: QTools pairs what a merge reads with its formats in no certain order.
ACTIVATIONS = (
    {"relu": (Relu(4, 1),), "linear": (Fixed(4, 1),), "tanh": (Tanh(3),)},
    {"relu": (Relu(4, 2, upper=1.5),), "linear": (Fixed(5, 1),), "tanh": (Tanh(4),)},
    {"relu": (ReluPowerOfTwo(4, 2),), "linear": (Ternary(0),), "tanh": (Tanh(8),)},
    {"relu": (ReluPowerOfTwo(3),), "linear": (Binary(0),), "tanh": (Tanh(5),)},
    {"relu": (Relu(1, 1),), "linear": (Fixed(3, 0),), "tanh": (Tanh(2),)},
)
EVERY_MODE = list(itertools.product(MEMORIES, MEMORIES, (0, 2**15), (False, True)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(len(ACTIVATIONS)))
@pytest.mark.parametrize("name", COMPARED)
def test_agrees_with_qtools_on_every_kernel_activation_and_memory(name, seed, monkeypatch):
    from qkeras.qtools import run_qtools

    from flow.train import qkeras_model
    from flow.train.initial import random_weights

    topology = NETWORKS[name]
    design = example_design(topology, seed, kernels=KERNELS, activations=ACTIVATIONS[seed])
    model = qkeras_model.build(topology, design, example_scaling(topology), random_weights(topology, 0))
    model(np.ones((1, topology.n_in)))
    tool = run_qtools.QTools(model, "horowitz", None)
    # The deployed model has layers for offsets and grid; the design's first layers are those that read its input.
    first = [layer.name for layer in topology.layers if INPUT in topology.sources[layer.name]]
    tool._layer_map["input_layers"] = [model.get_layer(layer) for layer in first]
    for mode in EVERY_MODE[seed :: len(ACTIVATIONS)]:  # each mode once for each network
        expected = by_qtools(tool, monkeypatch, *mode)
        for layer in ("input_offset", "input_grid", "input_shape"):
            expected.pop(layer, None)
        assert energy_by_layer(topology, design, *mode) == pytest.approx(expected, rel=1e-5), mode


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", COMPARED)
def test_agrees_with_qtools_on_graphs(name, seed, monkeypatch):
    """The deployed model, its input layers apart: their read is not the design's."""
    from qkeras.qtools import run_qtools

    from flow.train import qkeras_model
    from flow.train.initial import random_weights

    topology = NETWORKS[name]
    # One activation format: QTools pairs what a merge reads with its formats in no certain order.
    design = example_design(topology, seed, activations={"relu": ((Relu(3, 0), Relu(5, 2))[seed],)})
    model = qkeras_model.build(topology, design, example_scaling(topology), random_weights(topology, 0))
    expected = by_qtools(run_qtools.QTools(model, "horowitz", None), monkeypatch, "sram", "sram")
    for layer in ("input_offset", "input_grid", "input_shape"):
        expected.pop(layer, None)
    assert energy_by_layer(topology, design) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_an_energy(name):
    topology = NETWORKS[name]
    design = example_design(topology)
    rows = energy_by_layer(topology, design)
    behind = {f"{layer.name}_{layer.activation}" for layer in topology.weighted if topology.quantized(layer)}
    assert set(rows) == {layer.name for layer in topology.layers} | behind
    assert all(value >= 0 for value in rows.values()) and all(rows[layer.name] > 0 for layer in topology.weighted)
    wired = energy(topology, design, weights_on="fixed")
    assert 0 < wired < energy(topology, design)


def test_hardware_roundings_cost_what_their_cousins_cost():
    for hardware, cousin in ((TruncatedRelu(4, 1), Relu(4, 1)), (HalfUpRelu(1, 1), Relu(1, 1))):
        assert energy(TOPOLOGY, uniform(Fixed(4, 0), hardware)) == energy(TOPOLOGY, uniform(Fixed(4, 0), cousin))
    source = uniform(Fixed(4, 0), Relu(4, 1), source=TruncatedBits(10, 3))
    assert energy(TOPOLOGY, source) == energy(TOPOLOGY, uniform(Fixed(4, 0), Relu(4, 1)))


def test_a_convolution_pays_for_each_position():
    """One step at a time is a fully connected layer at each position."""
    steps = Topology((Conv("conv", (10, 3), 4, (1,), (1,)),), (10, 3))
    dense = Topology((Dense("fc", 3, 4),))
    part = LayerDesign(Fixed(4, 0), Fixed(6, 0), None)
    arithmetic = {"weights_on": "fixed", "activations_on": "fixed"}
    many = energy(steps, Design(Fixed(8, 2), (("conv", part),)), **arithmetic)
    one = energy(dense, Design(Fixed(8, 2), (("fc", part),)), **arithmetic)
    reads = [energy_by_layer(t, Design(Fixed(8, 2), ((n, part),)))[n] for t, n in ((steps, "conv"), (dense, "fc"))]
    assert reads[0] > reads[1] and many > 8 * one


def test_published_figures_of_the_six_bit_network():
    found = energy_by_layer(TOPOLOGY, SIX_BITS)
    expected = {"fc0": 276.18, "fc1": 385.44, "fc2": 193.28, "fc3": 33.65}
    assert {name: round(found[name], 2) for name in expected} == expected


@pytest.mark.parametrize(
    "data, kernel, kind",
    [
        (Fixed(8, 3), Fixed(6, 0), "mul"),
        (Relu(6, 2), Fixed(6, 0), "mul"),
        (Relu(6, 2), Ternary(-1), "mux"),
        (Relu(6, 2), Binary(-1), "mux"),
        (Ternary(0), Fixed(4, 0), "mux"),
        (Ternary(0), Binary(0), "mux"),
        (Binary(0), Binary(-3), "xor"),
        (Relu(1, 1), Fixed(4, 0), "and"),
        (Relu(6, 2), PowerOfTwo(4), "shifter"),
        (ReluPowerOfTwo(4), PowerOfTwo(4), "add"),
    ],
)
def test_multiplier_kinds(data, kernel, kind):
    assert multiplier(data, kernel).kind == kind


def test_constants_are_those_of_the_installed_qtools():
    from qkeras.qtools.config_public import config_settings

    table = config_settings["horowitz"]
    assert list(HOROWITZ.add) == table["fpm_add"]
    assert list(HOROWITZ.multiply) == table["fpm_mul"]
    assert list(HOROWITZ.sram) == table["sram_rd"]
    assert list(HOROWITZ.dram) == table["dram_rd"]


def test_what_is_not_known_is_refused():
    with pytest.raises(BadInput, match="sram, dram, fixed"):
        energy(TOPOLOGY, SIX_BITS, weights_on="flash")


def test_a_design_takes_less_than_a_millisecond():
    runs, start = 100, time.process_time()
    for _ in range(runs):
        energy(TOPOLOGY, SIX_BITS)
    assert (time.process_time() - start) / runs < 1e-3
