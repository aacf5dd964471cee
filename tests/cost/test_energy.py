"""The closed form against QTools itself, part by part, before QTools rounds to 0.01 pJ."""

import itertools
import time

import pytest

from flow.cost.energy import HOROWITZ, energy, energy_by_layer, multiplier
from flow.design import Design, LayerDesign
from flow.errors import BadInput
from flow.formats import Binary, Fixed, Relu, Ternary
from flow.topology import Dense, Topology

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


def uniform(kernel, activation, bias=Fixed(6, 0), source=Fixed(10, 3)) -> Design:
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
    "mixed": design_of(
        Fixed(12, 5),
        [Fixed(3, -1), Ternary(-2), Binary(-3), Fixed(8, 0)],
        [Fixed(9, 1), Fixed(4, 0), Fixed(16, -2), Relu(5, 3)],
        [Relu(2, 0), Binary(0), Ternary(2)],
    ),
}
MODES = {
    "sram": dict(weights_on="sram", activations_on="sram"),
    "fixed": dict(weights_on="fixed", activations_on="sram"),
    "all fixed": dict(weights_on="fixed", activations_on="fixed"),
    "dram": dict(weights_on="dram", activations_on="dram"),
    "dram and io": dict(weights_on="dram", activations_on="sram", io_on_dram=True),
    "large sram": dict(weights_on="sram", activations_on="dram", min_sram_bits=2**17, io_on_dram=True),
}


def qkeras_model(design: Design, grid: bool):
    import keras
    from qkeras import QActivation, QDense

    from flow.train.qkeras_model import _quantizer

    values = inputs = keras.Input((SIZES[0],))
    if grid:
        values = QActivation(_quantizer(design.input), name="input_grid")(values)
    for layer in TOPOLOGY.layers:
        item = design[layer.name]
        values = QDense(
            layer.n_out,
            kernel_quantizer=_quantizer(item.kernel),
            bias_quantizer=_quantizer(item.bias),
            name=layer.name,
        )(values)
        if item.activation is not None:
            values = QActivation(_quantizer(item.activation), name=f"{layer.name}_relu")(values)
    return keras.Model(inputs, values)


@pytest.fixture(scope="module")
def tools():
    """QTools' view of each design, made once; with a layer for the input grid or without."""
    made = {}

    def of(name: str, grid: bool):
        from qkeras.qtools import run_qtools

        from flow.train.qkeras_model import _quantizer

        if (name, grid) not in made:
            design = DESIGNS[name]
            source = None if grid else [_quantizer(design.input)]
            made[name, grid] = run_qtools.QTools(qkeras_model(design, grid), "horowitz", source, is_inference=False)
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
    with pytest.raises(BadInput, match="signed kernels"):
        energy(TOPOLOGY, uniform(Relu(4, 0), Relu(4, 0)))


def test_a_design_takes_less_than_a_millisecond():
    runs, start = 100, time.process_time()
    for _ in range(runs):
        energy(TOPOLOGY, SIX_BITS)
    assert (time.process_time() - start) / runs < 1e-3
