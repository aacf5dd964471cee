"""Settings of strategies: what a task may set for each, checked before any work."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flow.errors import BadInput


@dataclass(frozen=True)
class Option:
    """A setting: its default, what is allowed (a tuple of values, or the least and largest number), and a sentence.
    `above`: the least number itself is not allowed."""

    default: object
    allowed: tuple
    sentence: str
    above: bool = False

    @property
    def is_number(self) -> bool:
        return not isinstance(self.default, (str, list, tuple, bool))

    @property
    def range(self) -> str:
        """The numbers that are allowed, in words."""
        least, most = self.allowed
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        end = f" to {most:g}" if math.isfinite(most) else ""
        return f"{kind} {'above' if self.above else 'from'} {least:g}{end or (' on' if not self.above else '')}"


Options = Mapping[str, Option]


def settings(options: Options, asked: Mapping[str, object], where: str) -> dict[str, object]:
    """Every setting of a strategy, those that are asked for before the defaults; BadInput for what is not allowed."""
    for name in asked:
        if name not in options:
            raise BadInput(f"{where}: unknown setting {name!r}; known: {', '.join(options) or 'none'}")
    return {
        name: _checked(option, asked.get(name, option.default), f"{where}.{name}") for name, option in options.items()
    }


def _checked(option: Option, value: object, where: str) -> object:
    if option.is_number:
        least, most = option.allowed
        whole = isinstance(option.default, int)
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else (int, float))
            or abs(value) == math.inf
            or not least <= value <= most
            or (option.above and value == least)
        ):
            raise BadInput(f"{where}: {value!r} is not allowed; allowed: {option.range}")
        return value
    lists = isinstance(value, (list, tuple)) and isinstance(option.default, (list, tuple))
    several = list(value) if lists else [value]
    if not several:
        raise BadInput(f"{where}: nothing is named; allowed: {', '.join(map(str, option.allowed))}")
    for item in several:
        if item not in option.allowed:
            raise BadInput(f"{where}: {item!r} is not allowed; allowed: {', '.join(map(str, option.allowed))}")
    return several if isinstance(option.default, (list, tuple)) else value
