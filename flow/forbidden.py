"""Forbidden combinations of choices: a design must not have all that one of them names."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

COUNTED = 16  # forbidden combinations up to which the designs that are left are counted exactly

Rule = Mapping[str, tuple[str, ...]]  # parameter -> choices, any of which is part of the combination


def broken(rules: Iterable[Rule], chosen: Mapping[str, str]) -> list[Rule]:
    """Those that some choices have."""
    return [rule for rule in rules if all(chosen[name] in some for name, some in rule.items())]


def counts(parameters: Mapping[str, tuple[str, ...]], rules: Sequence[Rule]) -> int:
    """The number of sets of choices without a forbidden combination, by inclusion and exclusion; with more than
    `COUNTED` combinations, which would take too long, at most that number: as if nothing was forbidden."""
    total = math.prod(len(options) for options in parameters.values())
    if len(rules) > COUNTED:
        return total
    for count in range(1, len(rules) + 1):
        for some in itertools.combinations(rules, count):
            total += (-1) ** count * math.prod(
                len(set(options).intersection(*(rule[name] for rule in some if name in rule)))
                for name, options in parameters.items()
            )
    return total
