"""The design that comes nearest to the budget, found by price alone: one parameter after another, until none helps."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from flow.forbidden import Rule, broken
from flow.search.problem import Chosen

if TYPE_CHECKING:
    import numpy as np


def nearest(
    parameters: Mapping[str, tuple[str, ...]],
    forbidden: Sequence[Rule],
    excess: Callable[[Sequence[Chosen]], "np.ndarray"],
) -> dict[str, str]:
    """The allowed design of the least excess over the budget (0 inside) that coordinate descent finds, begun at an
    allowed design near the first choices.

    `excess` prices many designs at once. Where prices grow with every choice by itself, descent by coordinates ends at
    the least one, but for what forbidden combinations cut off. Raises ValueError where everything is forbidden.
    """
    now = _first_allowed(parameters, forbidden)
    value = float(excess([now])[0])
    while value > 0:
        options = [now | {name: text} for name, texts in parameters.items() for text in texts if text != now[name]]
        options = [chosen for chosen in options if not broken(forbidden, chosen)]
        values = excess(options) if options else []
        if not len(values) or float(values.min()) >= value:
            return now
        now, value = options[int(values.argmin())], float(values.min())
    return now


def _first_allowed(parameters: Mapping[str, tuple[str, ...]], forbidden: Sequence[Rule]) -> dict[str, str]:
    """An allowed design near the first choices: as long as the first ones that are left everywhere are forbidden, the
    rule that says so takes choices away from one of its parameters, and where that leads nowhere, from the next one.

    Whatever is allowed breaks the rule with one of its parameters at least, so that nothing is overlooked; a parameter
    that no rule names stays at its first choice.
    """
    waiting = [dict(parameters)]
    while waiting:
        left = waiting.pop()
        chosen = {name: texts[0] for name, texts in left.items()}
        had = broken(forbidden, chosen)
        if not had:
            return chosen
        waiting += reversed(_without(left, min(had, key=len)))
    raise ValueError("every design is forbidden")


def _without(left: Mapping[str, tuple[str, ...]], rule: Rule) -> list[dict[str, tuple[str, ...]]]:
    """What is left of the choices where a rule is broken by its first parameter, or kept by that and broken by the next
    ..., the fewest steps first."""
    found, kept = [], dict(left)
    steps = {name: next((i for i, text in enumerate(left[name]) if text not in some), 0) for name, some in rule.items()}
    for name in sorted(rule, key=lambda name: steps[name]):
        other = tuple(text for text in left[name] if text not in rule[name])
        if other:
            found.append(kept | {name: other})
        kept = kept | {name: tuple(text for text in left[name] if text in rule[name])}
    return found
