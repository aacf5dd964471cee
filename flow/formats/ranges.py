"""Integer bits, scales and largest exponents taken from values."""

import numpy as np

from flow.formats.kinds import Format, of_width

# Kinds that take the integer bits of another one, which has the same range.
_AS = {
    "truncated_bits": "quantized_bits",
    "half_up_bits": "quantized_bits",
    "truncated_relu": "quantized_relu",
    "half_up_relu": "quantized_relu",
}
_FIXED_RANGE = ("quantized_tanh", "quantized_sigmoid")


def best_integer(values: np.ndarray, bits: int, kind: str) -> Format:
    """The format of a kind and width that suits `values` (any shape): the least mean root error.

    The root makes the bulk of the values count and lets the tails saturate; quantization-aware training
    then adapts to it, and to one integer bit less still behind a rectifier, so `quantized_relu` gets one
    fewer (`benchmarks/ranges.py` measures both). For ``ternary`` and ``binary`` the scale is chosen, and
    `bits` is not looked at; for powers of two the largest one; ``quantized_tanh`` and ``quantized_sigmoid``
    have nothing to choose. Ties go to the wider range, among powers of two to the narrower: it saves shifts.
    """
    kind, wanted = _AS.get(kind, kind), kind
    if kind in _FIXED_RANGE:
        return of_width(kind, bits)
    values = np.asarray(values, dtype=np.float64).ravel()
    top = max(float(np.abs(values).max(initial=0.0)), 2.0**-8)
    ceiling = int(np.ceil(np.log2(top))) + 1
    candidates = _candidates(kind, bits, ceiling) or [(0, of_width(kind, bits, 0))]
    errors = [float(np.mean(np.sqrt(np.abs(values - form.quantize(values))))) for _, form in candidates]
    best = candidates[int(np.argmin(errors))][0]
    return of_width(wanted, bits, max(best - 1, 0) if kind == "quantized_relu" else best)


def _candidates(kind: str, bits: int, ceiling: int) -> list[tuple[int, Format]]:
    found = []
    for integer in range(ceiling, ceiling - 8, -1):
        try:
            found.append((integer, of_width(kind, bits, integer)))
        except ValueError:  # the kind has no such range
            continue
    return found[::-1] if kind in ("quantized_po2", "quantized_relu_po2") else found
