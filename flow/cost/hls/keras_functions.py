"""Activations and QKeras quantizers as Keras descriptions have them: a name, a call in a string, or a mapping."""

import re
from collections.abc import Mapping

from flow.cost.hls.layers import Weights
from flow.cost.hls.settings import Type

_PLAIN = {
    **dict.fromkeys(("quantized_relu", "quantized_relu_po2", "binary", "ternary"), "relu"),
    "quantized_tanh": "hard_tanh",
    "quantized_sigmoid": "hard_sigmoid",
    "quantized_bits": "linear",
}
_WIDEST = 64
_BITS = {"binary": 1, "stochastic_binary": 1, "ternary": 2, "stochastic_ternary": 2}


def _described(function) -> tuple[str, Mapping]:
    """Name and settings of a function or quantizer: a name, a call in a string, or Keras' mapping."""
    if isinstance(function, Mapping):
        config = function.get("config")
        if isinstance(config, str):
            return config, {}
        return str(function.get("class_name")), config if isinstance(config, Mapping) else {}
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", str(function))
    if not match:
        return str(function), {}
    numbers = re.findall(r"(?:^|,)\s*(?:bits\s*=\s*|integer\s*=\s*)?(-?\d+)(?=\s*(?:,|$))", match.group(2) or "")
    return match.group(1), dict(zip(("bits", "integer"), map(int, numbers)))


def quantized(function) -> Type | None:
    """The type of QKeras' quantizers; None for plain functions."""
    if function is None:
        return None
    name, config = _described(function)
    if name in _BITS:
        return Type(_BITS[name], _BITS[name])
    if not name.startswith("quantized_"):
        return None
    bits, integer = int(config.get("bits", 8)), int(config.get("integer", 0))
    if not 1 <= bits <= _WIDEST:
        raise ValueError(f"{name} of {bits} bits; allowed: 1 to {_WIDEST}")
    signed = not name.endswith(("relu", "sigmoid", "relu_po2")) and bool(config.get("keep_negative", True))
    if name.endswith("po2"):
        return Type(min(2 ** (bits - 1) + 1, 64), integer)
    return Type(bits, integer + signed)


def weights_of(quantizer) -> Weights:
    name = "" if quantizer is None else _described(quantizer)[0]
    ends = {"binary": Weights.BINARY, "ternary": Weights.TERNARY, "po2": Weights.POWER_OF_TWO}
    return next((kind for end, kind in ends.items() if name.endswith(end)), Weights.FIXED)


def plain_function(function) -> str:
    """The plain function behind an activation."""
    name = _described(function)[0]
    return _PLAIN.get(name, name)
