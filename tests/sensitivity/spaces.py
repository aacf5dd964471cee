"""A small space around a small network, and events that the network's own probabilities have labelled."""

import numpy as np

from flow.design import Design
from flow.formats import Fixed, Relu
from flow.sensitivity import floating
from flow.sensitivity.outputs import log_softmax
from flow.space import SearchSpace
from flow.topology import Topology, Weighted
from flow.train.initial import Weights, random_weights

GRIDS = tuple((f"quantized_bits({b})", Fixed(b, 1)) for b in (2, 4, 8, 16))
RELUS = tuple((f"quantized_relu({b})", Relu(b, 3)) for b in (3, 5, 16))
WIDE = tuple((f"quantized_bits({b})", Fixed(b, 3)) for b in (3, 6, 20))
KEEPS = tuple((f"{keep:g}", keep) for keep in (0.3, 0.6, 1.0))


def space_of(topology: Topology, shared: tuple[tuple[str, str], ...] = ()) -> SearchSpace:
    """Every place with a few choices, the last one as good as float."""
    choices = [("input", tuple((f"quantized_bits({b})", Fixed(b, 3)) for b in (4, 6, 20)))]
    for layer in topology.designed:
        if isinstance(layer, Weighted):
            choices += [(f"{layer.name}.kernel", GRIDS), (f"{layer.name}.keep", KEEPS)]
            choices += [(f"{layer.name}.bias", GRIDS)] if layer.bias else []
        if topology.quantized(layer):
            choices.append((f"{layer.name}.activation", RELUS if layer.activation == "relu" else WIDE))
    return SearchSpace(topology, tuple(choices), shared)


def weights_of(topology: Topology, seed: int = 0) -> Weights:
    """Random weights of some size, with biases."""
    rng = np.random.default_rng(seed)
    found = random_weights(topology, seed)
    return {n: (1.2 * k, None if b is None else rng.normal(0, 0.3, b.shape)) for n, (k, b) in found.items()}


def events(topology: Topology, weights: Weights, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, n_in) and labels drawn from the network's own probabilities: its loss is at its least."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.0, 1.0, (n, topology.n_in)).astype(np.float32)
    p = np.exp(log_softmax(floating.run(topology, weights, x).logits))
    labels = (p.cumsum(axis=1) < rng.uniform(size=(n, 1))).sum(axis=1)
    return x, np.minimum(labels, p.shape[1] - 1).astype(np.int32)


def choose(space: SearchSpace, place: int) -> dict[str, str]:
    """The same place in every list: 0 the coarsest choices, -1 the finest."""
    return {name: options[place] for name, options in space.parameters.items()}


def design_of(space: SearchSpace, place: int) -> Design:
    return space.design(choose(space, place))
