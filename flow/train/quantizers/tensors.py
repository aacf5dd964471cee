"""Members' formats as tensors: what differs between formats of one family is data."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from flow.formats import Format, Grid, PowerOfTwo, ReluPowerOfTwo


class Family(IntEnum):
    """Formats with one formula. DRAWN ones are random in training; AUTO ones take their scale from the values."""

    FLOAT = 0
    EVEN = 1
    DOWN = 2
    HALF_UP = 3
    FIXED_AUTO = 4
    TERNARY = 5
    TERNARY_AUTO = 6
    BINARY = 7
    BINARY_AUTO = 8
    DRAWN_TERNARY = 9
    DRAWN_TERNARY_AUTO = 10
    DRAWN_BINARY = 11
    DRAWN_BINARY_AUTO = 12
    POWER = 13
    TANH = 14
    SIGMOID = 15


_FAMILIES = {
    "quantized_bits": Family.EVEN,
    "quantized_relu": Family.EVEN,
    "truncated_bits": Family.DOWN,
    "truncated_relu": Family.DOWN,
    "half_up_bits": Family.HALF_UP,
    "half_up_relu": Family.HALF_UP,
    "ternary": Family.TERNARY,
    "binary": Family.BINARY,
    "stochastic_ternary": Family.DRAWN_TERNARY,
    "stochastic_binary": Family.DRAWN_BINARY,
    "quantized_po2": Family.POWER,
    "quantized_relu_po2": Family.POWER,
    "quantized_tanh": Family.TANH,
    "quantized_sigmoid": Family.SIGMOID,
}
_AUTO = {
    Family.EVEN: Family.FIXED_AUTO,
    Family.TERNARY: Family.TERNARY_AUTO,
    Family.BINARY: Family.BINARY_AUTO,
    Family.DRAWN_TERNARY: Family.DRAWN_TERNARY_AUTO,
    Family.DRAWN_BINARY: Family.DRAWN_BINARY_AUTO,
}


class Formats(NamedTuple):
    """The formats of one parameter for all members, each a float32 tensor (members, 1, ..., 1).

    A grid's values are step * clip(round(x * inverse), low, high); `low` and `high` are a power of two's exponents,
    `step` is the scale of ternary and binary. Behind a rectifier gradients end at `top`. `living` (members, *shape),
    of kernels where designs have widths: 1 where a weight is there, 0 where its unit is left out.
    """

    family: tf.Tensor
    inverse: tf.Tensor
    step: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    top: tf.Tensor
    living: tf.Tensor | None = None

    @staticmethod
    def of(formats: Sequence[Format | None], rank: int) -> "Formats":
        """None stands for float. `rank`: dimensions of what the formats apply to, without the members' axis."""
        rows = np.array([(float(_family(form)), *_numbers(form)) for form in formats], dtype=np.float32)
        shape = (len(formats), *([1] * rank))
        return Formats(*(tf.constant(column.reshape(shape)) for column in rows.T))


def families(formats: Iterable[Format | None]) -> frozenset[Family]:
    """The families that occur: a graph made for them holds no other formula."""
    return frozenset(_family(form) for form in formats)


def select(f: Formats, formulas: Mapping[Family, Callable], present: Iterable[Family], x: tf.Tensor) -> tf.Tensor:
    """Each member's values by the formula of its family, a function of x and f; no other formula is computed."""
    result = None
    for family in sorted(present):
        if family not in formulas:
            allowed = ", ".join(item.name for item in formulas)
            raise ValueError(f"formats of the family {family.name} do not fit here; allowed: {allowed}")
        values = formulas[family](x, f)
        result = values if result is None else tf.where(f.family == float(family), values, result)
    return result


def _family(form: Format | None) -> Family:
    if form is None:
        return Family.FLOAT
    family = _FAMILIES[form.kind]
    return _AUTO[family] if form.auto else family


def _numbers(form: Format | None) -> tuple[float, float, float, float, float]:
    """inverse, step, low, high and top of one format."""
    if form is None:
        return 1.0, 1.0, -math.inf, math.inf, math.inf
    if isinstance(form, (PowerOfTwo, ReluPowerOfTwo)):
        top = math.inf if form.max_exponent is None else 2.0**form.max_exponent
        return 1.0, 1.0, form.min_exponent, form.top_exponent, top
    if not isinstance(form, Grid):  # ternary and binary
        return 1.0, form.scale, -1.0, 1.0, math.inf
    if form.auto:
        scale = 2.0**form.integer
        return 1.0 / scale, scale, form.low / form.step, form.high / form.step, math.inf
    scale = 2.0 ** getattr(form, "exponent", 0)
    return scale / form.step, form.step, form.low / form.step, form.high / form.step, form.high
