"""Intervals through a network: every value that a layer can put out, every error that formats can make of it.

Interval arithmetic (Moore, Interval Analysis, 1966) with the real weights: ranges and errors are those of any input
on the word's grid, so that they hold for every event. A layer's inputs count as independent of each other, which
makes the bounds of the first layer exact and those of later ones wide (`benchmarks/fit.py` measures how wide).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.design import Design
from flow.formats import Format
from flow.topology import INPUT, Layer, Pool, Topology, Weighted
from flow.train import exact
from flow.train.initial import Weights
from flow.train.ranges import FUNCTIONS, HARD

SAMPLED = 4097  # points at which a hard activation function is compared with the real one


@dataclass(frozen=True)
class Interval:
    """Lowest and highest values by element, (1, *shape) each."""

    low: np.ndarray
    high: np.ndarray

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.high + other.high)

    @property
    def size(self) -> np.ndarray:
        """The largest magnitude by element."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True)
class LayerBound:
    """What a layer needs that never overflows. `low` and `high`: the smallest and the largest sum of any element;
    `integer`: integer bits (without sign) that hold every sum; `accumulator`: bits, sign among them, that hold every
    partial sum in whatever order; `fraction`: fractional bits of the sums, which are exact."""

    low: float
    high: float
    integer: int
    accumulator: int
    fraction: int


