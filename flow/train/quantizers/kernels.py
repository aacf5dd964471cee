"""Kernels and biases: fixed point, ternary, binary, powers of two, scales from the values, random draws.

Kernels are small, and the gradient of every one of QKeras' kernel quantizers is 1.
"""

import tensorflow as tf

from flow.train.quantizers import formulas
from flow.train.quantizers.formulas import EPSILON, LN2, signs
from flow.train.quantizers.tensors import Family, Formats, select

ROUNDS = 5  # of least squares for the scale
TERNARY_TEMPERATURE, BINARY_TEMPERATURE = 8.0, 6.0  # QKeras' defaults


def quantize_kernel(x: tf.Tensor, f: Formats, families: frozenset[Family], seeds: tf.Tensor | None = None) -> tf.Tensor:
    """Members' parameters (members, *shape), each member by its own format.

    Scales from the values are those of channels, the last axis. `seeds` (members, 2) int32 make the stochastic
    formats draw, each member from its own seed; without them they are as `ternary` and `binary`. What doesn't live is
    0 whatever the format is, and has no part in any scale.
    """
    found = _quantized(x, f, families, seeds)
    return found if f.living is None else found * f.living


def _quantized(x: tf.Tensor, f: Formats, families: frozenset[Family], seeds: tf.Tensor | None) -> tf.Tensor:
    if families == {Family.FLOAT}:
        return x
    known = _FORMULAS if seeds is None or not families & _DRAWN.keys() else _FORMULAS | _drawing(x, seeds)
    return formulas.straight_through(x, select(f, known, families, x))


def _fixed_auto(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """quantized_bits with alpha="auto_po2"."""
    scaled = x * f.inverse

    def words(scale: tf.Tensor) -> tf.Tensor:
        sizes = tf.floor(tf.abs(scaled) / scale + 0.5)
        return tf.sign(scaled) * tf.where(sizes < f.high, sizes, f.high)

    scale = _to_power_of_two(_largest(scaled) * 2.0 / (2.0 * f.high))
    for _ in range(ROUNDS):
        scale = _least_squares(scaled, words(scale), f)
    return scale * f.step * words(scale)


def _ternary_auto(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """ternary with alpha="auto_po2"."""
    scale = _to_power_of_two(2.0 * _largest(x) / 3.0)
    for _ in range(ROUNDS):
        rounded = scale * tf.round(x / scale)
        units = tf.cast(tf.abs(rounded) >= scale / 2.0, x.dtype) * tf.sign(x)
        scale = _least_squares(x, units, f)
    return scale * units


def _binary_auto(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """binary with alpha="auto_po2"."""
    return _least_squares(x, signs(x), f) * signs(x)


def _power(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """quantized_po2."""
    return signs(x) * formulas.power_of_two(tf.abs(x), f)


def _drawn_ternary(x: tf.Tensor, f: Formats, scale: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """stochastic_ternary in training: two draws of a sign, around -scale/2 and scale/2."""
    spread = _spread(x, f)
    normal, threshold = x / spread, scale / (2.0 * spread)
    upper = tf.sigmoid(TERNARY_TEMPERATURE * (normal - threshold))
    lower = tf.sigmoid(TERNARY_TEMPERATURE * (normal + threshold))
    return scale * (signs(upper - draws[:, 0]) + signs(lower - draws[:, 1])) / 2.0


def _drawn_ternary_scale(x: tf.Tensor, f: Formats) -> tf.Tensor:
    scale = _to_power_of_two(2.0 * _largest(x) / 3.0)
    for _ in range(ROUNDS):
        scale = _least_squares(x, tf.cast(tf.abs(x) >= scale / 2.0, x.dtype) * tf.sign(x), f)
    return scale


def _drawn_binary(x: tf.Tensor, spread, scale: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """stochastic_binary in training."""
    return scale * signs(tf.sigmoid(BINARY_TEMPERATURE * x / spread) - draws[:, 0])


_DRAWN = {
    Family.DRAWN_TERNARY: lambda x, f, draws: _drawn_ternary(x, f, f.step, draws),
    Family.DRAWN_TERNARY_AUTO: lambda x, f, draws: _drawn_ternary(x, f, _drawn_ternary_scale(x, f), draws),
    Family.DRAWN_BINARY: lambda x, f, draws: _drawn_binary(x, 1.0, f.step, draws),
    Family.DRAWN_BINARY_AUTO: lambda x, f, draws: _drawn_binary(
        x, _spread(x, f), _least_squares(x, signs(x), f), draws
    ),
}


def _drawing(x: tf.Tensor, seeds: tf.Tensor) -> dict:
    """The formulas that draw, with two uniform numbers for each value: draws (members, 2, *shape)."""
    shape = (2, *x.shape[1:])

    def one(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, seed, alg="philox")

    # One call for each member, so that its numbers don't depend on who else is there.
    draws = tf.map_fn(one, seeds, fn_output_signature=tf.float32)
    return {family: lambda x, f, formula=formula: formula(x, f, draws) for family, formula in _DRAWN.items()}


def _largest(x: tf.Tensor) -> tf.Tensor:
    axes = list(range(1, max(x.shape.rank - 1, 2)))
    return tf.reduce_max(tf.abs(x), axis=axes, keepdims=True)


def _spread(x: tf.Tensor, f: Formats) -> tf.Tensor:
    axes = list(range(1, max(x.shape.rank - 1, 2)))
    if f.living is None:
        return tf.math.reduce_std(x, axis=axes, keepdims=True) + EPSILON
    return tf.sqrt(_mean((x - _mean(x, f, axes)) ** 2, f, axes)) + EPSILON


def _least_squares(x: tf.Tensor, units: tf.Tensor, f: Formats) -> tf.Tensor:
    """The power of two s for which s * units comes nearest to x; for each value where there is one axis only."""
    axes = list(range(1, x.shape.rank - 1))
    products = _mean(x * units, f, axes)
    squares = _mean(units * units, f, axes)
    return _to_power_of_two(products / (squares + EPSILON))


def _mean(x: tf.Tensor, f: Formats, axes: list[int]) -> tf.Tensor:
    """The mean of what lives along some axes, which stay; 0 where nothing does."""
    if f.living is None:
        return tf.reduce_mean(x, axis=axes, keepdims=True)
    count = tf.reduce_sum(f.living, axis=axes, keepdims=True)
    return tf.reduce_sum(x * f.living, axis=axes, keepdims=True) / tf.maximum(count, 1.0)


def _to_power_of_two(scale: tf.Tensor) -> tf.Tensor:
    return tf.pow(2.0, tf.round(tf.math.log(scale + EPSILON) / LN2))


_FORMULAS = {
    Family.FLOAT: lambda x, f: x,
    **formulas.GRIDS,
    Family.FIXED_AUTO: _fixed_auto,
    Family.TERNARY: formulas.ternary,
    Family.TERNARY_AUTO: _ternary_auto,
    Family.BINARY: formulas.binary,
    Family.BINARY_AUTO: _binary_auto,
    Family.DRAWN_TERNARY: formulas.ternary,
    Family.DRAWN_TERNARY_AUTO: _ternary_auto,
    Family.DRAWN_BINARY: formulas.binary,
    Family.DRAWN_BINARY_AUTO: _binary_auto,
    Family.POWER: _power,
}
