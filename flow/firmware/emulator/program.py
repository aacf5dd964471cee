"""From stages with exact types to integer steps, and the lanes that their values need."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.errors import BadInput
from flow.firmware.emulator import steps
from flow.firmware.emulator.lanes import Buffer, arena_bytes, bits_of, interval_bits, lane_bits, placed, wrapped
from flow.firmware.precision import Decision, HlsType, Linear, Quantize, Stage, StageTypes, word_type
from flow.formats import Format
from flow.topology import INPUT, Conv, Dense, Merge, Pool, Reshape, Scale, same_padding


@dataclass(frozen=True)
class Program:
    """A network as steps on buffers. `words` and `result` are the types of the input words and of the outputs;
    `arena` is the memory for one event, in bytes."""

    steps: tuple[steps.Step, ...]
    buffers: dict[str, Buffer]
    words: HlsType
    result: HlsType
    inputs: str
    outputs: str
    arena: int

    @property
    def n_in(self) -> int:
        return self.buffers[self.inputs].size

    @property
    def n_out(self) -> int:
        return self.buffers[self.outputs].size


@dataclass(frozen=True)
class _Value:
    """What a stage leaves: the buffer that it is in, and the stage's types."""

    buffer: str
    types: StageTypes

    @property
    def fraction(self) -> int:
        return self.types.result.fraction


class _Builder:
    """Steps and buffers as they are found, stage by stage."""

    def __init__(self):
        self.steps: list[steps.Step] = []
        self.buffers: list[Buffer] = []

    def buffer(self, name: str, size: int, needed: int) -> str:
        self.buffers.append(Buffer(name, int(size), lane_bits(needed, f"layer {name}")))
        return name

    def bits(self, name: str) -> int:
        return next(item.bits for item in self.buffers if item.name == name)


def program(stages: Sequence[Stage], types: Mapping[str, StageTypes], word: Format, n_in: int) -> Program:
    """The integer program of a network; raises BadInput for what it can't hold, naming the layer."""
    words = word_type(word)
    builder = _Builder()
    low, high = np.full(n_in, float(words.low)), np.full(n_in, float(words.high))
    values = {INPUT: _Value(builder.buffer(INPUT, n_in, bits_of(words)), StageTypes(INPUT, words, low, high))}
    for stage in stages:
        read = [values[name] for name in stage.inputs]
        values[stage.name] = _Value(_stage(builder, stage, types[stage.name], read), types[stage.name])
    last = values[stages[-1].name]
    written, last_read = {INPUT: -1}, {INPUT: 0, last.buffer: len(builder.steps)}
    for number, step in enumerate(builder.steps):
        written.setdefault(step.target, number)
        for name in (*steps.reads(step), step.target):
            last_read[name] = max(last_read.get(name, 0), number)
    last_read[last.buffer] = len(builder.steps)
    buffers = placed(builder.buffers, last_read, written)
    return Program(tuple(builder.steps), buffers, words, last.types.result, INPUT, last.buffer, arena_bytes(buffers))


def _stage(builder: _Builder, stage: Stage, own: StageTypes, read: list[_Value]) -> str:
    first = read[0]
    match stage:
        case Reshape():
            return first.buffer
        case Quantize():
            return _quantize(builder, stage, own, first)
        case Linear(layer=Scale()):
            return _affine(builder, stage, own, first)
        case Linear():
            return _sum(builder, stage, own, first)
        case Pool():
            return _pool(builder, stage, own, first)
        case Merge(operation="add"):
            return _add(builder, stage, own, *read)
        case Merge():
            return _concatenate(builder, stage, own, read)
        case Decision():
            target = builder.buffer(stage.name, math.prod(stage.shape), bits_of(own.result))
            builder.steps.append(steps.Decide(stage.name, first.buffer, target, own.spec))
            return target
    raise BadInput(f"layer {stage.name}: the emulator does not know {type(stage).__name__}")


def _quantize(builder: _Builder, stage: Quantize, own: StageTypes, data: _Value) -> str:
    form, before = stage.type, data.types.result
    shift = before.fraction - form.fraction
    needed = max(bits_of(before) + max(-shift, 0), bits_of(form), shift + 2)
    if shift > 0 and form.rounding != "TRN":
        needed = max(needed, bits_of(before) + 1, shift + 2)
    below, above = float(np.min(data.types.low)) < form.low, float(np.max(data.types.high)) > form.high
    limits: dict = {}
    if form.overflow == "WRAP":
        limits = {"wrap": form.width, "wrap_signed": form.signed} if below or above else {}
    else:
        limits |= {"low": _whole(form.low / form.step)} if below else {}
        limits |= {"high": _whole(form.high / form.step)} if above else {}
    bits = lane_bits(needed, f"layer {stage.name}")
    target = builder.buffer(stage.name, math.prod(stage.shape), bits_of(form))
    builder.steps.append(steps.Round(stage.name, data.buffer, target, bits, shift, form.rounding, **limits))
    return target


def _affine(builder: _Builder, stage: Linear, own: StageTypes, data: _Value) -> str:
    target, factor, bias = _weights(builder, stage, own, data)
    builder.steps.append(steps.Affine(stage.name, data.buffer, target, factor.reshape(-1), bias))
    return target


