"""A network as tensors: every layer with a leading axis over members, formats as data.

Values have the shape (members, events, *shape), kernels (members, *kernel_shape). Sums of a convolution are
one matrix product over the values under its window, so that a member's sums never meet another's.
"""

import itertools
from collections.abc import Callable, Mapping

import tensorflow as tf

from flow.topology import INPUT, Conv, Dense, Layer, Merge, Pool, Reshape, Scale, Topology, Weighted, same_padding
from flow.train.quantizers import quantize_activation, quantize_input

Sums = Callable[[Layer, tf.Tensor], tf.Tensor]  # (weighted layer, its values) -> its sums
Behind = Callable[[str, tf.Tensor], tf.Tensor]  # (layer or INPUT, what it puts out) -> what the next ones read


def forward(
    topology: Topology,
    families: Mapping,
    x: tf.Tensor,
    formats: Mapping,
    sums: Sums,
    behind: Behind = lambda name, values: values,
) -> tf.Tensor:
    """Logits (members, events, classes) of centred inputs x (members or 1, events, n_in).

    `formats` and `families` go by name: `INPUT`, and "<layer>.activation" where a layer is quantized. `sums`
    gives what a layer with a kernel puts out in front of its activation; `behind` may change what a layer puts out.
    """
    shape = tf.shape(x)
    x = tf.reshape(x, (shape[0], shape[1], *topology.input_shape))
    members = tf.shape(formats[INPUT][0])[0]
    x = tf.broadcast_to(x, (members, shape[1], *topology.input_shape))
    values = {INPUT: behind(INPUT, quantize_input(x, formats[INPUT], families[INPUT]))}
    for layer in topology.layers:
        read = [values[name] for name in topology.sources[layer.name]]
        result = sums(layer, read[0]) if isinstance(layer, Weighted) else _unweighted(layer, read)
        if topology.quantized(layer):
            name = f"{layer.name}.activation"
            result = quantize_activation(result, formats[name], families[name], layer.activation)
        values[layer.name] = behind(layer.name, result)
    return values[topology.output]


def product(layer: Layer, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The sums of a weighted layer, without its bias."""
    match layer:
        case Dense():
            return tf.matmul(x, kernel)
        case Conv(depthwise=True):
            taps = _taps(x, layer.window, layer.strides, layer.padding)
            members = tf.shape(kernel)[0]
            flat = tf.reshape(kernel, (members, len(taps), 1, *([1] * len(layer.window)), layer.channels))
            return tf.add_n([tap * flat[:, i] for i, tap in enumerate(taps)])
        case Conv():
            taps = tf.concat(_taps(x, layer.window, layer.strides, layer.padding), axis=-1)
            members, events = tf.shape(taps)[0], tf.shape(taps)[1]
            rows = tf.reshape(taps, (members, -1, layer.terms))
            found = tf.matmul(rows, tf.reshape(kernel, (members, layer.terms, layer.filters)))
            return tf.reshape(found, (members, events, *layer.shape))
        case Scale():
            return x * _beside(kernel, x)
    raise TypeError(f"{layer!r} has no kernel")


def add_bias(sums: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Sums (members, events, ..., channels) and biases (members, channels)."""
    return sums + _beside(bias, sums)


def _beside(channels: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """(members, channels) in a shape that broadcasts against (members, events, ..., channels)."""
    return tf.reshape(channels, (tf.shape(channels)[0], *([1] * (values.shape.rank - 2)), channels.shape[-1]))


def _unweighted(layer: Layer, read: list[tf.Tensor]) -> tf.Tensor:
    match layer:
        case Pool(flat=True):
            axes = list(range(2, read[0].shape.rank - 1))
            return (tf.reduce_max if layer.operation == "max" else tf.reduce_mean)(read[0], axis=axes)
        case Pool():
            taps = _taps(read[0], layer.window, layer.strides, "valid")
            if layer.operation == "average":
                return tf.add_n(taps) / len(taps)
            highest = taps[0]
            for tap in taps[1:]:
                highest = tf.maximum(highest, tap)
            return highest
        case Merge(operation="add"):
            return tf.add_n(read)
        case Merge():
            return tf.concat(read, axis=-1)
        case Reshape():
            shape = tf.shape(read[0])
            return tf.reshape(read[0], (shape[0], shape[1], *layer.shape))
    return read[0]  # an activation on its own


def _taps(x: tf.Tensor, window: tuple[int, ...], strides: tuple[int, ...], padding: str) -> list[tf.Tensor]:
    """The values under each place of a window, each (members, events, *positions, channels)."""
    sizes = x.shape[2:-1]
    if padding == "same":
        sides = [same_padding(*each) for each in zip(sizes, window, strides)]
        x = tf.pad(x, [[0, 0], [0, 0], *([a, b] for a, b in sides), [0, 0]])
        sizes = x.shape[2:-1]
    positions = [(size - w) // s + 1 for size, w, s in zip(sizes, window, strides)]
    found = []
    for offset in itertools.product(*map(range, window)):
        ends = [o + (n - 1) * s + 1 for o, n, s in zip(offset, positions, strides)]
        cut = tuple(slice(o, end, s) for o, end, s in zip(offset, ends, strides))
        found.append(x[(slice(None), slice(None), *cut)])
    return found
