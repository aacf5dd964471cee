"""hls4ml projects of tiny networks: bit-exact against QKeras, the same bytes twice, and edits that must be caught."""

import json
import re
import shutil

import numpy as np
import pytest

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign
from flow.errors import BadInput, Mismatch, ToolFailed
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

from flow.firmware import hls, hls4ml_qkeras, precision, verify
from flow.train import qkeras_model

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("logits", 6, 3, "linear")))
WORD = Fixed(10, 3)
SCALING = InputScaling(("a", "b", "c", "d"), WORD, (0,) * 4, (0.5, -1.25, 0.0, 3.0))
PART = "xcvu13p-flga2577-2-e"
PLAIN = Design(
    Fixed(6, 1),
    (
        ("fc0", LayerDesign(Fixed(5, 0), Fixed(5, 0), Relu(4, 1))),
        ("logits", LayerDesign(Fixed(4, -1), Fixed(5, 1), None)),
    ),
)


def tiny(design=PLAIN, scaling=SCALING, seed=0):
    """A QKeras model with random weights, and the vectors that it is held against."""
    random = np.random.default_rng(seed)
    weights = {
        x.name: (random.normal(0, 0.6, (x.n_in, x.n_out)), random.normal(0, 0.4, x.n_out)) for x in TOPOLOGY.layers
    }
    model = qkeras_model.build(TOPOLOGY, design, scaling, weights)
    kernel = qkeras_model.quantized_weights(model.get_layer("fc0"))[0]
    real = random.normal(scaling.offsets, 1.2, (1500, 4))
    return model, verify.vectors(scaling, real, 1500, seed, grid=design.input, kernel=kernel)


def gate(model, folder, words, word=WORD):
    types = hls4ml_qkeras.result_types(model, word)
    return verify.compare(qkeras_model.reference(model, words), [verify.csim_side(folder)], words, types)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The plain model, its vectors, and its project with the simulation compiled."""
    model, words = tiny()
    folder = tmp_path_factory.mktemp("plain") / "hls"
    hls.write(model, WORD, folder, "tiny", PART, 5.0)
    return model, words, folder


def test_plain_network_is_bit_exact(project):
    model, words, folder = project
    result = gate(model, folder, words)
    verify.require(result)
    assert result.pairs[0].layers == ("input_offset", "input_grid", "fc0", "fc0_relu", "logits")
    assert result.pairs[0].layer_vectors == 1000
    only = hls.simulate(folder, words[:7], layers=False)
    assert list(only) == ["logits"] and only["logits"].shape == (7, 3)


def layers(kernel0, kernel1, bias, activation, grid):
    return Design(grid, (("fc0", LayerDesign(kernel0, bias, activation)), ("logits", LayerDesign(kernel1, bias, None))))


@pytest.mark.slow
@pytest.mark.parametrize(
    "design,options",
    [
        (layers(Binary(1), Ternary(2), Fixed(3, 1), Relu(1, 0), Fixed(4, 0)), {}),
        (layers(Fixed(8, 0), Fixed(6, 2), Fixed(2, -2), Relu(6, 4), Fixed(10, 3)), {"io_type": "io_stream"}),
        (
            layers(Fixed(6, 0), Ternary(-1), Fixed(6, 0), Relu(5, 1), Fixed(7, 1)),
            {"strategy": "Resource", "reuse_factor": 2},
        ),
        (layers(Fixed(6, 0), Fixed(6, 0), Fixed(6, 0), Relu(5, 1), Fixed(7, 1)), {"backend": "Vivado"}),
    ],
)
def test_formats_are_bit_exact(tmp_path, design, options):
    model, words = tiny(design, seed=3)
    hls.write(model, WORD, tmp_path / "hls", "tiny", PART, 5.0, **options)
    verify.require(gate(model, tmp_path / "hls", words))


@pytest.mark.slow
def test_offsets_of_zero_and_words_with_negative_fraction(tmp_path):
    scaling = InputScaling(("a", "b", "c", "d"), Fixed(4, 5), (0,) * 4, (0.0,) * 4)
    model, words = tiny(layers(Fixed(4, 0), Fixed(4, 0), Fixed(4, 0), Relu(4, 4), Fixed(3, 4)), scaling)
    hls.write(model, scaling.word, tmp_path / "hls", "tiny", PART, 5.0)
    verify.require(gate(model, tmp_path / "hls", words, scaling.word))


def test_same_bytes_twice(project, tmp_path):
    _, _, folder = project
    model, _ = tiny()
    hls.write(model, WORD, tmp_path / "elsewhere" / "again", "tiny", PART, 5.0)
    files = [
        p.relative_to(tmp_path / "elsewhere" / "again")
        for p in (tmp_path / "elsewhere" / "again").rglob("*")
        if p.is_file()
    ]
    assert len(files) > 30
    for path in files:
        content = (tmp_path / "elsewhere" / "again" / path).read_bytes()
        assert content == (folder / path).read_bytes(), path
        assert str(tmp_path).encode() not in content, path


def copied(project, tmp_path):
    model, words, folder = project
    shutil.copytree(folder, tmp_path / "hls", ignore=shutil.ignore_patterns("csim-*", "*.log"))
    return model, words, tmp_path / "hls"


def edit(path, pattern, replacement):
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1, f"{pattern} is not in {path}"
    path.write_text(text)


def caught(model, folder, words, layer):
    result = gate(model, folder, words)
    assert not result.equal and result.pairs[0].first.layer == layer
    with pytest.raises(Mismatch, match=f"qkeras=csim fails .* layer {layer}, .*0b"):
        verify.require(result)


def weights_of(folder, layer):
    """The weights' header of a layer, as the top function names it."""
    text = (folder / "firmware" / "tiny.cpp").read_text()
    name = re.search(rf"nnet::dense<.*, (w\d+), b\d+\); // {layer}\n", text).group(1)
    return folder / "firmware" / "weights" / f"{name}.h"


