"""What a kernel's format and keep fraction say of its weights: how many are not zero, their digits, their size.

Trained weights are taken to scatter normally about zero, with a format whose range suits them as
`flow.formats.best_integer` would choose it, and pruning to have taken the smallest. A weight costs one shifted copy of
its datum for each non-zero digit in canonical signed digits (Reitwiesner 1960): of an integer n, the ones of n ^ 3n.
"""

from functools import lru_cache

import numpy as np

from flow.formats import best_integer

STEPS = 256
"""Keep fractions that are tabled, evenly spaced from 0 to 1; between them a straight line is right to 1e-3."""
ZEROLESS = ("binary", "po2")
_SAMPLE = 512
_SPREADS = 2.0 ** (np.arange(16) / 16)  # a format's range is a power of two, the weights' is not


def canonical_digits(values: np.ndarray) -> np.ndarray:
    """Number of non-zero canonical signed digits of integers."""
    sizes = np.abs(np.asarray(values, dtype=np.int64))
    return np.bitwise_count(sizes ^ (3 * sizes)).astype(float)


@lru_cache(maxsize=256)
def table(kind: str, bits: int) -> np.ndarray:
    """Per weight of a kernel, pruned ones among them, by keep fraction: (3, STEPS + 1) of how many are not zero, of
    their digits, and of their size in steps.

    Binary weights and powers of two have no zero: what is pruned becomes the smallest positive value. Being alike, such
    weights share most of their adders: they count for 0.6 of a digit (from traces).
    """
    return np.mean([_table(kind, bits, spread) for spread in _SPREADS], axis=0)


def _table(kind: str, bits: int, spread: float) -> np.ndarray:
    from scipy.special import ndtri  # light commands import this module, and none of SciPy

    ranks = (np.arange(_SAMPLE) + 0.5) / _SAMPLE
    weights = -spread * ndtri(ranks / 2)  # the largest first
    form = best_integer(np.concatenate([weights, -weights]), bits, kind)
    steps = np.rint(np.abs([form.quantize(weights), form.quantize(-weights)]) / form.step)
    rows = np.stack([steps > 0, canonical_digits(steps), steps]).mean(axis=1)
    summed = np.concatenate([np.zeros((3, 1)), np.cumsum(rows, axis=1) / _SAMPLE], axis=1)
    found = summed[:, np.linspace(0, _SAMPLE, STEPS + 1).astype(int)]
    if kind.endswith(ZEROLESS):
        found[0] = 1.0
        found[1] = np.linspace(0.6, 1.0, STEPS + 1) if kind.endswith("po2") else 1.0
    return found
