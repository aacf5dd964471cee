import numpy as np
import pytest

pytest.importorskip("alkaid")
keras = pytest.importorskip("keras")
qkeras = pytest.importorskip("qkeras")

from alkaid.converter import trace_model  # noqa: E402
from alkaid.trace import FVArray, HWConfig, trace  # noqa: E402

from flow.errors import BadInput  # noqa: E402
from flow.firmware import alkaid_qkeras  # noqa: E402
from flow.formats import Fixed, Relu, Ternary  # noqa: E402


def _symbols(low, high, step, n):
    ones = np.ones((1, n))
    return FVArray.from_lhs(low * ones, high * ones, step * ones, HWConfig(1, 1, -1), solver_options={})


@pytest.mark.parametrize(
    "form",
    [Fixed(4, 1), Fixed(2, 0), Fixed(3, -2), Fixed(6, 5), Fixed(4, 5), Fixed(12, 3), Relu(1, 0), Relu(1, 2), Relu(4, 1),
     Relu(5, 0), Relu(3, 4), Relu(8, 3)],
    ids=str,
)  # fmt: skip
def test_quantizing_is_exact_on_every_value(form):
    values = np.arange(-(2**9), 2**9).reshape(-1, 1) * 2.0**-5  # all of a 10-bit word: every tie, every overflow
    inputs = _symbols(values.min(), values.max(), 2.0**-5, 1)
    comb = trace(inputs, alkaid_qkeras.quantize(inputs, form))
    np.testing.assert_array_equal(comb.predict(values, n_threads=1), form.quantize(values))


@pytest.mark.parametrize("seed", range(8))
def test_quantizing_is_exact_for_sums_of_random_range_and_for_constants(seed):
    generator = np.random.default_rng(seed)
    forms = [Fixed(3, 1), Relu(1, 0), Relu(2, 1), Relu(4, 1), Relu(3, 3), Relu(6, 1), Relu(2, 4)]
    for _ in range(40):
        signed, integer, fraction = generator.integers([0, -1, 0], [2, 5, 6])
        step, top = 2.0**-fraction, 2.0**integer
        values = np.arange(-signed * top, top, step).reshape(-1, 1)
        shift = generator.integers(-40, 40) * 2.0 ** -generator.integers(0, 5)
        if len(values) == 0 or generator.random() < 0.1:
            values = np.array([[shift]])
        low, high = values.min(), values.max()
        shift = 0.0 if low == high else shift
        inputs = _symbols(low, high, step, 1)
        for form in forms:
            outputs = np.asarray(alkaid_qkeras.quantize(inputs + shift, form)).ravel()[0]
            expected = form.quantize(values + shift)
            if low == high:
                assert outputs.low == outputs.high == expected.item()
                continue
            if outputs.low == outputs.high:
                assert (expected == outputs.low).all()
                continue
            comb = trace(inputs, outputs)
            np.testing.assert_array_equal(
                comb.predict(values, n_threads=1), expected, err_msg=f"{form} {low} {high} {step} {shift}"
            )


def test_quantizing_to_a_weight_format_is_refused():
    with pytest.raises(BadInput, match="ternary"):
        alkaid_qkeras.quantize(_symbols(-1.0, 1.0, 0.5, 1), Ternary(0))


def _model(layers):
    inputs = keras.Input((3,))
    values = inputs
    for layer in layers:
        values = layer(values)
    return keras.Model(inputs, values)


def _trace(model):
    return trace(*trace_model(model, HWConfig(1, 1, -1), {}, inputs=_symbols(-4.0, 3.75, 0.25, 3)))


def test_alkaid_traces_a_whole_model_by_the_plug_in():
    alkaid_qkeras.register()
    model = _model(
        [
            keras.layers.Normalization(mean=[0.5, -0.25, 1.0], variance=[1.0, 1.0, 1.0]),
            qkeras.QActivation(qkeras.quantized_bits(5, 2, alpha=1)),
            qkeras.QDense(2, kernel_quantizer=qkeras.quantized_bits(4, 0, alpha=1), use_bias=False),
        ]
    )
    words = np.random.default_rng(0).integers(-16, 16, (500, 3)) * 0.25
    expected = Fixed(5, 2).quantize(words - [0.5, -0.25, 1.0])
    kernel = Fixed(4, 0).quantize(np.asarray(model.layers[-1].kernel))
    np.testing.assert_array_equal(_trace(model).predict(words, n_threads=1), expected @ kernel)


@pytest.mark.parametrize(
    "layer, message",
    [
        (lambda: keras.layers.Normalization(mean=[0.0] * 3, variance=[1.0, 4.0, 1.0]), "variance exactly 1"),
        (lambda: keras.layers.Normalization(mean=[0.0] * 3, variance=[1.0] * 3, invert=True), "invert"),
        (lambda: qkeras.QDense(2, kernel_quantizer=None, bias_quantizer=None), "kernel has no quantizer"),
        (lambda: qkeras.QDense(2, kernel_quantizer=qkeras.quantized_bits(4, 0, alpha="auto"), use_bias=False), "alpha"),
        (
            lambda: qkeras.QDense(
                2,
                kernel_quantizer=qkeras.quantized_bits(4, 0, alpha=1),
                use_bias=False,
                activation="quantized_relu(4,1)",
            ),
            "activation inside QDense",
        ),
        (lambda: qkeras.QActivation("quantized_tanh(4)"), "quantized_tanh"),
    ],
)
def test_what_is_not_exact_is_refused_by_name(layer, message):
    with pytest.raises(BadInput, match=message):
        _trace(_model([layer()]))
