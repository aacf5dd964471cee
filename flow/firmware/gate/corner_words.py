"""Corners of the layers that are not at the input: words that bring quantizers there to their ties and ends.

They are found among random words: what drives a hidden sum to its end has no closed form. How many of a layer's
elements the gate's vectors bring to a tie, below its range and above it, is told with the record.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MOST = 256  # corners of deeper layers
_WEIGHTED = ("QDense", "QConv1D", "QConv2D", "QDepthwiseConv2D", "QBatchNormalization")
_VALUES = 20_000_000  # values of all layers together that may be looked at


@dataclass(frozen=True)
class _Quantizer:
    """A quantized activation: its layer, the layer that it reads, and the format's step and ends (before any slope)."""

    layer: str
    reads: str
    step: float
    low: float
    high: float

    def ties(self, values: np.ndarray) -> np.ndarray:
        """Which values (any shape) lie halfway between two of the format's, inside its range."""
        halves = np.abs(values / self.step % 1.0 - 0.5) == 0
        return halves & (values > self.low) & (values < self.high)


def deep(model, pool: np.ndarray) -> np.ndarray:
    """Those of the words `pool` (n, n_in), at most 256, that bring elements of hidden quantizers to ties and ends."""
    quantizers, values = _values(model, pool)
    taken: dict[int, None] = {}
    searches = [_candidates(quantizer, values[quantizer.reads]) for quantizer in quantizers]
    while searches and len(taken) < MOST:  # in turns, so that no layer takes all places
        for search in tuple(searches):
            row = next((row for row in search if row not in taken), None)
            if row is None:
                searches.remove(search)
            elif len(taken) < MOST:
                taken[row] = None
    return pool[list(taken)]


def equal_logits(model, pool: np.ndarray) -> np.ndarray:
    """Those of the words `pool` (n, n_in), at most 64, whose largest logit is that of several outputs."""
    from flow.train import qkeras_model

    last = model.layers[-1].name
    logits = np.sort(qkeras_model.reference(model, pool, [last])[last], axis=1)
    if logits.shape[1] < 2:
        return pool[:0]
    return pool[logits[:, -1] == logits[:, -2]][: MOST // 4]


def coverage(model, words: np.ndarray) -> dict[str, dict[str, int]]:
    """By quantized layer: its elements, and how many of them the words bring to a tie, below and above its range."""
    quantizers, values = _values(model, words)
    rows = {}
    for quantizer in quantizers:
        read = values[quantizer.reads]
        rows[quantizer.layer] = {
            "elements": int(read.shape[1]),
            "ties": int(quantizer.ties(read).any(axis=0).sum()),
            "below": int((read < quantizer.low).any(axis=0).sum()),
            "above": int((read > quantizer.high).any(axis=0).sum()),
        }
    return rows


def first_kernel(model) -> np.ndarray | None:
    """The quantized kernel (n_in, n_out) of a fully connected layer on the input, whose sums have corners to try."""
    from flow.train import qkeras_model

    first = next((layer for layer in model.layers if type(layer).__name__ in _WEIGHTED), None)
    grid = next((layer.name for layer in model.layers if type(layer).__name__ == "QActivation"), None)
    if type(first).__name__ != "QDense" or qkeras_model.sources(first) != (grid,):
        return None
    return qkeras_model.quantized_weights(first)[0]


def _candidates(quantizer: _Quantizer, values: np.ndarray) -> Iterator[int]:
    """Rows of values (n, size) that are worth trying, the best first: ends, then ties, element by element."""
    yield from (int(row) for ends in zip(values.argmax(axis=0), values.argmin(axis=0)) for row in ends)
    ties = quantizer.ties(values)
    for element in np.flatnonzero(ties.any(axis=0)):
        yield int(np.argmax(ties[:, element]))


def _values(model, words: np.ndarray) -> tuple[list[_Quantizer], dict[str, np.ndarray]]:
    """The model's quantizers behind the first one, and what they read: (n, size) by layer."""
    from flow.train import qkeras_model

    quantizers = _quantizers(model)
    names = sorted({quantizer.reads for quantizer in quantizers})
    sizes = sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers)
    return quantizers, qkeras_model.reference(model, words[: max(_VALUES // sizes, 1)], names)


def _quantizers(model) -> list[_Quantizer]:
    from flow.train import qkeras_model

    layers = [layer for layer in model.layers if type(layer).__name__ == "QActivation"]
    found = []
    for layer in layers[1:]:  # the first one is the grid of the inputs: its corners are constructed
        form = qkeras_model.layer_format(layer.activation)
        slope, shift = (0.5, 0.5) if form.kind == "quantized_sigmoid" else (1.0, 0.0)
        ends = (form.step / slope, (form.low - shift) / slope, (form.high - shift) / slope)
        found.append(_Quantizer(layer.name, qkeras_model.sources(layer)[0], *ends))
    return found
