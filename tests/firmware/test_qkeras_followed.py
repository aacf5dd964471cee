"""QKeras' quantizers and composite layers in both ways to firmware: exact against QKeras, or refused by name."""

import inspect

import numpy as np
import pytest

pytest.importorskip("alkaid")
pytest.importorskip("hls4ml")
keras = pytest.importorskip("keras")
qkeras = pytest.importorskip("qkeras")

from flow.errors import BadInput
from flow.firmware import blocks, hls4ml_qkeras, precision
from flow.firmware.settings import Backend, Target
from flow.formats import Fixed
from flow.train import qkeras_model
from flow.train.qkeras_quantizers import format_of

WORD = Fixed(6, 2)
BITS = {
    "kernel_quantizer": qkeras.quantized_bits(4, 0, alpha=1),
    "bias_quantizer": qkeras.quantized_bits(5, 1, alpha=1),
}
TARGET = Target("xcvu13p-flga2577-2-e", 5.0, Backend.CATAPULT)  # the fastest to compile


def model_of(*layers, n_in=4):
    """A chain behind the input words, with weights and statistics that are not trivial."""
    inputs = keras.Input((n_in,), name="words")
    values = inputs
    for layer in layers:
        values = layer(values)
    model = keras.Model(inputs, values)
    random = np.random.default_rng(0)
    for variable in model.variables:
        if variable.dtype == "float32":
            low = 0.3 if "variance" in variable.name or "gamma" in variable.name else -0.8
            variable.assign(random.uniform(low, 1.2, variable.shape))
    return model


def words_of(n_in=4, n=400):
    return np.random.default_rng(1).integers(-32, 32, (n, n_in)) * WORD.step


def require_exact(model, words):
    """The trace, the derived types and QKeras' own inference agree with the float64 reference."""
    reference = qkeras_model.reference(model, words)
    *_, logits = reference.values()
    assert qkeras_model.float32_deviation(model, words, logits) == 0
    assert len(np.unique(logits)) > 3
    for layer, values in blocks.trace(model, WORD).run(words).items():
        np.testing.assert_array_equal(values, reference[layer], err_msg=layer)
    for layer, form in hls4ml_qkeras.result_types(model, WORD).items():
        assert form.holds(reference[layer]), layer
    return reference


def grid():
    return qkeras.QActivation(qkeras.quantized_bits(5, 2, alpha=1), name="grid")


def activated():
    return [
        grid(),
        qkeras.QDense(3, activation=qkeras.quantized_relu(4, 1), name="first", **BITS),
        qkeras.QDenseBatchnorm(4, activation=qkeras.quantized_bits(5, 1, alpha=1), name="folded", **BITS),
        qkeras.QDense(
            3, kernel_quantizer=qkeras.quantized_linear(4, 0, alpha=0.5), activation="quantized_tanh(4)",
            bias_quantizer=qkeras.quantized_linear(4, 0, keep_negative=False, symmetric=False), name="second",
        ),
        qkeras.QDense(2, name="out", **BITS),
    ]  # fmt: skip


def convolved():
    return [
        grid(),
        keras.layers.Reshape((3, 3, 2), name="image"),
        qkeras.QConv2DBatchnorm(3, (2, 2), name="folded", use_bias=False, **BITS),
        qkeras.QActivation(qkeras.quantized_linear(4, 1, symmetric=False), name="between"),
        qkeras.QDepthwiseConv2D(
            (2, 2), depthwise_quantizer=qkeras.quantized_linear(3, 0, alpha=2.0), bias_quantizer=BITS["bias_quantizer"],
            activation=qkeras.quantized_sigmoid(4), name="depthwise",
        ),
        keras.layers.Flatten(name="flat"),
        qkeras.QDense(2, name="out", kernel_quantizer=qkeras.quantized_linear(4, alpha="auto_po2"), use_bias=False),
    ]  # fmt: skip


def test_activations_of_layers_and_folded_normalizations():
    require_exact(model_of(*activated()), words_of())


@pytest.mark.slow
def test_activations_of_convolutions_and_folded_normalizations():
    require_exact(model_of(*convolved(), n_in=18), words_of(18))


def test_sums_in_front_of_an_own_activation_have_a_name_and_the_layers_reuse_factor():
    found = hls4ml_qkeras.stages(model_of(*activated()))
    assert [stage.name for stage in found][1:4] == ["first_sums", "first", "folded_sums"]
    assert [stage.owner for stage in found if isinstance(stage, precision.Linear)] == [
        "first", "folded", "second", "out",
    ]  # fmt: skip


@pytest.mark.slow
def test_composite_layers_are_exact_in_the_c_simulation(tmp_path):
    from flow.firmware import hls

    model, words = model_of(*activated()), words_of()
    reference = require_exact(model, words)
    hls.write(model, WORD, tmp_path / "hls", "tiny", TARGET)
    found = hls.simulate(tmp_path / "hls", words, layers=True)
    assert set(found) >= {"grid", "first", "folded", "second", "out"}
    for layer in reference:
        np.testing.assert_array_equal(found[layer], reference[layer], err_msg=layer)


