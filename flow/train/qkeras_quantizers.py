"""Formats as QKeras quantizers, and back."""

from collections.abc import Mapping

import numpy as np

from flow.errors import BadInput
from flow.formats import (
    Binary,
    Fixed,
    Format,
    PowerOfTwo,
    Relu,
    ReluPowerOfTwo,
    Sigmoid,
    StochasticBinary,
    StochasticTernary,
    Tanh,
    Ternary,
    exponent_of,
)
from flow.formats.kinds import KINDS

AUTO = "auto_po2"
HARDWARE = ("truncated_bits", "half_up_bits", "truncated_relu", "half_up_relu")

# What an attribute of a quantizer must be to be followed here; attributes that it lacks are not looked at.
_REQUIRED: dict[str, Mapping] = {
    "quantized_bits": {"scale_axis": None, "post_training_scale": None, "elements_per_scale": None,
                       "min_po2_exponent": None, "max_po2_exponent": None},
    "quantized_linear": {"scale_axis": None},
    "quantized_relu": {"use_sigmoid": 0, "negative_slope": 0, "is_quantized_clip": True},
    "quantized_tanh": {"symmetric": False, "use_real_tanh": False},
    "quantized_sigmoid": {"symmetric": False, "use_real_sigmoid": False},
    "quantized_po2": {"quadratic_approximation": False, "log2_rounding": "rnd"},
    "quantized_relu_po2": {"negative_slope": 0, "quadratic_approximation": False, "log2_rounding": "rnd"},
    "ternary": {"number_of_unrolls": 5},
    "binary": {"use_01": False, "scale_axis": None, "elements_per_scale": None,
               "min_po2_exponent": None, "max_po2_exponent": None},
    "stochastic_ternary": {"number_of_unrolls": 5, "temperature": 8.0, "use_real_sigmoid": True},
    "stochastic_binary": {"temperature": 6.0, "use_real_sigmoid": True},
}  # fmt: skip
_EVERYWHERE = {"use_stochastic_rounding": False, "use_ste": True, "qnoise_factor": 1.0}


def quantizer_of(form: Format):
    """The QKeras quantizer of a format, made from its values (never from text)."""
    import qkeras

    match form:
        case Fixed():
            return qkeras.quantized_bits(
                form.bits, form.own_integer, int(form.symmetric), keep_negative=form.signed, alpha=_alpha(form, 1)
            )
        case Relu():
            return qkeras.quantized_relu(form.bits, form.integer, relu_upper_bound=form.upper)
        case Tanh():
            return qkeras.quantized_tanh(form.bits)
        case Sigmoid():
            return qkeras.quantized_sigmoid(form.bits)
        case PowerOfTwo() | ReluPowerOfTwo():
            largest = None if form.max_exponent is None else 2.0**form.max_exponent
            return getattr(qkeras, form.kind)(form.bits, max_value=largest)
        case Ternary() | StochasticTernary():
            threshold = None if form.auto else form.scale / 2
            return getattr(qkeras, form.kind)(alpha=_alpha(form, form.scale), threshold=threshold)
        case Binary() | StochasticBinary():
            return getattr(qkeras, form.kind)(alpha=_alpha(form, form.scale))
    if form.kind in HARDWARE:
        from flow.train import hardware

        return getattr(hardware, form.kind)(form.bits, form.integer)
    raise BadInput(f"{form} has no QKeras quantizer here")


def format_of(quantizer) -> Format:
    """The format that a QKeras quantizer stands for; raises BadInput for one that is not followed here."""
    kind = type(quantizer).__name__
    if kind not in _READERS:
        named = str(quantizer) if kind == "str" else getattr(quantizer, "__name__", kind)
        raise BadInput(f"the quantizer {named} is not followed here; known: {', '.join(_READERS)}")
    for name, wanted in (_REQUIRED.get(kind, {}) | _EVERYWHERE).items():
        value = _plain(getattr(quantizer, name, wanted))
        if value != wanted:
            said = _said(quantizer)
            raise BadInput(f"the quantizer {said} has {name}={value}; only {name}={wanted} is followed here")
    try:
        return _READERS[kind](quantizer)
    except ValueError as error:
        raise BadInput(f"the quantizer {_said(quantizer)} is not followed here; {error}") from None


def _said(quantizer) -> str:
    """The quantizer as it writes itself; quantized_linear can't where it has an alpha."""
    if type(quantizer).__name__ == "quantized_linear":
        return f"quantized_linear({quantizer.bits},{quantizer.integer},{int(quantizer.symmetric)})"
    return str(quantizer)


