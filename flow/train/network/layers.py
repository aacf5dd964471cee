"""Keras layers as layers of a topology; what is not in `READERS` is not supported."""

import math
from collections.abc import Callable
from functools import partial

from flow.topology import ACTIVATIONS, Activation, Conv, Dense, Layer, Merge, Pool, Reshape, Scale, same_padding
from flow.train.network.graph import Node
from flow.train.norm import EPSILON

Inputs = tuple[str, ...]
LOGITS = "the network gives logits: leave the softmax out"


def read(node: Node, inputs: Inputs) -> list[Layer]:
    """The layers that one Keras layer is, the last one giving its output; `inputs` are what it reads.

    Raises BadInput, naming the layer, for a kind or a setting that is not supported.
    """
    import keras

    if node.kind == "Softmax":
        raise node.refused(LOGITS)
    # A class of the user's own may bear a name of Keras.
    if node.kind not in READERS or getattr(keras.layers, node.kind, None) is not type(node.layer):
        other = f", unless it is keras.layers.{node.kind} itself" if node.kind in READERS else ""
        raise node.refused(f"{node.kind} is not supported{other}; supported: {', '.join(READERS)}")
    for setting in (
        "kernel_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "kernel_constraint",
        "bias_constraint",
    ):
        _require(node, setting, getattr(node.layer, setting, None), None)
    if getattr(node.layer, "data_format", "channels_last") != "channels_last":
        raise node.refused("data_format 'channels_first' is not supported; channels come last")
    return READERS[node.kind](node, inputs)


def _dense(node: Node, inputs: Inputs) -> list[Layer]:
    rank = len(node.shape_in)
    if rank != 1:
        instead = f"Conv{rank - 1}D with a window of 1" if rank in (2, 3) else "Flatten in front of it"
        raise node.refused(f"Dense reads the shape {node.shape_in}; supported: one dimension; use {instead}")
    activation = _own_activation(node)
    return [Dense(node.name, node.shape_in[0], node.shape[0], activation, inputs, bool(node.layer.use_bias))]


def _conv(node: Node, inputs: Inputs, depthwise: bool = False) -> list[Layer]:
    layer, (window, strides, padding) = node.layer, _windows(node)
    if depthwise:
        _require(node, "depth_multiplier", layer.depth_multiplier, 1)
    else:
        _require(node, "groups", layer.groups, 1)
    shapes = (node.shape_in, node.shape[-1], window, strides, padding)
    return [Conv(node.name, *shapes, _own_activation(node), inputs, bool(layer.use_bias), depthwise=depthwise)]


def _separable(node: Node, inputs: Inputs) -> list[Layer]:
    layer, (window, strides, padding) = node.layer, _windows(node)
    _require(node, "depth_multiplier", layer.depth_multiplier, 1)
    first, second = f"{node.name}_depthwise", f"{node.name}_pointwise"
    shapes = (node.shape_in, node.shape_in[-1], window, strides, padding)
    depthwise = Conv(first, *shapes, inputs=inputs, bias=False, depthwise=True)
    shapes = (depthwise.shape, node.shape[-1], (1, 1), (1, 1), "valid")
    return [depthwise, Conv(second, *shapes, _own_activation(node), (first,), bool(layer.use_bias))]


def _scale(node: Node, inputs: Inputs) -> list[Layer]:
    axis = node.layer.axis
    if axis not in (-1, len(node.shape)):
        raise node.refused(f"axis {axis} is not supported; supported: the channels, the last axis")
    _require(node, "epsilon", node.layer.epsilon, EPSILON)
    _require(node, "center", node.layer.center, True)
    _require(node, "scale", node.layer.scale, True)
    return [Scale(node.name, node.shape, inputs=inputs)]


def _pool(node: Node, inputs: Inputs, operation: str) -> list[Layer]:
    layer = node.layer
    window, strides = tuple(layer.pool_size), tuple(layer.strides)
    if layer.padding == "same":
        padded = [same_padding(n, w, s) for n, w, s in zip(node.shape_in, window, strides)]
        if any(map(sum, padded)):
            raise node.refused(f"padding 'same' adds a border to {node.shape_in}; supported: windows that fit")
    if operation == "average":
        _require_power(node, math.prod(window))
    return [Pool(node.name, node.shape_in, window, strides, operation, inputs=inputs)]


