"""Formats of two or three values: ternary and binary, also those that are drawn at random in training."""

from dataclasses import dataclass

import numpy as np

from flow.formats import auto


@dataclass(frozen=True, order=True)
class _Few:
    """Values are small multiples of one power of two, `scale` = 2**exponent.

    `exponent` None stands for ``alpha="auto_po2"``: a scale for each channel is taken from the values, and range and
    step here are those of scale 1.
    """

    exponent: int | None
    signed = True
    width = 2

    def __post_init__(self):
        """What a kind refuses."""

    @property
    def auto(self) -> bool:
        """Whether the scale comes from the values."""
        return self.exponent is None

    @property
    def scale(self) -> float:
        return 2.0 ** (self.exponent or 0)

    step = high = scale

    @property
    def low(self) -> float:
        return -self.scale

    @property
    def integer(self) -> int:
        return (self.exponent or 0) + 1

    @property
    def fraction(self) -> int:
        return -(self.exponent or 0)

    def __str__(self) -> str:
        return f"{self.kind}(alpha='auto_po2')" if self.auto else f"{self.kind}({self._arguments})"


class Ternary(_Few):
    """Values -s, 0 and s with s = 2**exponent; from s/2 on a value counts as s."""

    kind = "ternary"
    bits = 2

    @property
    def _arguments(self) -> str:
        return f"alpha={self.scale!r},threshold={self.scale / 2!r}"

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """One of the three values (float64); the shape is kept. `auto` scales channels, the last axis."""
        values = np.asarray(values, dtype=np.float64)
        if self.auto:
            return auto.ternary(values)
        return np.where(np.abs(values) >= self.scale / 2, np.sign(values), 0.0) * self.scale


class Binary(_Few):
    """Values -s and s with s = 2**exponent; zero counts as s."""

    kind = "binary"
    bits = 1

    @property
    def _arguments(self) -> str:
        return f"alpha={self.scale!r}"

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """-s for negative values, s for all others (float64); the shape is kept. `auto` scales channels."""
        values = np.asarray(values, dtype=np.float64)
        return auto.binary(values) if self.auto else np.where(values < 0, -self.scale, self.scale)


class StochasticTernary(Ternary):
    """Drawn at random in training (QKeras' ``stochastic_ternary``), as `Ternary` ever after."""

    kind = "stochastic_ternary"

    def __post_init__(self):
        if self.exponent == 1:
            raise ValueError(f"{self}: QKeras knows no stochastic_ternary with threshold 1")


class StochasticBinary(Binary):
    """Drawn at random in training (QKeras' ``stochastic_binary``), as `Binary` ever after."""

    kind = "stochastic_binary"
