"""Ranges: the float network against Keras, and a design's quantizers against what they really clip."""

import json
from dataclasses import replace

import numpy as np
import pytest
from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from weights import example_weights

from flow.design import Design, LayerDesign
from flow.formats import ACTIVATIONS_OF, KINDS, WIDTHLESS, Binary, Fixed, Format, Relu, Ternary
from flow.topology import Activation, Conv, Dense, Merge, Pool, Reshape, Scale, Topology
from flow.train.ranges import LayerRange, hidden_values, ranges

ONE = Topology((Dense("fc0", 1, 1, "relu"), Dense("out", 1, 1)))


def values_of(topology: Topology, n: int = 50) -> np.ndarray:
    scaling = example_scaling(topology)
    return scaling.centred(example_words(topology, scaling, n))


@pytest.mark.parametrize("name", NETWORKS)
def test_hidden_values_are_those_of_plain_keras(name):
    keras = pytest.importorskip("keras")
    topology = NETWORKS[name]
    weights, values = example_weights(topology, 1), values_of(topology)
    found = hidden_values(topology, weights, values)
    assert list(found) == [layer.name for layer in topology.layers]
    theirs = plain_keras(keras, topology, weights)(values.astype(np.float32))
    for layer, other in zip(topology.layers, theirs):
        assert found[layer.name].shape == (len(values), *layer.shape)
        np.testing.assert_allclose(found[layer.name], other, rtol=1e-4, atol=1e-5)


def plain_keras(keras, topology: Topology, weights):
    """The float network in Keras' own layers; it puts out what every layer does."""
    entry = keras.Input((topology.n_in,))
    found = {"input": keras.layers.Reshape(topology.input_shape)(entry)}
    for layer in topology.layers:
        read = [found[name] for name in topology.sources[layer.name]]
        made = keras_layer(keras, layer)
        values = read[0] if made is None else made(read if isinstance(layer, Merge) else read[0])
        if layer.name in weights:
            kernel, bias = weights[layer.name]
            arrays = [kernel] if bias is None else [kernel, bias]
            if isinstance(layer, Scale):
                arrays += [np.zeros_like(kernel), np.ones_like(kernel)]
            made.set_weights(arrays)
        found[layer.name] = keras.layers.Activation(getattr(layer, "activation", "linear"))(values)
    return keras.Model(entry, [found[layer.name] for layer in topology.layers])


def keras_layer(keras, layer):
    k = keras.layers
    match layer:
        case Dense():
            return k.Dense(layer.n_out, use_bias=layer.bias)
        case Conv(depthwise=True):
            return k.DepthwiseConv2D(layer.window, layer.strides, layer.padding, use_bias=layer.bias)
        case Conv():
            kind = k.Conv1D if len(layer.window) == 1 else k.Conv2D
            return kind(layer.filters, layer.window, layer.strides, layer.padding, use_bias=layer.bias)
        case Scale():
            return k.BatchNormalization(epsilon=0.0)
        case Pool():
            operation = layer.operation.title()
            if layer.flat:
                return getattr(k, f"Global{operation}Pooling{len(layer.window)}D")()
            return getattr(k, f"{operation}Pooling{len(layer.window)}D")(layer.window, layer.strides)
        case Merge():
            return k.Add() if layer.operation == "add" else k.Concatenate()
        case Reshape():
            return k.Reshape(layer.shape)
    return None


