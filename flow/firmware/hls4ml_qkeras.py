"""QKeras models as stages for hls4ml.

hls4ml 1.3 reads QKeras layers of Keras 2 only, and infers types and scales of its own from their quantizers. Here
a model is read layer by layer into stages whose weights the layer's own quantizers have quantized; stages become
hls4ml's layers in `flow.firmware.hls.graph`.
"""

import math
from collections.abc import Callable

import numpy as np

from flow.errors import BadInput
from flow.firmware import names, outputs
from flow.firmware.hls import graph
from flow.firmware.hls.quantizers import quantizer_stages
from flow.firmware.precision import Decision, HlsType, Linear, Stage, narrowest, types, weight_type
from flow.firmware.settings import Output, Target
from flow.formats import Fixed, Format
from flow.topology import INPUT, Conv, Dense, Merge, Pool, Reshape, Scale
from flow.train import qkeras_model
from flow.train.reference import FOLDED, own_activation

check_name = names.check


def stages(model, target: Target | None = None) -> tuple[Stage, ...]:
    """The stages of a QKeras model, in the order of its layers; raises BadInput for what is not supported.

    A layer's last stage has its name; `INPUT` names the input words. Where the output of `target` is not the logits,
    a last stage named after it follows.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 2:
        raise BadInput(f"model {model.name}: one input (n, n_in) and one output are supported")
    entry = model.inputs[0]._keras_history.operation.name
    found: list[Stage] = []
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            continue
        check_name(layer.name, "layer")
        read = READERS.get(type(layer).__name__)
        if read is None:
            raise BadInput(
                f"layer {layer.name}: {type(layer).__name__} is not supported; supported: {', '.join(READERS)}"
            )
        if len(layer._inbound_nodes) != 1:
            raise BadInput(f"layer {layer.name}: it is used more than once; each use needs a layer of its own")
        inputs = tuple(INPUT if name == entry else name for name in qkeras_model.sources(layer))
        found += read(layer, inputs)
    if target is not None and target.output != Output.LOGITS:
        found.append(_decision(model, target, found))
    _check_names(found)
    return tuple(found)


def result_types(model, word: Fixed, target: Target | None = None) -> dict[str, HlsType]:
    """The type of every layer's output, by name, for input words of format `word`; raises as `stages` does.

    That of an output behind the logits comes last.
    """
    row = stages(model, target)
    found = types(row, word, model.inputs[0].shape[-1])
    shown = [layer.name for layer in model.layers if layer.name in found]
    return {name: found[name].result for name in dict.fromkeys([*shown, row[-1].name])}


def output_spec(model, word: Fixed, target: Target) -> outputs.Spec:
    """The arithmetic of the output of `target`, which is not the logits; raises as `stages` does."""
    row = stages(model, target)
    return types(row, word, model.inputs[0].shape[-1])[row[-1].name].spec


def _decision(model, target: Target, found: list[Stage]) -> Decision:
    logits = model.layers[-1].name
    shape = next(stage.shape for stage in found if stage.name == logits)
    outputs.check(target.output, shape, [stage.name for stage in found])
    n_out = 1 if target.output == Output.ARGMAX else shape[0]
    return Decision(str(target.output), (n_out,), (logits,), target.output, target.accuracy)


def _check_names(found: list[Stage]) -> None:
    taken = {graph.WORDS}
    for stage in found:
        if stage.name.lower() in taken:
            raise BadInput(
                f"layer {stage.name}: its name is another one's too, or differs in upper and lower case only"
            )
        taken.add(stage.name.lower())


def _offset(layer, inputs: tuple[str, ...]) -> list[Stage]:
    _require(layer, not layer.invert and np.all(np.asarray(layer.variance) == 1), "variance 1 and not inverted")
    shape = _shape(layer)
    bias = np.broadcast_to(-np.asarray(layer.mean, dtype=np.float64).reshape(-1), shape[-1:])
    scale = Scale(layer.name, shape, inputs=inputs)
    return [Linear(scale, np.ones(shape[-1:]), bias, HlsType(1, 1, False), narrowest(bias))]


def _activation(layer, inputs: tuple[str, ...]) -> list[Stage]:
    return list(quantizer_stages(layer.name, _form(layer, layer.activation), _shape(layer), inputs))


def _dense(layer, inputs: tuple[str, ...]) -> list[Stage]:
    _require(layer, len(layer.input.shape) == 2, "one dimension beside the batch: put a Flatten in front of it")
    dense = Dense(_sums(layer), layer.input.shape[-1], layer.units, inputs=inputs, bias=_has_bias(layer))
    return _linear(layer, dense, layer.kernel_quantizer_internal, layer.bias_quantizer_internal)


def _convolution(layer, inputs: tuple[str, ...]) -> list[Stage]:
    depthwise = type(layer).__name__ == "QDepthwiseConv2D"
    _require(layer, layer.data_format == "channels_last", "channels last")
    _require(layer, layer.padding in ("valid", "same"), 'padding "valid" or "same"')
    _require(layer, set(layer.dilation_rate) == {1}, "a dilation rate of 1")
    _require(layer, (layer.depth_multiplier if depthwise else layer.groups) == 1, "one group, a depth multiplier of 1")
    _require(layer, getattr(layer, "_mask", None) is None, "no mask on its kernel")
    convolution = Conv(
        _sums(layer),
        tuple(layer.input.shape[1:]),
        layer.output.shape[-1],
        tuple(layer.kernel_size),
        tuple(layer.strides),
        layer.padding,
        inputs=inputs,
        bias=_has_bias(layer),
        depthwise=depthwise,
    )
    kernel_quantizer = layer.depthwise_quantizer_internal if depthwise else layer.kernel_quantizer_internal
    return _linear(layer, convolution, kernel_quantizer, layer.bias_quantizer_internal)


def _scale(layer, inputs: tuple[str, ...]) -> list[Stage]:
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    statistics = (layer.mean_quantizer_internal, layer.variance_quantizer_internal, layer.inverse_quantizer_internal)
    plain = not mean.any() and np.all(variance == 1) and layer.epsilon == 0 and not any(statistics)
    _require(layer, plain, "moving mean 0, moving variance 1, epsilon 0, and quantizers for gamma and beta alone")
    _require(layer, layer.scale and layer.axis in (-1, len(layer.input.shape) - 1), "a gamma for each channel")
    scale = Scale(_sums(layer), _shape(layer), inputs=inputs)
    return _linear(layer, scale, layer.gamma_quantizer_internal, layer.beta_quantizer_internal)


def _pool(layer, inputs: tuple[str, ...]) -> list[Stage]:
    kind, shape = type(layer).__name__, tuple(layer.input.shape[1:])
    _require(layer, layer.data_format == "channels_last", "channels last")
    everything = kind.startswith("Global")
    _require(layer, everything or layer.padding == "valid", 'padding "valid"')
    window = shape[:-1] if everything else tuple(layer.pool_size)
    operation = "max" if "Max" in kind else "average"
    size = math.prod(window)
    _require(layer, operation == "max" or size & (size - 1) == 0, f"windows of 2, 4, 8, ... values, not {size}")
    flat = everything and len(_shape(layer)) == 1
    return [Pool(layer.name, shape, window, window if everything else tuple(layer.strides), operation, flat, inputs)]


def _merge(layer, inputs: tuple[str, ...]) -> list[Stage]:
    """A merge of several layers as merges of two, which is what hls4ml has."""
    operation = type(layer).__name__.lower()
    shapes = [tuple(tensor.shape[1:]) for tensor in layer.input]
    last = operation == "add" or layer.axis in (-1, len(shapes[0]))
    _require(layer, last, "the last axis")
    _require(layer, operation != "add" or len(set(shapes)) == 1, "inputs of one shape")
    found: list[Stage] = []
    before, channels = inputs[0], shapes[0][-1]
    for i, (name, shape) in enumerate(zip(inputs[1:], shapes[1:]), 2):
        channels = channels if operation == "add" else channels + shape[-1]
        own = layer.name if i == len(inputs) else f"{layer.name}_first_{i}"
        found.append(Merge(own, (*shape[:-1], channels), operation, (before, name)))
        before = own
    return found


def _reshape(layer, inputs: tuple[str, ...]) -> list[Stage]:
    return [Reshape(layer.name, _shape(layer), inputs)]


READERS: dict[str, Callable[..., list[Stage]]] = {
    "Normalization": _offset,
    "QActivation": _activation,
    "QDense": _dense,
    "QDenseBatchnorm": _dense,
    "QConv1D": _convolution,
    "QConv2D": _convolution,
    "QConv2DBatchnorm": _convolution,
    "QDepthwiseConv2D": _convolution,
    "QBatchNormalization": _scale,
    "MaxPooling1D": _pool,
    "MaxPooling2D": _pool,
    "AveragePooling1D": _pool,
    "AveragePooling2D": _pool,
    "GlobalMaxPooling1D": _pool,
    "GlobalMaxPooling2D": _pool,
    "GlobalAveragePooling1D": _pool,
    "GlobalAveragePooling2D": _pool,
    "Add": _merge,
    "Concatenate": _merge,
    "Reshape": _reshape,
    "Flatten": _reshape,
}


def _sums(layer) -> str:
    """The name of a layer's sums: its own, unless an activation of its own is what it puts out."""
    return layer.name if own_activation(layer) is None else f"{layer.name}_sums"