def _global_pool(node: Node, inputs: Inputs, operation: str) -> list[Layer]:
    _require(node, "keepdims", node.layer.keepdims, False)
    sides = node.shape_in[:-1]
    if operation == "average":
        _require_power(node, math.prod(sides))
    return [Pool(node.name, node.shape_in, sides, sides, operation, True, inputs)]


def _merge(node: Node, inputs: Inputs, operation: str) -> list[Layer]:
    if len(inputs) != 2 or inputs[0] == inputs[1]:
        raise node.refused(
            f"it reads {', '.join(inputs)}; supported: two different layers, one {node.kind} behind another"
        )
    if operation == "add" and len(set(node.shapes_in)) != 1:
        shapes = " and ".join(map(str, node.shapes_in))
        raise node.refused(f"it adds the shapes {shapes}; supported: equal shapes")
    if operation == "concatenate" and node.layer.axis not in (-1, len(node.shape)):
        raise node.refused(f"axis {node.layer.axis} is not supported; supported: the channels, the last axis")
    return [Merge(node.name, node.shape, operation, inputs)]


def _reshape(node: Node, inputs: Inputs) -> list[Layer]:
    return [Reshape(node.name, node.shape, inputs)]


def _activation(node: Node, inputs: Inputs) -> list[Layer]:
    return [Activation(node.name, node.shape, _own_activation(node), inputs)]


def _relu(node: Node, inputs: Inputs) -> list[Layer]:
    _require(node, "max_value", node.layer.max_value, None)
    _require(node, "negative_slope", node.layer.negative_slope, 0)
    _require(node, "threshold", node.layer.threshold, 0)
    return [Activation(node.name, node.shape, "relu", inputs)]


Reader = Callable[[Node, Inputs], list[Layer]]
READERS: dict[str, Reader] = {
    "Dense": _dense,
    "Conv1D": _conv,
    "Conv2D": _conv,
    "DepthwiseConv2D": partial(_conv, depthwise=True),
    "SeparableConv2D": _separable,
    "BatchNormalization": _scale,
    "MaxPooling1D": partial(_pool, operation="max"),
    "MaxPooling2D": partial(_pool, operation="max"),
    "AveragePooling1D": partial(_pool, operation="average"),
    "AveragePooling2D": partial(_pool, operation="average"),
    "GlobalMaxPooling1D": partial(_global_pool, operation="max"),
    "GlobalMaxPooling2D": partial(_global_pool, operation="max"),
    "GlobalAveragePooling1D": partial(_global_pool, operation="average"),
    "GlobalAveragePooling2D": partial(_global_pool, operation="average"),
    "Add": partial(_merge, operation="add"),
    "Concatenate": partial(_merge, operation="concatenate"),
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Activation": _activation,
    "ReLU": _relu,
}


def _own_activation(node: Node) -> str:
    """The name of the layer's activation, which must be Keras' own function of that name."""
    import keras

    function = node.layer.activation
    for name in ACTIVATIONS:
        if function is getattr(keras.activations, name):
            return name
    if function is keras.activations.softmax:
        raise node.refused(LOGITS)
    name = getattr(function, "__name__", type(function).__name__)
    raise node.refused(f"activation {name!r} is not supported; supported: {', '.join(ACTIVATIONS)}")


def _windows(node: Node) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Window, strides and padding of a convolution."""
    layer = node.layer
    _require(node, "dilation_rate", tuple(layer.dilation_rate), (1,) * len(layer.kernel_size))
    if layer.padding not in ("valid", "same"):
        raise node.refused(f"padding {layer.padding!r} is not supported; supported: valid, same")
    return tuple(layer.kernel_size), tuple(layer.strides), layer.padding


def _require(node: Node, setting: str, value: object, allowed: object) -> None:
    if value != allowed:
        raise node.refused(f"{setting} {value} is not supported; supported: {allowed}")


def _require_power(node: Node, size: int) -> None:
    if size & (size - 1):
        raise node.refused(
            f"it averages {size} values, which fixed-point numbers can't hold exactly; supported: a power of two"
        )
