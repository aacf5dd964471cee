"""The QKeras model of a design: its own float32 inference is the exact evaluation, whatever the network."""

import subprocess
import sys

import numpy as np
import pytest
from designs import example_design, example_scaling, example_words
from networks import NETWORKS, fast_or_slow
from weights import example_weights

from flow.design import Design
from flow.errors import BadInput
from flow.formats import KINDS, Binary, Fixed, Relu, Ternary
from flow.topology import Activation, Conv, Dense, Pool, Reshape, Scale, Topology

pytest.importorskip("tensorflow")

from flow.train import backend, exact, qkeras_model


def built(topology: Topology, seed: int = 0, **options):
    """A model with a random design, and words for it."""
    scaling = example_scaling(topology)
    design = example_design(topology, seed, **options)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology, seed))
    return model, example_words(topology, scaling, 100, seed)


def float32(model, words: np.ndarray) -> np.ndarray:
    """The model's own answer, layer by layer, without the seconds that compiling it would take."""
    return np.asarray(model(words.astype(np.float32), training=False))


@pytest.mark.parametrize("name", fast_or_slow(("dense normalized", "residual", "separable", "conv1d valid")))
def test_reference_is_float32_inference_on_small_formats(name, tmp_path):
    topology = NETWORKS[name]
    model, words = built(topology, seed=1)
    outputs = qkeras_model.reference(model, words)
    logits = outputs[topology.output]
    np.testing.assert_array_equal(logits, model.predict(words.astype(np.float32), verbose=0))
    assert len(np.unique(logits)) >= 4, "the network is dead"

    qkeras_model.save(model, tmp_path / "model.keras")
    again = qkeras_model.load(tmp_path / "model.keras")
    assert [f.name for f in tmp_path.iterdir()] == ["model.keras"]
    for layer, values in qkeras_model.reference(again, words).items():
        np.testing.assert_array_equal(values, outputs[layer])
    np.testing.assert_array_equal(float32(again, words), logits)


def test_layers_have_the_shared_names_and_kinds():
    model, _ = built(NETWORKS["residual"])
    kinds = [(layer.name, type(layer).__name__) for layer in model.layers]
    assert kinds == [
        ("words", "InputLayer"),
        ("input_offset", "Normalization"),
        ("input_grid", "QActivation"),
        ("input_shape", "Reshape"),
        ("conv0", "QConv2D"),
        ("conv0_relu", "QActivation"),
        ("conv1", "QConv2D"),
        ("sum", "Add"),
        ("rectified", "QActivation"),
        ("flat", "Reshape"),
        ("out", "QDense"),
    ]
    assert qkeras_model.sources(model.get_layer("sum")) == ("conv1", "conv0_relu")
    assert qkeras_model.sources(model.get_layer("words")) == ()
    assert "fc0_tanh" in [layer.name for layer in built(NETWORKS["tanh"])[0].layers]
    assert not built(NETWORKS["dense without bias"])[0].get_layer("fc0").use_bias


def test_reference_goes_in_batches_and_keeps_what_is_asked_for(monkeypatch):
    model, words = built(NETWORKS["conv2d same"])
    whole = qkeras_model.reference(model, words)
    assert list(whole) == ["input_offset", "input_grid", "input_shape", "conv", "conv_relu", "flat", "out"]
    assert whole["conv"].shape == (100, 108)
    monkeypatch.setattr(exact, "BATCH", 7)
    for name, values in qkeras_model.reference(model, words).items():
        np.testing.assert_array_equal(values, whole[name])
    assert list(qkeras_model.reference(model, words, ["conv"])) == ["conv"]
    assert qkeras_model.reference(model, words[:0])["conv"].shape == (0, 108)


