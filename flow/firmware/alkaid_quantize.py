"""Activation quantizers as traced hardware: round, then saturate, by as few bits of logic as is exact.

Rounding half to even costs an adder in front of the cut, rounding half up the same adder with a constant;
truncation is wiring. Saturation of unsigned formats looks at the bits above, that of signed ones compares.
"""

import numpy as np
from alkaid.trace import FVArray

from flow.errors import BadInput
from flow.formats import Format

# alkaid's names: to the nearest with halves to even, downwards, to the nearest with halves up.
EVEN, DOWN, UP = "RND_CONV", "TRN", "RND"
ROUNDING: dict[str, str] = {
    "quantized_bits": EVEN,
    "quantized_relu": EVEN,
    "quantized_tanh": EVEN,
    "quantized_sigmoid": EVEN,
    "truncated_bits": DOWN,
    "truncated_relu": DOWN,
    "half_up_bits": UP,
    "half_up_relu": UP,
}
LEVELS = ("binary", "ternary", "stochastic_binary", "stochastic_ternary")
SUPPORTED = (*ROUNDING, *LEVELS)


def quantize(values: FVArray, form: Format) -> FVArray:
    """`values` in `form`, as hardware, bit for bit what ``form.quantize`` gives; the shape is kept.

    Raises BadInput for a format that no activation has here.
    """
    if form.kind not in SUPPORTED or form.auto:
        raise BadInput(f"an activation in {form} is not supported in RTL; supported: {', '.join(SUPPORTED)}")
    results = np.empty(values.size, dtype=object)
    results[:] = [_quantized_one(value, form) for value in np.asarray(values).ravel()]
    return FVArray(results.reshape(values.shape), values.solver_options, hwconf=values.hwconf)


def _quantized_one(value, form: Format):
    low, high = (float(form.quantize(end)) for end in (value.low, value.high))
    if low == high:  # alkaid rounds constants half up
        return value.from_const(low, hwconf=value.hwconf)
    if form.kind in LEVELS:
        return _level(value, form)
    if form.kind == "quantized_sigmoid":  # QKeras' hard sigmoid; its hard tanh is the identity, clipped
        value = value * 0.5 + 0.5
    if form.kind == "quantized_bits":
        value = value * 2.0**form.exponent
    rounding = ROUNDING[form.kind]
    if form.signed:
        overflow = "SAT" if form.low == -(2.0**form.integer) else "SAT_SYM"
        return value.quantize(1, form.integer, form.fraction, overflow, rounding)
    _, integer, fraction = value.kif
    if rounding == EVEN and fraction > form.fraction and form.fraction <= -integer:
        return value.quantize(0, form.integer, form.fraction, "SAT", EVEN)
    return _saturated(_rounded(value, form.fraction, rounding), form)


def _level(value, form: Format):
    """The sign of a value, or with three levels the sign of one that is not small, times the format's scale."""
    scale = float(form.high)
    if form.kind.endswith("binary"):
        return value.is_negative().msb_mux(-scale, scale)
    threshold = scale / 2
    return (value >= threshold) * scale - (value <= -threshold) * scale


def _rounded(value, fraction: int, rounding: str):
    """`value` on the step 2**-fraction, by one addition at most."""
    _, _, finest = value.kif
    if finest <= fraction:
        return value
    if rounding == EVEN:
        added = _with_half_to_even(value, fraction, finest)
    else:
        added = value + 2.0 ** (-fraction - 1) if rounding == UP else value
    signed, integer, _ = added.kif
    return added.quantize(signed, integer, fraction)


def _with_half_to_even(value, fraction: int, finest: int):
    """`value` plus what makes dropping its low bits round half to even.

    That is half a step, less one unit in the last place where the kept number is even: then a tie goes down, and it
    goes up from an odd number.
    """
    half, unit = 2.0 ** (-fraction - 1), 2.0**-finest
    odd = value.quantize(0, 1 - fraction, fraction)  # the last bit that is kept
    if odd.low == odd.high:
        return value + (half if odd.low else half - unit)
    if half == unit:
        return value + odd * 0.5
    return value + odd.msb_mux(half, half - unit)


def _saturated(value, form: Format):
    """`value`, on a step not finer than the unsigned format's, clipped to [0, form.high].

    A range that is a whole number of bits is clipped by its bits, without a comparison.
    """
    value = value.relu()
    if form.high != 2.0**form.integer - form.step:
        return value.min_of(float(form.high))
    _, integer, fraction = value.kif
    if integer <= form.integer:
        return value
    over = value.quantize(0, integer, -form.integer)
    if over.low == over.high:
        return value.quantize(0, form.integer, form.fraction, "SAT")
    kept = value.quantize(0, form.integer, fraction)
    return over.unary_bit_op("any").msb_mux(form.high, kept)
