"""The output as traced logic, the same integers as `tables` and `softmax`: comparisons, look-ups, a sum, products."""

import numpy as np

from flow.firmware.alkaid_quantize import unscaled
from flow.firmware.outputs import Argmax, Softmax, Spec, Table


def follow(spec: Spec, logits):
    """The traced outputs (1, n_out) of traced logits (1, n)."""
    from alkaid.trace import FVArray

    values = list(np.asarray(logits).ravel())
    match spec:
        case Argmax():
            found = [_largest(values)[1]]
        case Table():
            found = [_looked_up(value, spec) for value in values]
        case Softmax():
            found = _softmax(values, spec)
    row = np.empty((1, len(found)), dtype=object)
    row[0, :] = found
    return FVArray(row, logits.solver_options, hwconf=logits.hwconf)


def _largest(values: list):
    """The largest value and its index, the first of equals, by a tree of comparisons."""
    pairs = [(value, value.from_const(float(i), hwconf=value.hwconf)) for i, value in enumerate(values)]
    while len(pairs) > 1:
        merged = [_larger(*pairs[i : i + 2]) for i in range(0, len(pairs) - 1, 2)]
        pairs = merged + pairs[len(merged) * 2 :]
    return pairs[0]


def _larger(first, second):
    """The pair (value, index) of the larger value, `first` where they are equal."""
    (a, i), (b, j) = first, second
    difference = a - b
    if difference.low >= 0 or difference.high < 0:
        return first if difference.low >= 0 else second
    return difference.msb_mux(b, a, _hull(a, b)), difference.msb_mux(j, i)


def _hull(a, b) -> tuple[float, float, float]:
    """The interval of the larger of two values."""
    return float(max(a.low, b.low)), float(max(a.high, b.high)), float(min(a.step, b.step))


def _looked_up(value, spec: Table):
    step = 2.0 ** (spec.shift - spec.word_fraction)
    index = _floor(value, spec.shift - spec.word_fraction)
    index = index.max_of(spec.first * step).min_of(spec.last * step)
    return _entry(index, np.ldexp(np.array(spec.entries, dtype=float), -spec.fraction), spec.first * step, step)


def _softmax(values: list, spec: Softmax) -> list:
    largest, _ = _largest(values)
    step = 2.0 ** (spec.shift - spec.word_fraction)
    table = np.ldexp(np.array(spec.powers, dtype=float), -spec.power_fraction)
    powers = []
    for value in values:
        gap = _floor(_not_negative(largest - value), spec.shift - spec.word_fraction)
        powers.append(_entry(gap.min_of(spec.last * step), table, 0.0, step))
    factor = _reciprocal(_summed(powers), spec)
    half, top = 2.0 ** -(spec.fraction + 1), spec.top * 2.0**-spec.fraction
    return [_floor(power * factor + half, -spec.fraction).min_of(top) for power in powers]


def _reciprocal(total, spec: Softmax):
    """A sum below one whole power, which the tracer thinks possible, never occurs: any entry serves it."""
    step = 2.0 ** (spec.sum_shift - spec.power_fraction)
    index = _floor(total, spec.sum_shift - spec.power_fraction)
    first, last = min(int(index.low / step), spec.sum_first), max(int(index.high / step), spec.sum_first)
    places = np.clip(np.arange(first, last + 1) - spec.sum_first, 0, len(spec.inverse) - 1)
    entries = np.ldexp(np.array(spec.inverse, dtype=float)[places], -spec.inverse_fraction)
    return _entry(index, entries, first * step, step)


def _entry(index, table: np.ndarray, low: float, step: float):
    """The entry of a table whose first is for `low` and which has one for each `step`."""
    if index.low == index.high:
        return index.from_const(float(table[round((index.low - low) / step)]), hwconf=index.hwconf)
    return index.lookup(table, original_qint=(low, low + (len(table) - 1) * step, step))


def _floor(value, exponent: int):
    """The multiple of 2**exponent that is not above the value."""
    signed, integer, fraction = value.kif
    if fraction <= -exponent:
        return value
    if value.low == value.high:
        return value.from_const(float(np.floor(value.low * 2.0**-exponent) * 2.0**exponent), hwconf=value.hwconf)
    value, shift = unscaled(value)
    return value.quantize(signed, max(integer, exponent + 1) - shift, shift - exponent) * 2.0**shift


def _not_negative(value):
    """A value that is known not to be negative, without its sign."""
    if value.low >= 0:
        return value
    value, shift = unscaled(value)
    _, integer, fraction = value.kif
    return value.quantize(0, integer, fraction) * 2.0**shift


def _summed(values: list):
    """The sum, by a tree of additions."""
    while len(values) > 1:
        pairs = [values[i] + values[i + 1] for i in range(0, len(values) - 1, 2)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]