KERNELS = [
    Fixed(2, 0),
    Fixed(4, 2),
    Fixed(4, -2),
    Fixed(4, 0, symmetric=True),
    Fixed(3, 0, signed=False),
    Fixed(4, 1, exponent=1),
    Fixed(4, -2, exponent=-3),
    Fixed(3, 0, exponent=None),
    Fixed(6, 1, exponent=None),
    Ternary(-2),
    Ternary(None),
    Binary(-1),
    Binary(None),
    KINDS["stochastic_ternary"](-1),
    KINDS["stochastic_ternary"](None),
    KINDS["stochastic_binary"](-1),
    KINDS["stochastic_binary"](None),
    KINDS["quantized_po2"](3),
    KINDS["quantized_po2"](3, 0),
]
EVERY_KERNEL = Topology(
    (
        Conv("conv", (4, 4, 2), 3, (2, 2), (1, 1), "valid"),
        Conv("depthwise", (3, 3, 3), 3, (2, 2), (1, 1), "valid", depthwise=True),
        Scale("scale", (2, 2, 3)),
        Activation("grid", (2, 2, 3), "linear"),
        Reshape("steps", (4, 3)),
        Conv("conv1d", (4, 3), 2, (2,), (1,), "same", "relu"),
        Reshape("flat", (8,)),
        Dense("out", 8, 3),
    ),
    (4, 4, 2),
)


@pytest.mark.parametrize("form", KERNELS, ids=str)
def test_every_kernel_format_in_every_layer_kind(form, tmp_path):
    model, words = built(EVERY_KERNEL, 1, kernels=[form])
    outputs = qkeras_model.reference(model, words)
    np.testing.assert_array_equal(outputs["out"], float32(model, words))
    for layer in EVERY_KERNEL.weighted:
        kernel, bias = qkeras_model.quantized_weights(model.get_layer(layer.name))
        assert kernel.shape == layer.kernel_shape and bias.shape == layer.shape[-1:]
        if not form.auto:
            raw = example_weights(EVERY_KERNEL, 1)[layer.name][0]
            np.testing.assert_array_equal(kernel, form.quantize(raw))
    qkeras_model.save(model, tmp_path / "model.keras")
    again = qkeras_model.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(qkeras_model.reference(again, words)["out"], outputs["out"])


ACTIVATIONS = [
    *[("relu", form) for form in (Relu(1, 0), Relu(4, 3), Relu(5, 1, 1.0), KINDS["quantized_relu_po2"](3, 1))],
    *[("relu", KINDS[kind](4, 1)) for kind in ("truncated_relu", "half_up_relu")],
    *[("linear", KINDS[kind](4, 1)) for kind in ("quantized_bits", "truncated_bits", "half_up_bits")],
    *[("linear", form) for form in (Ternary(0), Binary(-1))],
    ("tanh", KINDS["quantized_tanh"](4)),
    ("sigmoid", KINDS["quantized_sigmoid"](4)),
]


@pytest.mark.parametrize("function, form", ACTIVATIONS, ids=lambda value: str(value))
def test_every_activation_format(function, form, tmp_path):
    topology = Topology((Dense("fc0", 4, 6), Activation("act", (6,), function), Dense("out", 6, 3)))
    model, words = built(topology, 2, activations={function: [form]}, kernels=[Fixed(5, 0)])
    outputs = qkeras_model.reference(model, words)
    np.testing.assert_array_equal(outputs["act"], form.quantize(outputs["fc0"]))
    assert len(np.unique(outputs["act"])) > 1
    qkeras_model.save(model, tmp_path / "model.keras")
    for each in (model, qkeras_model.load(tmp_path / "model.keras")):
        np.testing.assert_array_equal(float32(each, words), outputs["out"])


@pytest.mark.parametrize("kind", ["truncated_bits", "half_up_bits"])
def test_the_input_may_round_as_hardware_does(kind):
    model, words = built(NETWORKS["dense"], input=KINDS[kind](4, 2))
    outputs = qkeras_model.reference(model, words)
    np.testing.assert_array_equal(outputs["out"], float32(model, words))


