"""What the logits say: one choice quantized at a time, all else float."""

from collections.abc import Sequence

import numpy as np

from flow.search.damages import Damages
from flow.sensitivity.cells import Cell, damages, quantized
from flow.sensitivity.floating import Pass, with_values, with_weights


def divergences(places: Sequence[Cell], found: Pass, sizes=None) -> tuple[Damages, Damages]:
    """Of every choice: mean Kullback-Leibler divergence KL(float‖quantized) of the classes' probabilities (nats), and
    mean squared error of the logits. `sizes`: layer → what pruning goes by (None: magnitudes)."""
    tables = {cell: _tables(cell, found, None if sizes is None else sizes.get(cell.layer)) for cell in places}
    return damages(places, lambda cell: tables[cell][0]), damages(places, lambda cell: tables[cell][1])


def divergence(logits: np.ndarray, others: np.ndarray) -> float:
    """Mean KL(p‖q) in nats over events, p and q being the softmax of logits (n, classes) and of others."""
    p, q = log_softmax(logits), log_softmax(others)
    return float(np.mean(np.sum(np.exp(p) * (p - q), axis=-1)))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _tables(cell: Cell, found: Pass, sizes: np.ndarray | None) -> np.ndarray:
    """Divergence and squared error, (2, formats, keeps)."""
    table = np.zeros((2, len(cell.formats), len(cell.keeps)))
    for i, j, logits in _changed(cell, found, sizes):
        table[0, i, j] = divergence(found.logits, logits)
        table[1, i, j] = np.mean((logits - found.logits) ** 2)
    return table


def _changed(cell: Cell, found: Pass, sizes: np.ndarray | None):
    if cell.part in ("input", "activation"):
        for i, form in enumerate(cell.formats):
            yield i, 0, with_values(found, cell.layer, form.quantize(found.sums[cell.layer]))
        return
    kernel, bias = found.weights[cell.layer]
    of_bias = cell.part == "bias"
    for i, j, after in quantized(cell, bias if of_bias else kernel, None if of_bias else sizes):
        yield i, j, with_weights(found, cell.layer, *((kernel, after) if of_bias else (after, bias)))
