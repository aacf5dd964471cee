"""Folding a batch normalization: Keras' inference, and QKeras' own folded layers."""

import numpy as np
import pytest

from flow.topology import Conv, Dense, Layer, Scale
from flow.train.norm import EPSILON, Norm, fold

keras = pytest.importorskip("keras")

from flow.train import backend, exact

LAYERS = [
    Dense("fc", 5, 4),
    Dense("fc", 5, 4, bias=False),
    Conv("conv", (7, 3), 4, (3,), (1,)),
    Conv("conv", (6, 5, 2), 3, (2, 3), (2, 2), "same"),
    Conv("conv", (6, 5, 3), 3, (2, 2), (1, 1), "valid", depthwise=True),
    Conv("conv", (6, 5, 3), 3, (2, 2), (1, 1), "valid", depthwise=True, bias=False),
    Scale("norm", (6, 3)),
]


def example(layer: Layer, seed: int = 0):
    rng = np.random.default_rng(seed)
    channels = layer.shape[-1]

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(0, 1, shape).astype(np.float32)

    kernel = None if isinstance(layer, Scale) else drawn(*layer.kernel_shape)
    bias = drawn(channels) if layer.bias and kernel is not None else None
    norm = Norm(drawn(channels), drawn(channels), drawn(channels), np.exp(drawn(channels)))
    shape = (layer.n_in,) if isinstance(layer, Dense) else getattr(layer, "input_shape", layer.shape)
    return kernel, bias, norm, drawn(20, *shape)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.name} {layer.shape} {layer.bias}")
def test_the_folded_layer_is_the_layer_and_keras_normalization(layer):
    kernel, bias, norm, values = example(layer)
    before = values if kernel is None else exact.apply(layer, values, kernel=kernel, bias=bias)
    normalization = keras.layers.BatchNormalization()
    assert normalization.epsilon == EPSILON
    normalization.build(before.shape)
    normalization.set_weights([norm.gamma, norm.beta, norm.mean, norm.variance])
    expected = np.asarray(normalization(before.astype(np.float32), training=False))

    folded, shift = fold(layer, kernel, bias, norm)
    assert folded.shape == layer.kernel_shape and shift.shape == layer.shape[-1:]
    assert folded.dtype == shift.dtype == np.float32
    found = exact.apply(layer, values.astype(np.float64), kernel=folded, bias=shift)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("layer", [LAYERS[0], LAYERS[1], LAYERS[3]], ids=["dense", "no bias", "conv"])
def test_qkeras_folds_alike(layer):
    backend.start()
    import qkeras

    kernel, bias, norm, values = example(layer, 1)
    if isinstance(layer, Dense):
        theirs = qkeras.QDenseBatchnorm(layer.n_out, use_bias=layer.bias)
    else:
        theirs = qkeras.QConv2DBatchnorm(layer.filters, layer.window, layer.strides, layer.padding)
    theirs.build((None, *values.shape[1:]))
    theirs.kernel.assign(kernel)
    if bias is not None:
        theirs.bias.assign(bias)
    theirs.batchnorm.set_weights([norm.gamma, norm.beta, norm.mean, norm.variance])
    for own, other in zip(fold(layer, kernel, bias, norm), theirs.get_folded_weights()):
        np.testing.assert_allclose(own, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS[:5:2] + LAYERS[-1:], ids=lambda layer: layer.name)
def test_a_fresh_normalization_changes_next_to_nothing(layer):
    kernel, bias, _, _ = example(layer)
    zeros, ones = np.zeros(layer.shape[-1], np.float32), np.ones(layer.shape[-1], np.float32)
    norm = Norm(ones, zeros, zeros, ones)
    folded, shift = fold(layer, kernel, bias, norm)
    expected = 1 / np.sqrt(1 + EPSILON)
    np.testing.assert_allclose(folded, (np.ones(3) if kernel is None else kernel) * expected, rtol=1e-6)
    np.testing.assert_allclose(shift, (0 if bias is None else bias) * expected, rtol=1e-6)


def test_a_channel_that_never_varied_stays_finite():
    layer = Dense("fc", 2, 2)
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    folded, shift = fold(layer, np.ones((2, 2), np.float32), None, Norm(ones, zeros, zeros, zeros))
    np.testing.assert_allclose(folded, 1 / np.sqrt(EPSILON), rtol=1e-6)
    np.testing.assert_array_equal(shift, zeros)
