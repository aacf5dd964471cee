"""Losses of the float network as tensors, with weights and values that gradients can be taken of."""

import numpy as np

from flow.topology import INPUT, Topology
from flow.train import backend

backend.start()

import tensorflow as tf

from flow.train import engine
from flow.train.forward import add_bias, forward, product
from flow.train.initial import Weights

Tensors = dict[str, tf.Tensor]


def names_of(topology: Topology, weights: Weights) -> dict[str, np.ndarray]:
    """ "<layer>.kernel" and "<layer>.bias" → the deployed weights, float32."""
    found = {}
    for layer in topology.weighted:
        for part, values in zip(("kernel", "bias"), weights[layer.name]):
            if values is not None:
                found[f"{layer.name}.{part}"] = np.asarray(values, np.float32)
    return found


def places_of(topology: Topology) -> tuple[str, ...]:
    """The names of what is quantized between layers: `INPUT`, and every layer with an activation format."""
    return (INPUT, *(layer.name for layer in topology.designed if topology.quantized(layer)))


def losses(topology: Topology, weights: Tensors, pushes: Tensors, x: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropies (members,) of events x (members or 1, events, n_in) with labels (members or 1, events).

    `weights`: (members, *shape) by name of `names_of`; `pushes`: (members, events, *shape) by layer name, added to what
    the layer puts out: their gradients are those of the values.
    """
    members = next(iter(weights.values())).shape[0]
    families = dict(engine.families_of(topology, [None]))
    formats = engine.formats_of(topology, [None] * members)

    def sums(layer, values: tf.Tensor) -> tf.Tensor:
        found = product(layer, values, weights[f"{layer.name}.kernel"])
        bias = weights.get(f"{layer.name}.bias")
        return found if bias is None else add_bias(found, bias)

    def behind(name: str, values: tf.Tensor) -> tf.Tensor:
        return values + pushes[name] if name in pushes else values

    out = forward(topology, families, x, formats, sums, behind)
    targets = tf.one_hot(tf.broadcast_to(labels, tf.shape(out)[:2]), out.shape[-1])
    return -tf.reduce_mean(tf.reduce_sum(targets * tf.nn.log_softmax(out), axis=-1), axis=1)
