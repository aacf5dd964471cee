"""The weights that training starts from where there are none."""

import math

import numpy as np

from flow.topology import Scale, Topology

Weights = dict[str, tuple[np.ndarray, np.ndarray | None]]  # layer -> kernel, bias (None where it has none)


def random_weights(topology: Topology, seed: int) -> Weights:
    """Glorot-uniform kernels (`kernel_shape`, float32) and zero biases; factors of 1 where a layer only scales."""
    rng = np.random.default_rng(seed)
    found: Weights = {}
    for layer in topology.weighted:
        if isinstance(layer, Scale):
            found[layer.name] = (np.ones(layer.kernel_shape, np.float32), np.zeros(layer.shape[-1:], np.float32))
            continue
        receptive = math.prod(layer.kernel_shape[:-2])
        limit = math.sqrt(6.0 / (receptive * sum(layer.kernel_shape[-2:])))
        kernel = rng.uniform(-limit, limit, layer.kernel_shape).astype(np.float32)
        found[layer.name] = (kernel, np.zeros(layer.shape[-1], np.float32) if layer.bias else None)
    return found
