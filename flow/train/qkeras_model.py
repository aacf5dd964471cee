"""A design and its weights as a QKeras model, built, saved and loaded."""

import json
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design, check
from flow.errors import BadInput
from flow.keras_file.archive import CONFIG, METADATA, WEIGHTS
from flow.keras_file.archive import read as read_archive
from flow.keras_file.check import TEXT
from flow.keras_file.check import check as check_description
from flow.keras_file.weights import check as check_arrays
from flow.topology import INPUT, Activation, Conv, Dense, Layer, Merge, Pool, Reshape, Scale, Topology
from flow.train import backend
from flow.train.initial import Weights
from flow.train.qkeras_quantizers import format_of, quantizer_of
from flow.train.reference import quantized_weights, reference, sources

__all__ = [
    "activation_name",
    "build",
    "float32_deviation",
    "layer_format",
    "load",
    "quantized_weights",
    "reference",
    "save",
    "sources",
]

WORDS = "words"
OFFSET = "input_offset"
GRID = "input_grid"
SHAPE = "input_shape"


layer_format = format_of


def activation_name(layer: Layer) -> str:
    """The name of the quantized activation behind a layer, on every side of the equivalence gate."""
    return layer.name if isinstance(layer, Activation) else f"{layer.name}_{layer.activation}"


def build(topology: Topology, design: Design, scaling: InputScaling, weights: Weights, name: str = "model"):
    """The QKeras model of a trained design; its input is the firmware's words (n, n_in), its output the logits.

    `weights` are the unquantized ones that training left: the model's own quantizers quantize them. Raises
    BadInput where the design or the weights do not fit the network, or two layers would have one name.
    """
    try:
        check(design, topology)
    except ValueError as error:
        raise BadInput(str(error)) from None
    _check_names(topology)
    _check_weights(topology, weights)
    backend.start()
    import keras
    from qkeras import QActivation

    inputs = keras.Input((topology.n_in,), name=WORDS)
    mean, variance = np.asarray(scaling.offsets), np.ones(topology.n_in)
    centred = keras.layers.Normalization(axis=-1, mean=mean, variance=variance, name=OFFSET)(inputs)
    first = QActivation(quantizer_of(design.input), name=GRID)(centred)
    if len(topology.input_shape) > 1:
        first = keras.layers.Reshape(topology.input_shape, name=SHAPE)(first)
    values = {INPUT: first}
    for layer in topology.layers:
        read = [values[source] for source in topology.sources[layer.name]]
        result = read[0] if isinstance(layer, Activation) else _keras_layer(layer, design)(*_arguments(layer, read))
        if topology.quantized(layer):
            form = design[layer.name].activation
            result = QActivation(quantizer_of(form), name=activation_name(layer))(result)
        values[layer.name] = result
    model = keras.Model(inputs, values[topology.output], name=name)
    for layer in topology.weighted:
        model.get_layer(layer.name).set_weights(_arrays(layer, *weights[layer.name]))
    return model


def save(model, path: Path) -> None:
    """Write a model as a .keras file that is never seen half written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".keras", dir=path.parent)
    os.close(descriptor)
    try:
        model.save(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: Path):
    """A model from a .keras file, with QKeras' layers and quantizers; safe for a file of anybody.

    The file is checked from end to end first: only layers, quantizers and settings that are known by name are made,
    quantizers given as text are read by our own parser, and nothing is unpickled or executed. Raises BadInput for what
    can't be read.
    """
    archive = read_archive(path)
    description = check_description(archive.config, archive.path)
    check_arrays(archive.weights, archive.path)
    backend.start()
    import keras
    import qkeras

    from flow.train import hardware  # noqa: F401  (registers ours)

    config = _with_quantizers(description.config, [quantizer_of(form) for form in description.texts])
    unregistered = {name: getattr(qkeras, name) for name in ("QDenseBatchnorm", "QConv2DBatchnorm")}
    with tempfile.TemporaryDirectory(prefix="flow-keras-") as folder:
        checked = Path(folder) / "model.keras"
        content = {CONFIG: json.dumps(config), METADATA: json.dumps(dict(archive.metadata)), WEIGHTS: archive.weights}
        with zipfile.ZipFile(checked, "w", zipfile.ZIP_STORED) as copy:
            for name, data in content.items():
                copy.writestr(name, data)
        try:
            return keras.saving.load_model(checked, unregistered, compile=False, safe_mode=True)
        except Exception as error:  # noqa: BLE001  (Keras raises many kinds for a damaged file)
            reason = " ".join(str(error).split()).replace(str(checked), "the file") or type(error).__name__
            raise BadInput(f"{path}: can't be read as a .keras model: {reason[:300]}") from None


def _with_quantizers(node, made: list):
    """A checked description with the quantizers in it that were text."""
    import keras

    if isinstance(node, dict):
        if TEXT in node:
            return keras.saving.serialize_keras_object(made[node[TEXT]])
        return {key: _with_quantizers(value, made) for key, value in node.items()}
    return [_with_quantizers(item, made) for item in node] if isinstance(node, list) else node


def float32_deviation(model, words: np.ndarray, logits: np.ndarray) -> float:
    """Largest |difference| between the model's own float32 inference and the exact logits (n, n_out)."""
    own = np.asarray(model.predict(np.asarray(words, dtype=np.float32), batch_size=8192, verbose=0), dtype=np.float64)
    return float(np.abs(own - logits).max(initial=0.0))


