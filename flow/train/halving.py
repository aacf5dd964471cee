"""Successive halving under noise: who is cut at a rung."""

import math
from typing import Sequence

from flow.train.schedule import Halving


def cut(values: Sequence[float], errors: Sequence[float], costs: Sequence[float], halving: Halving) -> set[int]:
    """Places of the members to cut, given each one's metric (maximised), its standard error, and its cost.

    A member may go if another one that costs no more is better by more than `deviations` standard errors of
    their difference. Those furthest behind go first; one in `factor` of all stays whatever its metric is.
    """
    behind = {}
    for i, (value, error, cost) in enumerate(zip(values, errors, costs)):
        gaps = [
            (values[j] - value) / max(math.hypot(errors[j], error), 1e-12)
            for j in range(len(values))
            if j != i and costs[j] <= cost
        ]
        if gaps and max(gaps) > halving.deviations:
            behind[i] = max(gaps)
    most = len(values) - math.ceil(len(values) / halving.factor)
    return set(sorted(behind, key=lambda i: (-behind[i], i))[:most])