# Every quantizer of QKeras, as a kernel's and as an activation; None where it has to be refused by its name.
KERNELS = {
    "quantized_linear": lambda: qkeras.quantized_linear(4, 0),
    "quantized_bits": lambda: qkeras.quantized_bits(4, 0, alpha="auto_po2"),
    "ternary": lambda: qkeras.ternary(alpha=0.5, threshold=0.25),
    "stochastic_ternary": lambda: qkeras.stochastic_ternary(alpha=0.5, threshold=0.25),
    "binary": lambda: qkeras.binary(alpha=0.5),
    "stochastic_binary": lambda: qkeras.stochastic_binary(alpha=0.5),
    "quantized_po2": lambda: qkeras.quantized_po2(4),
}
ACTIVATIONS = {
    "quantized_linear": lambda: qkeras.quantized_linear(4, 1),
    "quantized_bits": lambda: qkeras.quantized_bits(4, 1, alpha=1),
    "quantized_relu": lambda: qkeras.quantized_relu(4, 1),
    "quantized_tanh": lambda: qkeras.quantized_tanh(4),
    "quantized_sigmoid": lambda: qkeras.quantized_sigmoid(4),
    "ternary": lambda: qkeras.ternary(alpha=0.5, threshold=0.25),
    "binary": lambda: qkeras.binary(alpha=0.5),
}
REFUSED = {
    "bernoulli": qkeras.bernoulli,
    "quantized_ulaw": qkeras.quantized_ulaw,
    "quantized_hswish": qkeras.quantized_hswish,
    "quantized_relu_po2": lambda: qkeras.quantized_relu_po2(4),
}
ODD = {
    "alpha='auto'": (
        lambda: qkeras.quantized_bits(4, 0, alpha="auto"),
        "quantized_bits.* alpha is 'auto'; allowed: a p",
    ),
    "linear auto": (lambda: qkeras.quantized_linear(4, 0, alpha="auto"), "quantized_linear.* alpha is 'auto'; allowed"),
    "linear sign": (lambda: qkeras.quantized_linear(1, 0), "quantized_linear.* 1 bit"),
    "alpha 0.3": (lambda: qkeras.quantized_linear(4, 0, alpha=0.3), "quantized_linear.* no power of two"),
    "leaky": (lambda: qkeras.quantized_relu(4, 1, negative_slope=0.25), "quantized_relu.* negative_slope=0.25"),
    "stochastic": (lambda: qkeras.quantized_linear(4, 0, use_stochastic_rounding=True), "use_stochastic_rounding"),
}


def test_every_quantizer_of_qkeras_is_accounted_for():
    classes = {
        name
        for name, kind in inspect.getmembers(qkeras.quantizers, inspect.isclass)
        if kind.__module__ == "qkeras.quantizers" and not name.startswith("_")
    }
    assert classes == {*KERNELS, *ACTIVATIONS, *REFUSED}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_exact(name):
    out = qkeras.QDense(3, kernel_quantizer=KERNELS[name](), use_bias=False, name="out")
    require_exact(model_of(grid(), out), words_of())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_exact(name):
    front, out = qkeras.QDense(4, name="front", **BITS), qkeras.QDense(3, name="out", **BITS)
    require_exact(model_of(grid(), front, qkeras.QActivation(ACTIVATIONS[name](), name="act"), out), words_of())


def refused(layer, message):
    """Both ways refuse the layer with its name and the same reason."""
    model = model_of(layer)
    for way in (hls4ml_qkeras.stages, lambda model: blocks.trace(model, WORD)):
        with pytest.raises(BadInput, match=message):
            way(model)


@pytest.mark.parametrize("name", REFUSED)
def test_quantizers_that_are_not_followed_are_refused_by_name(name):
    refused(qkeras.QActivation(REFUSED[name](), name="odd"), f"{name}.*(known|supported): .*quantized_bits")
    if name != "quantized_relu_po2":
        kernel = {"kernel_quantizer": REFUSED[name](), "use_bias": False}
        refused(qkeras.QDense(2, name="odd", **kernel), f"layer odd: .*{name}.*known: quantized_bits")


@pytest.mark.parametrize("name", ODD)
def test_settings_that_are_not_followed_are_refused_by_name(name):
    make, message = ODD[name]
    refused(qkeras.QActivation(make(), name="odd"), message)
    refused(
        qkeras.QDense(2, activation=make(), name="odd", **BITS),
        f"layer odd: it has an activation of its own; .*{message}",
    )


@pytest.mark.parametrize("kind", ["QDenseBatchnorm", "QConv2DBatchnorm"])
def test_folded_layers_need_a_quantizer_for_their_bias(kind):
    shape, more = ((4,), ()) if kind == "QDenseBatchnorm" else ((2, 2, 1), ((2, 2),))
    layer = getattr(qkeras, kind)(2, *more, kernel_quantizer=BITS["kernel_quantizer"], name="odd")
    inputs = keras.Input((4,), name="words")
    model = keras.Model(inputs, layer(keras.layers.Reshape(shape, name="shape")(inputs)))
    with pytest.raises(BadInput, match="layer odd: "):
        hls4ml_qkeras.stages(model)


def test_a_linear_quantizer_is_one_of_bits_with_its_range_moved():
    assert format_of(qkeras.quantized_linear(4, 1, alpha=0.25)) == Fixed(4, -1, symmetric=True)
    assert format_of(qkeras.quantized_linear(4, 1, symmetric=False)) == Fixed(4, 1)
    values = np.arange(-40, 40) / 8
    for quantizer in (qkeras.quantized_linear(4, 1, alpha=0.25), qkeras.quantized_linear(3, 0, False, False, 2.0)):
        found = np.asarray(quantizer(values.astype(np.float32)), dtype=np.float64)
        np.testing.assert_array_equal(format_of(quantizer).quantize(values), found)
