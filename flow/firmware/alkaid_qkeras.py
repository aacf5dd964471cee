"""QKeras layers for alkaid's Keras tracer.

alkaid finds this module through the entry point group ``alkaid_keras``, name ``qkeras``: loading it makes
``alkaid.converter.trace_model`` follow the layers in `HANDLERS`. Importing it is enough, since alkaid registers a
handler when its class is made. Arrays have a leading batch axis of length 1, as alkaid passes them.

Only what can be followed to the last bit is followed; everything else is refused by its name.
"""

import itertools
import math
from collections.abc import Iterator

import keras
import numpy as np
from alkaid.converter.builtin.keras.layers import pool
from alkaid.converter.builtin.keras.layers._base import ReplayOperationBase
from alkaid.converter.builtin.keras.layers.ops import ReplayMerge
from alkaid.trace import FVArray
from qkeras import (
    QActivation,
    QBatchNormalization,
    QConv1D,
    QConv2D,
    QConv2DBatchnorm,
    QDense,
    QDenseBatchnorm,
    QDepthwiseConv2D,
)

from flow.errors import BadInput
from flow.firmware.alkaid_quantize import quantize
from flow.topology import output_size, same_padding
from flow.train import qkeras_model
from flow.train.reference import own_activation

SUPPORTED = (
    "QDense, QDenseBatchnorm, QConv1D, QConv2D, QConv2DBatchnorm, QDepthwiseConv2D, QBatchNormalization, QActivation,"
    " max and average pooling, Add, Concatenate, Reshape, Flatten, Normalization with variance 1"
)


def register() -> None:
    """Entry point: the handlers below are registered by the import of this module."""


def handler_of(layer) -> ReplayOperationBase:
    """The handler that follows a layer; raises BadInput where there is none that is exact."""
    try:
        return HANDLERS[type(layer)](layer)
    except KeyError:
        raise BadInput(
            f"layer {layer.name}: {type(layer).__name__} is not supported in RTL; supported: {SUPPORTED}"
        ) from None


class ReplayQActivation(ReplayOperationBase):
    """QActivation: the format that its quantizer stands for."""

    handles = (QActivation,)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        return quantize(inputs, qkeras_model.layer_format(self.op.activation))


class ReplayQDense(ReplayOperationBase):
    """QDense: kernel and bias as the layer's own quantizers give them; the sums are exact."""

    handles = (QDense, QDenseBatchnorm)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        kernel, bias = qkeras_model.quantized_weights(self.op)
        return _finished(self.op, *products(inputs, kernel), bias)


class ReplayQConv(ReplayOperationBase):
    """Convolutions, every position with adders of its own; a depthwise kernel counts as one with zeros."""

    handles = (QConv1D, QConv2D, QConv2DBatchnorm, QDepthwiseConv2D)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        layer = self.op
        check_convolution(layer)
        kernel, bias = qkeras_model.quantized_weights(layer)
        if isinstance(layer, QDepthwiseConv2D):
            kernel = kernel * np.eye(kernel.shape[-2])
        return _finished(layer, *convolve(inputs, kernel, tuple(layer.strides), layer.padding), bias)


class ReplayQBatchNormalization(ReplayOperationBase):
    """QBatchNormalization as a factor and a shift for each channel."""

    handles = (QBatchNormalization,)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        layer = self.op
        quantizers = (layer.mean_quantizer, layer.variance_quantizer, layer.inverse_quantizer)
        plain = layer.scale and layer.axis in (-1, inputs.ndim - 1) and layer.epsilon == 0
        plain &= not np.any(layer.moving_mean) and bool(np.all(np.asarray(layer.moving_variance) == 1.0))
        if not plain or any(quantizer is not None for quantizer in quantizers):
            raise BadInput(
                f"layer {layer.name}: QBatchNormalization is supported over the last axis with moving mean 0, moving"
                " variance 1 and epsilon 0, without quantizers for them; gamma is the factor and beta the shift"
            )
        factor, shift = qkeras_model.quantized_weights(layer)
        return _finished(layer, inputs * factor, 0.0, shift)


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


class ReplayShape(ReplayOperationBase):
    """Reshape and Flatten: wiring."""

    handles = (keras.layers.Reshape, keras.layers.Flatten)
    __activation_handled__ = True

    def call(self, inputs: FVArray) -> FVArray:
        shape = self.op.target_shape if isinstance(self.op, keras.layers.Reshape) else (-1,)
        return inputs.reshape((inputs.shape[0], *shape))