def test_more_events_than_a_batch(monkeypatch):
    topology = NETWORKS["residual"]
    weights, values, design = example_weights(topology, 1), values_of(topology), example_design(topology)
    whole, report = hidden_values(topology, weights, values), ranges(topology, design, weights, values)
    monkeypatch.setattr("flow.train.exact.BATCH", 7)
    for name, found in hidden_values(topology, weights, values).items():
        np.testing.assert_allclose(found, whole[name], rtol=1e-12)
    assert ranges(topology, design, weights, values) == report
    assert list(hidden_values(topology, weights, values, ["conv1"])) == ["conv1"]
    assert hidden_values(topology, weights, values[:0])["conv1"].shape == (0, 3, 3, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_quantizer_has_a_range(name):
    topology = NETWORKS[name]
    design = example_design(topology, 3)
    found = ranges(topology, design, example_weights(topology, 3), values_of(topology))
    expected = [("input", "input")]
    for layer in topology.designed:
        item = design[layer.name]
        parts = ("kernel", item.kernel), ("bias", item.bias), ("activation", item.activation)
        expected += [(layer.name, part) for part, form in parts if form is not None]
    assert [(item.layer, item.part) for item in found] == expected
    assert json.loads(json.dumps([item.to_json() for item in found]))[0]["part"] == "input"
    for item in found:
        assert item.smallest <= item.largest
        assert 0 <= item.saturated <= 1


def one(form: Format, values) -> LayerRange:
    """The range in front of the activation of a layer that multiplies by 1."""
    function = next(name for name, kinds in ACTIVATIONS_OF.items() if form.kind in kinds)
    topology = Topology((Activation("grid", (1,), function), Dense("out", 1, 1)), (1,))
    out = LayerDesign(Fixed(3, 1), Fixed(4, 0), None)
    design = Design(Fixed(20, 6), (("grid", LayerDesign(None, None, form)), ("out", out)))
    weights = {"out": (np.ones((1, 1), np.float32), np.zeros(1, np.float32))}
    found = ranges(topology, design, weights, np.asarray(values, dtype=float)[:, None])
    return next(item for item in found if item.part == "activation")


def test_saturation_is_counted_beyond_a_rounding():
    found = one(Relu(3, 1), [-5.0, 0.0, 1.75, 1.8125, 1.9375, 2.0, 3.0, 8.5])  # ends at 1.75, step 1/4
    assert (found.smallest, found.largest, found.low, found.high) == (-5.0, 8.5, 0.0, 1.75)
    assert found.saturated == 4 / 8
    assert (found.integer, found.integer_needed) == (1, 4)
    signed = one(Fixed(4, 1), [-2.0, -2.125, -2.25, 1.75, 1.875, 2.0])
    assert signed.saturated == 2 / 6
    assert (signed.integer, signed.integer_needed) == (1, 2)


GRIDS = [
    Fixed(4, 1),
    Fixed(4, 1, symmetric=True),
    Fixed(5, -1),
    Relu(3, 1),
    Relu(4, 3),
    KINDS["truncated_bits"](4, 1),
    KINDS["half_up_bits"](4, 0),
    KINDS["truncated_relu"](3, 1),
    KINDS["half_up_relu"](3, 2),
    Ternary(0),
    Ternary(-2),
    Binary(-1),
]


@pytest.mark.parametrize("form", GRIDS, ids=str)
@pytest.mark.parametrize("scale", [0.01, 0.4, 3.0, 20.0])
def test_the_integer_bits_needed_hold_everything_and_fewer_do_not(form, scale):
    values = np.random.default_rng(1).normal(0, scale, 500)
    values = Fixed(20, 6).quantize(values)
    found = one(form, values)
    more = found.integer_needed - form.integer
    assert more > 0 if found.saturated else more <= 0
    assert one(with_integer(form, found.integer_needed), values).saturated == 0
    if found.saturated:
        assert one(with_integer(form, found.integer_needed - 1), values).saturated > 0


def with_integer(form: Format, integer: int) -> Format:
    """The format of the same step with other integer bits; a kind without a width gets another scale."""
    if form.kind in WIDTHLESS:
        return type(form)(integer - 1)
    bits = form.bits + integer - form.integer
    return replace(form, bits=max(bits, 1 + form.signed), integer=integer)


@pytest.mark.parametrize("kind", ["quantized_tanh", "quantized_sigmoid"])
def test_hard_functions_saturate_beyond_their_line_and_have_no_integer_bits(kind):
    found = one(KINDS[kind](4), [-2.0, -1.0, 0.0, 1.0, 1.5])
    assert found.saturated == 2 / 5
    assert found.integer is None and found.integer_needed is None


def test_weights_are_held_against_their_formats():
    layers = (
        ("fc0", LayerDesign(Fixed(3, 0), Fixed(4, 0), Relu(4, 1))),
        ("out", LayerDesign(Ternary(-1), Fixed(4, 0), None)),
    )
    weights = {
        "fc0": (np.array([[1.8]], np.float32), np.array([-1.5], np.float32)),
        "out": (np.array([[0.2]], np.float32), np.array([0.5], np.float32)),
    }
    found = {
        (item.layer, item.part): item for item in ranges(ONE, Design(Fixed(5, 2), layers), weights, np.ones((3, 1)))
    }
    assert found["fc0", "kernel"].saturated == 1
    assert found["fc0", "kernel"].integer_needed == 1
    assert found["fc0", "bias"].saturated == 1
    assert found["out", "kernel"].saturated == found["out", "bias"].saturated == 0
    assert ("out", "activation") not in found


def test_scales_taken_from_the_values_never_saturate():
    layers = (
        ("fc0", LayerDesign(Fixed(3, 0, exponent=None), Fixed(4, 0), Relu(4, 1))),
        ("out", LayerDesign(Binary(None), Fixed(4, 0), None)),
    )
    weights = {
        "fc0": (np.array([[5.0]], np.float32), np.array([0.0], np.float32)),
        "out": (np.array([[0.2]], np.float32), np.array([0.5], np.float32)),
    }
    found = ranges(ONE, Design(Fixed(5, 2), layers), weights, np.ones((3, 1)))
    for item in found:
        if item.part == "kernel":
            assert item.saturated == 0 and item.integer_needed is None
    activation = next(item for item in found if item.part == "activation")
    assert activation.largest == pytest.approx(5.0, abs=1.0), "the scaled kernel multiplies"


def test_powers_of_two():
    found = one(KINDS["quantized_relu_po2"](3, 1), [0.1, 1.0, 2.0, 2.7, 3.0, 9.0])
    assert found.high == 2.0
    assert found.saturated == 2 / 6
    assert found.integer_needed == 4
