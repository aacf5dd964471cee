"""Masks: which weights of a kernel stay."""

import numpy as np

from flow.design import Design
from flow.topology import Scale, Topology
from flow.train.parameters import Parameters, deployed
from flow.train.schedule import Importance


def masks(
    topology: Topology,
    design: Design | None,
    share: float,
    parameters: Parameters,
    importance: Importance,
    fisher: Parameters | None,
    before: Parameters,
) -> Parameters:
    """Layer → mask (`kernel_shape`, 0 or 1): `share` (0 to 1) of what the design asks to prune is 0.

    Importance is the size of a deployed weight, or Fisher information times its square, F·θ² (Molchanov et al.,
    arXiv 1906.10771, eq. 8), `fisher` holding mean squared gradients by name. What `before` masked stays masked.
    """
    weights = deployed(topology, parameters)
    found = {}
    for layer in topology.weighted:
        shape = layer.kernel_shape
        keep = 1.0 if design is None or isinstance(layer, Scale) else 1.0 - share * (1.0 - design[layer.name].keep)
        size = np.abs(weights[layer.name][0])
        if importance is Importance.FISHER and fisher is not None and not isinstance(layer, Scale):
            size = parameters[f"{layer.name}.kernel"] ** 2 * fisher[f"{layer.name}.kernel"]
        old = before.get(layer.name)
        found[layer.name] = largest(size if old is None else np.where(old > 0, size, -1.0), keep).reshape(shape)
    return found


def largest(size: np.ndarray, keep: float) -> np.ndarray:
    """A mask of ones at the largest `keep` of the elements, at least one. Of equal ones the first stay."""
    flat = np.asarray(size, np.float64).ravel()
    count = max(1, int(np.ceil(keep * flat.size - 1e-6)))
    mask = np.zeros(flat.size, np.float32)
    mask[np.argsort(-flat, kind="stable")[:count]] = 1.0
    return mask.reshape(np.shape(size))