def _has_bias(layer) -> bool:
    return layer.use_bias or type(layer).__name__ in FOLDED


def _linear(layer, described: Dense | Conv | Scale, kernel_quantizer, bias_quantizer) -> list[Stage]:
    """`described` with the layer's weights as its quantizers give them, and the layer's own activation behind it."""
    linear = _weighted(layer, described, kernel_quantizer, bias_quantizer)
    form = own_activation(layer)
    if form is None:
        return [linear]
    return [linear, *quantizer_stages(layer.name, form, linear.shape, (linear.name,))]


def _weighted(layer, described: Dense | Conv | Scale, kernel_quantizer, bias_quantizer) -> Linear:
    """`described` with the layer's weights; zeros where it has no bias."""
    form = _form(layer, kernel_quantizer)
    kernel, bias = qkeras_model.quantized_weights(layer)
    kernel_type = _checked(layer, "kernel", weight_type(form, kernel), kernel)
    if bias is None:
        bias, bias_type = np.zeros(described.shape[-1]), HlsType(1, 1, False)
    else:
        bias_type = _checked(layer, "bias", weight_type(_form(layer, bias_quantizer), bias), bias)
    return Linear(described, kernel, bias, kernel_type, bias_type, layer.name)


def _checked(layer, what: str, form: HlsType, values: np.ndarray) -> HlsType:
    if not form.holds(values):
        raise BadInput(f"layer {layer.name}: its {what} holds values that its quantizer's type {form} does not have")
    return form


def _form(layer, quantizer) -> Format:
    if quantizer is None:
        raise BadInput(f"layer {layer.name}: every kernel, bias and activation needs a quantizer")
    try:
        return qkeras_model.layer_format(quantizer)
    except BadInput as error:
        raise BadInput(f"layer {layer.name}: {error}") from None


def _require(layer, condition: bool, what: str) -> None:
    if not condition:
        raise BadInput(f"layer {layer.name}: {type(layer).__name__} is supported with {what}")


def _shape(layer) -> tuple[int, ...]:
    return tuple(layer.output.shape[1:])
