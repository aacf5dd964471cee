"""The arithmetic of layers in float64, and how many bits of it are exact.

Values have the shape (n, *shape), channels last. Sums and products of fixed-point numbers are exact in any order
as long as they fit in a float64's 53 bits: `Span` follows how many a value can need.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flow.topology import Activation, Conv, Dense, Layer, Merge, Pool, Reshape, Scale, output_size, same_padding

EXACT_BITS = 53  # of a float64
BATCH = 4096  # events that are evaluated at once: bounds what hidden layers take


@dataclass(frozen=True)
class Span:
    """Values that are multiples of `step` (a power of two) and at most `bound` in magnitude."""

    step: float
    bound: float

    @property
    def bits(self) -> int:
        """Bits of a signed number that holds them all."""
        return math.ceil(self.bound / self.step).bit_length() + 1

    def times(self, kernel: np.ndarray, bias: np.ndarray | None) -> "Span":
        """Sums of products with a kernel whose last axis is the sum's, and a bias."""
        sums = np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0) * self.bound
        step = self.step * grid_step(kernel)
        if bias is None:
            return Span(step, float(sums.max(initial=0.0)))
        return Span(min(step, grid_step(bias)), float((sums + np.abs(bias)).max(initial=0.0)))

    def divided(self, size: int) -> "Span":
        """Sums of `size` values, and their means: both are multiples of the finer step."""
        return Span(self.step / size, self.bound)


def added(*spans: Span) -> Span:
    return Span(min(span.step for span in spans), sum(span.bound for span in spans))


def joined(*spans: Span) -> Span:
    return Span(min(span.step for span in spans), max(span.bound for span in spans))


def grid_step(values: np.ndarray) -> float:
    """The largest power of two of which all values are multiples; 1 where all are zero."""
    values = np.asarray(values, dtype=np.float64)
    mantissas, exponents = np.frexp(values[values != 0])
    if not mantissas.size:
        return 1.0
    whole = np.abs(np.ldexp(mantissas, EXACT_BITS)).astype(np.int64)
    trailing = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return 2.0 ** int((exponents - EXACT_BITS + trailing).min())


def apply(layer: Layer, *values: np.ndarray, kernel=None, bias=None) -> np.ndarray:
    """What a layer of a network makes of the values (n, *shape) it reads, in front of its activation."""
    match layer:
        case Dense():
            return dense(*values, kernel, bias)
        case Conv():
            return (depthwise if layer.depthwise else conv)(*values, kernel, bias, layer.strides, layer.padding)
        case Scale():
            return scale(*values, kernel, bias)
        case Pool():
            pool = max_pool if layer.operation == "max" else average_pool
            return reshape(pool(*values, layer.window, layer.strides), layer.shape)
        case Merge():
            return (add if layer.operation == "add" else concatenate)(*values)
        case Reshape():
            return reshape(*values, layer.shape)
        case Activation():
            return values[0]
    raise TypeError(f"{layer!r} is no layer")


def dense(values: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Sums over the last axis: (n, ..., n_in) and a kernel (n_in, n_out) give (n, ..., n_out)."""
    return _plus(values @ kernel, bias)


def conv(
    values: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, strides: tuple[int, ...], padding: str
) -> np.ndarray:
    """A convolution over one or two dimensions; the kernel has the shape (*window, channels, filters)."""
    sums = 0.0
    for place, part in _windows(values, kernel.shape[:-2], strides, padding):
        rows = part.reshape(-1, part.shape[-1]) @ kernel[place]
        sums = sums + rows.reshape(*part.shape[:-1], kernel.shape[-1])
    return _plus(sums, bias)


def depthwise(
    values: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, strides: tuple[int, ...], padding: str
) -> np.ndarray:
    """A filter for each channel; the kernel has the shape (*window, channels, 1)."""
    parts = _windows(values, kernel.shape[:-2], strides, padding)
    return _plus(sum(part * kernel[place][:, 0] for place, part in parts), bias)


def scale(values: np.ndarray, factor: np.ndarray, shift: np.ndarray | None) -> np.ndarray:
    """A factor and a shift (channels,) for each channel."""
    return _plus(values * factor, shift)


def max_pool(values: np.ndarray, window: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """The largest value of each window that lies inside."""
    found = -np.inf
    for _, part in _windows(values, window, strides, "valid"):
        found = np.maximum(found, part)
    return found


def average_pool(values: np.ndarray, window: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """The mean of each window that lies inside: exact where its size is a power of two."""
    return sum(part for _, part in _windows(values, window, strides, "valid")) / math.prod(window)


def add(*values: np.ndarray) -> np.ndarray:
    """The sum of arrays of one shape."""
    return sum(values)


def concatenate(*values: np.ndarray) -> np.ndarray:
    """Channels side by side."""
    return np.concatenate(values, axis=-1)


def reshape(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The same values as (n, *shape), in C order."""
    return values.reshape(len(values), *shape)


def _plus(sums: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    return sums if bias is None else sums + bias


def _windows(
    values: np.ndarray, window: tuple[int, ...], strides: tuple[int, ...], padding: str
) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Each place in a window, and the values (n, *positions, channels) that lie there for all positions.

    Going by places needs no copy of each window's values: memory stays at that of one output.
    """
    sides = values.shape[1:-1]
    if padding == "same":
        zeros = [same_padding(*along) for along in zip(sides, window, strides)]
        values = np.pad(values, [(0, 0), *zeros, (0, 0)])
    counts = [output_size(*along, padding) for along in zip(sides, window, strides)]
    for place in np.ndindex(*window):
        along = [slice(at, at + (n - 1) * step + 1, step) for at, n, step in zip(place, counts, strides)]
        yield place, values[(slice(None), *along)]
