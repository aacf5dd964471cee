"""Activation formats as stages with plain hardware types.

Assigning to a fixed-point type rounds and saturates, which is most of what a quantizer does. The rest, such as
the slope of a sigmoid, is a factor and a shift, exact as every sum is here.
"""

from collections.abc import Sequence

import numpy as np

from flow.errors import BadInput
from flow.firmware.precision import HlsType, Linear, Quantize, Stage, narrowest
from flow.formats import Format
from flow.topology import Scale

# How each kind of activation format rounds, as HLS types name it.
ROUNDINGS = {
    "quantized_bits": "RND_CONV",
    "quantized_relu": "RND_CONV",
    "quantized_tanh": "RND_CONV",
    "quantized_sigmoid": "RND_CONV",
    "truncated_bits": "TRN",
    "truncated_relu": "TRN",
    "half_up_bits": "RND",
    "half_up_relu": "RND",
    "ternary": "RND_INF",
    "binary": "TRN",
}


def quantizer_stages(name: str, form: Format, shape: tuple[int, ...], inputs: tuple[str, ...]) -> tuple[Stage, ...]:
    """The stages that bring values of `shape` into `form`; the last one is called `name`.

    Raises BadInput for a format that no stages give.
    """
    if form.kind not in ROUNDINGS or form.auto:
        raise BadInput(
            f"layer {name}: an activation in {form} is not supported; supported: {', '.join(ROUNDINGS)},"
            " with a scale that does not depend on the values"
        )
    if form.kind == "binary":  # whether a value is negative: its last multiple of 2s, -2s or 0, and then s more
        sign = Quantize(f"{name}_sign", shape, inputs, HlsType(1, form.integer + 1, True, "TRN", "SAT"))
        return (sign, _scaled(name, shape, (sign.name,), 1.0, form.high))
    before: tuple[Stage, ...] = ()
    if form.kind == "quantized_sigmoid":  # the hard sigmoid, x/2 + 1/2 between 0 and 1
        before = (_scaled(f"{name}_half", shape, inputs, 0.5, 0.5),)
    elif getattr(form, "exponent", 0) and form.kind == "quantized_bits":  # QKeras' alpha multiplies what is quantized
        before = (_scaled(f"{name}_alpha", shape, inputs, 2.0**form.exponent, 0.0),)
    read = (before[-1].name,) if before else inputs
    return (*before, Quantize(name, shape, read, activation_type(form)))


def activation_type(form: Format) -> HlsType:
    """The type of a quantizer's output: assigning to it rounds and saturates as the format does."""
    overflow = "SAT_SYM" if form.signed and form.low == -form.high else "SAT"
    return HlsType(form.width, form.width - form.fraction, form.signed, ROUNDINGS[form.kind], overflow)


def _scaled(name: str, shape: tuple[int, ...], inputs: Sequence[str], factor: float, shift: float) -> Linear:
    """x * factor + shift for every element."""
    kernel, bias = np.full(shape[-1:], factor), np.full(shape[-1:], shift)
    return Linear(Scale(name, shape, inputs=tuple(inputs)), kernel, bias, narrowest(kernel), narrowest(bias))
