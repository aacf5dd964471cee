"""Fisher information, and the FIT metric (Zandonati et al., arXiv 2210.08502) of every choice.

FIT = Σ Tr(F)·E[δ²] over weights and activations, F being the empirical Fisher information, the mean of squared
gradients of each event's own loss. Here F is kept by element: the damage of a choice is Σ_i F_i·δ_i² with the real
error δ that its format (and pruning) makes on the real weights. For values it is the mean over events of Σ_i
g_i²·δ_i², gradient and error being those of the same event: the largest values, which saturate, belong to events that
are sure of their class and have next to no gradient; the product of means would blame saturation for what it doesn't
do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from flow.search.damages import Damages
from flow.sensitivity.cells import Cell, damages, quantized
from flow.sensitivity.floating import Pass
from flow.sensitivity.widths import Narrowed, Width, added, narrowed
from flow.topology import INPUT, Topology
from flow.train.initial import Weights
from flow.train.pruning import largest

HELD = 2_000_000  # gradients that are held at once


class Noise(Enum):
    """What the error of a format is taken to be."""

    REAL = "real"  # that of the format on the values themselves
    UNIFORM = "uniform"  # (range / (2**bits - 1))**2 / 12, the paper's


@dataclass(frozen=True)
class Fisher:
    """Mean squared gradients of the loss: `weights` by "<layer>.kernel" and "<layer>.bias" (the weight's shape),
    `values` by what puts them out, `INPUT` among them, for each event (n, *shape) or the mean (1, *shape)."""

    weights: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]

    def means(self) -> "Fisher":
        """The same with the mean over events: F as the paper has it."""
        return Fisher(self.weights, {name: value.mean(axis=0, keepdims=True) for name, value in self.values.items()})


def fisher(topology: Topology, weights: Weights, values: np.ndarray, labels: np.ndarray, batch: int = 1) -> Fisher:
    """The empirical Fisher information of a float network's deployed weights, and of its values, on events.

    `values` (n, n_in) are centred inputs. With `batch` 1 gradients are those of single events: that is the
    definition. With more it is the estimator of the authors' program, `batch` times the squared gradient of a
    minibatch's mean loss, the mean of n // batch of them: the same in the mean where the loss's gradient vanishes,
    but of more variance.
    """
    from flow.sensitivity import losses

    tf = losses.tf
    arrays = losses.names_of(topology, weights)
    places = losses.places_of(topology)
    parameters = sum(array.size for array in arrays.values())
    groups = len(labels) // batch
    at_once = max(1, min(groups, HELD // parameters))

    def squares(x, y):
        members = x.shape[0]
        own = {k: tf.repeat(tf.constant(v)[None], members, axis=0) for k, v in arrays.items()}
        pushes = {name: tf.zeros((members, batch, *topology.shapes[name])) for name in places}
        with tf.GradientTape() as tape:
            tape.watch((own, pushes))
            total = tf.reduce_sum(losses.losses(topology, own, pushes, x, y))
        by_weight, by_value = tape.gradient(total, (own, pushes))
        # A value belongs to one event of the batch, whose own loss has `batch` times the gradient of the mean's.
        return (
            {k: batch * tf.reduce_sum(g * g, axis=0) for k, g in by_weight.items()},
            {k: tf.reshape(batch * batch * g * g, (-1, *g.shape[2:])) for k, g in by_value.items()},
        )

    by_weight: dict[str, np.ndarray] = {}
    by_value: dict[str, list[np.ndarray]] = {name: [] for name in places}
    for start in range(0, groups, at_once):
        rows = slice(start * batch, min(start + at_once, groups) * batch)
        x = np.asarray(values[rows], np.float32).reshape(-1, batch, topology.n_in)
        own, read = squares(tf.constant(x), tf.constant(np.asarray(labels[rows], np.int32).reshape(-1, batch)))
        for name, value in own.items():
            by_weight[name] = by_weight.get(name, 0.0) + value.numpy().astype(np.float64)
        for name, value in read.items():
            by_value[name].append(value.numpy())
    return Fisher(
        {name: total / groups for name, total in by_weight.items()},
        {name: np.concatenate(parts) for name, parts in by_value.items()},
    )


def fit(
    places: Sequence[Cell],
    information: Fisher,
    found: Pass,
    fisher_prunes: bool,
    noise=Noise.REAL,
    factors: Sequence[Width] = (),
) -> Damages:
    """The FIT metric of every choice. `found`: the float network on events, whose values are quantized.

    `information` is that of the same events, or its means. `fisher_prunes`: whether pruning goes by F·θ² and not by
    magnitude. `factors`: a width is felt together with the kernel that it narrows. What goes has δ = θ, in the layer
    itself and in those that read it, and no rounding error in its kernel.
    """

    def table(cell: Cell) -> np.ndarray:
        if cell.part in ("kernel", "bias"):
            return _weight_table(cell, information.weights[cell.key], found, fisher_prunes, noise)
        own = information.values[INPUT if cell.part == "input" else cell.layer]
        before, behind = found.sums[cell.layer], found.values[cell.layer]
        errors = (_error(form, before, behind, noise) for form in cell.formats)
        return np.array([float(np.mean(np.sum(own * error, axis=tuple(range(1, own.ndim))))) for error in errors])

    wide = {own.layer: own for own in factors}
    terms = dict(damages([c for c in places if c.part != "kernel" or c.layer not in wide], table).terms)
    for cell in places:
        if cell.part == "kernel" and cell.layer in wide:
            whole, made = information.weights[cell.key], []
            for network in narrowed(wide[cell.layer], found):
                left = _weight_table(cell, whole * network.stays[cell.key], found, fisher_prunes, noise, whole)
                made.append(left + _lost(network, information))
            added(terms, (*cell.names, wide[cell.layer].name), np.stack(made, axis=-1).reshape(*cell.shape, -1))
    return Damages(terms)


def _lost(network: Narrowed, information: Fisher) -> float:
    """ΣF·θ² of the weights that are gone."""
    return sum(float(np.sum(information.weights[name] * network.lost(name) ** 2)) for name in network.stays)


def uniform_noise(values: np.ndarray, bits: int) -> float:
    """Variance of the rounding error of `bits` bits over the range of values (the paper's noise model)."""
    return float((values.max() - values.min()) / (2**bits - 1)) ** 2 / 12.0


def _error(form, before: np.ndarray, behind: np.ndarray, noise: Noise) -> np.ndarray | float:
    """Squared error of each value (n, *shape), or of all."""
    if noise is Noise.UNIFORM:
        return uniform_noise(behind, form.bits)
    return (form.quantize(before) - behind) ** 2


def _weight_table(cell: Cell, own: np.ndarray, found: Pass, by_fisher: bool, noise: Noise, whole=None) -> np.ndarray:
    """ΣF·δ² of each choice (formats, keeps). `whole`: the information that pruning goes by, where `own` is of some
    weights alone."""
    values = np.asarray(found.weights[cell.layer][cell.part == "bias"], np.float64)
    sizes = (own if whole is None else whole) * values**2 if by_fisher else np.abs(values)
    table = np.zeros((len(cell.formats), len(cell.keeps)))
    for i, j, after in quantized(cell, values, sizes):
        square = (after - values) ** 2
        if noise is Noise.UNIFORM:
            stays = largest(sizes, cell.keeps[j]) > 0
            square = np.where(stays, uniform_noise(values, cell.formats[i].bits), values**2)
        table[i, j] = np.sum(own * square)
    return table
