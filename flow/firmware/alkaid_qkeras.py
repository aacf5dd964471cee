"""QKeras layers for alkaid's Keras tracer.

alkaid finds this module through the entry point group ``alkaid_keras``, name ``qkeras``: loading it makes
``alkaid.converter.trace_model`` follow QDense, QActivation and Normalization. Importing it is enough, since
alkaid registers a handler when its class is made.

Only what can be followed to the last bit is followed; everything else is refused by its name.
"""

import keras
import numpy as np
from alkaid.converter.builtin.keras.layers._base import ReplayOperationBase
from alkaid.trace import FVArray
from qkeras import QActivation, QDense

from flow.errors import BadInput
from flow.formats import Fixed, Format, Relu
from flow.train.qkeras_model import layer_format

SUPPORTED = (
    "QDense without an activation of its own, QActivation with quantized_bits or quantized_relu,"
    " Normalization with variance 1"
)


def register() -> None:
    """Entry point: the handlers below are registered by the import of this module."""


def quantize(values: FVArray, form: Format) -> FVArray:
    """`values` rounded half to even and saturated to `form`, as hardware; the shape is kept.

    Raises BadInput for a format that no activation has here.
    """
    if not isinstance(form, (Fixed, Relu)):
        raise BadInput(f"an activation in {form} is not supported in RTL; supported: quantized_bits, quantized_relu")
    results = np.array([_quantized_one(value, form) for value in np.asarray(values).ravel()], dtype=object)
    return FVArray(results.reshape(values.shape), values.solver_options, hwconf=values.hwconf)


def _quantized_one(value, form: Format):
    low, high = (float(form.quantize(end)) for end in (value.low, value.high))
    if low == high:  # alkaid rounds constants half up
        return value.from_const(low, hwconf=value.hwconf)
    _, integer, fraction = value.kif
    if isinstance(form, Relu) and (fraction <= form.fraction or form.fraction > -integer):
        return _saturated_relu(_rounded_even(value, form.fraction), form)
    return value.quantize(int(form.signed), form.integer, form.fraction, "SAT", "RND_CONV")


def _rounded_even(value, fraction: int):
    """`value` on the step 2**-fraction, halves to even, by one addition.

    What is added before the low bits are dropped is half a step, less one unit in the last place where the kept
    number is even: then a tie goes down, and it goes up from an odd number.
    """
    _, _, finest = value.kif
    if finest <= fraction:
        return value
    half, unit = 2.0 ** (-fraction - 1), 2.0**-finest
    odd = value.quantize(0, 1 - fraction, fraction)  # the last bit that is kept
    if odd.low == odd.high:
        added = value + (half if odd.low else half - unit)
    elif half == unit:
        added = value + odd * 0.5
    else:
        added = value + odd.msb_mux(half, half - unit)
    signed, integer, _ = added.kif
    return added.quantize(signed, integer, fraction)


def _saturated_relu(value, form: Relu):
    """`value`, on a step not finer than the format's, clipped to [0, form.high] by its bits, without a comparison."""
    value = value.relu()
    _, integer, fraction = value.kif
    if integer <= form.integer:
        return value
    over = value.quantize(0, integer, -form.integer)
    if over.low == over.high:
        return value.quantize(0, form.integer, form.fraction, "SAT")
    kept = value.quantize(0, form.integer, fraction)
    return over.unary_bit_op("any").msb_mux(form.high, kept)


class ReplayQActivation(ReplayOperationBase):
    """QActivation: the format that its quantizer stands for."""

    handles = (QActivation,)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        return quantize(inputs, layer_format(self.op.activation))


class ReplayQDense(ReplayOperationBase):
    """QDense: kernel and bias as the layer's own quantizers give them; the sums are exact."""

    handles = (QDense,)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        layer = self.op
        if layer.activation is not None and layer.activation is not keras.activations.linear:
            raise BadInput(
                f"layer {layer.name}: an activation inside QDense is not supported;"
                " put it into a QActivation of its own"
            )
        kernel = _quantized(layer, layer.kernel, layer.kernel_quantizer_internal, "kernel")
        outputs = inputs @ kernel
        if not layer.use_bias:
            return outputs
        return outputs + _quantized(layer, layer.bias, layer.bias_quantizer_internal, "bias")


class ReplayNormalization(ReplayOperationBase):
    """Normalization by an offset alone: with variance 1 it is a subtraction, exact in fixed point."""

    handles = (keras.layers.Normalization,)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        layer = self.op
        variance = np.asarray(layer.variance, dtype=np.float64)
        if layer.invert or (variance != 1.0).any():
            raise BadInput(
                f"layer {layer.name}: Normalization is supported with variance exactly 1 and without invert;"
                " scale by powers of two in front of the firmware instead"
            )
        return inputs - np.asarray(layer.mean, dtype=np.float64).reshape(-1)


def _quantized(layer, weights, quantizer, what: str) -> np.ndarray:
    """Weights as float64; raises BadInput where the quantizer is missing or is not followed here."""
    if quantizer is None:
        raise BadInput(f"layer {layer.name}: its {what} has no quantizer; supported: {SUPPORTED}")
    layer_format(quantizer)
    return np.asarray(quantizer(weights), dtype=np.float64)
