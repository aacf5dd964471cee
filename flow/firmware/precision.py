"""Exact types for the firmware, by interval analysis of a trained network.

A network is a graph of stages, free of any framework. From the format of the input words on, the interval of
every element is followed through the real quantized weights; each sum gets the narrowest type that holds
all it can reach. Sums are then exact, and the only roundings are those that the design asks for.

The bounds are computed in float64: exact as long as no type needs more than 53 bits, which is refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flow.errors import BadInput
from flow.firmware import outputs
from flow.firmware.settings import Output
from flow.formats import Format
from flow.topology import INPUT, Conv, Dense, Merge, Pool, Reshape, Scale, same_padding

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
        if self.overflow == "SAT_SYM":
            return -self.high
        return -(2.0 ** (self.integer - 1)) if self.signed else 0.0

    @property
    def high(self) -> float:
        return 2.0 ** (self.integer - self.signed) - self.step

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """What assigning `values` (any shape) to a saturating type gives, in float64."""
        steps = _ROUNDINGS[self.rounding](np.asarray(values, dtype=np.float64) / self.step)
        return np.clip(steps * self.step, self.low, self.high) + 0.0  # no negative zero

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


_ROUNDINGS = {
    "TRN": np.floor,
    "RND": lambda steps: np.floor(steps + 0.5),
    "RND_CONV": np.rint,
    "RND_INF": lambda steps: np.sign(steps) * np.floor(np.abs(steps) + 0.5),
}


@dataclass(frozen=True)
class Quantize:
    """Assigns every value to `type`, whose rounding and overflow make the quantizer."""

    name: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...]
    type: HlsType


@dataclass(frozen=True)
class Linear:
    """A layer with weights: `kernel` of its kernel shape and `bias` (channels,), quantized, and their types.

    `owner` is the network's layer that these are the weights of, where its name is another one.
    """

    layer: Dense | Conv | Scale
    kernel: np.ndarray
    bias: np.ndarray
    kernel_type: HlsType
    bias_type: HlsType
    of: str = ""

    @property
    def owner(self) -> str:
        return self.of or self.layer.name

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.layer.shape

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.layer.inputs


@dataclass(frozen=True)
class Decision:
    """What the firmware puts out behind the logits, its first input: their index or a function by tables.

    `accuracy` is the largest error that the tables may have.
    """

    name: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...]
    output: Output
    accuracy: float


Stage = Quantize | Linear | Pool | Merge | Reshape | Decision


@dataclass(frozen=True)
class StageTypes:
    """The types of one stage, and the interval [low, high] of each output element, arrays of the output's shape.

    `accum` is the type that sums are formed in, which loses nothing; it and the types of the weights are None
    where the stage has no such thing. `spec` is the arithmetic of a `Decision`.
    """

    name: str
    result: HlsType
    low: np.ndarray
    high: np.ndarray
    accum: HlsType | None = None
    weight: HlsType | None = None
    bias: HlsType | None = None
    spec: outputs.Spec | None = None


def weight_type(form: Format, values: np.ndarray) -> HlsType:
    """The plain type of a kernel's or bias' `values`: their format's own where it has one step, else the narrowest."""
    if form.auto or form.kind == "quantized_po2":
        return narrowest(values)
    return HlsType(form.width, form.width - form.fraction, form.signed)


def narrowest(values: np.ndarray) -> HlsType:
    """The narrowest type that holds every one of `values` (any shape)."""
    return enclosing(float(values.min()), float(values.max()), fraction_bits(values) or 0)


def word_type(word: Format) -> HlsType:
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


def types(stages: Sequence[Stage], word: Format, n_in: int) -> dict[str, StageTypes]:
    """The types of every stage behind `n_in` input words of format `word`, by name, in order.

    Raises BadInput where a sum needs more than 53 bits.
    """
    low, high = np.full(n_in, float(word.low)), np.full(n_in, float(word.high))
    found = {INPUT: StageTypes(INPUT, word_type(word), low, high)}
    for stage in stages:
        item = _stage_types(stage, [found[name] for name in stage.inputs])
        width = max(form.width for form in (item.result, item.accum) if form is not None)
        if width > MAX_BITS:
            raise BadInput(f"layer {item.name}: its sums need {width} bits; at most {MAX_BITS} can be verified")
        found[item.name] = item
    del found[INPUT]
    return found


def _stage_types(stage: Stage, read: list[StageTypes]) -> StageTypes:
    first = read[0]
    match stage:
        case Quantize(name=name, type=form):
            return StageTypes(name, form, form.quantize(first.low), form.quantize(first.high))
        case Linear(layer=Scale()):
            return _scale_types(stage, first)
        case Linear():
            return _sum_types(stage, first)
        case Pool():
            return _pool_types(stage, first)
        case Merge(name=name, operation="add"):
            low, high = sum(item.low for item in read), sum(item.high for item in read)
            fraction = max(item.result.fraction for item in read)
            return StageTypes(name, _hull([low, high], fraction), low, high)
        case Merge(name=name):
            low, high = (np.concatenate(ends, axis=-1) for ends in zip(*((item.low, item.high) for item in read)))
            fraction = max(item.result.fraction for item in read)
            return StageTypes(name, _hull([low, high], fraction), low, high)
        case Reshape(name=name, shape=shape):
            return StageTypes(name, first.result, first.low.reshape(shape), first.high.reshape(shape))
        case Decision():
            return _decision_types(stage, first)
    raise BadInput(f"{stage!r} is no stage; known: {Stage}")