def linear(layer: Layer, kernel: np.ndarray, read: Interval) -> Interval:
    """Every value of a layer's sums, without bias, of a kernel and every value that it reads."""
    up, down = np.maximum(kernel, 0.0), np.minimum(kernel, 0.0)

    def sums(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        plus = exact.apply(layer, positive, kernel=up, bias=None)
        return plus + exact.apply(layer, negative, kernel=down, bias=None)

    return Interval(sums(read.low, read.high), sums(read.high, read.low))


def bounds(
    topology: Topology, design: Design, weights: Weights, reach: Interval | None = None
) -> dict[str, LayerBound]:
    """By layer with a kernel, what holds every value of a design's sums.

    `weights` are the unquantized ones, layer → kernel, bias. `reach`: the input's values (1, *input_shape), before its
    format (None: all that the format has).
    """
    found, steps, ends = {}, {INPUT: design.input.step}, {INPUT: _first(topology, design.input, reach)}
    for layer in topology.layers:
        sources = topology.sources[layer.name]
        read, step = [ends[name] for name in sources], min(steps[name] for name in sources)
        if isinstance(layer, Weighted):
            kernel, bias = quantized_weights(design, weights, layer.name)
            sums = linear(layer, kernel, read[0])
            step *= exact.grid_step(kernel)
            partial = partial_sums(layer, kernel, read[0])
            if bias is not None:
                sums = sums + Interval(bias, bias)
                partial = partial + Interval(np.minimum(bias, 0.0), np.maximum(bias, 0.0))
                step = min(step, exact.grid_step(bias))
            found[layer.name] = _bound(sums, partial, step)
            ends[layer.name] = sums
        else:
            ends[layer.name] = _passed(layer, read)
            step = step / math.prod(layer.window) if isinstance(layer, Pool) and layer.operation == "average" else step
        if topology.quantized(layer):
            form = design[layer.name].activation
            ends[layer.name] = Interval(*(form.quantize(end) for end in (ends[layer.name].low, ends[layer.name].high)))
            step = form.step
        steps[layer.name] = step
    return found


def partial_sums(layer: Layer, kernel: np.ndarray, read: Interval) -> Interval:
    """Every value of every partial sum, in whatever order the products are added: all negative, or all positive
    ones."""
    wide = Interval(np.minimum(read.low, 0.0), np.maximum(read.high, 0.0))
    return linear(layer, kernel, wide)


def quantized_weights(design: Design, weights: Weights, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A layer's weights as its formats have them (float64)."""
    kernel, bias = weights[name]
    return design[name].kernel.quantize(kernel), None if bias is None else design[name].bias.quantize(bias)


def integer_bits(low: float, high: float, step: float) -> int:
    """The least integer bits (without sign, may be negative) of a signed number of this step that holds both ends."""
    least = -math.inf
    if high > 0:
        least = math.ceil(math.log2(high + step) - 1e-12)
    if low < 0:
        least = max(least, math.ceil(math.log2(-low) - 1e-12))
    return int(least) if least > -math.inf else int(round(math.log2(step)))


def _bound(sums: Interval, partial: Interval, step: float) -> LayerBound:
    low, high = float(sums.low.min()), float(sums.high.max())
    fraction = -int(round(math.log2(step)))
    whole = integer_bits(min(low, float(partial.low.min())), max(high, float(partial.high.max())), step)
    return LayerBound(low, high, integer_bits(low, high, step), max(1 + whole + fraction, 1), fraction)


def _first(topology: Topology, form: Format, reach: Interval | None) -> Interval:
    shape = (1, *topology.input_shape)
    if reach is None:
        return Interval(np.full(shape, form.low), np.full(shape, form.high))
    return Interval(*(form.quantize(np.reshape(end, shape)) for end in (reach.low, reach.high)))


def _passed(layer: Layer, read: Sequence[Interval]) -> Interval:
    """What a layer without weights makes of intervals: all are monotonic."""
    return Interval(exact.apply(layer, *(i.low for i in read)), exact.apply(layer, *(i.high for i in read)))


@dataclass(frozen=True)
class Error:
    """A float network's values, and the error that a design's formats make of them, by layer name."""

    values: Mapping[str, Interval]
    errors: Mapping[str, Interval]


def errors(topology: Topology, design: Design, weights: Weights, reach: Interval) -> Error:
    """Values and errors of every layer for every float input in `reach` (1, *input_shape): quantized = float + error.

    Worst case: each element's interval holds its error for every input, whatever the others' are.
    """
    first = Interval(
        *(np.reshape(np.asarray(end, float), (1, *topology.input_shape)) for end in (reach.low, reach.high))
    )
    values, found = {INPUT: first}, {INPUT: _rounding(design.input, first)}
    for layer in topology.layers:
        sources = topology.sources[layer.name]
        read, wrong = [values[name] for name in sources], [found[name] for name in sources]
        if isinstance(layer, Weighted):
            sums, error = _weighted(layer, design, weights, read[0], wrong[0])
        elif isinstance(layer, Pool) and layer.operation == "max":
            sums = _passed(layer, read)
            error = Interval(-exact.apply(layer, -wrong[0].low), exact.apply(layer, wrong[0].high))
        else:
            sums, error = _passed(layer, read), _passed(layer, wrong)
        if topology.quantized(layer):
            sums, error = _activated(layer.activation, design[layer.name].activation, sums, error)
        values[layer.name], found[layer.name] = sums, error
    return Error(values, found)


def _weighted(layer, design: Design, weights: Weights, read: Interval, wrong: Interval) -> tuple[Interval, Interval]:
    """Ŵ(x + e) + b̂ = (Wx + b) + (Ŵe + (Ŵ - W)x + b̂ - b)."""
    kernel, bias = (None if part is None else np.asarray(part, np.float64) for part in weights[layer.name])
    after, bias_after = quantized_weights(design, weights, layer.name)
    sums = linear(layer, kernel, read)
    error = linear(layer, after, wrong) + linear(layer, after - kernel, read)
    if bias is None:
        return sums, error
    return sums + Interval(bias, bias), error + Interval(bias_after - bias, bias_after - bias)


def _activated(function: str, form: Format, sums: Interval, error: Interval) -> tuple[Interval, Interval]:
    """Behind a function of slope 0 to 1 an error is no larger, and may vanish; then its format rounds or clips."""
    real = FUNCTIONS[function]
    values = Interval(real(sums.low), real(sums.high))
    if function == "linear":
        passed = error
    else:
        passed = Interval(np.minimum(error.low, 0.0), np.maximum(error.high, 0.0))
    if function == "relu" and form.signed:  # ternary or binary instead of a rectifier: another function altogether
        return values, Interval(form.low - values.high, form.high - values.low)
    if form.kind in HARD:  # another function: as far from the real one as it can be on the grid's resolution
        x = np.linspace(float(sums.low.min()) - 1.0, float(sums.high.max()) + 1.0, SAMPLED)
        apart = float(np.abs(form.quantize(x) - real(x)).max()) + (x[1] - x[0]) + form.step
        return values, passed + Interval(np.full_like(passed.low, -apart), np.full_like(passed.high, apart))
    reach = values + passed
    if function == "relu":
        reach = Interval(np.maximum(reach.low, 0.0), reach.high)
    return values, passed + _rounding(form, reach)


def _rounding(form: Format, values: Interval) -> Interval:
    """The errors that a format makes of values: half a step, or a step below where it truncates, and what it clips."""
    if form.kind.startswith("truncated"):
        below, above = -form.step, 0.0
    elif form.kind in ("ternary", "binary", "stochastic_ternary", "stochastic_binary"):
        below = above = form.scale if form.kind.endswith("binary") else form.scale / 2.0
        below = -below
    elif form.kind in ("quantized_po2", "quantized_relu_po2"):
        largest = np.minimum(values.size, form.high)
        above = np.maximum((math.sqrt(2.0) - 1.0) * largest, form.step)
        below = -above
    else:
        below, above = -form.step / 2.0, form.step / 2.0
    clip_high = np.minimum(form.high - values.high, 0.0)
    clip_low = np.maximum(form.low - values.low, 0.0)
    return Interval(np.minimum(below, clip_high), np.maximum(above, clip_low))
