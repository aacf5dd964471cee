"""Number formats as frozen values, named as QKeras writes them.

A format knows its range, its step and how it rounds: everything that the engine, the cost models
and both ways to firmware must agree on is said here once.
"""

import re
from dataclasses import dataclass
from typing import Union

import numpy as np


@dataclass(frozen=True, order=True)
class Fixed:
    """Signed fixed point: QKeras' ``quantized_bits(bits, integer, 0, alpha=1)``.

    ``bits`` counts the sign, ``integer`` does not; values round half to even and saturate.
    """

    bits: int
    integer: int
    kind = "quantized_bits"
    signed = True

    def __post_init__(self):
        if not 2 <= self.bits <= 32:
            raise ValueError(f"{self}: 2 to 32 bits")

    def __str__(self) -> str:
        return f"quantized_bits({self.bits},{self.integer},0,alpha=1)"

    @property
    def fraction(self) -> int:
        """Fractional bits (may be negative)."""
        return self.bits - 1 - self.integer

    @property
    def step(self) -> float:
        return 2.0**-self.fraction

    @property
    def low(self) -> float:
        return -(2.0**self.integer)

    @property
    def high(self) -> float:
        return 2.0**self.integer - self.step

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Nearest representable values (float64), ties to even, saturated; the shape is kept."""
        values = np.asarray(values, dtype=np.float64)
        return np.clip(np.rint(values / self.step) * self.step, self.low, self.high)


@dataclass(frozen=True, order=True)
class Relu:
    """Unsigned fixed point behind a rectifier: QKeras' ``quantized_relu(bits, integer)``."""

    bits: int
    integer: int
    kind = "quantized_relu"
    signed = False
    low = 0.0

    def __post_init__(self):
        if not 1 <= self.bits <= 32:
            raise ValueError(f"{self}: 1 to 32 bits")
        if self.integer < 0:
            raise ValueError(f"{self}: QKeras knows no quantized_relu with fewer than 0 integer bits")

    def __str__(self) -> str:
        return f"quantized_relu({self.bits},{self.integer})"

    @property
    def fraction(self) -> int:
        return self.bits - self.integer

    @property
    def step(self) -> float:
        return 2.0**-self.fraction

    @property
    def high(self) -> float:
        return 2.0**self.integer - self.step

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Nearest representable values (float64), ties to even, clipped to [0, high]."""
        values = np.asarray(values, dtype=np.float64)
        return np.clip(np.rint(values / self.step) * self.step, 0.0, self.high)


@dataclass(frozen=True, order=True)
class _Scaled:
    """A format whose values are small multiples of one power of two, `scale` = 2**exponent."""

    exponent: int
    signed = True

    @property
    def scale(self) -> float:
        return 2.0**self.exponent

    step = high = scale

    @property
    def low(self) -> float:
        return -self.scale

    @property
    def integer(self) -> int:
        return self.exponent + 1

    @property
    def fraction(self) -> int:
        return -self.exponent


@dataclass(frozen=True, order=True)
class Ternary(_Scaled):
    """Values -s, 0 and s with s = 2**exponent; from s/2 on a value counts as s."""

    kind = "ternary"
    bits = 2

    def __str__(self) -> str:
        return f"ternary(alpha={self.scale!r},threshold={self.scale / 2!r})"

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """The nearest of the three values (float64); the shape is kept."""
        values = np.asarray(values, dtype=np.float64)
        return np.where(np.abs(values) >= self.scale / 2, np.sign(values), 0.0) * self.scale


@dataclass(frozen=True, order=True)
class Binary(_Scaled):
    """Values -s and s with s = 2**exponent; zero counts as s."""

    kind = "binary"
    bits = 1

    def __str__(self) -> str:
        return f"binary(alpha={self.scale!r})"

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """-s for negative values, s for all others (float64); the shape is kept."""
        values = np.asarray(values, dtype=np.float64)
        return np.where(values < 0, -self.scale, self.scale)


Format = Union[Fixed, Relu, Ternary, Binary]

KINDS: dict[str, type] = {
    "quantized_bits": Fixed,
    "quantized_relu": Relu,
    "ternary": Ternary,
    "binary": Binary,
}

_CALL = re.compile(r"^\s*(\w+)\s*\(([^()]*)\)\s*$")


def parse(text: str) -> Format:
    """Read a format back from its canonical name.

    Raises ValueError, with what is allowed, for anything that names no format known here.
    """
    kind, arguments = _call(text)
    try:
        if kind in ("quantized_bits", "quantized_relu"):
            bits, integer = (_whole(arguments.pop(key)) for key in ("0", "1"))
            symmetric, alpha = arguments.pop("2", 0.0), arguments.pop("alpha", 1.0)
            if arguments or symmetric or alpha != 1.0:
                raise ValueError
            return KINDS[kind](bits, integer)
        scale = arguments.pop("alpha")
        threshold = arguments.pop("threshold", scale / 2)
        if arguments or threshold != scale / 2:
            raise ValueError
        return KINDS[kind](_exponent(scale))
    except KeyError as missing:
        raise ValueError(f"{text!r} lacks its argument {missing}") from None
    except ValueError as error:
        reason = (
            str(error)
            or "allowed: quantized_bits(bits,integer), quantized_relu(bits,integer), ternary(alpha=2^k), binary(alpha=2^k)"
        )
        raise ValueError(f"{text!r} is no format that firmware follows here; {reason}") from None


def best_integer(values: np.ndarray, bits: int, kind: str) -> Format:
    """The format of a kind and width that suits `values` (any shape): the least mean root error.

    The root makes the bulk of the values count and lets the tails saturate; quantization-aware training
    then adapts to it, and to one integer bit less still behind a rectifier, so `quantized_relu` gets one
    fewer (`benchmarks/ranges.py` measures both). For ``ternary`` and ``binary`` the scale is chosen, and
    `bits` is not looked at. Ties go to the wider range.
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    top = max(float(np.abs(values).max(initial=0.0)), 2.0**-8)
    ceiling = int(np.ceil(np.log2(top))) + 1
    candidates = []
    for integer in range(ceiling, ceiling - 8, -1):
        if kind == "quantized_relu" and integer < 0:
            continue
        candidate = KINDS[kind](integer) if kind in ("ternary", "binary") else KINDS[kind](bits, integer)
        candidates.append(candidate)
    candidates = candidates or [Relu(bits, 0)]
    errors = [float(np.mean(np.sqrt(np.abs(values - candidate.quantize(values))))) for candidate in candidates]
    best = candidates[int(np.argmin(errors))]
    return Relu(bits, max(best.integer - 1, 0)) if kind == "quantized_relu" else best


def _call(text: str) -> tuple[str, dict[str, float]]:
    match = _CALL.match(str(text))
    if not match or match.group(1) not in KINDS:
        raise ValueError(f"{text!r} names no known format; known: {', '.join(KINDS)}")
    arguments: dict[str, float] = {}
    for position, part in enumerate(filter(None, (p.strip() for p in match.group(2).split(",")))):
        key, _, value = part.rpartition("=")
        try:
            arguments[key.strip() or str(position)] = float(value)
        except ValueError:
            raise ValueError(f"{text!r}: {value!r} is no number") from None
    return match.group(1), arguments


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"{value} is no whole number")
    return int(value)


def _exponent(scale: float) -> int:
    if scale <= 0 or np.log2(scale) != int(np.log2(scale)):
        raise ValueError(f"alpha {scale} is no power of two")
    return int(np.log2(scale))