def _scale_types(stage: Linear, data: StageTypes) -> StageTypes:
    ends = stage.kernel * data.low + stage.bias, stage.kernel * data.high + stage.bias
    low, high = np.minimum(*ends), np.maximum(*ends)
    result = _hull([low, high], _digits(stage, data))
    return StageTypes(stage.name, result, low, high, None, stage.kernel_type, stage.bias_type)


def _sum_types(stage: Linear, data: StageTypes) -> StageTypes:
    kernel = _matrix(stage)
    up, down = np.maximum(kernel, 0.0), np.minimum(kernel, 0.0)
    low, high = (_terms(stage.layer, bound) for bound in (data.low, data.high))
    below, above = np.minimum(low, 0.0), np.maximum(high, 0.0)
    sums = [low @ up + high @ down, high @ up + low @ down]
    # Products and the running sums, in any order, lie in the same type, so that no step on the way wraps either.
    running = [below @ up + above @ down, above @ up + below @ down]
    most, least = up.max(axis=-1, initial=0.0), down.min(axis=-1, initial=0.0)
    products = [below * most, above * least, above * most, below * least]
    low, high = (bound + stage.bias for bound in sums)
    bounds = [low, high, *(bound + stage.bias for bound in running), *products, stage.bias]
    result = _hull(bounds, _digits(stage, data))
    return StageTypes(stage.name, result, low, high, result, stage.kernel_type, stage.bias_type)


def _digits(stage: Linear, data: StageTypes) -> int:
    """Fractional bits of a stage's sums."""
    kernel, bias = fraction_bits(stage.kernel), fraction_bits(stage.bias)
    return max(
        (d for d in (None if kernel is None else kernel + data.result.fraction, bias) if d is not None), default=0
    )


def _matrix(stage: Linear) -> np.ndarray:
    """The kernel as (terms, filters); a depthwise one has zeros where a filter doesn't look."""
    layer = stage.layer
    if not (isinstance(layer, Conv) and layer.depthwise):
        return stage.kernel.reshape(-1, stage.kernel.shape[-1])
    return (stage.kernel * np.eye(layer.channels)).reshape(-1, layer.channels)


def _terms(layer: Dense | Conv, values: np.ndarray) -> np.ndarray:
    """What each sum of a layer multiplies: (n_in,), or (*positions, terms) with zeros where the input is padded."""
    if isinstance(layer, Dense):
        return values
    dimensions = range(len(layer.window))
    if layer.padding == "same":
        pads = [same_padding(n, w, s) for n, w, s in zip(layer.input_shape, layer.window, layer.strides)]
        values = np.pad(values, [*pads, (0, 0)])
    return _windows(values, layer.window, layer.strides).reshape(*(layer.shape[d] for d in dimensions), -1)


def _windows(values: np.ndarray, window: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """The windows of `values` (*sizes, channels), as (*positions, *window, channels)."""
    axes = tuple(range(len(window)))
    views = np.lib.stride_tricks.sliding_window_view(values, window, axis=axes)
    views = views[tuple(slice(None, None, stride) for stride in strides)]
    return np.moveaxis(views, len(window), -1)


def _pool_types(stage: Pool, data: StageTypes) -> StageTypes:
    within = tuple(range(len(stage.window), 2 * len(stage.window)))
    low, high = (_windows(bound, stage.window, stage.strides) for bound in (data.low, data.high))
    if stage.operation == "max":
        low, high = (bound.max(axis=within).reshape(stage.shape) for bound in (low, high))
        result = _hull([low, high], data.result.fraction)
        return StageTypes(stage.name, result, low, high, result)
    size = math.prod(stage.window)
    fraction = data.result.fraction + size.bit_length() - 1
    sums = [bound.sum(axis=within).reshape(stage.shape) for bound in (low, high)]
    low, high = (bound / size for bound in sums)
    return StageTypes(stage.name, _hull([low, high], fraction), low, high, _hull(sums, fraction))


def _decision_types(stage: Decision, logits: StageTypes) -> StageTypes:
    ends = float(logits.low.min()), float(logits.high.max())
    spec = outputs.specify(stage.output, logits.low.size, logits.result.fraction, *ends, stage.accuracy)
    low, high = (np.full(stage.shape, end) for end in (spec.low, spec.high))
    return StageTypes(stage.name, enclosing(spec.low, spec.high, spec.fraction), low, high, spec=spec)


def _hull(bounds: Sequence[np.ndarray], fraction: int) -> HlsType:
    return enclosing(min(float(b.min()) for b in bounds), max(float(b.max()) for b in bounds), fraction)