def _keras_layer(layer: Layer, design: Design):
    """The Keras layer of one layer, without its activation."""
    import keras

    match layer:
        case Pool():
            return _pooling(layer)
        case Merge(operation="add"):
            return keras.layers.Add(name=layer.name)
        case Merge():
            return keras.layers.Concatenate(name=layer.name)
        case Reshape():
            return keras.layers.Reshape(layer.shape, name=layer.name)
    return _weighted_layer(layer, quantizer_of(design[layer.name].kernel), design[layer.name].bias)


def _weighted_layer(layer: Layer, kernel, bias_form):
    import qkeras

    bias = None if bias_form is None else quantizer_of(bias_form)
    common = {"bias_quantizer": bias, "use_bias": layer.bias, "name": layer.name}
    match layer:
        case Dense():
            return qkeras.QDense(layer.n_out, kernel_quantizer=kernel, **common)
        case Scale():
            # No statistics are left at inference: what stays is x * q(gamma) + q(beta).
            return qkeras.QBatchNormalization(
                epsilon=0.0,
                gamma_quantizer=kernel,
                beta_quantizer=bias,
                mean_quantizer=None,
                variance_quantizer=None,
                name=layer.name,
            )
        case Conv(depthwise=True, window=(_, _)):
            window = {"strides": layer.strides, "padding": layer.padding}
            return qkeras.QDepthwiseConv2D(layer.window, depthwise_quantizer=kernel, **window, **common)
        case Conv(depthwise=False):
            kind = qkeras.QConv1D if len(layer.window) == 1 else qkeras.QConv2D
            window = {"strides": layer.strides, "padding": layer.padding}
            return kind(layer.filters, layer.window, kernel_quantizer=kernel, **window, **common)
    raise BadInput(f"layer {layer.name}: QKeras has no depthwise convolution over one dimension")


def _pooling(layer: Pool):
    import keras

    dimensions = len(layer.window)
    operation = "Max" if layer.operation == "max" else "Average"
    if layer.flat:
        return getattr(keras.layers, f"Global{operation}Pooling{dimensions}D")(name=layer.name)
    return getattr(keras.layers, f"{operation}Pooling{dimensions}D")(layer.window, layer.strides, name=layer.name)


def _arguments(layer: Layer, read: list) -> list:
    """A merge takes its inputs as one list."""
    return [read] if isinstance(layer, Merge) else read


def _arrays(layer: Layer, kernel: np.ndarray, bias: np.ndarray | None) -> list[np.ndarray]:
    """A layer's weights in Keras' order."""
    found = [np.asarray(kernel, dtype=np.float32)]
    if bias is not None:
        found.append(np.asarray(bias, dtype=np.float32))
    if isinstance(layer, Scale):
        found += [np.zeros(layer.kernel_shape, np.float32), np.ones(layer.kernel_shape, np.float32)]
    return found


def _check_names(topology: Topology) -> None:
    names = [WORDS, OFFSET, GRID, SHAPE]
    for layer in topology.layers:
        own = {layer.name, activation_name(layer)} if topology.quantized(layer) else {layer.name}
        taken = own.intersection(names)
        if taken:
            raise BadInput(f"layer {layer.name}: the name {taken.pop()} is taken; rename the layer")
        names += own


def _check_weights(topology: Topology, weights: Weights) -> None:
    for layer in topology.weighted:
        if layer.name not in weights:
            raise BadInput(f"layer {layer.name}: there are no weights for it")
        kernel, bias = weights[layer.name]
        expected = (layer.kernel_shape, layer.shape[-1:] if layer.bias else None)
        found = (np.shape(kernel), None if bias is None else np.shape(bias))
        if found != expected:
            raise BadInput(f"layer {layer.name}: kernel and bias have the shapes {found}, not {expected}")
