"""The design that comes nearest to the budget, found by price alone: one parameter after another, until none helps."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from flow.search.problem import Chosen

if TYPE_CHECKING:
    import numpy as np


def nearest(
    parameters: Mapping[str, tuple[str, ...]],
    allowed: Callable[[Chosen], bool],
    excess: Callable[[Sequence[Chosen]], "np.ndarray"],
) -> dict[str, str]:
    """The allowed design of the least excess over the budget (0 inside) that coordinate descent finds, begun at an
    allowed design near the first choices.

    `excess` prices many designs at once. Prices grow with every choice by itself, so descent by coordinates ends at the
    least one, but for what forbidden combinations cut off. Raises ValueError where everything is forbidden.
    """
    now = _first_allowed(parameters, allowed)
    value = float(excess([now])[0])
    while value > 0:
        options = [now | {name: text} for name, texts in parameters.items() for text in texts if text != now[name]]
        options = [chosen for chosen in options if allowed(chosen)]
        values = excess(options) if options else []
        if not len(values) or float(values.min()) >= value:
            return now
        now, value = options[int(values.argmin())], float(values.min())
    return now


def _first_allowed(parameters: Mapping[str, tuple[str, ...]], allowed: Callable[[Chosen], bool]) -> dict[str, str]:
    """An allowed design with as few steps from the first choices as breadth-first search needs."""
    first = {name: texts[0] for name, texts in parameters.items()}
    queue, seen = [first], {tuple(first.values())}
    while queue:
        chosen = queue.pop(0)
        if allowed(chosen):
            return chosen
        for name, texts in parameters.items():
            place = texts.index(chosen[name]) + 1
            if place < len(texts):
                child = chosen | {name: texts[place]}
                if tuple(child.values()) not in seen:
                    seen.add(tuple(child.values()))
                    queue.append(child)
    raise ValueError("every design is forbidden")
