"""The user's network.py: a plain Keras model, read as a topology."""

from pathlib import Path
from typing import TYPE_CHECKING

from flow.errors import BadInput
from flow.topology import INPUT, Layer, Topology
from flow.train.network.check import check
from flow.train.network.fuse import fuse
from flow.train.network.graph import nodes
from flow.train.network.layers import read
from flow.train.network.user_file import call

if TYPE_CHECKING:
    import keras


def read_network(path: Path, n_in: int, n_out: int, fold_batchnorm: bool = True) -> Topology:
    """The topology of the model that `network()` in `path` returns; its weights are not taken over.

    Raises BadInput, naming file and layer, for whatever the engine and firmware do not support and for a
    network that doesn't fit `n_in` features and `n_out` classes.
    """
    topology = lower(call(path), path, fold_batchnorm)
    if topology.n_in != n_in:
        shape = " x ".join(map(str, topology.input_shape))
        raise BadInput(f"{path}: the network takes {shape} inputs; data.features names {n_in}")
    if topology.n_out != n_out:
        raise BadInput(f"{path}: the network has {topology.n_out} outputs; data.classes names {n_out}")
    return topology


def lower(model: "keras.Model", where: Path | str, fold_batchnorm: bool = True) -> Topology:
    """The topology of a Keras model, `where` being the file that messages name.

    A batch normalization goes into the linear Dense or convolution that it alone follows, unless
    `fold_batchnorm` is False; an activation into the linear layer with weights that it alone follows.
    Raises BadInput, naming the layer, for what is not supported.
    """
    shape_in, found = nodes(model, where)
    layers: list[Layer] = []
    last = {INPUT: INPUT}  # Keras layer -> the last of the layers that it was read as
    for node in found:
        made = read(node, tuple(last[name] for name in node.inputs))
        for twice in {layer.name for layer in layers} & {layer.name for layer in made}:
            raise node.refused(f"it makes a layer {twice}, and there is another of that name; choose another name")
        layers += made
        last[node.name] = made[-1].name
    topology = Topology(fuse(layers, fold_batchnorm), shape_in)
    check(topology, where)
    return topology
