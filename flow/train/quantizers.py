"""Fake quantizers as functions of tensors: one compiled graph serves every format of every member.

Each equals its QKeras counterpart to the last bit, forward and gradient (straight-through, with the
same float32 operations in the same order).
"""

from typing import NamedTuple, Sequence

import numpy as np
import tensorflow as tf

from flow.formats import Format

# Codes of the kinds inside the graph; FLOAT passes values through.
FLOAT, FIXED, TERNARY, BINARY = 0, 1, 2, 3
_CODES = {"quantized_bits": FIXED, "quantized_relu": FIXED, "ternary": TERNARY, "binary": BINARY}


class Formats(NamedTuple):
    """The formats of one parameter for all members, each a float32 tensor (members, 1, 1)."""

    kind: tf.Tensor
    levels: tf.Tensor  # 2**(bits without sign)
    span: tf.Tensor  # 2**integer, or the scale of ternary and binary

    @staticmethod
    def of(formats: Sequence[Format | None]) -> "Formats":
        """None stands for float."""

        def column(values) -> np.ndarray:
            return np.asarray(values, dtype=np.float32).reshape(-1, 1, 1)

        return Formats(
            column([FLOAT if f is None else _CODES[f.kind] for f in formats]),
            column([1.0 if f is None else 2.0 ** (f.bits - f.signed) for f in formats]),
            column([1.0 if f is None else (f.scale if hasattr(f, "scale") else 2.0**f.integer) for f in formats]),
        )


def quantize_kernel(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """Members' parameters (members, ..., ...) by quantized_bits, ternary or binary, each member its own."""
    fixed = f.span * tf.clip_by_value(tf.round(x * f.levels / f.span), -f.levels, f.levels - 1.0) / f.levels
    sign = tf.sign(x)
    ternary = f.span * (tf.cast(tf.abs(x) >= f.span / 2.0, x.dtype) * sign)
    binary = f.span * (sign + (1.0 - tf.abs(sign)))
    quantized = tf.where(f.kind == FIXED, fixed, tf.where(f.kind == TERNARY, ternary, binary))
    return tf.where(f.kind == FLOAT, x, x + tf.stop_gradient(quantized - x))


def quantize_relu(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """Members' sums (members, events, units) by quantized_relu, or by a plain rectifier where float."""
    top = f.span - f.span / f.levels
    rectified = tf.nn.relu(x)
    clipped = tf.where(x <= top, rectified, tf.ones_like(x) * top)
    quantized = f.span * tf.clip_by_value(tf.round(x * f.levels / f.span) / f.levels, 0.0, 1.0 - 1.0 / f.levels)
    return tf.where(f.kind == FLOAT, rectified, clipped + tf.stop_gradient(quantized - clipped))


def quantize_input(x: tf.Tensor, f: Formats) -> tf.Tensor:
    """The events (events, features) by each member's input format: (members, events, features)."""
    x = tf.broadcast_to(x[None], [tf.shape(f.kind)[0], tf.shape(x)[0], x.shape[1]])
    fixed = f.span * tf.clip_by_value(tf.round(x * f.levels / f.span), -f.levels, f.levels - 1.0) / f.levels
    return tf.where(f.kind == FLOAT, x, fixed)
