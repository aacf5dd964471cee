"""What a network's training state holds, and the weights that are deployed of it."""

from collections.abc import Mapping

import numpy as np

from flow.topology import Layer, Scale, Topology
from flow.train.initial import Weights, random_weights
from flow.train.norm import EPSILON, Norm, fold

# "<layer>.<parameter>" -> float32 array: kernel, bias, and of a normalized layer gamma, beta, mean, variance
Parameters = dict[str, np.ndarray]
TRAINED = ("kernel", "bias", "gamma", "beta")
STATISTICS = ("mean", "variance")


def names_of(topology: Topology, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a network's parameters of some kinds, in order."""
    found = []
    for layer in topology.weighted:
        own = {"kernel": not _scales(layer), "bias": layer.bias and not _scales(layer)}
        found += [f"{layer.name}.{kind}" for kind in kinds if own.get(kind, layer.normalized)]
    return tuple(found)


def _scales(layer: Layer) -> bool:
    """Whether a layer has no kernel of its own: its factors come from its normalization."""
    return isinstance(layer, Scale)


def random_parameters(topology: Topology, seed: int) -> Parameters:
    """What training starts from: Glorot-uniform kernels, no bias, normalizations that change nothing yet."""
    return from_weights(topology, random_weights(topology, seed))


def from_weights(topology: Topology, weights: Mapping) -> Parameters:
    """Parameters whose deployed weights are `weights` (layer → kernel, bias): normalizations are neutral."""
    found: Parameters = {}
    for layer in topology.weighted:
        kernel, bias = weights[layer.name]
        channels = layer.shape[-1]
        if not _scales(layer):
            found[f"{layer.name}.kernel"] = np.asarray(kernel, np.float32)
            if layer.bias:
                found[f"{layer.name}.bias"] = np.asarray(bias, np.float32)
        if layer.normalized:
            neutral = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "variance": 1.0 - EPSILON}
            found |= {f"{layer.name}.{kind}": np.full(channels, value, np.float32) for kind, value in neutral.items()}
        if _scales(layer):
            found[f"{layer.name}.gamma"] = np.asarray(kernel, np.float32)
            found[f"{layer.name}.beta"] = np.asarray(bias, np.float32)
    return found


def deployed(topology: Topology, parameters: Mapping[str, np.ndarray]) -> Weights:
    """The weights that firmware gets: layer → kernel, bias (None where it has none), normalizations folded in."""
    found: Weights = {}
    for layer in topology.weighted:
        kernel, bias = (parameters.get(f"{layer.name}.{kind}") for kind in ("kernel", "bias"))
        if layer.normalized:
            norm = Norm(*(parameters[f"{layer.name}.{kind}"] for kind in ("gamma", "beta", "mean", "variance")))
            kernel, bias = fold(layer, kernel, bias, norm)
        found[layer.name] = (kernel, bias)
    return found
