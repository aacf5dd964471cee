"""Formats whose values are powers of two, so that products are shifts: QKeras' po2 quantizers."""

from dataclasses import dataclass

import numpy as np

EPSILON = float(np.float32(1e-7))  # keras.config.epsilon(): smaller values get the smallest exponent


@dataclass(frozen=True, order=True)
class _Power:
    """`bits` hold the exponent, its sign, and the sign of the value where there is one.

    `max_exponent` is the exponent of QKeras' ``max_value``; up to 0 the exponent needs no sign, which leaves it a
    bit more. Exponents are rounded half to even, so values are split at 2**(k + 1/2).
    """

    bits: int
    max_exponent: int | None = None
    auto = False

    def __post_init__(self):
        if not 2 <= self.bits <= 8 or self.min_exponent < -64:
            raise ValueError(f"{self}: 2 to 8 bits, and exponents from -64 on")
        if self.top_exponent < self.min_exponent:
            raise ValueError(f"{self}: max_value lies below the smallest value, {2.0**self.min_exponent!r}")

    def __str__(self) -> str:
        bound = "" if self.max_exponent is None else f",{2.0**self.max_exponent!r}"
        return f"{self.kind}({self.bits}{bound})"

    @property
    def _span(self) -> int:
        exponent_sign = self.max_exponent is None or self.max_exponent > 0
        return 2 ** (self.bits - self.signed - exponent_sign)

    @property
    def min_exponent(self) -> int:
        return -self._span

    @property
    def top_exponent(self) -> int:
        """The largest exponent that occurs."""
        top = self._span - 1
        return top if self.max_exponent is None else min(top, self.max_exponent)

    @property
    def integer(self) -> int:
        """Integer bits of the fixed-point number that holds every value."""
        return self.top_exponent + 1

    @property
    def fraction(self) -> int:
        return -self.min_exponent

    @property
    def width(self) -> int:
        """Bits of the fixed-point number that holds every value."""
        return self.signed + self.integer + self.fraction

    @property
    def step(self) -> float:
        return 2.0**self.min_exponent

    @property
    def high(self) -> float:
        return 2.0**self.top_exponent

    def _magnitude(self, sizes: np.ndarray) -> np.ndarray:
        exponents = np.clip(np.rint(np.log2(np.maximum(sizes, EPSILON))), self.min_exponent, self.top_exponent)
        return np.exp2(np.where(sizes < EPSILON, self.min_exponent, exponents))


class PowerOfTwo(_Power):
    """QKeras' ``quantized_po2(bits, max_value)``: -2**k and 2**k; zero counts as the smallest positive value."""

    kind = "quantized_po2"
    signed = True

    @property
    def low(self) -> float:
        return -self.high

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """The power of two nearest in its exponent, with the value's sign (float64); the shape is kept."""
        values = np.asarray(values, dtype=np.float64)
        return np.where(values < 0, -1.0, 1.0) * self._magnitude(np.abs(values))


class ReluPowerOfTwo(_Power):
    """QKeras' ``quantized_relu_po2(bits, max_value)``: 2**k; negative values and 0 give the smallest one, not 0."""

    kind = "quantized_relu_po2"
    signed = False

    @property
    def low(self) -> float:
        return self.step

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """The power of two nearest in its exponent (float64); the shape is kept."""
        return self._magnitude(np.asarray(values, dtype=np.float64))
