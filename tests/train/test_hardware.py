"""Quantizers of our own in QKeras layers: what they compute, and that saved models keep them."""

import numpy as np
import pytest
from tests_support import EVERY, FORMATS, grid, kernel

from flow.errors import BadInput
from flow.formats import Fixed, HalfUpBits, HalfUpRelu, Relu, TruncatedBits, TruncatedRelu
from flow.train import backend

backend.start()

import keras
import qkeras
import tensorflow as tf

from flow.train.qkeras_quantizers import HARDWARE, format_of, quantized, quantizer_of

OWN = [form for kind in HARDWARE for form in FORMATS[kind]]


@pytest.mark.parametrize("form", OWN, ids=str)
def test_values_are_those_of_the_format(form):
    values = np.clip(grid(form), -1e3, 1e3)
    own = np.asarray(quantizer_of(form)(values), dtype=np.float64)
    assert (np.abs(own - form.quantize(values)) <= 2.0**-22 * np.abs(values)).all()  # dust of the straight-through sum
    np.testing.assert_array_equal(quantized(quantizer_of(form), values), form.quantize(values))


@pytest.mark.parametrize(
    ("form", "cousin"),
    [(TruncatedBits(4, 1), Fixed(4, 1)), (HalfUpBits(4, 1), Fixed(4, 1)),
     (TruncatedRelu(4, 1), Relu(4, 1)), (HalfUpRelu(4, 1), Relu(4, 1))],
    ids=str,
)  # fmt: skip
def test_gradients_are_those_of_the_cousin(form, cousin):
    x = tf.constant(grid(form))
    gradients = []
    for item in (form, cousin):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = quantizer_of(item)(x)
        gradients.append(tape.gradient(values, x))
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("form", EVERY, ids=str)
def test_format_and_quantizer_stand_for_each_other(form):
    quantizer = quantizer_of(form)
    assert format_of(quantizer) == form and type(format_of(quantizer)) is type(form)
    again = type(quantizer).from_config(quantizer.get_config())
    assert format_of(again) == form


@pytest.mark.parametrize("form", EVERY, ids=str)
def test_exact_values_have_no_dust(form):
    values = kernel(form)
    found = quantized(quantizer_of(form), values)
    np.testing.assert_array_equal(found, form.quantize(values))


def test_exact_values_follow_the_scale_of_each_channel():
    values = kernel(Fixed(4, 0, exponent=None))
    found = quantized(quantizer_of(Fixed(4, 0, exponent=None)), values)
    steps = [np.unique(np.abs(column[column != 0])).min() for column in found.T]
    assert len(set(steps)) == 3
    assert all((column / step == np.rint(column / step)).all() for column, step in zip(found.T, steps))


@pytest.mark.slow
def test_saved_models_keep_every_quantizer(tmp_path):
    kernels = [form for form in EVERY if form.signed and form.kind not in ("quantized_tanh",)]
    activations = [form for form in EVERY if not form.auto and not form.kind.startswith("stochastic")]
    inputs = values = keras.Input((4,))
    for i, form in enumerate(kernels):
        bias = HalfUpBits(6, 1) if i % 2 else Fixed(6, 1)
        values = qkeras.QDense(
            4, kernel_quantizer=quantizer_of(form), bias_quantizer=quantizer_of(bias), name=f"fc{i}"
        )(values)
    for i, form in enumerate(activations):
        values = qkeras.QActivation(quantizer_of(form), name=f"act{i}")(values)
    model = keras.Model(inputs, values)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for i, form in enumerate(kernels):
        assert format_of(loaded.get_layer(f"fc{i}").kernel_quantizer_internal) == form
        bias = HalfUpBits(6, 1) if i % 2 else Fixed(6, 1)
        assert format_of(loaded.get_layer(f"fc{i}").bias_quantizer_internal) == bias
    for i, form in enumerate(activations):
        assert format_of(loaded.get_layer(f"act{i}").activation) == form
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


REFUSED = {
    "quantized_bits(4,0,alpha='auto')": lambda: qkeras.quantized_bits(4, 0, alpha="auto"),
    "quantized_bits(4,0,alpha=0.3)": lambda: qkeras.quantized_bits(4, 0, alpha=0.3),
    "a scale for each channel": lambda: qkeras.ternary(alpha=np.array([1.0, 2.0])),
    "quantized_linear": lambda: qkeras.quantized_linear(1, 0),
    "bernoulli": lambda: qkeras.bernoulli(),
    "negative_slope": lambda: qkeras.quantized_relu(4, 0, negative_slope=0.25),
    "use_sigmoid": lambda: qkeras.quantized_relu(4, 0, use_sigmoid=1),
    "is_quantized_clip": lambda: qkeras.quantized_relu(4, 0, is_quantized_clip=False),
    "use_stochastic_rounding": lambda: qkeras.quantized_bits(4, 0, alpha=1, use_stochastic_rounding=True),
    "use_real_tanh": lambda: qkeras.quantized_tanh(4, use_real_tanh=True),
    "use_real_sigmoid": lambda: qkeras.quantized_sigmoid(4, use_real_sigmoid=True),
    "symmetric": lambda: qkeras.quantized_tanh(4, symmetric=True),
    "use_01": lambda: qkeras.binary(use_01=True, alpha=1),
    "alpha": lambda: qkeras.binary(),
    "threshold": lambda: qkeras.ternary(alpha=1),
    "log2_rounding": lambda: qkeras.quantized_po2(4, log2_rounding="floor"),
    "quadratic_approximation": lambda: qkeras.quantized_po2(4, quadratic_approximation=True),
    "max_value": lambda: qkeras.quantized_po2(4, max_value=3),
    "qnoise_factor": lambda: qkeras.quantized_bits(4, 0, alpha=1, qnoise_factor=0.5),
    "temperature": lambda: qkeras.stochastic_binary(alpha=1, temperature=2.0),
    "scale_axis": lambda: qkeras.binary(alpha="auto_po2", scale_axis=0),
    "1 bits": lambda: qkeras.quantized_bits(1, 0, alpha=1),
    "tanh": lambda: keras.activations.tanh,
    "relu": lambda: "relu",
    "NoneType": lambda: None,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused_by_name(name):
    with pytest.raises(BadInput) as refused:
        format_of(REFUSED[name]())
    message = str(refused.value)
    assert "\n" not in message
    assert any(word in message for word in (name, "alpha", "2 to 32 bits", "function"))
