"""Numbers and their units, as a task's file and the options of the command line say them."""

import math
import re

from flow.errors import BadInput

# How many of the base unit (ns, MHz, cycles) one of each allowed unit is.
_UNITS = {
    "ns": {"ps": 1e-3, "ns": 1.0, "us": 1e3},
    "MHz": {"kHz": 1e-3, "MHz": 1.0, "GHz": 1e3},
    "s": {"s": 1.0, "min": 60.0, "h": 3600.0},
    "GB": {"MB": 1e-3, "GB": 1.0},
}


def number_in(unit: str):
    """A validator: a number, or text of a number and a unit of the same kind, in `unit`."""

    def read(value):
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(f"allowed: a number in {unit}, or text like '5 {unit}'")
        if not isinstance(value, str):
            return float(value)
        match = re.fullmatch(r"\s*([-+0-9.eE]+)\s*([A-Za-z]*)\s*", value)
        if not match or match.group(2) not in ("", *_UNITS[unit]):
            raise ValueError(f"allowed units: {', '.join(_UNITS[unit])}")
        try:
            return float(match.group(1)) * _UNITS[unit].get(match.group(2), 1.0)
        except ValueError:
            raise ValueError(f"{match.group(1)!r} is no number") from None

    return read


def counted_in(unit: str):
    """A validator: a whole number, with or without its unit behind it."""

    def read(value):
        if isinstance(value, str):
            match = re.fullmatch(r"\s*([0-9_]+)\s*([A-Za-z0-9]*)\s*", value)
            if not match or match.group(2) not in ("", unit):
                raise ValueError(f"allowed: a whole number, with or without the unit {unit}")
            return int(match.group(1))
        return value

    return read


def quantity(option: str, text: str | None, unit: str, default: float | None) -> float | None:
    """What an option of the command line says, in `unit`; `default` where it says nothing. BadInput for no such text."""
    if text is None:
        return default
    try:
        value = number_in(unit)(text)
    except ValueError as error:
        raise BadInput(f"{option} {text!r}: {error}") from None
    if not 0 < value < math.inf:
        raise BadInput(f"{option} {text!r}: more than 0 {unit} is needed")
    return value


def count(option: str, text: str | None, default: int | None) -> int | None:
    """A whole number from 1 that an option of the command line says; `default` where it says nothing."""
    if text is None:
        return default
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise BadInput(f"{option} {text!r}: a whole number from 1 is needed")
    return int(text)


def whole(option: str, text: str | None) -> int | None:
    """A whole number from 0 that an option of the command line says."""
    if text is not None and not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadInput(f"{option} {text!r}: a whole number from 0 is needed")
    return None if text is None else int(text)


def positive(option: str, text: str | None) -> float | None:
    """A number above 0 that an option of the command line says."""
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = 0.0
    if value is not None and not 0 < value < math.inf:
        raise BadInput(f"{option} {text!r}: a number above 0 is needed")
    return value
