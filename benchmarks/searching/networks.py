"""A trained network of any method, read from its file and traced.

The file holds dense layers as they are deployed (`benchmarks/peers/record.py`): values of kernels and biases, and in
front of each layer the quantizer of its input. All go through this one tracer: alkaid's solver with the program's
settings, cut into blocks as the program cuts its models, and the program's own logic where a format has QKeras' name.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.firmware.blocks import INPUT_BLOCK, Block, Traced, flat_row, symbols
from flow.formats import Fixed, parse


@dataclass(frozen=True)
class Layer:
    """kernel (n_in, n_out), bias (n_out,); `before`: what stands in front of it, as the file says."""

    kernel: np.ndarray
    bias: np.ndarray
    before: dict


def read(path: Path) -> list[Layer]:
    """The layers of a network's file."""
    with np.load(path, allow_pickle=False) as stored:
        rows = json.loads(str(stored["layers"]))
        return [Layer(stored[f"kernel{i}"], stored[f"bias{i}"], row) for i, row in enumerate(rows)]


def evaluate(layers: list[Layer], x: np.ndarray) -> np.ndarray:
    """Logits (n, n_out) in float64 of values (n, n_in): what the traced logic is checked against."""
    for layer in layers:
        x = _quantized_numbers(x, layer.before) @ layer.kernel + layer.bias
    return x


def trace(layers: list[Layer], word: Fixed) -> Traced:
    """The traced network for input words of the format `word`.

    Blocks are cut as the program cuts them: the input's quantizer is a block, and each layer's is with the quantizer
    behind it.
    """
    from alkaid.trace import fixed_variable

    from flow.firmware.blocks import SEED, _pruned

    fixed_variable.rd.seed(SEED)
    n_in = layers[0].kernel.shape[0]
    values = symbols([(word.low, word.high, word.step)] * n_in, (1, n_in))
    blocks = []
    names = (INPUT_BLOCK, *(f"fc{i}" for i in range(len(layers))))
    for position, name in enumerate(names):
        found = values
        if position:
            layer = layers[position - 1]
            found = found @ layer.kernel + layer.bias
        if position < len(layers):
            found = _quantized(found, layers[position].before)
        blocks.append(_block(name, values, found))
        values = symbols([_interval(row) for row in blocks[-1].whole.out_qint], found.shape)
    return Traced(tuple(_pruned(blocks)), names, word)


def _block(name: str, values, found) -> Block:
    from alkaid.trace import trace as to_comb

    comb = to_comb(flat_row({"in": values}), flat_row({name: found}))
    return Block(name, (name,), ((name, found.size),), comb, tuple(range(found.size)), comb, (), None)


def _interval(interval) -> tuple[float, float, float]:
    from flow.firmware.blocks import _widened

    return _widened(interval)


def _quantized(values, before: dict):
    """Symbolic values behind the quantizer of a layer's input."""
    from alkaid.trace import FVArray
    from alkaid.trace.ops import relu

    from flow.firmware.alkaid_quantize import quantize

    if before["kind"] == "named":
        return quantize(values, parse(before["format"]))
    one = np.empty(values.size, dtype=object)
    if before["kind"] == "steps":
        one[:] = [_stepped(value, before) for value in np.asarray(values).ravel()]
    else:
        values = relu(values) if before["relu"] else values
        kifs = zip(before["signed"], before["integer"], before["fraction"])
        one[:] = [_wrapped(value, *kif, before["rounding"]) for value, kif in zip(np.asarray(values).ravel(), kifs)]
    return FVArray(one.reshape(values.shape), values.solver_options, hwconf=values.hwconf)


def _wrapped(value, signed: int, integer: int, fraction: int, rounding: str):
    """One value in HGQ2's format. Low bits are dropped before half a step is added: alkaid's own way, which adds first,
    puts out 0 for a scaled input with a constant and a coarse step (0.8.2); the LUTs are the same."""
    if signed + integer + fraction <= 0:
        return value.from_const(0.0, hwconf=value.hwconf)
    if rounding == "RND" and value.kif[2] > fraction:
        value = value.quantize(signed, integer, fraction + 1) + 2.0 ** (-fraction - 1)
    return value.quantize(signed, integer, fraction)


def _stepped(value, before: dict):
    """A step function of one value, as one comparison for each step that its range can reach."""
    thresholds, levels, step = before["thresholds"], before["values"], 2.0 ** -value.kif[2]
    ends = [int(np.searchsorted(thresholds, end, side="right")) for end in (float(value.low), float(value.high))]
    found = value.from_const(levels[ends[0]], hwconf=value.hwconf)
    for place in range(*ends):
        # The least value on the grid that is over the threshold.
        found = found + (value >= float(np.ceil(thresholds[place] / step) * step)) * (levels[place + 1] - levels[place])
    return found


def _quantized_numbers(x: np.ndarray, before: dict) -> np.ndarray:
    if before["kind"] == "steps":
        return np.array(before["values"])[np.searchsorted(before["thresholds"], x, side="right")]
    if before["kind"] == "named":
        return parse(before["format"]).quantize(x)
    signed, integer, fraction = (np.array(before[key], np.float64) for key in ("signed", "integer", "fraction"))
    used = signed + integer + fraction > 0
    integer, fraction = np.where(used, integer, 0.0), np.where(used, fraction, 0.0)
    x = np.maximum(x, 0.0) if before["relu"] else x
    scaled = x * 2.0**fraction
    x = (np.floor(scaled + 0.5) if before["rounding"] == "RND" else np.floor(scaled)) * 2.0**-fraction
    low, size = -signed * 2.0**integer, 2.0 ** (integer + signed)
    return np.where(used, (x - low) % size + low, 0.0)
