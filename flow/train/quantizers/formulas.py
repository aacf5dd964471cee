"""Formulas that kernels and activations share; each takes values (members, ...) and their formats."""

import numpy as np
import tensorflow as tf

from flow.train.quantizers.tensors import Family, Formats

EPSILON = 1e-7  # keras.config.epsilon()
LN2 = np.log(2.0)


def even(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """Nearest value of a grid, ties to even."""
    return _on_grid(tf.round(x * f.inverse), f)


def down(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """Next lower value of a grid."""
    return _on_grid(tf.floor(x * f.inverse), f)


def half_up(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """Nearest value of a grid, ties upwards. The sum x + 0.5 could round: the remainder is compared instead."""
    words = x * f.inverse
    below = tf.floor(words)
    return _on_grid(below + tf.cast(words - below >= 0.5, x.dtype), f)


def ternary(x: tf.Tensor, f: Formats) -> tf.Tensor:
    return f.step * (tf.cast(tf.abs(x) >= f.step / 2.0, x.dtype) * tf.sign(x))


def binary(x: tf.Tensor, f: Formats) -> tf.Tensor:
    return f.step * signs(x)


def signs(x: tf.Tensor) -> tf.Tensor:
    """-1 or 1; zero counts as 1."""
    sign = tf.sign(x)
    return sign + (1.0 - tf.abs(sign))


def power_of_two(sizes: tf.Tensor, f: Formats) -> tf.Tensor:
    """The power of two nearest in its exponent; sizes below EPSILON, negative ones too, get the smallest."""
    small = sizes < EPSILON
    exponents = tf.round(tf.math.log(tf.where(small, EPSILON, sizes)) / LN2)
    return tf.pow(2.0, tf.where(small, f.low, tf.clip_by_value(exponents, f.low, f.high)))


def straight_through(x: tf.Tensor, quantized: tf.Tensor) -> tf.Tensor:
    """`quantized` with the gradient of x. The sum leaves float32 dust, as QKeras' own does."""
    return x + tf.stop_gradient(quantized - x)


GRIDS = {Family.EVEN: even, Family.DOWN: down, Family.HALF_UP: half_up}


def _on_grid(integers: tf.Tensor, f: Formats) -> tf.Tensor:
    return f.step * tf.clip_by_value(integers, f.low, f.high)
