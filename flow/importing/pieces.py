"""A Keras or QKeras model as plain Keras layers with their weights, and the formats that its quantizers stand for."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flow.design import INPUTS
from flow.errors import BadInput
from flow.formats import Format
from flow.importing import folding
from flow.topology import ACTIVATIONS, INPUT
from flow.train.network.check import RESERVED
from flow.train.network.graph import Node, nodes
from flow.train.qkeras_quantizers import format_of

if TYPE_CHECKING:
    import keras

DROPPED = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "ActivityRegularization")
FUNCTIONS = ("softmax", "sigmoid", "tanh")  # that firmware makes of the logits, if it is asked to
_BEHIND = {"quantized_tanh": "tanh", "quantized_sigmoid": "sigmoid", "quantized_relu": "relu",
                "truncated_relu": "relu", "half_up_relu": "relu", "quantized_relu_po2": "relu"}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """One layer of the plain network. `settings` are the arguments of keras.layers.<kind>, `arrays` its weights by name
    in Keras' order; `forms` the formats of its "kernel", "bias" and "activation", as far as the file has them.

    `folded`: kernel and bias that the file's own quantizers see, where a normalization was folded into them."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    forms: dict[str, Format] = field(default_factory=dict)
    folded: tuple[np.ndarray, np.ndarray] | None = None


@dataclass
class Network:
    """The pieces in order; what was taken off (`notes`), and why there can be no design yet (`unformatted`).

    `word`: the format of the input, where the file begins with a quantizer. `logits`: the layer of the file whose
    output is compared, without its own activation. `function`: what stood behind the logits.
    """

    shape: tuple[int, ...]
    logits: str = ""
    pieces: list[Piece] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unformatted: list[str] = field(default_factory=list)
    word: Format | None = None
    function: str | None = None
    quantized: bool = False


def read(model: "keras.Model", path: Path) -> Network:
    """The pieces of a loaded model. Raises BadInput that lists every layer that has no place in a task."""
    shape, found = nodes(model, path)
    if not found:
        raise BadInput(f"{path}: the network has no layers")
    network = Network(shape)
    found = _without_output_function(network, found, path)
    network.logits = found[-1].name
    network.quantized = any(node.kind.startswith("Q") for node in found)
    reader, problems = _Reader(network, found), []
    for node in found:
        try:
            reader.add(node)
        except (BadInput, ValueError) as error:
            problems.append(f"{node.name} ({node.kind}): {str(error).removeprefix(f'{path}: layer {node.name}: ')}")
            reader.last[node.name] = INPUT
    if problems:
        several = f"{len(problems)} layers" if len(problems) > 1 else "one layer"
        raise BadInput(f"{path}: {several} can't be imported: {'; '.join(problems)}")
    return network


def _without_output_function(network: Network, found: list[Node], path: Path) -> list[Node]:
    """The layers up to the logits: a function of them, and what matters in training alone, is taken off the end."""
    while len(found) > 1:
        node = found[-1]
        form = _form_of(node) if node.kind == "QActivation" else None
        function = "softmax" if node.kind == "Softmax" else _plain_function(node)
        if node.kind in DROPPED:
            network.notes.append(f"{node.name} ({node.kind}) matters in training alone: left out")
        elif network.function is None and (node.kind in ("Softmax", "Activation") and function in FUNCTIONS):
            network.function = function
            network.notes.append(
                f"{node.name}: {function} behind the logits is taken off; firmware.output can bring it back"
            )
        elif form is not None and form.kind in ("quantized_bits", "truncated_bits", "half_up_bits"):
            network.notes.append(
                f"{node.name}: {form} behind the logits is taken off; firmware puts out the sums themselves"
            )
        else:
            break
        found = found[:-1]
    return found


def _form_of(node: Node) -> Format | None:
    try:
        return format_of(node.layer.activation)
    except BadInput:
        return None


def _plain_function(node: Node) -> str | None:
    """The name of a plain activation function that a layer has, None for a quantizer or no function."""
    function = getattr(node.layer, "activation", None)
    name = getattr(function, "__name__", None) if not isinstance(function, str) else function
    return name


