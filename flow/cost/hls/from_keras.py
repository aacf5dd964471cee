"""The layers that hls4ml makes of a Keras model, from the model's description (JSON) and the settings for it."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from flow.cost.hls.keras_functions import plain_function, quantized, weights_of
from flow.cost.hls.layers import MULTIPLYING, RECTIFIERS, TABLES, Kind, Layer, Weights
from flow.cost.hls.settings import Settings, Type
from flow.errors import BadInput
from flow.topology import accumulator_bits, output_size

Shape = tuple[int, ...]
_DIMENSIONS = 8  # of an array, the batch's among them: hls4ml knows no layer for more

_PASSED = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "ActivityRegularization")
_MERGED = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_FUNCTIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ThresholdedReLU": "thresholded_relu",
              "Softmax": "softmax", "ELU": "elu"}  # fmt: skip


@dataclass(frozen=True)
class _Node:
    """A layer of the description, what it reads, and the shapes and types of that."""

    name: str
    kind: str
    config: Mapping
    shapes: tuple[Shape, ...]
    types: tuple[Type, ...]
    settings: Settings
    stream: bool

    @property
    def shape(self) -> Shape:
        return self.shapes[0]

    def get(self, key: str, default=None):
        value = self.config.get(key, default)
        return default if value is None else value

    def refused(self, reason: str) -> BadInput:
        return BadInput(f"layer {self.name} ({self.kind}): {reason}")


Made = tuple[list[Layer], Shape, Type]


def layers(model: Mapping, settings: Settings, stream: bool) -> tuple[Layer, ...]:
    """The layers in the order of the data. BadInput names a layer that no costs are known for, or that misses a
    number."""
    found: list[Layer] = []
    shapes: dict[str, Shape] = {}
    types: dict[str, Type] = {}
    before = ""
    for name, kind, config, inputs in _entries(model):
        inputs = [source for source in (inputs or [before]) if source in shapes]
        if kind == "InputLayer" or not inputs:
            shapes[name] = _input_shape(name, config)
            types[name] = settings.type("result", name, kind) or settings.default()
            before = name
            if kind == "InputLayer":
                continue
            inputs = [name]
        sources = tuple(shapes[i] for i in inputs), tuple(types[i] for i in inputs)
        node = _Node(name, kind, config, *sources, settings, stream)
        made, shapes[name], types[name] = _made(node)
        if kind == "BatchNormalization" and found and found[-1].name == inputs[0] and _takes_scale(found[-1]):
            made, types[name] = [], types[inputs[0]]
        found += made
        before = name
    if not found:
        raise BadInput("the Keras model has no layers")
    return tuple(found)


def _takes_scale(layer: Layer) -> bool:
    """Whether hls4ml multiplies a normalization into the weights of the layer in front of it."""
    return layer.kind in MULTIPLYING and layer.kind is not Kind.SCALE and layer.activation is None


def _made(node: _Node) -> Made:
    plain = re.sub(r"(Batchnorm)$", "", node.kind.removeprefix("Q"))
    maker = _MAKERS.get(plain)
    if maker is None:
        raise node.refused(f"no costs are known for this kind; known: {', '.join(sorted(_MAKERS))}")
    try:
        return maker(node)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise node.refused(f"its settings can't be read ({type(error).__name__}: {error})") from None


def _entries(model: Mapping):
    """(name, class, settings, names of what it reads) of each layer, as Keras 2 and 3 write them."""
    config = model.get("config")
    rows = config.get("layers") if isinstance(config, Mapping) else config
    if not isinstance(rows, list):
        raise BadInput("no Keras model: it has no list of layers")
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("config"), Mapping) or "class_name" not in row:
            raise BadInput("no Keras model: a layer without class_name and config")
        if "layers" in row["config"]:
            raise BadInput(f"layer {row.get('name')}: models inside of models have no known costs")
        name = str(row["config"].get("name") or row.get("name"))
        yield name, str(row["class_name"]), row["config"], list(_sources(row.get("inbound_nodes") or []))


def _sources(nodes):
    """Names of layers in `inbound_nodes`: ["name", 0, 0, {}] in Keras 2, `keras_history` in Keras 3."""
    if isinstance(nodes, Mapping):
        history = nodes.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
        else:
            for value in nodes.values():
                yield from _sources(value)
    elif isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            yield nodes[0]
        else:
            for item in nodes:
                yield from _sources(item)


def _input_shape(name: str, config: Mapping) -> Shape:
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    shape = shape[0] if isinstance(shape, list) and shape and isinstance(shape[0], list) else shape
    sizes = shape[1:] if isinstance(shape, list) and 1 < len(shape) <= _DIMENSIONS else [None]
    if not all(isinstance(size, int) and 0 < size < 10**7 for size in sizes):
        raise BadInput(f"layer {name}: the input's shape {shape!r} is not known")
    return tuple(sizes)


def _common(node: _Node) -> dict:
    wide = max(node.types, key=lambda item: item.bits)
    return {"name": node.name, "data_bits": wide.bits, "data_int": wide.integer}


def _weighted(node: _Node, terms: int, prefix: str = "kernel") -> tuple[dict, Type]:
    """What a layer with weights is built with, and the type of its sums."""
    data = node.types[0]
    quantizer = node.config.get(f"{prefix}_quantizer")
    weight = quantized(quantizer) or node.settings.type("weight", node.name, node.kind) or node.settings.default()
    bits = accumulator_bits(terms, data.bits, weight.bits)
    accum = node.settings.type("accum", node.name, node.kind) or Type(
        bits, data.integer + weight.integer + bits - data.bits - weight.bits
    )
    result = node.settings.type("result", node.name, node.kind) or accum
    own = {
        "weight_bits": weight.bits,
        "weight_int": weight.integer,
        "result_bits": accum.bits,
        "reuse_factor": node.settings.reuse_factor(node.name, node.kind),
        "strategy": node.settings.strategy(node.name, node.kind),
        "weights": weights_of(quantizer),
    }
    return own, result


def _behind(node: _Node, made: Layer, shape: Shape, result: Type) -> Made:
    """A layer with its own activation, which hls4ml makes a layer of its own."""
    function = node.get("activation", "linear")
    name = plain_function(function)
    if name == "linear":
        return [made], shape, result
    own = f"{node.name}_{name}"
    out = quantized(function) or node.settings.type("result", own, "Activation") or node.settings.default()
    size = node.settings.table_size(own, "Activation")
    return [replace(made, activation=_known(node, name), table_size=size)], shape, out


def _dense(node: _Node) -> Made:
    units = int(node.config["units"])
    own, result = _weighted(node, node.shape[-1])
    positions = math.prod(node.shape[:-1])
    made = Layer(Kind.DENSE, node.shape[-1], units, positions=positions, **own, **_common(node))
    return _behind(node, made, (*node.shape[:-1], units), result)


def _conv(node: _Node, depthwise: bool = False) -> Made:
    n = len(node.shape) - 1
    window, strides = _tuple(node.config["kernel_size"], n), _tuple(node.get("strides", 1), n)
    channels = node.shape[-1]
    filters = channels * int(node.get("depth_multiplier", 1)) if depthwise else int(node.config["filters"])
    terms = math.prod(window) * (1 if depthwise else channels)
    sides = _sides(node, window, strides)
    own, result = _weighted(node, terms, "depthwise" if depthwise else "kernel")
    kinds = {(1, False): Kind.CONV1D, (2, False): Kind.CONV2D, (1, True): Kind.DEPTHWISE1D, (2, True): Kind.DEPTHWISE2D}
    buffered = (window[0] - 1) * math.prod(node.shape[1:])
    positions = math.prod(sides)
    made = Layer(
        kinds[n, depthwise], terms, filters, positions=positions, buffer_values=buffered, **own, **_common(node)
    )
    return _behind(node, made, (*sides, filters), result)


def _depthwise(node: _Node) -> Made:
    return _conv(node, depthwise=True)


def _separable(node: _Node) -> Made:
    first, shape, result = _conv(replace(node, config={**node.config, "activation": "linear"}), depthwise=True)
    pointwise = {**node.config, "kernel_size": 1, "strides": 1, "padding": "valid",
                 "kernel_quantizer": node.config.get("pointwise_quantizer")}  # fmt: skip
    second, shape, result = _conv(replace(node, config=pointwise, shapes=(shape,), types=(result,)))
    return [replace(first[0], name=f"{node.name}_depthwise"), *second], shape, result


def _scale(node: _Node) -> Made:
    own, result = _weighted(node, 1, "gamma")
    positions = math.prod(node.shape[:-1])
    shape = {"n_out": node.shape[-1], "positions": positions} if node.stream else {"n_out": positions * node.shape[-1]}
    return [Layer(Kind.SCALE, 1, **shape, **own, **_common(node))], node.shape, result


def _normalization(node: _Node) -> Made:
    """Where the variance is 1, offsets are added and nothing is multiplied."""
    made, shape, result = _scale(node)
    if node.config.get("variance") and set(np.ravel(node.config["variance"])) == {1.0}:
        made = [replace(layer, weight_bits=1, weight_int=1, weights=Weights.BINARY) for layer in made]
    return made, shape, result


def _pool(node: _Node) -> Made:
    n = len(node.shape) - 1
    kind = Kind.AVERAGE_POOLING if "Average" in node.kind else Kind.POOLING
    if node.kind.startswith("Global"):
        keep = (1,) * n if node.get("keepdims", False) else ()
        window, sides = node.shape[:-1], keep
    else:
        window = _tuple(node.get("pool_size", 2), n)
        sides = _sides(node, window, _tuple(node.get("strides", window), n))
    made = Layer(kind, math.prod(window), node.shape[-1], positions=math.prod(sides), **_common(node))
    return [made], (*sides, node.shape[-1]), node.types[0]


def _activation(node: _Node) -> Made:
    function = _FUNCTIONS.get(node.kind) or node.get("activation", "linear")
    name = plain_function(function)
    out = quantized(function) or node.settings.type("result", node.name, node.kind) or node.settings.default()
    if name == "linear" and not quantized(function):
        return [], node.shape, node.types[0]
    size = node.settings.table_size(node.name, node.kind)
    known = _known(node, name) if name != "linear" else "relu"  # a quantizer rounds and saturates
    made = Layer(
        Kind.ACTIVATION,
        1,
        node.shape[-1],
        positions=math.prod(node.shape[:-1]),
        activation=known,
        table_size=size,
        **_common(node),
    )
    return [made], node.shape, out


def _merge(node: _Node) -> Made:
    bits = max(item.bits for item in node.types) + math.ceil(math.log2(len(node.types)))
    made = Layer(Kind.MERGE, len(node.shapes), node.shape[-1], positions=math.prod(node.shape[:-1]), **_common(node))
    result = node.settings.type("result", node.name, node.kind)
    return [made], node.shape, result or Type(bits, max(item.integer for item in node.types) + 1)


def _concatenate(node: _Node) -> Made:
    channels = sum(shape[-1] for shape in node.shapes)
    made = Layer(Kind.CONCATENATE, len(node.shapes), channels, positions=math.prod(node.shape[:-1]), **_common(node))
    return [made], (*node.shape[:-1], channels), max(node.types, key=lambda item: item.bits)


def _flatten(node: _Node) -> Made:
    return [], (math.prod(node.shape),), node.types[0]


def _reshape(node: _Node) -> Made:
    target = [int(size) for size in node.config["target_shape"]]
    known = math.prod(size for size in target if size > 0)
    shape = tuple(size if size > 0 else math.prod(node.shape) // known for size in target)
    if math.prod(shape) != math.prod(node.shape):
        raise node.refused(f"{node.shape} can't become {shape}")
    return [], shape, node.types[0]


def _pass(node: _Node) -> Made:
    return [], node.shape, node.types[0]


def _pad(node: _Node) -> Made:
    n = len(node.shape) - 1
    padding = node.get("padding", 1)
    pads = [padding] * n if isinstance(padding, int) else padding if n > 1 else [padding]
    sums = [2 * pad if isinstance(pad, int) else sum(pad) for pad in pads]
    return [], (*(size + more for size, more in zip(node.shape, sums)), node.shape[-1]), node.types[0]


_MAKERS: dict[str, Callable[[_Node], Made]] = {
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D"), _conv),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    "BatchNormalization": _scale,
    "Normalization": _normalization,
    **{f"{scope}{how}Pooling{n}D": _pool for scope in ("", "Global") for how in ("Max", "Average") for n in (1, 2)},
    **dict.fromkeys(("Activation", *_FUNCTIONS), _activation),
    **dict.fromkeys(_MERGED, _merge),
    "Concatenate": _concatenate,
    "Flatten": _flatten,
    "Reshape": _reshape,
    **dict.fromkeys(_PASSED, _pass),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), _pad),
}


def _sides(node: _Node, window: Shape, strides: Shape) -> Shape:
    padding = node.get("padding", "valid")
    if padding not in ("valid", "same"):
        raise node.refused(f"padding {padding!r} is not known; known: valid, same")
    sides = tuple(output_size(n, w, s, padding) for n, w, s in zip(node.shape, window, strides))
    if min(sides, default=1) < 1:
        raise node.refused(f"its window {window} is larger than its input {node.shape}")
    return sides


def _tuple(value, n: int) -> Shape:
    sizes = (value,) * n if isinstance(value, int) else tuple(int(size) for size in value)
    if len(sizes) != n or min(sizes) < 1:
        raise ValueError(f"{value!r} is no size of {n} dimensions")
    return sizes


def _known(node: _Node, name: str) -> str:
    if name not in (*RECTIFIERS, *TABLES):
        raise node.refused(f"activation {name!r} is not known; known: {', '.join((*RECTIFIERS, *TABLES))}")
    return name
