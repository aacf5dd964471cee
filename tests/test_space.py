"""Spaces and designs: choices become formats; what doesn't fit is refused before training."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from networks import NETWORKS

from flow.design import Design, check
from flow.errors import BadInput
from flow.formats import (
    Binary,
    Fixed,
    PowerOfTwo,
    Relu,
    StochasticTernary,
    Tanh,
    Ternary,
    TruncatedBits,
    TruncatedRelu,
)
from flow.space import SearchSpace, build_space, check_space, formats, least_design
from flow.task import parse_text
from flow.topology import Dense, Scale, Topology, Weighted

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("out", 6, 3, "linear")))
PATH = Path("models/x/task.yaml")


def space_of(text: str = ""):
    return parse_text(text, PATH).space


def built(topology: Topology, text: str = "") -> SearchSpace:
    """The space with integer bits from random weights and values."""
    rng = np.random.default_rng(0)
    weights = {
        l.name: (rng.normal(0, 0.3, l.kernel_shape), rng.normal(0, 0.1, l.shape[-1]) if l.bias else None)
        for l in topology.weighted
    }
    values = {name: np.abs(rng.normal(0, 1, (500, *shape))) for name, shape in topology.shapes.items()}
    return build_space(space_of(text), topology, weights, values | {"input": rng.normal(0, 1, (500, 4))}, PATH)


@pytest.fixture
def space() -> SearchSpace:
    return built(TOPOLOGY)


def test_every_choice_gives_a_design_that_fits(space):
    rng = np.random.default_rng(1)
    for _ in range(50):
        design = space.design({name: rng.choice(options) for name, options in space.parameters.items()})
        check(design, TOPOLOGY)
        assert Design.from_json(json.loads(str(design))) == design
    assert space.size == np.prod([len(o) for o in space.parameters.values()])


def test_a_space_comes_back_from_json(space):
    back = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert back.choices == space.choices and back.to_json() == space.to_json()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_space(name):
    topology = NETWORKS[name]
    check_space(space_of(), topology, PATH)
    space = built(topology)
    expected = {"input"}
    for layer in topology.designed:
        expected |= {f"{layer.name}.kernel"} if isinstance(layer, Weighted) else set()
        expected |= {f"{layer.name}.keep"} if isinstance(layer, Weighted) and not isinstance(layer, Scale) else set()
        expected |= {f"{layer.name}.bias"} if getattr(layer, "bias", False) else set()
        expected |= {f"{layer.name}.activation"} if topology.quantized(layer) else set()
    assert set(space.parameters) == expected
    back = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert back.choices == space.choices and back.topology.shapes == topology.shapes
    rng = np.random.default_rng(1)
    for _ in range(10):
        chosen = {name: str(rng.choice(options)) for name, options in space.parameters.items()}
        check(back.design(chosen), topology)
        assert back.design(chosen) == space.design(chosen)
    check(least_design(space_of(), topology, PATH), topology)


def test_the_ladder_goes_from_one_end_to_the_other(space):
    rungs = space.ladder(8)
    assert rungs[0] == {n: o[0] for n, o in space.parameters.items()}
    assert rungs[-1] == {n: o[-1] for n, o in space.parameters.items()}
    assert len({json.dumps(r, sort_keys=True) for r in rungs}) == len(rungs)


def test_the_digest_names_the_formats(space):
    design = space.design({n: o[0] for n, o in space.parameters.items()})
    other = dataclasses.replace(design, input=Fixed(9, 3))
    assert len(design.digest) == 12 and design.digest != other.digest
    assert Design.from_json(design.to_json()).digest == design.digest


def test_explicit_integer_bits_are_kept():
    text = 'space: {layers: {fc0: {kernel: ["quantized_bits(5,-2)", "ternary(alpha=0.5)"], keep: [0.5]}}}'
    space = built(TOPOLOGY, text)
    chosen = dict(space.choices)["fc0.kernel"]
    assert [value for _, value in chosen] == [Fixed(5, -2), Ternary(-1)]
    assert space.parameters["fc0.keep"] == ("0.5",)
    assert "out.activation" not in space.parameters


def test_choices_of_every_kind():
    """What a choice leaves open is taken from the ranges: integer bits, scales, largest powers of two."""
    text = (
        'space: {input: ["truncated_bits(6)"], activation: ["truncated_relu(4)", "quantized_relu(4,1,relu_upper_bound=1.5)"],'
        ' layers: {fc0: {kernel: ["quantized_po2(4)", "quantized_po2(4,0.25)", stochastic_ternary,'
        ' "quantized_bits(4,0,0,alpha=\'auto_po2\')", "quantized_bits(4,0,1,alpha=0.25)"]}}}'
    )
    chosen = {name: [value for _, value in options] for name, options in built(TOPOLOGY, text).choices}
    assert isinstance(chosen["input"][0], TruncatedBits) and chosen["input"][0].bits == 6
    assert isinstance(chosen["fc0.activation"][0], TruncatedRelu) and chosen["fc0.activation"][1] == Relu(4, 1, 1.5)
    free, bound, drawn, auto, scaled = chosen["fc0.kernel"]
    assert isinstance(free, PowerOfTwo) and free.max_exponent is not None and bound == PowerOfTwo(4, -2)
    assert isinstance(drawn, StochasticTernary) and drawn.exponent is not None
    assert auto == Fixed(4, 0, exponent=None) and scaled == Fixed(4, -2, symmetric=True, exponent=-2)


def test_each_function_has_choices_of_its_own():
    topology = NETWORKS["scale"]  # a linear activation on its own
    text = 'space: {linear: ["quantized_bits(7,1)"], tanh: ["quantized_tanh(5)"]}'
    parameters = built(topology, text).parameters
    assert parameters["grid.activation"] == ("quantized_bits(7,1)",)
    assert parameters["fc0.activation"][0] == "quantized_relu(2)" and "norm.keep" not in parameters
    assert dict(built(NETWORKS["tanh"], text).choices)["fc0.activation"] == (("quantized_tanh(5)", Tanh(5)),)
    own = 'space: {layers: {grid: {activation: ["quantized_bits(3)"]}}}'
    assert built(topology, own).parameters["grid.activation"] == ("quantized_bits(3)",)


def test_formats_say_what_each_choice_is_for():
    found = {key: role for key, role, _, _ in formats(space_of(), NETWORKS["add"], PATH)}
    assert found["input"] == "input" and found["left.kernel"] == "kernel" and found["out.bias"] == "bias"
    assert found["rectified.activation"] == "relu" and not any(key.endswith(".keep") for key in found)


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("add", "space: {layers: {rectified: {kernel: [binary]}}}", ["rectified.kernel", "has no kernel"]),
        ("add", 'space: {layers: {left: {activation: ["quantized_bits(4)"]}}}', ["left.activation", "is linear"]),
        ("scale", "space: {layers: {norm: {keep: [0.5]}}}", ["norm.keep", "only scales"]),
        ("dense without bias", 'space: {layers: {fc0: {bias: ["quantized_bits(4)"]}}}', ["fc0.bias", "has no bias"]),
        ("tanh", 'space: {tanh: ["quantized_relu(4)"]}', ["fc0.activation", "quantized_tanh"]),
        ("max pooling", "space: {layers: {pool: {keep: [0.5]}}}", ["no layer 'pool'", "conv, out"]),
    ],
)
def test_what_does_not_fit_a_graph_is_said(name, text, words):
    with pytest.raises(BadInput) as caught:
        check_space(space_of(text), NETWORKS[name], PATH)
    assert all(word in str(caught.value) for word in [*words, str(PATH)])


@pytest.mark.parametrize(
    "text, words",
    [
        ("space: {layers: {fc: {kernel: [binary]}}}", ["no layer 'fc'", "did you mean 'fc0'", "fc0, out"]),
        ('space: {layers: {out: {activation: ["quantized_relu(4)"]}}}', ["space.layers.out.activation", "logits"]),
        ('space: {kernel: ["quantized_relu(4)"]}', ["fc0.kernel", "quantized_relu", "quantized_bits, ternary, binary"]),
        ('space: {activation: ["quantized_tanh(4)"]}', ["fc0.activation", "quantized_relu"]),
        ('space: {kernel: ["quantised_bits(4)"]}', ["quantised_bits", "known"]),
        ('space: {kernel: ["quantized_bits(99)"]}', ["2 to 32 bits"]),
        ('space: {kernel: ["quantized_bits(1)"]}', ["2 to 32 bits"]),
        ("space: {kernel: []}", ["fc0.kernel", "no choice"]),
        ("space: {input: [binary]}", ["input", "quantized_bits"]),
    ],
)
def test_what_does_not_fit_is_said(text, words):
    with pytest.raises(BadInput) as caught:
        check_space(space_of(text), TOPOLOGY, PATH)
    assert all(word in str(caught.value) for word in [*words, str(PATH)])


def test_the_least_design():
    least = least_design(space_of(), TOPOLOGY, PATH)
    assert isinstance(least["fc0"].kernel, Binary) and least["fc0"].keep == 0.2
    assert least["fc0"].activation == Relu(2, 0) and least["out"].activation is None


def test_a_design_for_another_network_is_refused(space):
    design = space.design({n: o[0] for n, o in space.parameters.items()})
    with pytest.raises(ValueError, match="fc0, out"):
        check(design, Topology((Dense("a", 4, 6, "relu"), Dense("out", 6, 3, "linear"))))