@pytest.mark.slow
def test_a_model_is_read_in_a_process_of_its_own(tmp_path):
    kernels, relu = [Fixed(3, 0, exponent=None)], [KINDS["truncated_relu"](4, 1)]
    model, words = built(NETWORKS["dense"], 1, kernels=kernels, activations={"relu": relu})
    qkeras_model.save(model, tmp_path / "model.keras")
    np.save(tmp_path / "words.npy", words)
    code = (
        "import sys, numpy as np; from pathlib import Path; from flow.train import qkeras_model as q;"
        "folder = Path(sys.argv[1]); model = q.load(folder / 'model.keras');"
        "np.save(folder / 'out.npy', q.reference(model, np.load(folder / 'words.npy'))['out'])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), qkeras_model.reference(model, words)["out"])


def test_wide_formats_round_in_float32_but_not_in_the_reference():
    topology = NETWORKS["dense"]
    wide = {"kernels": [Fixed(16, 0)], "input": Fixed(14, 3), "activations": {"relu": [Relu(14, 3)]}}
    model, words = built(topology, biases=[Fixed(16, 0)], **wide)
    outputs = qkeras_model.reference(model, words)
    kernel, bias = (np.round(a * 2**15) for a in qkeras_model.quantized_weights(model.get_layer("fc0")))
    data = np.round(outputs["input_grid"] * 2**10).astype(object)
    sums = data @ kernel.astype(np.int64).astype(object) + bias.astype(np.int64).astype(object) * 2**10
    np.testing.assert_array_equal(outputs["fc0"], (sums / 2**25).astype(np.float64))
    assert 0 < qkeras_model.float32_deviation(model, words, outputs["out"]) < 1e-3


def test_sums_that_a_float64_cannot_hold_are_refused():
    model, words = built(NETWORKS["dense"], kernels=[Fixed(30, 0)], input=Fixed(28, 2))
    with pytest.raises(BadInput, match=r"layer fc0: its sums may need 5\d bits; at most 53"):
        qkeras_model.reference(model, words)


def keras_models():
    """Models that can't be followed, and what is said of them."""
    backend.start()
    import keras
    import qkeras

    k = keras.layers

    def model(*made, shape=(4, 4, 2)):
        entry = keras.Input(shape)
        values = qkeras.QActivation(qkeras.quantized_bits(4, 1, alpha=1), name="grid")(entry)
        for layer in made:
            values = layer(values)
        return keras.Model(entry, values)

    bits = {"kernel_quantizer": qkeras.quantized_bits(4, 0, alpha=1), "use_bias": False, "name": "wrong"}
    quantizers = {"gamma_quantizer": bits["kernel_quantizer"], "beta_quantizer": bits["kernel_quantizer"]}
    shared = k.Reshape((4, 4, 2), name="wrong")
    return {
        "Dense is not supported": model(k.Dense(3, name="wrong")),
        "windows of 2, 4, 8, ... values, not 3": model(k.AveragePooling2D((1, 3), name="wrong")),
        "valid": model(k.MaxPooling2D(2, padding="same", name="wrong")),
        "dilation rate of 1": model(qkeras.QConv2D(2, 2, dilation_rate=2, **bits)),
        "one group": model(qkeras.QConv2D(2, 2, groups=2, **bits)),
        "its kernel has no quantizer": model(qkeras.QDense(2, use_bias=False, name="wrong")),
        "its bias has no quantizer": model(qkeras.QDense(2, **bits | {"use_bias": True})),
        "an activation of its own": model(qkeras.QDense(2, activation="relu", **bits)),
        "mean 0, variance 1, epsilon 0": model(qkeras.QBatchNormalization(name="wrong", **quantizers)),
        "it is used more than once": model(shared, shared),
        "alpha is 'auto'": model(qkeras.QActivation(qkeras.ternary(alpha="auto"), name="wrong")),
        "no function of the data": model(qkeras.QActivation(qkeras.binary(alpha="auto_po2"), name="wrong")),
        "depth multiplier of 1": model(
            qkeras.QDepthwiseConv2D(
                2, depth_multiplier=2, use_bias=False, name="wrong", depthwise_quantizer=bits["kernel_quantizer"]
            )
        ),
        "the last axis": _joined(keras, qkeras),
    }


def _joined(keras, qkeras):
    entry = keras.Input((4, 2))
    grid = qkeras.QActivation(qkeras.quantized_bits(4, 1, alpha=1))(entry)
    return keras.Model(entry, keras.layers.Concatenate(axis=1, name="wrong")([grid, grid]))


def test_what_is_not_followed_is_refused_by_layer():
    for message, model in keras_models().items():
        with pytest.raises(BadInput, match=message) as caught:
            qkeras_model.reference(model, np.zeros((2, 4)))
        assert str(caught.value).startswith("layer wrong: ")
        assert "\n" not in str(caught.value)


def refused(topology: Topology, message: str, **changes):
    scaling, weights = example_scaling(topology), example_weights(topology)
    arguments = {"design": example_design(topology), "weights": weights} | changes
    with pytest.raises(BadInput, match=message):
        qkeras_model.build(topology, arguments["design"], scaling, arguments["weights"])


def test_mistakes_in_what_a_model_is_built_of():
    dense = NETWORKS["dense"]
    refused(dense, "the design has the layers fc0, out; the network has fc0, fc1, out",
            design=example_design(NETWORKS["tanh"]))  # fmt: skip
    design = example_design(dense)
    refused(dense, "the input: quantized_relu.* does not fit", design=Design(Relu(3, 1), design.layers))
    weights = example_weights(dense)
    refused(dense, "layer out: there are no weights", weights={k: v for k, v in weights.items() if k != "out"})
    refused(dense, r"layer fc0: kernel and bias have the shapes", weights=weights | {"fc0": weights["out"]})
    refused(dense, r"layer fc0: kernel and bias", weights=weights | {"fc0": (weights["fc0"][0], None)})
    taken = Topology((Dense("fc0", 4, 6, "relu"), Dense("fc0_relu", 6, 5, "relu"), Dense("out", 5, 3)))
    refused(taken, "layer fc0_relu: the name fc0_relu is taken")
    refused(Topology((Dense("words", 4, 3),)), "layer words: the name words is taken")
    steps = Conv("conv", (6, 2), 2, (3,), (1,), "valid", depthwise=True)
    pooled = Topology((steps, Pool("pool", (4, 2), (4,), (4,), "max", True), Dense("out", 2, 3)), (6, 2))
    refused(pooled, "layer conv: QKeras has no depthwise convolution over one dimension")


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04" + bytes(100)])
def test_files_that_are_no_models(tmp_path, content):
    path = tmp_path / "model.keras"
    with pytest.raises(BadInput, match="no such file"):
        qkeras_model.load(path)
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.keras: can't be read as a \.keras model: .+") as caught:
        qkeras_model.load(path)
    assert "\n" not in str(caught.value)


def test_code_in_a_file_is_not_run(tmp_path):
    backend.start()
    import keras

    entry = keras.Input((2,))
    keras.Model(entry, keras.layers.Lambda(lambda x: x)(entry)).save(tmp_path / "model.keras")
    with pytest.raises(BadInput, match="can't be read as a .keras model"):
        qkeras_model.load(tmp_path / "model.keras")


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    model, _ = built(NETWORKS["dense"])
    qkeras_model.save(model, tmp_path / "deep" / "model.keras")
    before = (tmp_path / "deep" / "model.keras").read_bytes()
    with pytest.raises(AttributeError):
        qkeras_model.save(object(), tmp_path / "deep" / "model.keras")
    assert (tmp_path / "deep" / "model.keras").read_bytes() == before
    assert len(list((tmp_path / "deep").iterdir())) == 1