def quantized(quantizer, values) -> np.ndarray:
    """The values that a quantizer makes of float32 `values` (any shape), in float64.

    QKeras' straight-through sum x + (q - x) can leave float32 dust on q: there is none here. Raises BadInput as
    `format_of`.
    """
    form = format_of(quantizer)
    values = np.asarray(values)
    if form.auto:
        found = np.asarray(quantizer(values), dtype=np.float64)
        scale = np.asarray(quantizer.scale, dtype=np.float64)  # of each channel, as just chosen
        step = scale * form.step if isinstance(form, Fixed) else scale
        return np.rint(found / step) * step
    if isinstance(form, (PowerOfTwo, ReluPowerOfTwo)):  # the quantizer's own logarithm decides
        sizes = np.abs(np.asarray(quantizer(np.clip(values, form.low, form.high)), dtype=np.float64))
        return np.where(form.signed & (values < 0), -1.0, 1.0) * np.abs(form.quantize(sizes))
    return form.quantize(values)


def _alpha(form: Format, constant: float) -> float | str:
    if form.auto:
        return AUTO
    return 2.0**form.exponent if form.exponent else constant


def _exponent(alpha) -> int | None:
    """The exponent of a scale; raises ValueError for one that is no power of two."""
    alpha = _plain(alpha)
    if alpha == AUTO:
        return None
    if alpha is None or isinstance(alpha, str) or np.ndim(alpha):
        raise ValueError(f"alpha is {alpha!r}; allowed: a power of two, {AUTO!r}")
    return exponent_of(float(alpha))


def _bits(quantizer) -> Fixed:
    exponent = 0 if quantizer.alpha is None else _exponent(quantizer.alpha)
    integer = _whole(quantizer.integer) + (exponent or 0)
    return Fixed(_whole(quantizer.bits), integer, bool(quantizer.keep_negative), bool(quantizer.symmetric), exponent)


def _linear(quantizer) -> Fixed:
    """Its scale divides before the rounding and multiplies behind it: a range further up, or further down."""
    bits, exponent = _whole(quantizer.bits), 0 if quantizer.alpha is None else _exponent(quantizer.alpha)
    signed = bool(_plain(quantizer.keep_negative))
    if bits == 1 and signed:
        raise ValueError("it has 1 bit, which QKeras takes for a sign; use binary")
    integer = _whole(quantizer.integer) + (exponent or 0)
    return Fixed(bits, integer, signed, bool(quantizer.symmetric), None if exponent is None else 0)


def _relu(quantizer) -> Relu:
    upper = quantizer.relu_upper_bound
    return Relu(_whole(quantizer.bits), _whole(quantizer.integer), None if upper is None else float(upper))


def _power(quantizer) -> Format:
    largest = quantizer.max_value
    exponent = None if largest is None else exponent_of(float(largest), "max_value")
    return KINDS[type(quantizer).__name__](_whole(quantizer.bits), exponent)


def _few(quantizer) -> Format:
    exponent = _exponent(quantizer.alpha)
    threshold = _plain(getattr(quantizer, "threshold", None))
    halves = exponent is not None and threshold == 2.0**exponent / 2
    if quantizer.bits == 2 and not halves and not (exponent is None and threshold is None):
        raise ValueError(f"threshold is {threshold}; allowed: half of alpha")
    return KINDS[type(quantizer).__name__](exponent)


def _width(quantizer) -> Format:
    return KINDS[type(quantizer).__name__](_whole(quantizer.bits))


def _width_and_integer(quantizer) -> Format:
    return KINDS[type(quantizer).__name__](_whole(quantizer.bits), _whole(quantizer.integer))


_READERS = {
    "quantized_bits": _bits,
    "quantized_linear": _linear,
    "quantized_relu": _relu,
    "quantized_po2": _power,
    "quantized_relu_po2": _power,
    "quantized_tanh": _width,
    "quantized_sigmoid": _width,
    "ternary": _few,
    "binary": _few,
    "stochastic_ternary": _few,
    "stochastic_binary": _few,
    **dict.fromkeys(HARDWARE, _width_and_integer),
}


def _plain(value):
    """A number, text or None as Python has it; numbers may come as arrays of one element."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    found = np.asarray(value)
    return found.reshape(-1)[0].item() if found.size == 1 else found.tolist()


def _whole(value) -> int:
    value = _plain(value)
    if not isinstance(value, (int, float)) or value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)
