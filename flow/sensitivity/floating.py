"""The float network on events, in NumPy and float64, and the same with one place changed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flow.topology import INPUT, Layer, Topology, Weighted
from flow.train import exact
from flow.train.initial import Weights
from flow.train.ranges import FUNCTIONS

HELD = 2**25  # values of all layers that are held at once


@dataclass(frozen=True)
class Pass:
    """What a network made of events: `sums` in front of each activation, `values` behind it, (n, *shape) by layer name,
    `INPUT` among both."""

    topology: Topology
    weights: Weights
    sums: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]

    @property
    def logits(self) -> np.ndarray:
        return self.values[self.topology.output]


def events_held(topology: Topology, most: int) -> int:
    """The number of events, up to `most`, whose values in all layers fit into memory."""
    row = sum(int(np.prod(shape)) for shape in topology.shapes.values())
    return max(1, min(most, HELD // row))


def run(topology: Topology, weights: Weights, values: np.ndarray) -> Pass:
    """The float network on centred inputs (n, n_in)."""
    first = np.asarray(values, np.float64).reshape(len(values), *topology.input_shape)
    sums, found = {INPUT: first}, {INPUT: first}
    for layer in topology.layers:
        sums[layer.name] = _sums(topology, weights, layer, found)
        found[layer.name] = _function(layer)(sums[layer.name])
    return Pass(topology, weights, sums, found)


def with_values(found: Pass, name: str, values: np.ndarray) -> np.ndarray:
    """The logits (n, classes) where a layer, or the input, puts out other values; only what reads them is computed."""
    changed = {name: values}
    for layer in found.topology.layers:
        if layer.name != name and any(source in changed for source in found.topology.sources[layer.name]):
            sums = _sums(found.topology, found.weights, layer, {**found.values, **changed})
            changed[layer.name] = _function(layer)(sums)
    return changed.get(found.topology.output, found.logits)


def with_weights(found: Pass, name: str, kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """The logits (n, classes) where a layer has other weights."""
    layer = found.topology[name]
    sums = _sums(found.topology, {name: (kernel, bias)}, layer, found.values)
    return with_values(found, name, _function(layer)(sums))


def _function(layer: Layer):
    return FUNCTIONS[getattr(layer, "activation", "linear")]


def _sums(topology: Topology, weights: Weights, layer: Layer, values: Mapping[str, np.ndarray]) -> np.ndarray:
    read = (values[source] for source in topology.sources[layer.name])
    kernel, bias = weights[layer.name] if isinstance(layer, Weighted) else (None, None)
    return exact.apply(layer, *read, kernel=kernel, bias=bias)
