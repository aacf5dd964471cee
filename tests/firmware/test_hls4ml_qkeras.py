"""Networks of every kind of layer and format in hls4ml: bit-exact against QKeras, or refused by name."""

import json
from dataclasses import replace

import numpy as np
import pytest

from flow.design import Design, LayerDesign
from flow.errors import BadInput
from flow.firmware.settings import IoType, Target
from flow.formats import (
    Binary,
    Fixed,
    HalfUpBits,
    HalfUpRelu,
    PowerOfTwo,
    Relu,
    Sigmoid,
    StochasticBinary,
    StochasticTernary,
    Tanh,
    Ternary,
    TruncatedBits,
    TruncatedRelu,
)
from flow.topology import Activation, Conv, Dense, Merge, Reshape, Topology
from tests.designs import example_design, example_scaling, example_words
from tests.networks import NETWORKS

pytest.importorskip("hls4ml")
pytest.importorskip("qkeras")

from flow.firmware import hls, hls4ml_qkeras, precision
from flow.firmware.gate import comparison
from flow.train import qkeras_model

TARGET = Target("xcvu13p-flga2577-2-e", 5.0)


def example(topology, design=None, seed=0):
    """A QKeras model of any network with random weights, the format of its words, and words to compare on."""
    random = np.random.default_rng(seed)
    weights = {
        layer.name: (
            random.normal(0, 0.5, layer.kernel_shape).astype(np.float32),
            random.normal(0, 0.4, layer.shape[-1:]).astype(np.float32) if layer.bias else None,
        )
        for layer in topology.weighted
    }
    scaling = example_scaling(topology)
    model = qkeras_model.build(topology, design or example_design(topology, seed), scaling, weights)
    return model, scaling.word, example_words(topology, scaling, 300, seed)


def layer_names(model):
    """Those whose outputs a project shows: reshaping is a matter of indices alone."""
    return tuple(x.name for x in model.layers if type(x).__name__ not in ("InputLayer", "Reshape"))


@pytest.mark.parametrize("name", NETWORKS)
def test_types_hold_what_every_network_computes_and_projects_are_written(name, tmp_path):
    model, word, words = example(NETWORKS[name])
    reference = qkeras_model.reference(model, words)
    result_types = hls4ml_qkeras.result_types(model, word)
    found = precision.types(hls4ml_qkeras.stages(model), word, words.shape[1])
    assert list(result_types) == list(reference)
    for layer, values in reference.items():
        assert result_types[layer].holds(values), layer
        low, high = found[layer].low.reshape(-1), found[layer].high.reshape(-1)
        assert low.size == values.shape[1] and np.all((low <= values) & (values <= high)), layer
    for io_type in IoType:
        hls.write(model, word, tmp_path / io_type, "tiny", replace(TARGET, io_type=io_type))
        written = json.loads((tmp_path / io_type / "csim.json").read_text())["layers"]
        assert [tuple(row) for row in written] == [(x, reference[x].shape[1]) for x in layer_names(model)]


def gate(model, word, words, folder):
    types = hls4ml_qkeras.result_types(model, word)
    return comparison.compare(qkeras_model.reference(model, words), [comparison.csim_side(folder)], words, types)


def exact(model, word, words, folder, **options):
    """Write and simulate a project; every layer that it shows must be what QKeras gives."""
    hls.write(model, word, folder, "tiny", replace(TARGET, **options))
    result = gate(model, word, words, folder)
    comparison.require(result)
    assert result.pairs[0].layers == layer_names(model)


# Their Keras layers are those of other networks, or of the tests around them: each simulation takes seconds.
ALIKE = {"dense", "dense normalized", "tanh", "sigmoid", "conv2d valid", "conv2d normalized"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ALIKE])
def test_every_network_is_bit_exact(name, tmp_path):
    model, word, words = example(NETWORKS[name], seed=1)
    exact(model, word, words, tmp_path / "hls")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual", "separable", "scale", "global average"])
def test_streams_are_bit_exact(name, tmp_path):
    model, word, words = example(NETWORKS[name], seed=2)
    exact(model, word, words, tmp_path / "hls", io_type="io_stream")


