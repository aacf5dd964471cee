"""The weights of the user's network, as what training starts from."""

from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.topology import INPUT, Topology
from flow.train.network.graph import Node, nodes
from flow.train.network.user_file import call
from flow.train.parameters import STATISTICS, TRAINED, Parameters, names_of

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def read_parameters(path: Path, topology: Topology) -> Parameters:
    """The parameters, float32, of the model that `network()` in `path` returns; `topology` is that model's.

    Raises BadInput where a weight is no finite number.
    """
    _, found = nodes(call(path), path)
    parameters: Parameters = {}
    last = {INPUT: INPUT}  # layer of the model -> the layer of the topology that gives its output
    names = {layer.name for layer in topology.layers}
    for node in found:
        own, pointwise = node.name, f"{node.name}_pointwise"
        last[node.name] = next((name for name in (own, pointwise) if name in names), last[node.inputs[0]])
        parameters |= _of(node, last[node.name])
    for name in names_of(topology, TRAINED + STATISTICS):
        layer, part = name.rsplit(".", 1)
        if part == "bias" and name not in parameters:  # a normalization behind it brought one
            parameters[name] = np.zeros(topology[layer].shape[-1], np.float32)
        if not np.isfinite(parameters[name]).all():
            raise BadInput(f"{path}: layer {layer}: its {part} holds values that are no finite numbers")
    return parameters


def _of(node: Node, name: str) -> Parameters:
    """Parameters of one layer of the model, `name` being the layer of the topology that has them."""
    layer, found = node.layer, {}
    if node.kind == "BatchNormalization":
        found = {f"{name}.{part.removeprefix('moving_')}": getattr(layer, part) for part in _NORM}
    elif node.kind == "SeparableConv2D":
        found = {f"{node.name}_depthwise.kernel": layer.depthwise_kernel, f"{name}.kernel": layer.pointwise_kernel}
    elif getattr(layer, "kernel", None) is not None:
        found = {f"{name}.kernel": layer.kernel}
    if found and getattr(layer, "bias", None) is not None:
        found[f"{name}.bias"] = layer.bias
    return {key: np.asarray(values, np.float32) for key, values in found.items()}
