"""Formats read back from their canonical names, which are those of QKeras' calls."""

import math
import re

from flow.formats.grid import Fixed, Relu
from flow.formats.kinds import KINDS, Format

ALLOWED = (
    "quantized_bits(bits,integer,symmetric,keep_negative=,alpha=), quantized_relu(bits,integer,relu_upper_bound=), "
    "quantized_po2(bits,max_value), quantized_tanh(bits), ternary(alpha=2^k), truncated_bits(bits,integer)"
)

_CALL = re.compile(r"^\s*(\w+)\s*\(([^()]*)\)\s*$")
_WORDS = {"'auto_po2'": "auto_po2", '"auto_po2"': "auto_po2", "True": 1.0, "False": 0.0}


def parse(text: str) -> Format:
    """Read a format back from its canonical name.

    Raises ValueError, with what is allowed, for anything that names no format known here.
    """
    kind, arguments = _call(text)
    try:
        form = _READERS[kind](KINDS[kind], arguments)
        if arguments:
            raise ValueError(f"{next(iter(arguments))!r} is no argument that is followed")
        return form
    except KeyError as missing:
        raise ValueError(f"{text!r} lacks its argument {missing}") from None
    except ValueError as error:
        reason = str(error) or f"allowed are calls as {ALLOWED}"
        raise ValueError(f"{text!r} is no format that firmware follows here; {reason}") from None


def exponent_of(value: float, name: str = "alpha") -> int:
    """The k of 2**k; raises ValueError for any other number."""
    if not (math.isfinite(value) and value > 0) or math.frexp(value)[0] != 0.5:
        raise ValueError(f"{name} {value} is no power of two")
    return math.frexp(value)[1] - 1


def _call(text: str) -> tuple[str, dict[str, float | str]]:
    match = _CALL.match(str(text))
    if not match or match.group(1) not in KINDS:
        raise ValueError(f"{text!r} names no known format; known: {', '.join(KINDS)}")
    arguments: dict[str, float | str] = {}
    for position, part in enumerate(filter(None, (p.strip() for p in match.group(2).split(",")))):
        key, _, value = (item.strip() for item in part.rpartition("="))
        if key in arguments:
            raise ValueError(f"{text!r} gives {key!r} twice")
        try:
            arguments[key or str(position)] = _WORDS[value] if value in _WORDS else float(value)
        except ValueError:
            raise ValueError(f"{text!r}: {value!r} is no number") from None
    return match.group(1), arguments


def _fixed(kind: type, arguments: dict) -> Fixed:
    bits, integer = _whole(arguments.pop("0")), _whole(arguments.pop("1"))
    symmetric = arguments.pop("2", arguments.pop("symmetric", 0.0))
    signed, exponent = arguments.pop("keep_negative", 1.0), _scale(arguments.pop("alpha", 1.0))
    return Fixed(bits, integer + (exponent or 0), _flag(signed), _flag(symmetric), exponent)


def _relu(kind: type, arguments: dict) -> Relu:
    bits, integer = _whole(arguments.pop("0")), _whole(arguments.pop("1"))
    return Relu(bits, integer, _number(arguments.pop("relu_upper_bound", None)))


def _plain(kind: type, arguments: dict) -> Format:
    return kind(_whole(arguments.pop("0")), _whole(arguments.pop("1")))


def _bits(kind: type, arguments: dict) -> Format:
    return kind(_whole(arguments.pop("0")))


def _power(kind: type, arguments: dict) -> Format:
    bits, largest = _whole(arguments.pop("0")), _number(arguments.pop("1", arguments.pop("max_value", None)))
    return kind(bits, None if largest is None else exponent_of(largest, "max_value"))


def _few(kind: type, arguments: dict) -> Format:
    exponent = _scale(arguments.pop("alpha"))
    if "threshold" in arguments:
        threshold = arguments.pop("threshold")
        if kind.bits == 1 or exponent is None or threshold != 2.0**exponent / 2:
            raise ValueError("a threshold belongs to a ternary format and is half its alpha")
    return kind(exponent)


_READERS = {
    "quantized_bits": _fixed,
    "quantized_relu": _relu,
    "truncated_bits": _plain,
    "half_up_bits": _plain,
    "truncated_relu": _plain,
    "half_up_relu": _plain,
    "quantized_tanh": _bits,
    "quantized_sigmoid": _bits,
    "quantized_po2": _power,
    "quantized_relu_po2": _power,
    "ternary": _few,
    "binary": _few,
    "stochastic_ternary": _few,
    "stochastic_binary": _few,
}


def _scale(value: float | str) -> int | None:
    return None if value == "auto_po2" else exponent_of(value)


def _number(value: float | str | None) -> float | None:
    if value == "auto_po2":
        raise ValueError("'auto_po2' is for alpha only")
    return value


def _whole(value: float | str) -> int:
    if isinstance(value, str) or not math.isfinite(value) or value != int(value):
        raise ValueError(f"{value} is no whole number")
    return int(value)


def _flag(value: float | str) -> bool:
    if value not in (0.0, 1.0):
        raise ValueError(f"{value} is neither 0 nor 1")
    return bool(value)
