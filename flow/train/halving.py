"""Successive halving under noise: who is cut at a rung."""

import math
from collections.abc import Sequence

import numpy as np

from flow.train.schedule import Halving


def cut(values: Sequence[float], resampled: Sequence[np.ndarray], costs: Sequence[float], halving: Halving) -> set[int]:
    """Places of the members to cut, given each one's metric (maximised), the metric's values under resamplings of the
    events that all share (B,), and its cost.

    A member may go if another one that costs no more is better by more than `deviations` standard errors of
    their difference. Those furthest behind go first; one in `factor` of all stays whatever its metric is.
    """
    behind = {}
    for i, (value, mine, cost) in enumerate(zip(values, resampled, costs, strict=True)):
        gaps = [
            (values[j] - value) / max(float(np.std(resampled[j] - mine, ddof=1)), 1e-12)
            for j in range(len(values))
            if costs[j] <= cost and values[j] > value
        ]
        if gaps and max(gaps) > halving.deviations:
            behind[i] = max(gaps)
    most = len(values) - math.ceil(len(values) / halving.factor)
    return set(sorted(behind, key=lambda i: (-behind[i], i))[:most])
