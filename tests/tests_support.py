"""What several tests need."""

import signal

import numpy as np

from flow.formats import (
    Binary,
    Fixed,
    Format,
    HalfUpBits,
    HalfUpRelu,
    PowerOfTwo,
    Relu,
    ReluPowerOfTwo,
    Sigmoid,
    StochasticBinary,
    StochasticTernary,
    Tanh,
    Ternary,
    TruncatedBits,
    TruncatedRelu,
)

# Formats of every kind, with every argument that a kind has.
FORMATS: dict[str, tuple[Format, ...]] = {
    "quantized_bits": (
        *(Fixed(bits, integer) for bits in (2, 3, 4, 8, 16) for integer in (-2, 0, 3)),
        *(Fixed(bits, 1, symmetric=True) for bits in (2, 4, 8)),
        *(Fixed(bits, integer, signed=False) for bits in (1, 2, 4, 8) for integer in (-2, 0, 3)),
        *(Fixed(bits, 1, exponent=exponent) for bits in (2, 4, 8) for exponent in (-3, 2)),
        Fixed(4, 1, True, True, -1),
        Fixed(4, 1, False, False, 1),
        *(Fixed(bits, integer, exponent=None) for bits in (2, 4, 8) for integer in (0, 2)),
    ),
    "quantized_relu": (
        *(Relu(bits, integer) for bits in (1, 2, 4, 8) for integer in (0, 1, 4)),
        Relu(4, 2, upper=1.5),
    ),
    "ternary": tuple(Ternary(exponent) for exponent in (-3, 0, 2, None)),
    "binary": tuple(Binary(exponent) for exponent in (-3, 0, 2, None)),
    "stochastic_ternary": tuple(StochasticTernary(exponent) for exponent in (-2, 0, None)),
    "stochastic_binary": tuple(StochasticBinary(exponent) for exponent in (-2, 1, None)),
    "quantized_po2": (*(PowerOfTwo(bits) for bits in (2, 3, 4, 6, 8)), *(PowerOfTwo(4, k) for k in (-2, 0, 1, 3))),
    "quantized_relu_po2": (
        *(ReluPowerOfTwo(bits) for bits in (2, 3, 4, 6)),
        *(ReluPowerOfTwo(4, k) for k in (-2, 0, 1, 3)),
    ),
    "quantized_tanh": tuple(Tanh(bits) for bits in (2, 3, 4, 8)),
    "quantized_sigmoid": tuple(Sigmoid(bits) for bits in (1, 2, 4, 8)),
    "truncated_bits": tuple(TruncatedBits(bits, integer) for bits in (2, 4, 8) for integer in (-2, 0, 3)),
    "half_up_bits": tuple(HalfUpBits(bits, integer) for bits in (2, 4, 8) for integer in (-2, 0, 3)),
    "truncated_relu": tuple(TruncatedRelu(bits, integer) for bits in (1, 4, 8) for integer in (-2, 0, 3)),
    "half_up_relu": tuple(HalfUpRelu(bits, integer) for bits in (1, 4, 8) for integer in (-2, 0, 3)),
}
EVERY = tuple(form for forms in FORMATS.values() for form in forms)


def grid(form: Format) -> np.ndarray:
    """Values (n,) on the format's grid, halfway between, beside the halves, at and beyond the ends, tiny and huge."""
    steps = np.arange(-20, 21) * form.step / 2
    if isinstance(form, (PowerOfTwo, ReluPowerOfTwo)):  # ends, and halfway between exponents but for the tie itself
        powers = 2.0 ** np.arange(max(form.min_exponent, -26) - 2.0, min(form.top_exponent, 20) + 3.0)
        steps = np.concatenate([sign * powers * factor for sign in (-1, 1) for factor in (0.999, 1, 1.414, 1.415)])
    ends = np.array([form.low, form.high, form.low - form.step, form.high + form.step, 1e3, -1e3])
    values = [steps, steps + 1e-3 * form.step, steps - 1e-3 * form.step, ends, ends + form.step / 2]
    lines = [[-1.0, 1.0, -1.001, 1.001, 0.999, -0.999], [0.0, 1e-6, -1e-6, 1e-9, -1e-9, 1e-30, 1e20, -1e20]]
    return np.concatenate([*values, *lines]).astype(np.float32)


def kernel(form: Format, seed: int = 0) -> np.ndarray:
    """A kernel (50, 3) that holds `grid`, scaled differently in each channel, or normal values for auto scales."""
    if form.auto:
        return (np.random.default_rng(seed).normal(size=(50, 3)) * [0.02, 0.5, 3.0]).astype(np.float32)
    values = grid(form)
    return np.stack([values, np.roll(values, 7), -values], axis=1)


def interruptible() -> None:
    """For a process to be: Ctrl-C reaches it, even where the tests run in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
