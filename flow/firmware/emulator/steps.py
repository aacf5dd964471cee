"""A network as integer steps: what each stage does to words, without its types.

All arrays are integers. `source` and `target` name buffers; a window's elements lie at `bases[position] + offset`
in the source, element e of an event in row e.
"""

from dataclasses import dataclass

import numpy as np

from flow.firmware.outputs import Argmax, Softmax, Table


@dataclass(frozen=True)
class Sum:
    """Sums of products. Terms (weight, offset) of filter f are those from `starts[f]` to `starts[f + 1]`.

    Output position * filters + f is bias[f] plus the sum of weight * source[bases[position] + offset].
    """

    name: str
    source: str
    target: str
    weights: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    bias: np.ndarray
    bases: np.ndarray


@dataclass(frozen=True)
class Affine:
    """x * factor[c] + bias[c], for every channel c of each position."""

    name: str
    source: str
    target: str
    factor: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Round:
    """Shift right by `shift` (left where negative) with a rounding; then clip to `low` and `high` where they are given,
    or keep the low `wrap` bits, as a signed or an unsigned number. Computed in lanes of `bits`."""

    name: str
    source: str
    target: str
    bits: int
    shift: int
    rounding: str
    low: int | None = None
    high: int | None = None
    wrap: int = 0
    wrap_signed: bool = True


@dataclass(frozen=True)
class Window:
    """Largest value ("max") or sum ("sum") of each window, for every one of `channels`."""

    name: str
    source: str
    target: str
    operation: str
    offsets: np.ndarray
    bases: np.ndarray
    channels: int


@dataclass(frozen=True)
class Add:
    """left * 2**left_shift + right * 2**right_shift."""

    name: str
    left: str
    right: str
    target: str
    left_shift: int
    right_shift: int


@dataclass(frozen=True)
class Move:
    """target[to] = source[origin] * 2**shift, and zeros at `zeros`: padding and concatenation."""

    name: str
    source: str
    target: str
    origin: np.ndarray
    to: np.ndarray
    zeros: np.ndarray
    shift: int


@dataclass(frozen=True)
class Decide:
    """An output behind the logits, by the arithmetic `spec` (`flow.firmware.outputs`)."""

    name: str
    source: str
    target: str
    spec: Argmax | Table | Softmax


Step = Sum | Affine | Round | Window | Add | Move | Decide


def reads(step: Step) -> tuple[str, ...]:
    """The buffers that a step reads."""
    return (step.left, step.right) if isinstance(step, Add) else (step.source,)
