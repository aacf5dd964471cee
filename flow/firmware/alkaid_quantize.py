"""Activation quantizers as traced hardware: round, then saturate, by as few bits of logic as is exact.

Rounding half to even costs an adder in front of the cut, rounding half up the same adder with a constant;
truncation is wiring. Saturation of unsigned formats looks at the bits above, that of signed ones compares.
"""

from dataclasses import dataclass
from math import log2

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


@dataclass(frozen=True)
class _Grid:
    """A fixed-point format: `integer` bits without the sign, values up to `high`, and down to -`high` if symmetric."""

    signed: bool
    symmetric: bool
    integer: int
    fraction: int
    high: float


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
    value, shift = unscaled(value)
    symmetric = form.signed and form.low != -(2.0**form.integer)
    grid = _Grid(form.signed, symmetric, form.integer - shift, form.fraction + shift, form.high * 2.0**-shift)
    return _on_grid(value, grid, ROUNDING[form.kind]) * 2.0**shift


def unscaled(value) -> tuple:
    """A value without the power of two that alkaid carries beside it, and that power's exponent.

    Bits are cut from it, not from the scaled value: alkaid 0.8.2 takes a single bit of a scaled value for the highest one
    of the bare value where both have the same weight (`canonicalize_msb_wraps`).
    """
    shift = round(log2(abs(value._factor)))
    return value * 2.0**-shift, shift


def _on_grid(value, grid: _Grid, rounding: str):
    """`value`, which is not scaled by more than a sign, on the format's grid."""
    _, integer, fraction = value.kif
    if grid.signed:
        overflow = "SAT_SYM" if grid.symmetric else "SAT"
        if rounding == EVEN and fraction > grid.fraction and not _alkaid_rounds_even(value, grid.fraction):
            value, rounding = _rounded(value, grid.fraction, EVEN), DOWN
        return value.quantize(1, grid.integer, grid.fraction, overflow, rounding)
    if rounding == EVEN and fraction > grid.fraction and grid.fraction <= -integer:
        return value.quantize(0, grid.integer, grid.fraction, "SAT", EVEN)
    return _saturated(_rounded(value, grid.fraction, rounding), grid)


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


def _alkaid_rounds_even(value, fraction: int) -> bool:
    """Whether alkaid's own rounding half to even is right here: 0.8.2 takes the low bits of the sum with half a step for
    as many as the value's, which they are not where a constant was added to it."""
    return (value + 2.0 ** (-fraction - 1)).kif[2] == value.kif[2]


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


def _saturated(value, grid: _Grid):
    """`value`, on a step not finer than the unsigned format's, clipped to [0, grid.high].

    A range that is a whole number of bits is clipped by its bits, without a comparison.
    """
    value = value.relu()
    if grid.high != 2.0**grid.integer - 2.0**-grid.fraction:
        return value.min_of(float(grid.high))
    _, integer, fraction = value.kif
    if integer <= grid.integer:
        return value
    over = value.quantize(0, integer, -grid.integer)
    if over.low == over.high:
        return value.quantize(0, grid.integer, grid.fraction, "SAT")
    kept = value.quantize(0, grid.integer, fraction)
    return over.unary_bit_op("any").msb_mux(grid.high, kept)