def _sum(builder: _Builder, stage: Linear, own: StageTypes, data: _Value) -> str:
    layer = stage.layer
    source = data.buffer
    bases, offsets = np.zeros(1, dtype=np.int64), np.arange(stage.kernel.shape[0])
    if isinstance(layer, Conv):
        source, shape = _padded(builder, layer, data)
        bases, offsets = _positions(shape, layer.window, layer.strides)
    target, kernel, bias = _weights(builder, stage, own, data)
    weights, places, starts = _terms(layer, kernel, offsets)
    builder.steps.append(steps.Sum(stage.name, source, target, weights, places, starts, bias, bases))
    return target


def _weights(builder: _Builder, stage: Linear, own: StageTypes, data: _Value) -> tuple[str, np.ndarray, np.ndarray]:
    """The buffer of the results, and kernel and bias as integers in the results' step."""
    fraction = own.result.fraction
    # Intermediate sums lie in the result's own type; the factor of a lone product need not.
    needed = bits_of(own.result)
    if isinstance(stage.layer, Scale):
        ends = [stage.kernel * bound for bound in (data.types.low, data.types.high)]
        needed = max(needed, bits_of(data.types.result), interval_bits(np.minimum(*ends), np.maximum(*ends), fraction))
    target = builder.buffer(stage.name, own.low.size, needed)
    bits = builder.bits(target)
    kernel = wrapped(np.ldexp(stage.kernel, fraction - data.fraction), bits)
    return target, kernel, wrapped(np.ldexp(stage.bias, fraction), bits)


def _terms(layer: Dense | Conv, kernel: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights and offsets of the terms that are not zero, filter by filter, and where each filter's begin."""
    weights, places, starts = [], [], [0]
    depthwise = isinstance(layer, Conv) and layer.depthwise
    for filter in range(layer.shape[-1]):
        if depthwise:
            column = kernel[..., filter, 0].reshape(-1)
            where = offsets.reshape(-1, layer.channels)[:, filter]
        else:
            column, where = kernel.reshape(-1, kernel.shape[-1])[:, filter], offsets
        kept = np.flatnonzero(column)
        weights.append(column[kept])
        places.append(where[kept])
        starts.append(starts[-1] + len(kept))
    return np.concatenate(weights), np.concatenate(places), np.array(starts)


def _padded(builder: _Builder, layer: Conv, data: _Value) -> tuple[str, tuple[int, ...]]:
    """The buffer that a convolution's windows lie in, with zeros around the data where it needs them, and its shape."""
    shape = layer.input_shape
    if layer.padding != "same":
        return data.buffer, shape
    pads = [same_padding(n, w, s) for n, w, s in zip(shape, layer.window, layer.strides)]
    if not any(map(sum, pads)):
        return data.buffer, shape
    numbers = np.pad(np.arange(math.prod(shape)).reshape(shape), [*pads, (0, 0)], constant_values=-1)
    flat = numbers.reshape(-1)
    to, zeros = np.flatnonzero(flat >= 0), np.flatnonzero(flat < 0)
    target = builder.buffer(f"{layer.name} padded", flat.size, builder.bits(data.buffer))
    builder.steps.append(steps.Move(layer.name, data.buffer, target, flat[to], to, zeros, 0))
    return target, numbers.shape


def _positions(
    shape: tuple[int, ...], window: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Where each window begins in data of `shape` (*sizes, channels), and its elements' offsets from there."""
    numbers = np.arange(math.prod(shape)).reshape(shape)
    counts = [(n - w) // s + 1 for n, w, s in zip(shape, window, strides)]
    begins = numbers[tuple(slice(0, c * s, s) for c, s in zip(counts, strides))][..., 0]
    return begins.reshape(-1), numbers[tuple(slice(0, w) for w in window)].reshape(-1)


def _pool(builder: _Builder, stage: Pool, own: StageTypes, data: _Value) -> str:
    """A mean is the sum, its point moved: the number of values is a power of two."""
    bases, offsets = _positions(stage.input_shape, stage.window, stage.strides)
    channels = stage.input_shape[-1]
    operation = "max" if stage.operation == "max" else "sum"
    needed = bits_of(own.result) if operation == "max" else max(bits_of(own.accum), bits_of(data.types.result))
    target = builder.buffer(stage.name, own.low.size, max(needed, bits_of(data.types.result)))
    first = offsets.reshape(-1, channels)[:, 0]
    builder.steps.append(steps.Window(stage.name, data.buffer, target, operation, first, bases, channels))
    return target


def _add(builder: _Builder, stage: Merge, own: StageTypes, left: _Value, right: _Value) -> str:
    fraction = own.result.fraction
    needed = [interval_bits(item.types.low, item.types.high, fraction) for item in (left, right)]
    target = builder.buffer(stage.name, own.low.size, max(bits_of(own.result), *needed))
    shifts = fraction - left.fraction, fraction - right.fraction
    builder.steps.append(steps.Add(stage.name, left.buffer, right.buffer, target, *shifts))
    return target


def _concatenate(builder: _Builder, stage: Merge, own: StageTypes, read: list[_Value]) -> str:
    target = builder.buffer(stage.name, own.low.size, bits_of(own.result))
    places = np.arange(own.low.size).reshape(own.low.shape)
    first = 0
    for item in read:
        width = item.types.low.shape[-1]
        to = places[..., first : first + width].reshape(-1)
        first += width
        shift = own.result.fraction - item.fraction
        none = np.zeros(0, dtype=np.int64)
        builder.steps.append(steps.Move(stage.name, item.buffer, target, np.arange(to.size), to, none, shift))
    return target


def _whole(value: float) -> int:
    if value != int(value):
        raise BadInput(f"{value!r} is no whole number of steps")
    return int(value)