class _Reader:
    """Adds the pieces of one layer of the file after another to a network."""

    def __init__(self, network: Network, found: list[Node]):
        self.network, self.found = network, found
        self.last: dict[str, str] = {INPUT: INPUT}  # layer of the file -> the piece that gives its output
        self.taken = {name.lower() for name in RESERVED}

    def add(self, node: Node) -> None:
        handler = _HANDLERS.get(node.kind)
        if handler is None:
            raise ValueError("not supported")
        self.last[node.name] = handler(self, node)

    def inputs(self, node: Node) -> tuple[str, ...]:
        return tuple(self.last[name] for name in node.inputs)

    def readers_of_the_input(self) -> list[str]:
        """The layers of the file that read the input, straight or behind what was left out."""
        same = {name for name, piece in self.last.items() if piece == INPUT}
        return [node.name for node in self.found if node.name not in same and same.intersection(node.inputs)]

    def name(self, wanted: str, *endings: str, said: bool = True) -> str:
        """A name that firmware can carry and that is free, also with some endings; a change is said, unless the layer
        becomes one with another."""
        plain = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        plain = plain if plain[:1].isalpha() else f"layer_{plain}"
        found, number = plain, 1
        while self.taken & {f"{found}{ending}".lower() for ending in ("", *endings)}:
            number += 1
            found = f"{plain}_{number}"
        if found != wanted and said:
            self.network.notes.append(f"{wanted} is called {found}: a name that firmware can carry, and only once")
        self.taken |= {f"{found}{ending}".lower() for ending in ("", *endings)}
        return found

    def put(self, piece: Piece) -> str:
        self.network.pieces.append(piece)
        return piece.name

    def quantizer(self, node: Node, part: str, quantizer) -> dict[str, Format]:
        """The format of one part of a layer; None, and the reason kept, where there is none."""
        if quantizer is None:
            self.network.unformatted.append(f"{node.name}: its {part} has no quantizer")
            return {}
        try:
            return {part: format_of(quantizer)}
        except BadInput as error:
            self.network.unformatted.append(f"{node.name}: {part}: {error}")
            return {}

    def behind(self, node: Node, piece: Piece, function: str | None = None) -> str:
        """A layer with weights, and its own activation: a plain function, or a quantizer."""
        own = node.layer.activation if function is None else function
        if function is None and not is_plain(own):
            forms = self.quantizer(node, "activation", own)
            kind = function_of(own)
            if kind == "linear":
                name = self.put(piece)
                own_name = self.name(f"{piece.name}_grid")
                return self.put(Piece(own_name, "Activation", (name,), {"activation": "linear"}, forms=forms))
            piece.settings["activation"] = kind
            piece.forms.update(forms)
            return self.put(piece)
        name = _plain_function(node) if function is None else function
        if node.name == self.network.logits and name in FUNCTIONS:
            self.network.function = name
            self.network.notes.append(
                f"{node.name}: {name} behind the logits is taken off; firmware.output can bring it back"
            )
        elif name not in (None, *ACTIVATIONS):
            raise ValueError(f"activation {name!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
        elif name not in (None, "linear"):
            piece.settings["activation"] = name
            if self.network.quantized:
                self.network.unformatted.append(f"{node.name}: its activation {name} has no quantizer")
        return self.put(piece)


def is_plain(function) -> bool:
    return function is None or isinstance(function, str) or type(function).__name__ == "function"


def function_of(quantizer) -> str:
    """The activation function whose values a quantizer rounds."""
    return _BEHIND.get(type(quantizer).__name__, "linear")


def _arrays(node: Node, **names: str) -> dict[str, np.ndarray]:
    """Weights of a layer of the file, by the names that the plain layer has for them; None are left out."""
    found = {name: getattr(node.layer, own, None) for name, own in names.items()}
    return {name: np.asarray(values, np.float32) for name, values in found.items() if values is not None}


def _weighted(reader: _Reader, node: Node, kind: str, settings: dict, kernel: str = "kernel") -> str:
    layer = node.layer
    arrays = _arrays(node, kernel="depthwise_kernel" if kernel == "depthwise" else "kernel", bias="bias")
    forms = {}
    if node.kind.startswith("Q"):
        forms |= reader.quantizer(node, "kernel", getattr(layer, f"{kernel}_quantizer_internal", None))
        if layer.use_bias or node.kind.endswith("Batchnorm"):
            forms |= reader.quantizer(node, "bias", layer.bias_quantizer_internal)
    elif reader.network.quantized:
        reader.network.unformatted.append(f"{node.name}: {node.kind} has no quantizers")
    settings = settings | ({} if layer.use_bias else {"use_bias": False})
    name = reader.name(node.name, "_relu", "_tanh", "_sigmoid")
    piece = Piece(name, kind, reader.inputs(node), settings, arrays, forms)
    if not node.kind.endswith("Batchnorm"):
        return reader.behind(node, piece)
    own = reader.name(f"{name}_norm")
    folded = tuple(np.asarray(part, np.float32) for part in layer.get_folded_weights())
    reader.put(Piece(name, kind, piece.inputs, settings, arrays, forms, folded))
    norm = Piece(own, "BatchNormalization", (name,), {}, folding.normalization(layer.batchnorm))
    reader.put(norm)
    return _activated(reader, node, own)


def _activated(reader: _Reader, node: Node, source: str) -> str:
    """The activation of a layer that two pieces stand for, as a piece of its own."""
    own = node.layer.activation
    name = _plain_function(node)
    if is_plain(own) and (name in (None, "linear") or node.name == reader.network.logits and name in FUNCTIONS):
        if name not in (None, "linear"):
            reader.network.function = name
            reader.network.notes.append(
                f"{node.name}: {name} behind the logits is taken off; firmware.output can bring it back"
            )
        return source
    return _standing(reader, node, (source,), f"{node.name}_activation")


def _standing(reader: _Reader, node: Node, inputs: tuple[str, ...], wanted: str) -> str:
    """An activation on its own, plain or quantized."""
    own = node.layer.activation
    name = _plain_function(node) or "linear"
    forms = {}
    if not is_plain(own):
        forms, name = reader.quantizer(node, "activation", own), function_of(own)
    elif name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    elif reader.network.quantized:
        reader.network.unformatted.append(f"{node.name}: its activation {name} has no quantizer")
    return reader.put(Piece(reader.name(wanted, said=False), "Activation", inputs, {"activation": name}, forms=forms))


def _dense(reader: _Reader, node: Node) -> str:
    return _weighted(reader, node, "Dense", {"units": int(node.layer.units)})


def _windows(node: Node) -> dict:
    layer = node.layer
    if set(np.ravel(layer.dilation_rate)) != {1} or getattr(layer, "groups", 1) != 1:
        raise ValueError("dilated and grouped convolutions are not supported")
    if layer.data_format != "channels_last":
        raise ValueError("data_format 'channels_first' is not supported; channels come last")
    if layer.padding not in ("valid", "same"):
        raise ValueError(f"padding {layer.padding!r} is not supported; supported: valid, same")
    found = {"kernel_size": tuple(map(int, layer.kernel_size)), "strides": tuple(map(int, layer.strides)),
             "padding": layer.padding}  # fmt: skip
    return {key: value for key, value in found.items() if value != _KERAS_DEFAULTS.get((key, len(layer.kernel_size)))}


_KERAS_DEFAULTS = {("strides", 1): (1,), ("strides", 2): (1, 1), ("padding", 1): "valid", ("padding", 2): "valid"}


def _conv(reader: _Reader, node: Node) -> str:
    kind = node.kind.removeprefix("Q").removesuffix("Batchnorm")
    return _weighted(reader, node, kind, {"filters": int(node.layer.filters)} | _windows(node))


def _depthwise(reader: _Reader, node: Node) -> str:
    if node.layer.depth_multiplier != 1:
        raise ValueError(f"depth_multiplier {node.layer.depth_multiplier} is not supported; supported: 1")
    quantized = node.kind.startswith("Q")
    return _weighted(reader, node, "DepthwiseConv2D", _windows(node), "depthwise" if quantized else "kernel")


def _separable(reader: _Reader, node: Node) -> str:
    if node.layer.depth_multiplier != 1:
        raise ValueError(f"depth_multiplier {node.layer.depth_multiplier} is not supported; supported: 1")
    arrays = _arrays(node, depthwise_kernel="depthwise_kernel", pointwise_kernel="pointwise_kernel", bias="bias")
    settings = {"filters": int(node.layer.filters)} | _windows(node)
    settings |= {} if node.layer.use_bias else {"use_bias": False}
    name = reader.name(
        node.name, "_depthwise", "_pointwise", "_pointwise_relu", "_pointwise_tanh", "_pointwise_sigmoid"
    )
    if reader.network.quantized:
        reader.network.unformatted.append(f"{node.name}: SeparableConv2D has no quantizers")
    return reader.behind(node, Piece(name, "SeparableConv2D", reader.inputs(node), settings, arrays))


def _norm(reader: _Reader, node: Node) -> str:
    layer = node.layer
    axis = layer.axis if isinstance(layer.axis, int) else next(iter(layer.axis))
    if axis not in (-1, len(node.shape)):
        raise ValueError(f"axis {axis} is not supported; supported: the channels, the last axis")
    forms = {}
    if node.kind == "QBatchNormalization":
        reason = folding.not_plain(layer)
        if reason:
            reader.network.unformatted.append(f"{node.name}: {reason}")
        else:
            forms |= reader.quantizer(node, "kernel", layer.gamma_quantizer_internal)
            forms |= reader.quantizer(node, "bias", layer.beta_quantizer_internal)
    elif reader.network.quantized:
        reader.network.unformatted.append(f"{node.name}: {node.kind} has no quantizers")
    name = reader.name(node.name, "_relu", "_tanh", "_sigmoid")
    return reader.put(Piece(name, "BatchNormalization", reader.inputs(node), {}, folding.normalization(layer), forms))


def _normalization(reader: _Reader, node: Node) -> str:
    mean, variance = (np.asarray(values, np.float32).ravel() for values in (node.layer.mean, node.layer.variance))
    if node.layer.invert:
        raise ValueError("an inverted Normalization is not supported")
    if not mean.any() and (variance == 1).all():
        reader.network.notes.append(f"{node.name} (Normalization) changes nothing: left out")
        return reader.inputs(node)[0]
    if reader.network.quantized:
        reader.network.unformatted.append(f"{node.name}: Normalization has no quantizers")
    channels = node.shape[-1]
    if mean.size not in (1, channels):
        raise ValueError(f"it has {mean.size} means for {channels} channels; supported: one for each channel")
    arrays = folding.of_statistics(np.broadcast_to(mean, channels), np.broadcast_to(variance, channels))
    return reader.put(Piece(reader.name(node.name), "BatchNormalization", reader.inputs(node), {}, arrays))


def _activation(reader: _Reader, node: Node) -> str:
    first = reader.inputs(node) == (INPUT,) and reader.readers_of_the_input() == [node.name]
    form = None if is_plain(node.layer.activation) else _form_of(node)
    if first and form is not None and form.kind in INPUTS and not form.auto:
        reader.network.word = form
        return INPUT
    return _standing(reader, node, reader.inputs(node), node.name)


def _relu(reader: _Reader, node: Node) -> str:
    layer = node.layer
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise ValueError("max_value, negative_slope and threshold are not supported")
    if reader.network.quantized:
        reader.network.unformatted.append(f"{node.name}: ReLU has no quantizer")
    return reader.put(
        Piece(reader.name(node.name, said=False), "Activation", reader.inputs(node), {"activation": "relu"})
    )


def _pool(reader: _Reader, node: Node) -> str:
    layer, settings = node.layer, {}
    if node.kind.startswith("Global"):
        if layer.keepdims:
            raise ValueError("keepdims is not supported")
    else:
        settings = {"pool_size": tuple(map(int, layer.pool_size)), "strides": tuple(map(int, layer.strides)),
                    "padding": layer.padding}  # fmt: skip
    if layer.data_format != "channels_last":
        raise ValueError("data_format 'channels_first' is not supported; channels come last")
    return reader.put(Piece(reader.name(node.name), node.kind, reader.inputs(node), settings))


def _merge(reader: _Reader, node: Node) -> str:
    if node.kind == "Concatenate" and node.layer.axis not in (-1, len(node.shape)):
        raise ValueError(f"axis {node.layer.axis} is not supported; supported: the channels, the last axis")
    return reader.put(Piece(reader.name(node.name), node.kind, reader.inputs(node)))


def _reshape(reader: _Reader, node: Node) -> str:
    settings = {} if node.kind == "Flatten" else {"target_shape": tuple(map(int, node.shape))}
    return reader.put(Piece(reader.name(node.name), node.kind, reader.inputs(node), settings))


def _dropped(reader: _Reader, node: Node) -> str:
    reader.network.notes.append(f"{node.name} ({node.kind}) matters in training alone: left out")
    return reader.inputs(node)[0]


_HANDLERS: dict[str, Callable[[_Reader, Node], str]] = {
    **dict.fromkeys(("Dense", "QDense", "QDenseBatchnorm"), _dense),
    **dict.fromkeys(("Conv1D", "Conv2D", "QConv1D", "QConv2D", "QConv2DBatchnorm"), _conv),
    **dict.fromkeys(("DepthwiseConv2D", "QDepthwiseConv2D"), _depthwise),
    "SeparableConv2D": _separable,
    **dict.fromkeys(("BatchNormalization", "QBatchNormalization"), _norm),
    "Normalization": _normalization,
    **dict.fromkeys(("Activation", "QActivation"), _activation),
    "ReLU": _relu,
    **{f"{scope}{how}Pooling{n}D": _pool for scope in ("", "Global") for how in ("Max", "Average") for n in (1, 2)},
    **dict.fromkeys(("Add", "Concatenate"), _merge),
    **dict.fromkeys(("Flatten", "Reshape"), _reshape),
    **dict.fromkeys(DROPPED, _dropped),
}
