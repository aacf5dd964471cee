import numpy as np
import pytest

pytest.importorskip("alkaid")
keras = pytest.importorskip("keras")
qkeras = pytest.importorskip("qkeras")

from alkaid.converter import trace_model
from alkaid.trace import FVArray, HWConfig, trace

from flow.errors import BadInput
from flow.firmware import alkaid_qkeras
from flow.formats import Fixed
from flow.train import qkeras_model

KERNEL = {"kernel_quantizer": qkeras.quantized_bits(4, 0, alpha=1), "use_bias": False}
SCALED = {
    "gamma_quantizer": qkeras.quantized_bits(4, 1, alpha=1),
    "beta_quantizer": qkeras.quantized_bits(4, 1, alpha=1),
    "mean_quantizer": None,
    "variance_quantizer": None,
}


def _model(layers, shape=(3,)):
    inputs = keras.Input(shape)
    values = inputs
    for layer in layers:
        values = layer(values)
    return keras.Model(inputs, values)


def _trace(model):
    ones = np.ones((1, *model.input_shape[1:]))
    symbols = FVArray.from_lhs(-4.0 * ones, 3.75 * ones, 0.25 * ones, HWConfig(1, 1, -1), solver_options={})
    return trace(*trace_model(model, HWConfig(1, 1, -1), {}, inputs=symbols))


def _words(shape, n=300):
    return np.random.default_rng(0).integers(-16, 16, (n, *shape)) * 0.25


def test_alkaid_traces_a_whole_model_by_the_plug_in():
    alkaid_qkeras.register()
    model = _model(
        [
            keras.layers.Normalization(mean=[0.5, -0.25, 1.0], variance=[1.0, 1.0, 1.0]),
            qkeras.QActivation(qkeras.quantized_bits(5, 2, alpha=1)),
            qkeras.QDense(2, **KERNEL),
        ]
    )
    words = _words((3,))
    expected = Fixed(5, 2).quantize(words - [0.5, -0.25, 1.0])
    kernel = Fixed(4, 0).quantize(np.asarray(model.layers[-1].kernel))
    np.testing.assert_array_equal(_trace(model).predict(words, n_threads=1), expected @ kernel)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("window, strides", [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((3, 3), (2, 2)), ((4, 4), (3, 3))])
def test_convolutions_of_any_window_and_stride_are_exact(window, strides, padding):
    depthwise = {"depthwise_quantizer": qkeras.quantized_bits(3, 0, alpha=1), "use_bias": False}
    layers = [
        qkeras.QConv2D(2, window, strides=strides, padding=padding, **KERNEL),
        qkeras.QDepthwiseConv2D(window, strides=strides, padding=padding, **depthwise),
    ]
    for layer in layers:
        model = _model([qkeras.QActivation(qkeras.quantized_bits(5, 2, alpha=1)), layer], (5, 4, 2))
        words = _words((5, 4, 2))
        *_, expected = qkeras_model.reference(model, words).values()
        np.testing.assert_array_equal(_trace(model).predict(words.reshape(len(words), -1), n_threads=1), expected)


def test_a_convolution_of_steps_flattened_is_exact():
    grid = qkeras.QActivation(qkeras.quantized_bits(5, 2, alpha=1))
    model = _model([grid, qkeras.QConv1D(3, 3, strides=2, padding="same", **KERNEL), keras.layers.Flatten()], (7, 2))
    words = _words((7, 2))
    *_, expected = qkeras_model.reference(model, words).values()
    np.testing.assert_array_equal(_trace(model).predict(words.reshape(len(words), -1), n_threads=1), expected)


def _row(ends, step=0.25):
    low, high = np.array(ends, dtype=np.float64).T
    return FVArray.from_lhs(low, high, np.full(len(ends), step), HWConfig(1, 1, -1), solver_options={})


def test_constants_leave_a_product():
    kernel = np.array([[0.5, 0.0, 1.0], [0.75, -0.5, 0.0], [0.25, 0.0, 0.0]])
    sums, offsets = alkaid_qkeras.products(_row([(-1, 0.75), (1.5, 1.5), (0, 0)]), kernel)
    np.testing.assert_array_equal(offsets, [1.125, -0.75, 0.0])
    assert [(value.low, value.high) for value in sums] == [(-0.5, 0.375), (0.0, 0.0), (-1.0, 0.75)]


