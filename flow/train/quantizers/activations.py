"""Inputs and activations: the hot path, with a formula of its own for each activation function."""

import tensorflow as tf

from flow.train.quantizers import formulas
from flow.train.quantizers.tensors import Family, Formats, select


def quantize_activation(x: tf.Tensor, f: Formats, families: frozenset[Family], function: str) -> tf.Tensor:
    """Members' sums (members, events, *shape) through an activation function, each by its own format.

    `function` is "relu", "tanh", "sigmoid" or "linear"; float members get the plain function.
    """
    return _FUNCTIONS[function](x, f, families)


def quantize_input(x: tf.Tensor, f: Formats, families: frozenset[Family]) -> tf.Tensor:
    """Inputs (members, events, *shape) on each member's own grid."""
    return _linear(x, f, families)


def _linear(x: tf.Tensor, f: Formats, families: frozenset[Family]) -> tf.Tensor:
    if families == {Family.FLOAT}:
        return x
    return formulas.straight_through(x, select(f, _LINEAR, families, x))


def _relu(x: tf.Tensor, f: Formats, families: frozenset[Family]) -> tf.Tensor:
    """Rectifiers, and what stands in the place of one."""
    levels = families & _LEVELS.keys()
    if not levels:
        return _rectified(x, f, families)
    found = formulas.straight_through(x, select(f, _LEVELS, levels, x))
    if levels == families:
        return found
    chosen = tf.reduce_any([f.family == float(family) for family in levels], axis=0)
    return tf.where(chosen, found, _rectified(x, f, families - levels))


def _rectified(x: tf.Tensor, f: Formats, families: frozenset[Family]) -> tf.Tensor:
    """Rectifiers. Between 0 and the largest value QKeras' straight-through sum is exact: it is left out here."""

    @tf.custom_gradient
    def rectified(x):
        def gradient(upstream):
            return tf.where((x > 0.0) & (x <= f.top), upstream, 0.0)

        return select(f, _RELU, families, x), gradient

    return rectified(x)


def _relu_power(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """quantized_relu_po2: the sum does leave dust where values exceed the largest power."""
    clipped = tf.where(x <= f.top, tf.nn.relu(x), f.top)
    return clipped + (formulas.power_of_two(x, f) - clipped)


def _tanh(x: tf.Tensor, f: Formats, families: frozenset[Family]) -> tf.Tensor:
    return select(f, {Family.FLOAT: lambda x, f: tf.tanh(x), Family.TANH: _hard_tanh}, families, x)


def _sigmoid(x: tf.Tensor, f: Formats, families: frozenset[Family]) -> tf.Tensor:
    return select(f, {Family.FLOAT: lambda x, f: tf.sigmoid(x), Family.SIGMOID: _hard_sigmoid}, families, x)


def _hard_tanh(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """quantized_tanh: QKeras' hard tanh, 2 hard_sigmoid(x) - 1."""
    return _clipped(x, f, lambda share: 2.0 * share - 1.0)


def _hard_sigmoid(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """quantized_sigmoid: QKeras' hard sigmoid, (x + 1) / 2 between 0 and 1."""
    return _clipped(x, f, lambda share: share)


def _clipped(x: tf.Tensor, f: Formats, curve) -> tf.Tensor:
    """A function of the hard sigmoid on a grid, with the curve's own slope where no clip is met on the way."""

    @tf.custom_gradient
    def quantized(x):
        line = 0.5 * x + 0.5
        words = tf.round(curve(tf.clip_by_value(line, 0.0, 1.0)) * f.inverse)

        def gradient(upstream):
            inside = (line >= 0.0) & (line <= 1.0) & (words >= f.low) & (words <= f.high)
            return tf.where(inside, upstream * (curve(1.0) - curve(0.0)) * 0.5, 0.0)

        return f.step * tf.clip_by_value(words, f.low, f.high), gradient

    return quantized(x)


_LEVELS = {Family.TERNARY: formulas.ternary, Family.BINARY: formulas.binary}
_LINEAR = {Family.FLOAT: lambda x, f: x, **formulas.GRIDS, **_LEVELS}
_RELU = {Family.FLOAT: lambda x, f: tf.nn.relu(x), **formulas.GRIDS, Family.POWER: _relu_power}
_FUNCTIONS = {"relu": _relu, "linear": _linear, "tanh": _tanh, "sigmoid": _sigmoid}
