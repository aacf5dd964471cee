"""A design and its weights as a QKeras model, and that model's exact answer.

`reference` evaluates the QKeras model in float64: products and sums of fixed-point numbers are then
exact up to 53 bits, where float32 inference may round from 24 bits on.
"""

from typing import Mapping

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.errors import BadInput
from flow.formats import Format, parse
from flow.topology import Topology, accumulator_bits
from flow.train import backend

OFFSET = "input_offset"
GRID = "input_grid"

Weights = Mapping[str, tuple[np.ndarray, np.ndarray]]  # layer name -> kernel (n_in, n_out), bias (n_out,)


def activation_name(layer: str) -> str:
    """The name of the activation behind a layer, on every side of the equivalence gate."""
    return f"{layer}_relu"


def build(topology: Topology, design: Design, scaling: InputScaling, weights: Weights, name: str = "model"):
    """The QKeras model of a trained design; its input is the firmware's words (n, n_in), its output the logits.

    `weights` are the unquantized ones that training left: the model's own quantizers quantize them.
    """
    backend.start()
    import keras
    from qkeras import QActivation, QDense

    inputs = keras.Input((topology.n_in,), name="words")
    shape = (topology.n_in,)
    offset = keras.layers.Normalization(axis=-1, mean=np.asarray(scaling.offsets), variance=np.ones(shape), name=OFFSET)
    values = QActivation(_quantizer(design.input), name=GRID)(offset(inputs))
    for layer in topology.layers:
        item = design[layer.name]
        values = QDense(
            layer.n_out,
            kernel_quantizer=_quantizer(item.kernel),
            bias_quantizer=_quantizer(item.bias),
            name=layer.name,
        )(values)
        if item.activation is not None:
            values = QActivation(_quantizer(item.activation), name=activation_name(layer.name))(values)
    model = keras.Model(inputs, values, name=name)
    for layer in topology.layers:
        model.get_layer(layer.name).set_weights([np.asarray(w, dtype=np.float32) for w in weights[layer.name]])
    return model


def reference(model, words: np.ndarray) -> dict[str, np.ndarray]:
    """Every layer's output (n, width) in float64 for input words (n, n_in), by layer name, in order.

    Weights are those that the model's own quantizers give; activations are quantized in float64.
    Raises BadInput where an accumulator could need more than 53 bits, or for a layer it doesn't know.
    """
    values = np.asarray(words, dtype=np.float64)
    outputs: dict[str, np.ndarray] = {}
    data_bits = 53
    for layer in model.layers:
        match type(layer).__name__:
            case "InputLayer":
                continue
            case "Normalization":
                values = values - np.asarray(layer.mean, dtype=np.float64).reshape(1, -1)
            case "QActivation":
                form = layer_format(layer.activation)
                values, data_bits = form.quantize(values), form.bits
            case "QDense":
                kernel, bias = quantized_weights(layer)
                weight_bits = layer_format(layer.kernel_quantizer_internal).bits
                needed = accumulator_bits(kernel.shape[0], data_bits, weight_bits)
                if needed > 53:
                    raise BadInput(
                        f"layer {layer.name}: its accumulator may need {needed} bits; at most 53 can be verified"
                    )
                values = values @ kernel + bias
            case other:
                raise BadInput(
                    f"layer {layer.name}: {other} is not supported; known: Normalization, QActivation, QDense"
                )
        outputs[layer.name] = values
    return outputs


def quantized_weights(layer) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (n_in, n_out) and bias (n_out,) of a QDense layer as its own quantizers give them, in float64.

    QKeras' straight-through sum x + (q - x) can leave float32 dust on q: it is swept onto the grid.
    """

    def on_grid(quantizer, values) -> np.ndarray:
        return layer_format(quantizer).quantize(np.asarray(quantizer(values), dtype=np.float64))

    return on_grid(layer.kernel_quantizer_internal, layer.kernel), on_grid(layer.bias_quantizer_internal, layer.bias)


def layer_format(quantizer) -> Format:
    """The format that a QKeras quantizer stands for; raises BadInput for one that is not followed here."""
    try:
        return parse(str(quantizer))
    except ValueError as error:
        raise BadInput(str(error)) from None


def float32_deviation(model, words: np.ndarray, logits: np.ndarray) -> float:
    """Largest |difference| between the model's own float32 inference and the exact logits (n, n_out)."""
    own = np.asarray(model.predict(np.asarray(words, dtype=np.float32), batch_size=8192, verbose=0), dtype=np.float64)
    return float(np.abs(own - logits).max(initial=0.0))


def _quantizer(form: Format):
    """The QKeras quantizer of a format, made from its values (never from text)."""
    import qkeras

    match form.kind:
        case "quantized_bits":
            return qkeras.quantized_bits(form.bits, form.integer, alpha=1)
        case "quantized_relu":
            return qkeras.quantized_relu(form.bits, form.integer)
        case "ternary":
            return qkeras.ternary(alpha=form.scale, threshold=form.scale / 2)
        case "binary":
            return qkeras.binary(alpha=form.scale)
    raise BadInput(f"{form} has no QKeras quantizer here")
