"""The register of formats, and which of them go where."""

from flow.formats.few import Binary, StochasticBinary, StochasticTernary, Ternary
from flow.formats.grid import (
    Fixed,
    HalfUpBits,
    HalfUpRelu,
    Relu,
    Sigmoid,
    Tanh,
    TruncatedBits,
    TruncatedRelu,
)
from flow.formats.power import PowerOfTwo, ReluPowerOfTwo

Format = (
    Fixed | Relu | Ternary | Binary | StochasticTernary | StochasticBinary | PowerOfTwo | ReluPowerOfTwo
    | Tanh | Sigmoid | TruncatedBits | HalfUpBits | TruncatedRelu | HalfUpRelu
)  # fmt: skip

KINDS: dict[str, type] = {
    "quantized_bits": Fixed,
    "quantized_relu": Relu,
    "ternary": Ternary,
    "binary": Binary,
    "stochastic_ternary": StochasticTernary,
    "stochastic_binary": StochasticBinary,
    "quantized_po2": PowerOfTwo,
    "quantized_relu_po2": ReluPowerOfTwo,
    "quantized_tanh": Tanh,
    "quantized_sigmoid": Sigmoid,
    "truncated_bits": TruncatedBits,
    "half_up_bits": HalfUpBits,
    "truncated_relu": TruncatedRelu,
    "half_up_relu": HalfUpRelu,
}

# Kinds whose width is given, not chosen: they are written without bits.
WIDTHLESS = ("ternary", "binary", "stochastic_ternary", "stochastic_binary")

# Which kinds go where; an activation's kinds depend on its function. Only kernels take a scale from the values.
# "ternary" and "binary" stand in the place of a rectifier, as in AutoQKeras: they are applied to the sum itself.
INPUTS = ("quantized_bits", "truncated_bits", "half_up_bits")
KERNELS = ("quantized_bits", "ternary", "binary", "stochastic_ternary", "stochastic_binary", "quantized_po2")
BIASES = ("quantized_bits", "quantized_po2")
ACTIVATIONS_OF: dict[str, tuple[str, ...]] = {
    "relu": ("quantized_relu", "truncated_relu", "half_up_relu", "quantized_relu_po2", "ternary", "binary"),
    "linear": ("quantized_bits", "truncated_bits", "half_up_bits", "ternary", "binary"),
    "tanh": ("quantized_tanh",),
    "sigmoid": ("quantized_sigmoid",),
}


def of_width(kind: str, bits: int, integer: int = 0) -> Format:
    """The format of a kind with `bits` bits, where the kind has a width, and a range that ends near 2**integer."""
    form = KINDS[kind]
    if kind in WIDTHLESS:
        return form(integer)
    if kind in ("quantized_tanh", "quantized_sigmoid"):
        return form(bits)
    return form(bits, integer)
