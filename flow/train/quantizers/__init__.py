"""Fake quantizers as functions of tensors: one compiled graph serves every format of every member.

Each equals its QKeras counterpart to the last bit, forward and gradient: the float32 operations are QKeras'
own in QKeras' order, except where powers of two make another order exact.
"""

from flow.train.quantizers.activations import quantize_activation, quantize_input
from flow.train.quantizers.kernels import quantize_kernel
from flow.train.quantizers.tensors import Family, Formats, families

__all__ = ["Family", "Formats", "families", "quantize_activation", "quantize_input", "quantize_kernel"]
