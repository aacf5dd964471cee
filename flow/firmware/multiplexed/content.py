"""What the layers that share their hardware compute: weights as integers, or the logic of a window."""

import itertools
from dataclasses import dataclass

import numpy as np

from flow.firmware import blocks
from flow.firmware.multiplexed.formats import fraction_of, interval_of, kif_from, kif_of, kif_of_ends, union
from flow.firmware.multiplexed.reuse import DENSE
from flow.firmware.pipeline import INPUT, Kif
from flow.topology import output_size, same_padding
from flow.train.reference import own_activation


@dataclass(frozen=True)
class Dense:
    """A dense layer that uses its multipliers `reuse` times: weights and bias as integers.

    `kernel` (n_in, n_out) is in units of 2**-`kernel_fraction`, `bias` (n_out,) in units of the sums, 2**-fraction of
    `sum_kif`, which holds every sum. `inputs` are the positions of its inputs in the row that the link reads, and
    `input_kifs` their formats. `comb` is the activation of one sum, None where none is shared.
    """

    kernel: np.ndarray
    bias: np.ndarray
    kernel_fraction: int
    sum_kif: Kif
    inputs: tuple[int, ...]
    input_kifs: tuple[Kif, ...]
    comb: object | None


@dataclass(frozen=True)
class Windows:
    """A convolution whose window's logic `comb` is used `reuse` times: (taps) values -> (filters).

    `sources` (positions, taps) are positions in the row that the link reads, -1 for a padded zero; `source_kifs` the
    formats of that row, `tap_kifs` those of the window.
    """

    sources: np.ndarray
    source_kifs: tuple[Kif, ...]
    tap_kifs: tuple[Kif, ...]
    comb: object


def dense(layer, activation, inputs, positions, _):
    """The layer's content, and the formats of its outputs."""
    from flow.train import qkeras_model

    kernel, bias = qkeras_model.quantized_weights(layer)
    bias = np.zeros(kernel.shape[1]) if bias is None else bias
    kifs = tuple(kif_of(value) for value in inputs.ravel())
    kernel_fraction = fraction_of(kernel)
    fraction = max(kernel_fraction + max(kif[2] for kif in kifs), fraction_of(bias))
    low, high = (np.array(ends) for ends in zip(*(interval_of(kif)[:2] for kif in kifs)))
    smallest = bias + (np.minimum(kernel * low[:, None], kernel * high[:, None])).sum(axis=0)
    largest = bias + (np.maximum(kernel * low[:, None], kernel * high[:, None])).sum(axis=0)
    own = [kif_of_ends(a, b, fraction) for a, b in zip(smallest, largest)]
    sum_kif = kif_of_ends(smallest.min(), largest.max(), fraction)
    comb = None
    if activation is not None or own_activation(layer) is not None:
        symbols = blocks.symbols([interval_of(sum_kif)], (1, 1))
        comb = _logic(symbols, lambda sums: _activated(layer, activation, sums))
        own = [kif_from(comb.out_qint[0])] * len(own)
    integers = np.rint(kernel * 2.0**kernel_fraction).astype(np.int64)
    shifts = np.rint(bias * 2.0**fraction).astype(np.int64)
    content = Dense(integers, shifts, kernel_fraction, sum_kif, tuple(map(int, positions)), kifs, comb)
    return content, tuple(own)


def windows(layer, activation, inputs, positions, row_in):
    """The layer's content, and the formats of its outputs, positions first."""
    from flow.firmware import alkaid_qkeras
    from flow.train import qkeras_model

    kernel, bias = qkeras_model.quantized_weights(layer)
    if type(layer).__name__ in DENSE:
        sources = positions.reshape(-1, inputs.shape[-1])
    else:
        alkaid_qkeras.check_convolution(layer)
        if type(layer).__name__ == "QDepthwiseConv2D":
            kernel = kernel * np.eye(kernel.shape[-2])
        sources = _sources(positions.reshape(inputs.shape[1:]), kernel.shape[:-2], layer.strides, layer.padding)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    all_kifs = tuple(kif_of(value) for value in row_in)
    taps = tuple(union([all_kifs[i] for i in column if i >= 0]) for column in sources.T)

    def logic(window):
        sums, offsets = alkaid_qkeras.products(window, kernel)
        sums = sums + (offsets if bias is None else offsets + bias)
        return _activated(layer, activation, sums)

    comb = _logic(blocks.symbols([interval_of(kif) for kif in taps], (1, len(taps))), logic)
    own = tuple(kif_from(interval) for interval in comb.out_qint)
    return Windows(sources, all_kifs, taps, comb), own * len(sources)


def _sources(grid: np.ndarray, window, strides, padding: str) -> np.ndarray:
    """(Positions, taps): which elements of `grid` (*sides, channels) each window covers, -1 for padded zeros."""
    pads, counts = [], []
    for size, width, stride in zip(grid.shape, window, strides):
        count = output_size(size, width, stride, padding)
        front = same_padding(size, width, stride)[0] if padding == "same" else 0
        pads.append((front, max(0, (count - 1) * stride + width - size - front)))
        counts.append(count)
    padded = np.pad(grid, [*pads, (0, 0)], constant_values=-1)
    rows = []
    for at in itertools.product(*map(range, counts)):
        place = tuple(slice(i * stride, i * stride + width) for i, stride, width in zip(at, strides, window))
        rows.append(padded[place].ravel())
    return np.stack(rows)


def _logic(symbols, function):
    from alkaid.trace import trace as to_comb

    return to_comb(list(np.asarray(symbols).ravel()), list(np.asarray(function(symbols)).ravel()))


def _activated(layer, activation, sums):
    """Sums behind the activation of the layer's own and that of the layer behind it, where there are any."""
    from flow.firmware.alkaid_qkeras import handler_of
    from flow.firmware.alkaid_quantize import quantize

    form = own_activation(layer)
    sums = sums if form is None else quantize(sums, form)
    return sums if activation is None else handler_of(activation)(sums)["final"][0]


def restricted(comb, outputs: tuple[int, ...]):
    """The logic of some of its outputs."""
    from alkaid.trace.passes import add_surrogate, dead_code_elimin

    comb = comb._replace(
        shape=(comb.shape[0], len(outputs)),
        out_idxs=[comb.out_idxs[i] for i in outputs],
        out_shifts=[comb.out_shifts[i] for i in outputs],
        out_negs=[comb.out_negs[i] for i in outputs],
    )
    return add_surrogate(dead_code_elimin(comb))


def taken(comb) -> tuple[int, ...]:
    """The inputs that some logic reads."""
    return tuple(sorted({op.data[0] for op in comb.ops if op.opcode == INPUT}))


def used_inputs(layer: Dense, outputs) -> list[int]:
    """Which inputs some of the outputs of a dense layer depend on."""
    used = np.flatnonzero(layer.kernel[:, list(outputs)].any(axis=1))
    return [int(i) for i in used if sum(layer.input_kifs[i])]
