"""Exact types for the firmware, by interval analysis of a trained network.

A network is a chain of stages, free of any framework. From the format of the input words on, the interval of
every element is followed through the real quantized weights; each sum gets the narrowest type that holds
all it can reach. Sums are then exact, and the only roundings are those that the design asks for.

The bounds are computed in float64: exact as long as no type needs more than 53 bits, which is refused.
"""

import math
from dataclasses import dataclass
from typing import Sequence, Union

import numpy as np

from flow.errors import BadInput
from flow.formats import Binary, Fixed, Format, Relu, Ternary

MAX_BITS = 53  # what a float64 carries: more could not be compared exactly


@dataclass(frozen=True)
class HlsType:
    """A fixed-point type as HLS tools write it: `width` bits, `integer` of them (with the sign) before the point."""

    width: int
    integer: int
    signed: bool = True
    rounding: str = "TRN"
    overflow: str = "WRAP"

    def __str__(self) -> str:
        modes = "" if (self.rounding, self.overflow) == ("TRN", "WRAP") else f",AP_{self.rounding},AP_{self.overflow}"
        return f"ap_{'' if self.signed else 'u'}fixed<{self.width},{self.integer}{modes}>"

    @property
    def fraction(self) -> int:
        return self.width - self.integer

    @property
    def step(self) -> float:
        return 2.0**-self.fraction

    @property
    def low(self) -> float:
        return -(2.0 ** (self.integer - 1)) if self.signed else 0.0

    @property
    def high(self) -> float:
        return 2.0 ** (self.integer - self.signed) - self.step

    def holds(self, values: np.ndarray) -> bool:
        """Whether every value (any shape) is one of the type's own."""
        values = np.asarray(values, dtype=np.float64)
        scaled = values / self.step
        return bool(np.all((values >= self.low) & (values <= self.high) & (scaled == np.rint(scaled))))

    def integers(self, values: np.ndarray) -> np.ndarray:
        """The integer words (int64, the shape is kept) whose value is word * step; raises ValueError for others."""
        if not self.holds(values):
            raise ValueError(f"not every value is one of {self}")
        return np.rint(np.asarray(values, dtype=np.float64) / self.step).astype(np.int64)

    def binary(self, value: float) -> str:
        """The word of one value in two's complement, the point where it belongs, as 0b0101.10."""
        word = int(self.integers(np.float64(value)))
        digits = format(word % (1 << self.width), f"0{self.width}b")
        if 0 < self.integer < self.width:
            return f"0b{digits[: self.integer]}.{digits[self.integer :]}"
        return f"0b{digits}" if self.fraction == 0 else f"0b{digits}*2^{-self.fraction}"


@dataclass(frozen=True)
class Offset:
    """Subtracts `mean` (n,)."""

    name: str
    mean: np.ndarray


@dataclass(frozen=True)
class Quantize:
    """Brings every element into `form`."""

    name: str
    form: Format


@dataclass(frozen=True)
class Affine:
    """Multiplies with `kernel` (n_in, n_out) and adds `bias` (n_out,): values already quantized, with their formats."""

    name: str
    kernel: np.ndarray
    bias: np.ndarray
    kernel_form: Format
    bias_form: Format


Stage = Union[Offset, Quantize, Affine]


@dataclass(frozen=True)
class StageTypes:
    """The types of one stage, and the interval [low, high] of each output element, arrays (n,).

    `weight` and `bias` are None where the stage has none; sums are formed in `result`, which loses nothing.
    """

    name: str
    result: HlsType
    low: np.ndarray
    high: np.ndarray
    weight: HlsType | None = None
    bias: HlsType | None = None


def weight_type(form: Format) -> HlsType:
    """The plain type that holds every value of a kernel's or bias' format."""
    match form:
        case Fixed():
            return HlsType(form.bits, form.integer + 1)
        case Ternary() | Binary():
            # -s and s: two bits, of which the word for -2s is never used
            return HlsType(2, form.exponent + 2)
    raise BadInput(f"{form} is no format for weights")


def activation_type(form: Format) -> HlsType:
    """The type of a quantizer's output: assigning to it rounds half to even and saturates, as QKeras does."""
    match form:
        case Fixed():
            return HlsType(form.bits, form.integer + 1, True, "RND_CONV", "SAT")
        case Relu():
            return HlsType(form.bits, form.integer, False, "RND_CONV", "SAT")
    raise BadInput(f"{form} is no format for activations")


