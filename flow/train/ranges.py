"""What a float network's values range over."""

from typing import Mapping

import numpy as np

from flow.topology import Topology


def hidden_values(topology: Topology, weights: Mapping, values: np.ndarray) -> dict[str, np.ndarray]:
    """What each layer of a float network puts out (n, units), behind its rectifier, for centred inputs (n, n_in)."""
    found = {}
    for layer in topology.layers:
        kernel, bias = weights[layer.name]
        values = values @ kernel + bias
        if layer.activation == "relu":
            values = np.maximum(values, 0.0)
        found[layer.name] = values
    return found
