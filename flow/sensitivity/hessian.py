"""Mean traces of the loss's Hessian by layer, and what HAWQ-V2 makes of them (Dong et al., arXiv 1911.03852).

The damage of a choice is the mean of the Hessian's diagonal times the squared norm of the error that it makes, for
weights and for activations. Traces come from Hutchinson's estimator: E[vᵀHv] = Tr(H) for v of random signs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.search.damages import Damages
from flow.sensitivity.cells import Cell, damages, quantized
from flow.sensitivity.floating import Pass
from flow.sensitivity.widths import Width, added, narrowed
from flow.topology import INPUT, Topology
from flow.train.initial import Weights

DRAWS = 32  # vectors of random signs for each layer
HELD = 4_000_000  # values of all layers that are held at once


@dataclass(frozen=True)
class Traces:
    """Estimated Hessian traces with their standard errors: of the mean loss by "<layer>.kernel" and ".bias" in
    `weights`, of each event's loss by what puts its values out in `values` (the mean over events)."""

    weights: Mapping[str, tuple[float, float]]
    values: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict:
        return {"weights": dict(self.weights), "values": dict(self.values)}

    @staticmethod
    def from_json(row: Mapping) -> "Traces":
        return Traces(*({k: (v[0], v[1]) for k, v in row[part].items()} for part in ("weights", "values")))


def traces(
    topology: Topology, weights: Weights, values: np.ndarray, labels: np.ndarray, seed: int, draws: int = DRAWS
) -> Traces:
    """Traces at a float network's deployed weights on events: `values` (n, n_in) centred inputs."""
    from flow.sensitivity import losses

    tf = losses.tf
    arrays = losses.names_of(topology, weights)
    x, y = tf.constant(np.asarray(values, np.float32)[None]), tf.constant(np.asarray(labels, np.int32)[None])
    rng = np.random.default_rng(seed)
    at_once = max(1, HELD // (len(labels) * sum(int(np.prod(shape)) for shape in topology.shapes.values())))

    def products(kind: int, name: str, v):
        """vᵀHv for each draw v (draws, *shape) of one tensor's own block of the Hessian."""
        members = v.shape[0]
        own = {k: tf.repeat(tf.constant(a)[None], members, axis=0) for k, a in arrays.items()}
        pushes = {name: tf.zeros_like(v)} if kind else {}
        at = (pushes if kind else own)[name]
        with tf.GradientTape() as outer:
            outer.watch(at)
            with tf.GradientTape() as inner:
                inner.watch(at)
                total = tf.reduce_sum(losses.losses(topology, own, pushes, x, y))
            slope = tf.reduce_sum(inner.gradient(total, at) * v)
        along = outer.gradient(slope, at, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.reduce_sum(along * v, axis=list(range(1, v.shape.rank)))

    def estimate(kind: int, name: str, shape: tuple[int, ...]) -> tuple[float, float]:
        found = []
        for start in range(0, draws, at_once):
            signs = rng.integers(0, 2, (min(at_once, draws - start), *shape)).astype(np.float32) * 2.0 - 1.0
            found.append(products(kind, name, tf.constant(signs)).numpy())
        each = np.concatenate(found).astype(np.float64)
        return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))

    return Traces(
        {name: estimate(0, name, array.shape) for name, array in arrays.items()},
        {name: estimate(1, name, (len(labels), *topology.shapes[name])) for name in losses.places_of(topology)},
    )


def perturbed(
    places: Sequence[Cell],
    found_traces: Traces,
    found: Pass,
    sizes: Mapping | None = None,
    factors: Sequence[Width] = (),
) -> Damages:
    """Mean trace times squared error of every choice; a negative trace counts as 0. `sizes`: layer → what pruning goes
    by (None: magnitudes). `factors`: of a width, the error is the weights that go."""

    def mean_of(name: str, size: int) -> float:
        return max(found_traces.weights[name][0], 0.0) / size

    def table(cell: Cell) -> np.ndarray:
        if cell.part in ("kernel", "bias"):
            values = np.asarray(found.weights[cell.layer][cell.part == "bias"], np.float64)
            mean = mean_of(cell.key, values.size)
            table = np.zeros((len(cell.formats), len(cell.keeps)))
            own = sizes.get(cell.layer) if sizes and cell.part == "kernel" else None
            for i, j, after in quantized(cell, values, own):
                table[i, j] = mean * np.sum((after - values) ** 2)
            return table
        before, behind = found.sums[cell.layer], found.values[cell.layer]
        trace = max(found_traces.values[INPUT if cell.part == "input" else cell.layer][0], 0.0)
        # mean trace by element, times the norm: the elements' number cancels
        return np.array([trace * np.mean((form.quantize(before) - behind) ** 2) for form in cell.formats])

    terms = dict(damages(places, table).terms)
    for own in factors:
        several = narrowed(own, found)
        made = [sum(mean_of(k, n.stays[k].size) * np.sum(n.lost(k) ** 2) for k in n.stays) for n in several]
        added(terms, (own.name,), np.array(made, float))
    return Damages(terms)
