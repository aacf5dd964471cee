"""What the logits say: one choice quantized at a time, all else float."""

from collections.abc import Sequence

import numpy as np

from flow.search.damages import Damages
from flow.sensitivity.cells import Cell, damages, quantized
from flow.sensitivity.floating import Pass, with_values, with_weights
from flow.sensitivity.widths import Width, added, narrowed


def divergences(
    places: Sequence[Cell], found: Pass, sizes=None, factors: Sequence[Width] = ()
) -> tuple[Damages, Damages]:
    """Of every choice: mean Kullback-Leibler divergence KL(float‖quantized) of the classes' probabilities (nats), and
    mean squared error of the logits. `sizes`: layer → what pruning goes by (None: magnitudes). `factors`: of a width,
    what the float network without the units that go says."""
    narrow = {own: [network.logits(found) for network in narrowed(own, found)] for own in factors}
    tables = {cell: _tables(cell, found, None if sizes is None else sizes.get(cell.layer)) for cell in places}
    first, second = (dict(damages(places, lambda cell: tables[cell][i]).terms) for i in (0, 1))
    for own, several in narrow.items():
        added(first, (own.name,), np.array([divergence(found.logits, logits) for logits in several]))
        added(second, (own.name,), np.array([np.mean((logits - found.logits) ** 2) for logits in several]))
    return Damages(first), Damages(second)


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