@pytest.mark.slow
@pytest.mark.parametrize("io_type", IoType)
def test_convolutions_that_share_multipliers_are_bit_exact(io_type, tmp_path):
    model, word, words = example(NETWORKS["residual"], seed=3)
    exact(model, word, words, tmp_path / "hls", io_type=io_type, strategy="Resource", reuse_factor=3)


def side_by_side(layers, forms, part, width):
    """Layers that all read the same, merged into one, with a format each: one project for all of them."""
    names = tuple(layer.name for layer in layers)
    merged = Merge("both", (width * len(layers),), "concatenate", names)
    topology = Topology((Dense("front", 4, 4), *layers, merged, Dense("out", width * len(layers), 3)))
    plain = LayerDesign(Fixed(4, 0), Fixed(4, 0), None)
    designs = {
        name: LayerDesign(**{"kernel": None, "bias": None, "activation": None, part: f})
        for name, f in zip(names, forms)
    }
    return topology, Design(Fixed(5, 2), tuple((x.name, designs.get(x.name, plain)) for x in topology.designed))


KERNELS = [
    Fixed(4, 0, symmetric=True),
    Fixed(3, 0, signed=False),
    Fixed(4, 0, exponent=-2),
    Fixed(4, 0, exponent=None),
    Ternary(None),
    Binary(None),
    StochasticTernary(-1),
    StochasticBinary(-2),
    PowerOfTwo(4),
    PowerOfTwo(3, 0),
]

ACTIVATIONS = {
    "relu": [Relu(3, 1), Relu(3, 1, upper=1.5), TruncatedRelu(3, 1), HalfUpRelu(3, -1)],
    "linear": [
        Fixed(3, 1),
        Fixed(3, 1, symmetric=True),
        Fixed(3, 1, signed=False),
        Fixed(3, 1, exponent=-1),
        TruncatedBits(3, 1),
        HalfUpBits(3, 1),
        Ternary(-1),
        Binary(-1),
    ],
    "tanh": [Tanh(3)],
    "sigmoid": [Sigmoid(3)],
}


@pytest.mark.slow
def test_every_kind_of_kernel_is_bit_exact(tmp_path):
    layers = [Dense(f"k{i}", 4, 2, inputs=("front",), bias=False) for i in range(len(KERNELS))]
    model, word, words = example(*side_by_side(layers, KERNELS, "kernel", 2), seed=5)
    exact(model, word, words, tmp_path / "hls")


ROWS = [(function, form) for function, forms in ACTIVATIONS.items() for form in forms]


@pytest.mark.slow
@pytest.mark.parametrize("io_type,rows", [("io_parallel", ROWS), ("io_stream", ROWS[1::2])])
def test_every_kind_of_activation_is_bit_exact(io_type, rows, tmp_path):
    layers = [Activation(f"a{i}", (4,), function, ("front",)) for i, (function, _) in enumerate(rows)]
    model, word, words = example(*side_by_side(layers, [form for _, form in rows], "activation", 4), seed=6)
    exact(model, word, words, tmp_path / "hls", io_type=io_type)


def test_streams_that_too_many_layers_read_are_refused(tmp_path):
    layers = [Activation(f"a{i}", (4,), "relu", ("front",)) for i in range(8)]
    model, word, _ = example(*side_by_side(layers, [Relu(3, 1)] * 8, "activation", 4))
    with pytest.raises(BadInput, match="layer front: 8 layers read it; as a stream at most 7 can"):
        hls.write(model, word, tmp_path / "hls", "tiny", replace(TARGET, io_type="io_stream"))


@pytest.mark.slow
def test_scales_of_channels_in_convolutions_and_logits_that_are_reshaped(tmp_path):
    """A fully convolutional network: hls4ml leaves out its last layer, whose values are the same ones."""
    topology = Topology(
        (
            Conv("depthwise", (4, 4, 2), 2, (3, 3), (1, 1), "same", "linear", bias=False, depthwise=True),
            Activation("grid", (4, 4, 2), "linear"),
            Conv("whole", (4, 4, 2), 3, (4, 4), (1, 1)),
            Reshape("logits", (3,)),
        ),
        (4, 4, 2),
    )
    design = Design(
        Fixed(5, 2),
        (
            ("depthwise", LayerDesign(Fixed(4, 0, exponent=None), None, None)),
            ("grid", LayerDesign(None, None, Fixed(5, 2))),
            ("whole", LayerDesign(Ternary(None), Fixed(5, 0), None)),
        ),
    )
    model, word, words = example(topology, design, seed=7)
    hls.write(model, word, tmp_path / "hls", "tiny", TARGET)
    comparison.require(gate(model, word, words, tmp_path / "hls"))


