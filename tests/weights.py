"""Weights for any network, none of them trivial."""

import numpy as np

from flow.topology import Topology
from flow.train.initial import Weights, random_weights


def example_weights(topology: Topology, seed: int = 0) -> Weights:
    """Random deployed weights: kernels spread beyond Glorot's limits, biases and factors that are not all alike."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            kernel * rng.uniform(0.3, 1.5, kernel.shape).astype(np.float32),
            None if bias is None else rng.normal(0, 0.3, bias.shape).astype(np.float32),
        )
        for name, (kernel, bias) in random_weights(topology, seed).items()
    }
