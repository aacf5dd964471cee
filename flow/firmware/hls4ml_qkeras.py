"""QKeras layers on Keras 3 for hls4ml 1.3, through its extension API.

hls4ml reads QKeras layers of Keras 2 only. The handlers here hand over weights that the layer's own
quantizers have quantized, and no quantizer objects: every type is given from outside (`flow.firmware.precision`),
so that none of hls4ml's passes inserts a scale, infers a type or drops a layer.
"""

import functools
import re

import numpy as np

from flow.errors import BadInput
from flow.firmware.precision import Affine, HlsType, Offset, Quantize, Stage, activation_type, types, weight_type
from flow.formats import Fixed, Format, Relu
from flow.train import qkeras_model

SUPPORTED = (
    "QDense (quantized_bits, ternary or binary kernel), QActivation (quantized_bits, quantized_relu),"
    " Normalization (variance 1)"
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def stages(model) -> tuple[Stage, ...]:
    """The stages of a QKeras model that is one chain of supported layers; raises BadInput for any other."""
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 2:
        raise BadInput(f"model {model.name}: one input (n, n_in) and one output are supported")
    found, before = [], model.inputs[0]
    names: set[str] = set()
    for layer in model.layers:
        check_name(layer.name, "layer")
        if layer.name.lower() in names:
            raise BadInput(f"layer {layer.name}: its name differs from another one's in upper and lower case only")
        names.add(layer.name.lower())
        if type(layer).__name__ == "InputLayer":
            continue
        if len(layer._inbound_nodes) != 1 or layer.input is not before:
            raise BadInput(f"layer {layer.name}: only a chain of layers, each used once, is supported")
        found.append(stage(layer))
        before = layer.output
    return tuple(found)


def check_name(name: str, what: str) -> None:
    """Raise BadInput where a name can't be an identifier in C++ and Verilog; `input` is hls4ml's own."""
    if not _NAME.fullmatch(name) or name == "input":
        raise BadInput(f"{what} {name!r}: the name must be a letter, then letters, digits or _, and not 'input'")


def stage(layer) -> Stage:
    """What one layer computes, its weights as its own quantizers give them; raises BadInput where unsupported."""
    match type(layer).__name__:
        case "Normalization":
            return _offset(layer)
        case "QActivation":
            return Quantize(layer.name, _form(layer, layer.activation, activation_type))
        case "QDense":
            return _affine(layer)
        case other:
            raise BadInput(f"layer {layer.name}: {other} is not supported; supported: {SUPPORTED}")


def _offset(layer) -> Offset:
    if layer.invert or not np.all(np.asarray(layer.variance) == 1):
        raise BadInput(f"layer {layer.name}: a Normalization is supported with variance 1 and not inverted only")
    mean = np.asarray(layer.mean, dtype=np.float64).reshape(-1)
    return Offset(layer.name, np.broadcast_to(mean, (layer.input.shape[-1],)))


def _affine(layer) -> Affine:
    import keras

    if getattr(layer, "activation", None) not in (None, keras.activations.linear):
        raise BadInput(f"layer {layer.name}: a QDense with an activation of its own; put a QActivation behind it")
    if not layer.use_bias:
        raise BadInput(f"layer {layer.name}: a QDense without bias is not supported")
    forms = [_form(layer, q, weight_type) for q in (layer.kernel_quantizer_internal, layer.bias_quantizer_internal)]
    kernel, bias = qkeras_model.quantized_weights(layer)
    for what, form, values in (("kernel", forms[0], kernel), ("bias", forms[1], bias)):
        if not weight_type(form).holds(values):
            raise BadInput(f"layer {layer.name}: its {what} holds values that {form} does not have")
    return Affine(layer.name, kernel, bias, *forms)


def _form(layer, quantizer, type_of) -> Format:
    """The format of one of a layer's quantizers, if `type_of` has a type for it."""
    try:
        form = qkeras_model.layer_format(quantizer)
        type_of(form)
        return form
    except BadInput as error:
        raise BadInput(f"layer {layer.name}: {error}; supported: {SUPPORTED}") from None


def result_types(model, word: Fixed) -> dict[str, HlsType]:
    """The type of every layer's output, by name, for input words of format `word`; raises as `stages` does."""
    return {item.name: item.result for item in types(stages(model), word)}


def hls4ml_layer(item: Stage, n_in: int) -> dict:
    """hls4ml's own description of a stage with `n_in` inputs; types are not part of it."""
    match item:
        case Offset(mean=mean):
            return {
                "class_name": "BatchNormalization",
                "n_in": n_in,
                "n_filt": -1,
                "scale_data": np.ones(n_in),
                "bias_data": -mean + 0.0,  # no negative zero
                "use_gamma": False,
                "use_beta": False,
            }
        case Quantize(form=form):
            return {
                "class_name": "Activation",
                "activation": "relu" if isinstance(form, Relu) else "linear",
                "n_in": n_in,
            }
        case Affine(kernel=kernel, bias=bias):
            return {
                "class_name": "Dense",
                "data_format": "channels_last",
                "n_in": kernel.shape[0],
                "n_out": kernel.shape[1],
                "weight_data": kernel,
                "bias_data": bias,
            }
    raise BadInput(f"{item!r} is no stage")


@functools.cache
def register() -> None:
    """Make the handlers known to hls4ml, once in a process: its registry takes a class when it is defined."""
    from hls4ml.converters.keras_v3._base import KerasV3LayerHandler

    class QKerasHandler(KerasV3LayerHandler):
        handles = ("QDense", "QActivation", "keras.src.layers.preprocessing.normalization.Normalization")

        def handle(self, layer, in_tensors, out_tensors):
            # A tuple, since for a lone dict hls4ml would add the activation attribute as a layer again.
            return ({**self.default_config, **hls4ml_layer(stage(layer), int(in_tensors[0].shape[-1]))},)