@pytest.mark.slow
@pytest.mark.parametrize("layer,step", [("fc0", 2.0**-4), ("logits", 2.0**-4)])
def test_one_bit_of_one_weight_is_caught(project, tmp_path, layer, step):
    model, words, folder = copied(project, tmp_path)

    def flip(match):
        word = round(float(match.group(2)) / step) ^ 1
        return f"{match.group(1)}{word * step!r},"

    edit(weights_of(folder, layer), r"(= \{)([-0-9.]+),", flip)
    caught(model, folder, words, layer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern,replacement,layer",
    [
        (r"(layer3_t.*|ap_fixed<6,2,)AP_RND_CONV(,AP_SAT,0> layer3_t)", r"\1AP_RND\2", "input_grid"),
        (r"AP_RND_CONV(,AP_SAT,0> layer5_t)", r"AP_TRN\1", "fc0_relu"),
        (r"AP_SAT(,0> layer5_t)", r"AP_WRAP\1", "fc0_relu"),
    ],
)
def test_another_rounding_or_overflow_is_caught(project, tmp_path, pattern, replacement, layer):
    model, words, folder = copied(project, tmp_path)
    edit(folder / "firmware" / "defines.h", pattern, replacement)
    caught(model, folder, words, layer)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["fc0", "logits"])
@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_one_bit_less_in_an_accumulator_is_caught(project, tmp_path, layer, end):
    model, words, folder = copied(project, tmp_path)
    if (layer, end) == ("logits", "highest"):
        pytest.skip("no input reaches the far end of a second layer's interval")

    def shorter(match):
        width, integer = int(match.group(1)), int(match.group(2))
        return f"ap_fixed<{width - 1},{integer - (end == 'highest')}> {layer}_accum_t"

    edit(folder / "firmware" / "defines.h", rf"ap_fixed<(\d+),(-?\d+)> {layer}_accum_t", shorter)
    caught(model, folder, words, layer)


@pytest.mark.slow
def test_program_is_kept_while_the_sources_stay(project, tmp_path):
    _, words, folder = copied(project, tmp_path)
    program = hls.compile_sources(folder)
    made = program.stat().st_mtime_ns
    hls.simulate(folder, words[:3], layers=True)
    assert hls.compile_sources(folder) == program and program.stat().st_mtime_ns == made
    edit(folder / "firmware" / "defines.h", "#endif", "// another comment\n#endif")
    assert hls.compile_sources(folder) != program and not program.exists()


