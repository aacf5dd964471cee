"""What designs cost by closed form, and how far that is outside the budget."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flow.search.problem import Chosen, Problem

if TYPE_CHECKING:
    import numpy as np


def priced(problem: Problem, designs: Sequence[Chosen]) -> "tuple[np.ndarray, np.ndarray]":
    """Closed-form cost of designs, and by how much the worst limit is exceeded, each (designs,)."""
    import numpy as np

    prices = problem.prices(designs)
    over = [beyond(np.asarray(prices[name], float), limit) for name, limit in problem.limits.items() if name in prices]
    cost = np.asarray(prices[problem.objectives[problem.cost].name], float)
    return cost, np.max(over, axis=0) if over else np.full(len(designs), -1.0)


def beyond(values: "float | np.ndarray", limit: float) -> "float | np.ndarray":
    """By how much one value, or each of many, exceeds a limit, relative to it; 0 or less is inside. A limit of 0 is
    exceeded by as many units as there are."""
    return values / limit - 1.0 if limit else values
