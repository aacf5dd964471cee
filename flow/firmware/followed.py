"""The formats that both ways to firmware, hls4ml and RTL, follow to the last bit.

The engine trains more than hardware can follow; the loop asks here before it trains anything.
"""

from flow.formats import Format

_BITS = ("quantized_bits", "truncated_bits", "half_up_bits")

# Role -> the kinds that firmware follows there; the role of an activation is its function.
FOLLOWED: dict[str, tuple[str, ...]] = {
    "input": _BITS,
    "kernel": ("quantized_bits", "ternary", "binary", "stochastic_ternary", "stochastic_binary", "quantized_po2"),
    "bias": ("quantized_bits", "quantized_po2"),
    "relu": ("quantized_relu", "truncated_relu", "half_up_relu", "ternary", "binary"),
    "linear": (*_BITS, "ternary", "binary"),
    "tanh": ("quantized_tanh",),
    "sigmoid": ("quantized_sigmoid",),
}


def check_form(role: str, form: Format) -> None:
    """Raise ValueError, by name, for a format that firmware does not follow in `role`, one of `FOLLOWED`.

    Kernels and biases are constants in firmware, whatever their scale was; data is quantized there, by a fixed scale.
    """
    if form.kind not in FOLLOWED[role]:
        raise ValueError(f"{form}: firmware does not follow it for {role}; it follows {', '.join(FOLLOWED[role])}")
    if role != "kernel" and form.auto:
        raise ValueError(f"{form}: firmware does not follow a scale that depends on the data; alpha=1 is followed")
