"""A QKeras model's exact answer: its graph evaluated in float64.

Products and sums of fixed-point numbers are exact up to 53 bits there, where float32 inference may round from
24 bits on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flow.errors import BadInput
from flow.formats import Format
from flow.train import exact
from flow.train.exact import EXACT_BITS, Span
from flow.train.qkeras_quantizers import format_of

WORDS = Span(2.0**-26, 2.0**26 - 2.0**-26)  # input words: as wide as a float64 can carry until a quantizer narrows them

# What QKeras calls a layer's kernel, its quantizer and its bias, where it is not "kernel", "kernel" and "bias".
ATTRIBUTES = {
    "QBatchNormalization": ("gamma", "gamma", "beta"),
    "QDepthwiseConv2D": ("depthwise_kernel", "depthwise", "bias"),
}
FOLDED = ("QDenseBatchnorm", "QConv2DBatchnorm")  # whose quantizers see what is left of a normalization, folded in


@dataclass(frozen=True)
class Step:
    """One layer: its name, the layers it reads, and its function of their values (n, *shape)."""

    name: str
    reads: tuple[str, ...]
    compute: Callable[..., np.ndarray]


def reference(model, words: np.ndarray, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Every layer's output in float64 for input words (n, n_in), by layer name, in order.

    Outputs have the shape (n, size): values in C order, channels last. `layers` names the ones to keep where
    not all are needed. Weights are those that the model's own quantizers give; activations are quantized in
    float64. Raises BadInput where a sum could need more than 53 bits, or for a layer it doesn't know.
    """
    words = np.asarray(words, dtype=np.float64)
    known = steps(model)
    wanted = [step.name for step in known if layers is None or step.name in layers]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    entry = next(layer.name for layer in model.layers if type(layer).__name__ == "InputLayer")
    for start in range(0, max(len(words), 1), exact.BATCH):
        values = {entry: words[start : start + exact.BATCH]}
        for step in known:
            values[step.name] = step.compute(*(values[name] for name in step.reads))
        for name in wanted:
            found = values[name]
            parts[name].append(found.reshape(len(found), math.prod(found.shape[1:])))
    return {name: np.concatenate(found) for name, found in parts.items()}


def steps(model) -> list[Step]:
    """The layers of a QKeras model behind its input, each checked to be exact. Raises BadInput as `reference`."""
    found, spans = [], {}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            spans[layer.name] = WORDS
            continue
        if kind not in HANDLERS:
            raise BadInput(f"layer {layer.name}: {kind} is not supported; known: {', '.join(HANDLERS)}")
        reads = sources(layer)
        compute, span = HANDLERS[kind](layer, *(spans[name] for name in reads))
        if span.bits > EXACT_BITS:
            raise BadInput(
                f"layer {layer.name}: its sums may need {span.bits} bits; at most {EXACT_BITS} can be verified"
            )
        spans[layer.name] = span
        found.append(Step(layer.name, reads, compute))
    return found


def sources(layer) -> tuple[str, ...]:
    """The names of the layers whose outputs a layer of a Keras graph reads. Raises BadInput for a shared layer."""
    if len(layer._inbound_nodes) > 1:
        raise BadInput(f"layer {layer.name}: it is used more than once; each use needs a layer of its own")
    tensors = layer.input
    tensors = tensors if isinstance(tensors, (list, tuple)) else [tensors]
    return tuple(tensor._keras_history.operation.name for tensor in tensors)


def quantized_weights(layer) -> tuple[np.ndarray, np.ndarray | None]:
    """Kernel and bias of a weighted layer as its own quantizers give them, in float64; bias None where it has none.

    Those of a layer with a normalization in it are the folded ones, with the moving statistics.

    The kernel has the layer's own shape, a depthwise one (*window, channels, 1); that of a QBatchNormalization is
    its factor (channels,), and its bias the shift. QKeras' straight-through sum x + (q - x) can leave float32
    dust on q: it is swept onto the grid.
    """
    if type(layer).__name__ in FOLDED:
        kernel, bias = layer.get_folded_weights()
        return (
            _on_grid(layer, "kernel", layer.kernel_quantizer_internal, kernel),
            _on_grid(layer, "bias", layer.bias_quantizer_internal, bias),
        )
    kernel, quantizer, bias = ATTRIBUTES.get(type(layer).__name__, ("kernel", "kernel", "bias"))
    weights = _on_grid(layer, "kernel", getattr(layer, f"{quantizer}_quantizer_internal"), getattr(layer, kernel))
    shift = getattr(layer, bias, None)
    if shift is None:
        return weights, None
    return weights, _on_grid(layer, "bias", getattr(layer, f"{bias}_quantizer_internal"), shift)


def own_activation(layer) -> Format | None:
    """The format of a weighted layer's own activation, None without one; raises BadInput for one without a format."""
    own = getattr(layer, "activation", None)
    if getattr(own, "__name__", own) in (None, "linear"):
        return None
    try:
        form = format_of(own)
    except BadInput as error:
        raise BadInput(f"layer {layer.name}: it has an activation of its own; {error}") from None
    if form.auto:
        raise BadInput(f"layer {layer.name}: its own activation {form} has a scale that depends on the values")
    return form


def _on_grid(layer, part: str, quantizer, values) -> np.ndarray:
    if quantizer is None:
        raise BadInput(f"layer {layer.name}: its {part} has no quantizer; every weight must have one")
    form = _format(layer, quantizer)
    found = np.asarray(quantizer(values), dtype=np.float64)
    if form.kind == "quantized_bits" or form.auto:  # `quantize` would apply the scale once more
        step = form.step * np.asarray(quantizer.scale, dtype=np.float64) if form.auto else form.step
        return np.rint(found / step) * step
    return form.quantize(found)


