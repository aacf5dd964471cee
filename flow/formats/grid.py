"""Formats whose values lie on an even grid: fixed point, with and without sign, in three ways to round."""

from dataclasses import dataclass

import numpy as np

from flow.formats import auto


def half_up(values: np.ndarray) -> np.ndarray:
    """The nearest integers, ties upwards; no sum that could round on its own (as floor(x + 0.5) has)."""
    below = np.floor(values)
    return below + (values - below >= 0.5)


class Grid:
    """What follows from `bits`, `integer`, `signed` and `symmetric`: values are multiples of `step`.

    `bits` counts the sign where there is one, `integer` does not and says where the range ends: at 2**integer.
    """

    signed = True
    symmetric = False
    auto = False
    rounding = staticmethod(np.rint)  # half to even

    @property
    def fraction(self) -> int:
        """Fractional bits (may be negative)."""
        return self.bits - self.signed - self.integer

    @property
    def width(self) -> int:
        """Bits of the fixed-point number that holds every value."""
        return self.bits

    @property
    def step(self) -> float:
        return 2.0**-self.fraction

    @property
    def low(self) -> float:
        if not self.signed:
            return 0.0
        return -self.high if self.symmetric else -(2.0**self.integer)

    @property
    def high(self) -> float:
        return 2.0**self.integer - self.step

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Representable values (float64), rounded as the format rounds, saturated; the shape is kept."""
        values = np.asarray(values, dtype=np.float64)
        return np.clip(self.rounding(values / self.step) * self.step, self.low, self.high)


@dataclass(frozen=True, order=True)
class Fixed(Grid):
    """Fixed point as QKeras' ``quantized_bits`` has it: half to even, saturating.

    `signed` is QKeras' ``keep_negative``. `exponent` gives the scale, ``alpha = 2**exponent``: QKeras rounds and
    saturates first and scales then; `integer` is that of the scaled values, QKeras' own argument is
    ``integer - exponent``. None stands for ``alpha="auto_po2"``: a scale for each channel is then taken from the
    values, the format is symmetric, and range and step here are those of scale 1.
    """

    bits: int
    integer: int
    signed: bool = True
    symmetric: bool = False
    exponent: int | None = 0
    kind = "quantized_bits"

    def __post_init__(self):
        object.__setattr__(self, "symmetric", bool(self.signed and (self.symmetric or self.auto)))
        if not 1 + self.signed <= self.bits <= 32:
            raise ValueError(f"{self}: {1 + self.signed} to 32 bits")
        if self.auto and not self.signed:
            raise ValueError(f"{self}: QKeras keeps negative values where alpha is 'auto_po2'")

    def __str__(self) -> str:
        negative = "" if self.signed else ",keep_negative=0"
        alpha = "'auto_po2'" if self.auto else "1" if self.exponent == 0 else repr(2.0**self.exponent)
        return f"quantized_bits({self.bits},{self.own_integer},{int(self.symmetric)}{negative},alpha={alpha})"

    @property
    def auto(self) -> bool:
        """Whether the scale comes from the values."""
        return self.exponent is None

    @property
    def own_integer(self) -> int:
        """QKeras' argument ``integer``."""
        return self.integer - (self.exponent or 0)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Representable values (float64), half to even, saturated; channels (the last axis) are scaled if `auto`."""
        values = np.asarray(values, dtype=np.float64)
        if self.auto:
            return auto.fixed(values, self.bits, self.integer)
        scale = 2.0**self.exponent
        return np.clip(self.rounding(values * scale / self.step) * self.step, self.low, self.high)


@dataclass(frozen=True, order=True)
class Relu(Grid):
    """Unsigned fixed point behind a rectifier: QKeras' ``quantized_relu(bits, integer)``.

    `upper` is QKeras' ``relu_upper_bound``. It changes no value: QKeras clips to the format's own range instead
    (``is_quantized_clip``, which is always set in a model that was saved).
    """

    bits: int
    integer: int
    upper: float | None = None
    kind = "quantized_relu"
    signed = False

    def __post_init__(self):
        if not 1 <= self.bits <= 31:
            raise ValueError(f"{self}: 1 to 31 bits")
        if not 0 <= self.integer <= 30:
            raise ValueError(f"{self}: QKeras knows no quantized_relu with fewer than 0 integer bits or more than 30")
        if self.upper is not None and self.upper <= 0:
            raise ValueError(f"{self}: the upper bound must be above 0")

    def __str__(self) -> str:
        bound = "" if self.upper is None else f",relu_upper_bound={self.upper!r}"
        return f"quantized_relu({self.bits},{self.integer}{bound})"


@dataclass(frozen=True, order=True)
class _Hardware(Grid):
    """A grid whose rounding costs no tie correction in hardware; the range saturates."""

    bits: int
    integer: int

    def __post_init__(self):
        if not 1 + self.signed <= self.bits <= 32:
            raise ValueError(f"{self}: {1 + self.signed} to 32 bits")

    def __str__(self) -> str:
        return f"{self.kind}({self.bits},{self.integer})"


class TruncatedBits(_Hardware):
    """Signed fixed point that drops bits: rounds towards minus infinity."""

    kind = "truncated_bits"
    rounding = staticmethod(np.floor)


class HalfUpBits(_Hardware):
    """Signed fixed point, ties upwards: half a step is added and bits are dropped."""

    kind = "half_up_bits"
    rounding = staticmethod(half_up)


class TruncatedRelu(_Hardware):
    """Unsigned fixed point behind a rectifier that drops bits."""

    kind = "truncated_relu"
    signed = False
    rounding = staticmethod(np.floor)


class HalfUpRelu(_Hardware):
    """Unsigned fixed point behind a rectifier, ties upwards."""

    kind = "half_up_relu"
    signed = False
    rounding = staticmethod(half_up)


@dataclass(frozen=True, order=True)
class Tanh(Grid):
    """QKeras' ``quantized_tanh(bits)``: its hyperbolic tangent is piecewise linear, the input clipped to [-1, 1]."""

    bits: int
    kind = "quantized_tanh"
    integer = 0

    def __post_init__(self):
        if not 2 <= self.bits <= 31:
            raise ValueError(f"{self}: 2 to 31 bits")

    def __str__(self) -> str:
        return f"quantized_tanh({self.bits})"


@dataclass(frozen=True, order=True)
class Sigmoid(Grid):
    """QKeras' ``quantized_sigmoid(bits)``: its sigmoid is piecewise linear, (x + 1) / 2 clipped to [0, 1]."""

    bits: int
    kind = "quantized_sigmoid"
    integer = 0
    signed = False

    def __post_init__(self):
        if not 1 <= self.bits <= 31:
            raise ValueError(f"{self}: 1 to 31 bits")

    def __str__(self) -> str:
        return f"quantized_sigmoid({self.bits})"

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Representable values of the sigmoid of `values` (float64), half to even; the shape is kept."""
        return super().quantize(0.5 * np.asarray(values, dtype=np.float64) + 0.5)