@pytest.mark.slow
def test_compiler_that_fails_or_is_missing(project, tmp_path, monkeypatch):
    _, words, folder = copied(project, tmp_path)
    edit(folder / "firmware" / "tiny.cpp", "nnet::dense<", "nnet::no_such_layer<")
    with pytest.raises(ToolFailed, match="error: .*no_such_layer.*csim.log, line") as failure:
        hls.simulate(folder, words, layers=False)
    assert "no_such_layer" in failure.value.log.read_text().splitlines()[failure.value.line - 1]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="g.. was not found.*package g"):
        hls.simulate(folder, words, layers=False)


@pytest.mark.slow
def test_crashing_simulation_is_a_failed_tool(project, tmp_path):
    _, words, folder = copied(project, tmp_path)
    edit(folder / "firmware" / "tiny.cpp", r"(\) \{\n)", r"\1    __builtin_abort();\n")
    with pytest.raises(ToolFailed, match="ended with status -6"):
        hls.simulate(folder, words, layers=False)


def test_bad_arguments(project, tmp_path):
    model, words, folder = project
    with pytest.raises(BadInput, match="shape"):
        hls.simulate(folder, words[:, :2], layers=False)
    with pytest.raises(BadInput, match="csim.json"):
        hls.simulate(tmp_path, words, layers=False)
    with pytest.raises(BadInput, match="exists"):
        hls.write(model, WORD, tmp_path, "tiny", PART, 5.0)
    for options, message in (
        ({"backend": "Quartus"}, "Vitis, Vivado"),
        ({"strategy": "fast"}, "Latency"),
        ({"io_type": "io"}, "io_stream"),
        ({"reuse_factor": 0}, "reuse_factor"),
    ):
        with pytest.raises(BadInput, match=message):
            hls.write(model, WORD, tmp_path / "x", "tiny", PART, 5.0, **options)
    with pytest.raises(BadInput, match="project '2x'"):
        hls.write(model, WORD, tmp_path / "x", "2x", PART, 5.0)


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
    for io_type in hls.IO_TYPES:
        hls.write(model, word, tmp_path / io_type, "tiny", PART, 5.0, io_type=io_type)
        written = json.loads((tmp_path / io_type / "csim.json").read_text())["layers"]
        assert [tuple(row) for row in written] == [(x, reference[x].shape[1]) for x in layer_names(model)]


def exact(model, word, words, folder, **options):
    """Write and simulate a project; every layer that it shows must be what QKeras gives."""
    hls.write(model, word, folder, "tiny", PART, 5.0, **options)
    result = gate(model, folder, words, word)
    verify.require(result)
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
@pytest.mark.parametrize("io_type", hls.IO_TYPES)
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
        hls.write(model, word, tmp_path / "hls", "tiny", PART, 5.0, io_type="io_stream")


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
    hls.write(model, word, tmp_path / "hls", "tiny", PART, 5.0)
    verify.require(gate(model, tmp_path / "hls", words, word))


def test_depthwise_convolutions_need_the_strategy_latency(tmp_path):
    model, word, _ = example(NETWORKS["depthwise"])
    with pytest.raises(BadInput, match="layer conv: a depthwise convolution needs the strategy Latency"):
        hls.write(model, word, tmp_path / "hls", "tiny", PART, 5.0, strategy="Resource")


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

    model, _ = tiny()
    inputs = keras.Input((4,), name="words")
    layer = model.get_layer("input_grid")
    with pytest.raises(BadInput, match="layer input_grid: .*more than once"):
        hls4ml_qkeras.stages(keras.Model(inputs, layer(layer(inputs))))
    values = keras.layers.Flatten(name="Same")(keras.layers.Flatten(name="same")(inputs))
    with pytest.raises(BadInput, match="layer Same: .*upper and lower case"):
        hls4ml_qkeras.stages(keras.Model(inputs, values))