def test_a_product_of_constants_alone_is_constant():
    kernel = np.array([[0.5, 0.0], [0.75, -0.5]])
    for ends in ([(0, 0), (0, 0)], [(1.5, 1.5), (0.25, 0.25)]):
        sums, offsets = alkaid_qkeras.products(_row(ends), kernel)
        assert not any(value.low or value.high for value in sums)
        np.testing.assert_array_equal(offsets, [low for low, _ in ends] @ kernel)


def test_weights_on_constants_alone_leave_no_variable():
    sums, offsets = alkaid_qkeras.products(_row([(-1, 0.75), (0, 0), (2, 2)]), np.array([[0.0], [1.0], [0.5]]))
    assert [(value.low, value.high) for value in sums] == [(0.0, 0.0)] and offsets.tolist() == [1.0]


def test_without_constants_a_product_is_alkaids():
    from alkaid.trace import fixed_variable

    kernel = np.random.default_rng(3).integers(-7, 8, (6, 5)) / 8

    def logic(product):
        fixed_variable.rd.seed(1)
        row = _row([(-1, 0.75)] * 6)
        return trace(list(row), list(product(row)))

    def ours(row):
        sums, offsets = alkaid_qkeras.products(row, kernel)
        return sums + offsets

    assert logic(ours) == logic(lambda row: row @ kernel)


def _normalized(**changes):
    return lambda: qkeras.QBatchNormalization(**({"epsilon": 0.0} | SCALED | changes))


def _mean_one():
    return qkeras.QBatchNormalization(epsilon=0.0, moving_mean_initializer="ones", **SCALED)


@pytest.mark.parametrize(
    "layer, message",
    [
        (lambda: keras.layers.Normalization(mean=[0.0] * 3, variance=[1.0, 4.0, 1.0]), "variance exactly 1"),
        (lambda: keras.layers.Normalization(mean=[0.0] * 3, variance=[1.0] * 3, invert=True), "invert"),
        (lambda: qkeras.QDense(2, kernel_quantizer=None, bias_quantizer=None), "kernel has no quantizer"),
        (lambda: qkeras.QDense(2, kernel_quantizer=qkeras.quantized_bits(4, 0, alpha="auto"), use_bias=False), "alpha"),
        (lambda: qkeras.QDense(2, activation="relu", **KERNEL), "an activation of its own; the quantizer relu"),
        (lambda: qkeras.QActivation("quantized_relu_po2(4)"), "quantized_relu_po2"),
        (_mean_one, "moving mean 0"),
        (_normalized(epsilon=0.001), "epsilon 0"),
        (_normalized(variance_quantizer="quantized_po2(4)"), "without quantizers"),
    ],
)
def test_what_is_not_exact_is_refused_by_name(layer, message):
    with pytest.raises(BadInput, match=message):
        _trace(_model([layer()]))


@pytest.mark.parametrize(
    "layer, message",
    [
        (lambda: keras.layers.AveragePooling2D((3, 1)), "mean over 3 values"),
        (lambda: keras.layers.GlobalAveragePooling2D(), "mean over 12 values"),
        (lambda: keras.layers.MaxPooling2D(padding="same"), "valid padding"),
        (lambda: qkeras.QConv2D(2, (2, 2), dilation_rate=2, **KERNEL), "dilation_rate"),
        (lambda: qkeras.QConv2D(2, (2, 2), mask=np.eye(2), **KERNEL), "mask"),
        (lambda: qkeras.QConv2D(2, (2, 2), activation="tanh", **KERNEL), "activation of its own; the quantizer tanh"),
    ],
)
def test_what_is_not_exact_over_images_is_refused_by_name(layer, message):
    with pytest.raises(BadInput, match=message):
        _trace(_model([layer()], (4, 3, 2)))


def test_an_unknown_layer_is_refused_by_name():
    layer = keras.layers.UpSampling1D(name="wider")
    with pytest.raises(BadInput, match="layer wider: UpSampling1D is not supported in RTL; supported: QDense"):
        alkaid_qkeras.handler_of(layer)