class ReplayPool(pool.ReplayPool):
    """Pooling as alkaid does it, where that is exact: windows inside the input, means over a power of two."""

    handles = (
        keras.layers.MaxPooling1D,
        keras.layers.MaxPooling2D,
        keras.layers.AveragePooling1D,
        keras.layers.AveragePooling2D,
        keras.layers.GlobalMaxPooling1D,
        keras.layers.GlobalMaxPooling2D,
        keras.layers.GlobalAveragePooling1D,
        keras.layers.GlobalAveragePooling2D,
    )
    __activation_handled__ = True

    def call(self, inputs: FVArray, mask: None = None) -> FVArray:
        layer = self.op
        if getattr(layer, "padding", "valid") != "valid" or layer.data_format != "channels_last":
            raise BadInput(f"layer {layer.name}: pooling is supported with valid padding and channels last")
        values = math.prod(getattr(layer, "pool_size", inputs.shape[1:-1]))
        if "Average" in type(layer).__name__ and values & (values - 1):
            raise BadInput(
                f"layer {layer.name}: a mean over {values} values is not exact in fixed point;"
                " supported: windows of a power of two"
            )
        return super().call(inputs)


HANDLERS: dict[type, type[ReplayOperationBase]] = {
    kind: handler
    for handler in (
        ReplayQActivation,
        ReplayQDense,
        ReplayQConv,
        ReplayQBatchNormalization,
        ReplayNormalization,
        ReplayShape,
        ReplayPool,
    )
    for kind in handler.handles
} | {keras.layers.Add: ReplayMerge, keras.layers.Concatenate: ReplayMerge}


def products(values: FVArray, kernel: np.ndarray) -> tuple[FVArray, np.ndarray]:
    """Sums (..., n_out) of values (..., n_in) by a kernel (n_in, n_out): of the variables, and what constants add to them.

    alkaid (0.8.2) raises StopIteration where constants alone are summed, and looks those of one bit up in tables.
    """
    rows = np.asarray(values).reshape(-1, len(kernel))
    constant = np.array([[value.low == value.high for value in row] for row in rows])
    shape = (*values.shape[:-1], kernel.shape[1])
    if not constant.any():
        return values @ kernel, np.zeros(shape)
    numbers = np.array([[value.low for value in row] for row in rows])
    offsets = np.where(constant, numbers, 0.0) @ kernel
    sums = np.zeros(offsets.shape, dtype=object)
    for row, fixed, total in zip(rows, constant, sums):
        read = np.where(fixed[:, None], 0.0, kernel)
        if read.any():
            total[:] = np.asarray(FVArray(row, values.solver_options, values.hwconf) @ read)
    return FVArray(sums.reshape(shape), values.solver_options, values.hwconf), offsets.reshape(shape)


def convolve(inputs: FVArray, kernel: np.ndarray, strides: tuple[int, ...], padding: str) -> tuple[FVArray, np.ndarray]:
    """Sums (1, *sides, filters) of a convolution of (1, *sides, channels) with a kernel (*window, channels, filters).

    As `products` gives them. Padded zeros are left out of the sums.
    """
    values = inputs[0]
    sizes, window, filters = values.shape[:-1], kernel.shape[:-2], kernel.shape[-1]
    places = [list(_places(*side, padding)) for side in zip(sizes, window, strides)]
    found = [
        products(
            values[tuple(inside for inside, _ in at)].reshape(-1),
            kernel[tuple(taps for _, taps in at)].reshape(-1, filters),
        )
        for at in itertools.product(*places)
    ]
    shape = (1, *map(len, places), filters)
    sums, offsets = zip(*found)
    return np.stack(sums).reshape(shape), np.stack(offsets).reshape(shape)


def _places(size: int, window: int, stride: int, padding: str) -> Iterator[tuple[slice, slice]]:
    """For each position of a window along one dimension, the inputs that it covers and the taps that cover them."""
    front = same_padding(size, window, stride)[0] if padding == "same" else 0
    for position in range(output_size(size, window, stride, padding)):
        start = position * stride - front
        first, last = max(start, 0), min(start + window, size)
        yield slice(first, last), slice(first - start, last - start)


def check_convolution(layer) -> None:
    names = ("dilation_rate", "groups", "depth_multiplier")
    odd = [f"{name} {getattr(layer, name)}" for name in names if set(np.ravel(getattr(layer, name, None) or 1)) != {1}]
    if odd or layer.data_format != "channels_last" or layer.padding not in ("valid", "same"):
        raise BadInput(
            f"layer {layer.name}: convolutions are supported with channels last, valid or same padding, dilation 1,"
            f" groups 1 and depth multiplier 1; it has {', '.join([layer.data_format, layer.padding, *odd])}"
        )
    if getattr(layer, "_mask", None) is not None:
        raise BadInput(f"layer {layer.name}: a mask on the kernel is not supported; set the weights to zero instead")


def _finished(layer, sums: FVArray, offsets: np.ndarray | float, bias: np.ndarray | None) -> FVArray:
    """A layer's sums with what constants add to them, its bias and the activation of its own, where it has them."""
    sums = sums + (offsets if bias is None else offsets + bias)
    form = own_activation(layer)
    return sums if form is None else quantize(sums, form)