def test_depthwise_convolutions_need_the_strategy_latency(tmp_path):
    model, word, _ = example(NETWORKS["depthwise"])
    with pytest.raises(BadInput, match="layer conv: a depthwise convolution needs the strategy Latency"):
        hls.write(model, word, tmp_path / "hls", "tiny", replace(TARGET, strategy="Resource"))


def unsupported_models():
    """Shape of the input, a layer, and what its refusal says."""
    import keras
    from qkeras import (
        QActivation,
        QBatchNormalization,
        QConv2D,
        QDense,
        QDepthwiseConv2D,
        quantized_bits,
        quantized_relu_po2,
    )

    def bits():
        return quantized_bits(4, 0, alpha=1)

    def dense(**more):
        return QDense(2, **{"kernel_quantizer": bits(), "bias_quantizer": bits(), "name": "odd", **more})

    def convolution(**more):
        return QConv2D(2, (2, 2), kernel_quantizer=bits(), bias_quantizer=bits(), name="odd", **more)

    flat, image = (3,), (4, 4, 2)
    scaled = keras.layers.Normalization(axis=-1, mean=np.zeros(3), variance=np.full(3, 2.0), name="odd")
    yield flat, keras.layers.Dense(2, name="odd"), "Dense is not supported; supported: "
    yield flat, keras.layers.Softmax(name="odd"), "Softmax"
    yield flat, scaled, "variance 1"
    yield flat, QActivation(quantized_relu_po2(4), name="odd"), "activation in quantized_relu_po2"
    yield flat, QActivation(quantized_bits(4, 0, alpha="auto_po2"), name="odd"), "does not depend on the values"
    yield flat, dense(kernel_quantizer=quantized_bits(4, 0, alpha="auto")), "alpha"
    yield flat, dense(kernel_quantizer=None), "needs a quantizer"
    yield flat, dense(activation="relu"), "activation of its own"
    yield flat, dense(name="a-b"), "name"
    yield flat, QBatchNormalization(name="odd"), "moving mean 0"
    yield image, dense(), "one dimension"
    yield image, convolution(dilation_rate=2), "dilation rate of 1"
    yield image, convolution(groups=2), "one group"
    yield image, convolution(data_format="channels_first"), "channels last"
    yield (
        image,
        QDepthwiseConv2D((2, 2), depth_multiplier=2, depthwise_quantizer=bits(), name="odd"),
        "depth multiplier",
    )
    yield image, keras.layers.AveragePooling2D((3, 3), name="odd"), "windows of 2, 4, 8, ... values, not 9"
    yield image, keras.layers.MaxPooling2D((2, 2), padding="same", name="odd"), "valid"


def test_unsupported_layers_are_refused_by_name():
    import keras

    for shape, layer, message in unsupported_models():
        inputs = keras.Input((np.prod(shape),), name="words")
        read = inputs if len(shape) == 1 else keras.layers.Reshape(shape, name="image")(inputs)
        model = keras.Model(inputs, layer(read))
        with pytest.raises(BadInput, match=f"layer '?{layer.name}.*{message}"):
            hls4ml_qkeras.stages(model)


def test_shared_layers_and_twin_names_are_refused():
    import keras

    model, *_ = example(NETWORKS["dense"])
    inputs = keras.Input((4,), name="words")
    layer = model.get_layer("input_grid")
    with pytest.raises(BadInput, match="layer input_grid: .*more than once"):
        hls4ml_qkeras.stages(keras.Model(inputs, layer(layer(inputs))))
    values = keras.layers.Flatten(name="Same")(keras.layers.Flatten(name="same")(inputs))
    with pytest.raises(BadInput, match="layer Same: .*upper and lower case"):
        hls4ml_qkeras.stages(keras.Model(inputs, values))
