"""What the firmware puts out behind the logits: the index of the largest, or a function of them by tables.

One integer arithmetic for each (`tables`, `softmax`), sized from the logits' exact type and a stated accuracy; the
HLS sources (`hls_layer`) and the traced logic (`traced`) both compute exactly that.
"""

from collections.abc import Callable, Sequence

import numpy as np

from flow.errors import BadInput
from flow.firmware.outputs.softmax import Softmax, softmax
from flow.firmware.outputs.tables import Argmax, Table, table
from flow.firmware.settings import Backend, Output, Target

__all__ = ["Argmax", "Softmax", "Spec", "Table", "reference", "specify", "unavailable"]

Spec = Argmax | Table | Softmax
# The backends that hls4ml has our layer for; the others have another signature for every layer.
BACKENDS = (Backend.VITIS, Backend.VIVADO, Backend.CATAPULT)


def reference(output: Output, logits: np.ndarray) -> np.ndarray:
    """The function of the logits (n, n_out) in float64: (n, n_out), for argmax (n, 1) indices, the first of equals."""
    logits = np.asarray(logits, dtype=np.float64)
    match Output(output):
        case Output.LOGITS:
            return logits
        case Output.ARGMAX:
            return logits.argmax(axis=1).astype(np.float64)[:, None]
        case Output.SIGMOID:
            return np.exp(-np.logaddexp(0.0, -logits))
        case Output.TANH:
            return np.tanh(logits)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def specify(output: Output, n: int, fraction: int, low: float, high: float, accuracy: float) -> Spec:
    """The arithmetic of `output` for `n` logits on the step 2**-fraction within [low, high].

    Raises BadInput where no table of a size that can be built is within `accuracy`.
    """
    output = Output(output)
    if output == Output.ARGMAX:
        return Argmax(n)
    if low == high:  # logits that are all the same constant: a table needs entries that differ
        unit = max(1.0, 2.0**-fraction)
        low, high = min(low, -unit), max(high, unit)
    make = softmax if output == Output.SOFTMAX else table
    found = make(output, n, fraction, low, high, accuracy)
    if found is None:
        k = _most(lambda k: make(output, n, fraction, low, high, 2.0**-k) is not None, 20)
        allowed = f"the smallest power of two that fits is {2.0**-k!r}" if k else "no accuracy fits these logits"
        raise BadInput(f"output {output}: an accuracy of {accuracy!r} can't be had from tables here; {allowed}")
    return found


def _most(holds: Callable[[int], bool], end: int) -> int:
    """The largest k up to `end` that `holds`, where every smaller one does too; 0 where none does."""
    low = 0
    while low < end:
        middle = (low + end + 1) // 2
        low, end = (middle, end) if holds(middle) else (low, middle - 1)
    return low


def check(output: Output, shape: Sequence[int], names: Sequence[str]) -> None:
    """Raise BadInput where logits of `shape` (without the batch), or layers called `names`, can't have `output`."""
    output = Output(output)
    if len(shape) != 1:
        raise BadInput(f"output {output}: the logits have the shape {tuple(shape)}; one row is needed (add a Flatten)")
    if shape[0] < 2 and output in (Output.ARGMAX, Output.SOFTMAX):
        raise BadInput(f"output {output}: there is only one logit; at least two are needed (sigmoid takes one)")
    if str(output) in {name.lower() for name in names}:
        raise BadInput(f"output {output}: a layer has that name, which is the output's own; rename the layer")


def unavailable(target: Target) -> str | None:
    """Why an hls4ml project for `target` can't have its output; None where it can."""
    if target.output == Output.LOGITS or target.backend in BACKENDS:
        return None
    return f"output {target.output} is not available in backend {target.backend}; it is in {', '.join(BACKENDS)}"