def word_type(word: Fixed) -> HlsType:
    """The type of the input words."""
    return HlsType(word.bits, word.integer + 1)


def enclosing(low: float, high: float, fraction: int) -> HlsType:
    """The narrowest type with `fraction` fractional bits that holds [low, high]; its ends are multiples of the step."""
    least, most = (round(math.ldexp(end, fraction)) for end in (low, high))
    signed = least < 0
    below = (-least - 1).bit_length() + 1 if signed else 0
    width = max(below, max(most, 0).bit_length() + signed, 1)
    return HlsType(width, width - fraction, signed)


def fraction_bits(values: np.ndarray) -> int | None:
    """Fractional bits that hold every value (may be negative); None where all are zero."""
    values = np.asarray(values, dtype=np.float64)
    mantissas, exponents = np.frexp(values[values != 0])
    if not mantissas.size:
        return None
    words = np.abs(np.ldexp(mantissas, 53)).astype(np.int64)
    trailing = np.log2(words & -words).astype(int)
    return int(np.max(53 - trailing - exponents))


def types(stages: Sequence[Stage], word: Fixed) -> tuple[StageTypes, ...]:
    """The types of every stage behind input words of format `word`, in order.

    Raises BadInput where a sum needs more than 53 bits, or a format has no type.
    """
    low = high = None
    fraction = word.fraction
    found = []
    for stage in stages:
        if low is None:
            n_in = _width(stage)
            low, high = np.full(n_in, word.low), np.full(n_in, word.high)
        item = _stage_types(stage, low, high, fraction)
        if item.result.width > MAX_BITS:
            raise BadInput(
                f"layer {item.name}: its sums need {item.result.width} bits; at most {MAX_BITS} can be verified"
            )
        low, high, fraction = item.low, item.high, item.result.fraction
        found.append(item)
    return tuple(found)


def _width(stage: Stage) -> int:
    match stage:
        case Offset(mean=mean):
            return mean.shape[0]
        case Affine(kernel=kernel):
            return kernel.shape[0]
    return 1  # a quantizer alone: every element has the same interval


def _stage_types(stage: Stage, low: np.ndarray, high: np.ndarray, fraction: int) -> StageTypes:
    match stage:
        case Offset(name, mean):
            low, high = low - mean, high - mean
            own = fraction_bits(mean)
            digits = max(fraction, fraction if own is None else own)
            bias = enclosing(float((-mean).min()), float((-mean).max()), own or 0)
            return StageTypes(name, _hull([low, high], digits), low, high, HlsType(1, 1, False), bias)
        case Quantize(name, form):
            result = activation_type(form)
            return StageTypes(name, result, form.quantize(low), form.quantize(high))
        case Affine():
            return _affine_types(stage, low, high, fraction)
    raise BadInput(f"{stage!r} is no stage; known: Offset, Quantize, Affine")


def _affine_types(stage: Affine, low: np.ndarray, high: np.ndarray, fraction: int) -> StageTypes:
    if low.shape[0] == 1:
        low, high = (np.broadcast_to(bound, stage.kernel.shape[:1]) for bound in (low, high))
    ends = stage.kernel * low[:, None], stage.kernel * high[:, None]
    least, most = np.minimum(*ends), np.maximum(*ends)  # of each product, (n_in, n_out)
    sums = [stage.bias[None] + np.cumsum(bound, axis=0) for bound in (least, most)]
    own = fraction_bits(stage.kernel)
    digits = [d for d in (None if own is None else own + fraction, fraction_bits(stage.bias)) if d is not None]
    # The running sums and the products lie in the same type, so that no step on the way wraps either.
    result = _hull([least, most, *sums, stage.bias], max(digits, default=0))
    return StageTypes(
        stage.name, result, sums[0][-1], sums[1][-1], weight_type(stage.kernel_form), weight_type(stage.bias_form)
    )


def _hull(bounds: Sequence[np.ndarray], fraction: int) -> HlsType:
    return enclosing(min(float(b.min()) for b in bounds), max(float(b.max()) for b in bounds), fraction)
