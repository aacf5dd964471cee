"""The reuse factors that hls4ml takes for a layer with the Resource strategy, and the one that it takes instead.

The rule is that of `FPGABackend._validate_reuse_factor` and `get_closest_reuse_factor` (hls4ml 1.3.0).
"""

from bisect import bisect_left
from functools import lru_cache

import numpy as np


def is_legal(n_in: int, n_out: int, factor: int) -> bool:
    """Whether hls4ml takes `factor`, 1 <= factor <= n_in * n_out, for a layer of n_in x n_out weights.

    Each multiplier stays with one output (factor < n_in) or walks through whole columns (a multiple of n_in), and
    all multipliers take the same number of turns.
    """
    if not 1 <= factor <= n_in * n_out or (n_in * n_out) % factor:
        return False
    if factor >= n_in:
        return factor % n_in == 0
    return -(-(n_in * n_out) // factor) % n_out == 0


@lru_cache(maxsize=4096)
def legal(n_in: int, n_out: int) -> tuple[int, ...]:
    """All legal reuse factors of a layer, ascending: divisors of n_in, and n_in times the divisors of n_out."""
    below = (d for d in _divisors(n_in * n_out) if d < n_in and is_legal(n_in, n_out, d))
    return (*below, *(n_in * d for d in _divisors(n_out)))


@lru_cache(maxsize=65536)
def closest(n_in: int, n_out: int, factor: int) -> int:
    """The legal reuse factor that hls4ml takes for `factor`: the nearest, of two equally near the smaller."""
    factors = legal(n_in, n_out)
    position = bisect_left(factors, factor)
    if position in (0, len(factors)):
        return factors[max(position - 1, 0)]
    before, after = factors[position - 1], factors[position]
    return after if after - factor < factor - before else before


def closest_many(n_in: np.ndarray, n_out: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """`closest` of layers (n,), looked up once for each combination that occurs."""
    if not len(factor):
        return np.zeros(0)
    keys = np.stack([n_in, n_out, factor], axis=1).astype(np.int64)
    return np.array([closest(*key) for key in map(tuple, keys.tolist())], dtype=float)


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})