def _format(layer, quantizer) -> Format:
    try:
        return format_of(quantizer)
    except BadInput as error:
        raise BadInput(f"layer {layer.name}: {error}") from None


def _require(layer, condition: bool, what: str) -> None:
    if not condition:
        raise BadInput(f"layer {layer.name}: {type(layer).__name__} is followed only with {what}")


def _offset(layer, span: Span):
    mean = np.asarray(layer.mean, dtype=np.float64).reshape(1, -1)
    variance = np.asarray(layer.variance)
    _require(layer, bool((variance == 1).all()), "variance 1")
    return (lambda x: x - mean), span


def _quantize(layer, span: Span):
    form = _format(layer, layer.activation)
    _require(layer, not form.auto, "a scale that is no function of the data")
    return form.quantize, Span(form.step, max(-form.low, form.high))


def _dense(layer, span: Span):
    kernel, bias = quantized_weights(layer)
    return _activated(layer, lambda x: exact.dense(x, kernel, bias), span.times(kernel, bias))


def _conv(layer, span: Span):
    depthwise = type(layer).__name__ == "QDepthwiseConv2D"
    padding = layer.padding.lower()
    _require(layer, padding in ("valid", "same"), 'padding "valid" or "same"')
    _require(layer, layer.data_format == "channels_last", "channels last")
    _require(layer, set(layer.dilation_rate) == {1}, "a dilation rate of 1")
    _require(layer, getattr(layer, "groups", 1) == 1, "one group")
    _require(layer, getattr(layer, "_mask", None) is None, "no mask")
    kernel, bias = quantized_weights(layer)
    if not depthwise:
        return _activated(
            layer, lambda x: exact.conv(x, kernel, bias, layer.strides, padding), span.times(kernel, bias)
        )
    _require(layer, kernel.shape[-1] == 1, "a depth multiplier of 1")
    return _activated(
        layer, lambda x: exact.depthwise(x, kernel, bias, layer.strides, padding), span.times(kernel[..., 0], bias)
    )


def _scale(layer, span: Span):
    plain = layer.epsilon == 0 and layer.scale and layer.axis in (-1, len(layer.input.shape) - 1)
    plain &= bool((np.asarray(layer.moving_mean) == 0).all() and (np.asarray(layer.moving_variance) == 1).all())
    plain &= not (layer.mean_quantizer_internal or layer.variance_quantizer_internal)
    plain &= layer.inverse_quantizer_internal is None
    _require(layer, plain, "mean 0, variance 1, epsilon 0 and quantizers for gamma and beta alone")
    factor, shift = quantized_weights(layer)
    return _activated(layer, lambda x: exact.scale(x, factor, shift), span.times(factor[None], shift))


def _pool(layer, span: Span):
    kind, shape = type(layer).__name__, tuple(layer.output.shape[1:])
    _require(layer, layer.data_format == "channels_last", "channels last")
    if kind.startswith("Global"):
        window = strides = tuple(layer.input.shape[1:-1])
    else:
        _require(layer, layer.padding == "valid", 'padding "valid"')
        window, strides = tuple(layer.pool_size), tuple(layer.strides)
    if "Max" in kind:
        return (lambda x: exact.reshape(exact.max_pool(x, window, strides), shape)), span
    size = math.prod(window)
    _require(layer, size & (size - 1) == 0, f"windows of 2, 4, 8, ... values, not {size}")
    return (lambda x: exact.reshape(exact.average_pool(x, window, strides), shape)), span.divided(size)


def _add(layer, *spans: Span):
    return exact.add, exact.added(*spans)


def _concatenate(layer, *spans: Span):
    _require(layer, layer.axis in (-1, len(layer.output.shape) - 1), "the last axis")
    return exact.concatenate, exact.joined(*spans)


def _reshape(layer, span: Span):
    shape = tuple(layer.output.shape[1:])
    return (lambda x: exact.reshape(x, shape)), span


def _activated(layer, sums: Callable[[np.ndarray], np.ndarray], span: Span):
    """The layer's own activation, if it has one, behind its sums, which must be exact themselves."""
    form = own_activation(layer)
    if form is None:
        return sums, span
    if span.bits > EXACT_BITS:
        raise BadInput(f"layer {layer.name}: its sums may need {span.bits} bits; at most {EXACT_BITS} can be verified")
    return (lambda x: form.quantize(sums(x))), Span(form.step, max(-form.low, form.high))


HANDLERS: dict[str, Callable] = {
    "Normalization": _offset,
    "QActivation": _quantize,
    "QDense": _dense,
    "QDenseBatchnorm": _dense,
    "QConv1D": _conv,
    "QConv2D": _conv,
    "QConv2DBatchnorm": _conv,
    "QDepthwiseConv2D": _conv,
    "QBatchNormalization": _scale,
    "MaxPooling1D": _pool,
    "MaxPooling2D": _pool,
    "AveragePooling1D": _pool,
    "AveragePooling2D": _pool,
    "GlobalMaxPooling1D": _pool,
    "GlobalMaxPooling2D": _pool,
    "GlobalAveragePooling1D": _pool,
    "GlobalAveragePooling2D": _pool,
    "Add": _add,
    "Concatenate": _concatenate,
    "Reshape": _reshape,
    "Flatten": _reshape,
}
