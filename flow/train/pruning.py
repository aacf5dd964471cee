"""Masks: which weights of a kernel stay."""

from collections.abc import Mapping

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
    living: Mapping[str, np.ndarray] | None = None,
) -> Parameters:
    """Layer → mask (`kernel_shape`, 0 or 1): `share` (0 to 1) of what the design asks to prune is 0.

    Importance is the size of a deployed weight, or Fisher information times its square, F·θ² (Molchanov et al.,
    arXiv 1906.10771, eq. 8), `fisher` holding mean squared gradients by name. What `before` masked stays masked.
    `living` are the weights that the design's widths leave (layer → (*kernel_shape) bool): shares are shares of them.
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
        size = size if old is None else np.where(old > 0, size, -1.0)
        found[layer.name] = _among(size.reshape(shape), keep, None if living is None else living[layer.name])
    return found


def _among(size: np.ndarray, keep: float, living: np.ndarray | None) -> np.ndarray:
    """A mask of ones at the largest `keep` of those elements that live (None: all do)."""
    if living is None or living.all():
        return largest(size, keep)
    mask = np.zeros(size.shape, np.float32)
    mask[living] = largest(size[living], keep)
    return mask


def largest(size: np.ndarray, keep: float) -> np.ndarray:
    """A mask of ones at the largest `keep` of the elements, at least one. Of equal ones the first stay."""
    flat = np.asarray(size, np.float64).ravel()
    count = max(1, int(np.ceil(keep * flat.size - 1e-6)))
    mask = np.zeros(flat.size, np.float32)
    mask[np.argsort(-flat, kind="stable")[:count]] = 1.0
    return mask.reshape(np.shape(size))
