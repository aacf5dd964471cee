"""Integer arithmetic of argmax, sigmoid and tanh, with tables as small as an accuracy allows.

A logit is an integer `word` times 2**-fraction. Sigmoid and tanh drop the lowest bits, clip, and look up: both rise,
so that the largest error of an entry is that at one end of the words that share it, and every entry is checked.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flow.firmware.settings import Output

MAX_ENTRIES = 2**16
_MAX_TRIED = 2**17


@dataclass(frozen=True)
class Argmax:
    """The index of the largest of `n` logits, the first of equals."""

    n: int
    error = 0.0
    fraction = 0
    low = 0.0

    @property
    def n_out(self) -> int:
        return 1

    @property
    def high(self) -> float:
        return float(self.n - 1)

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Indices (rows, 1) in float64 for logits (rows, n)."""
        return np.asarray(logits).argmax(axis=1).astype(np.float64)[:, None]


@dataclass(frozen=True)
class Table:
    """entries[clip(word >> shift, first, last) - first] * 2**-fraction for each of `n` logits.

    `word_fraction`: fractional bits of the logits; `error`: the largest difference from the function, over every word.
    """

    n: int
    word_fraction: int
    shift: int
    first: int
    last: int
    entries: tuple[int, ...]
    fraction: int
    error: float

    @property
    def n_out(self) -> int:
        return self.n

    @property
    def low(self) -> float:
        return min(self.entries) * 2.0**-self.fraction

    @property
    def high(self) -> float:
        return max(self.entries) * 2.0**-self.fraction

    @property
    def bits(self) -> int:
        """Bits of the table."""
        return len(self.entries) * _width(np.array(self.entries))

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Values (rows, n) in float64 for logits (rows, n)."""
        index = np.clip(words(logits, self.word_fraction) >> self.shift, self.first, self.last) - self.first
        return np.asarray(self.entries)[index] * 2.0**-self.fraction


def words(logits: np.ndarray, fraction: int) -> np.ndarray:
    """The integers (int64) that logits are on the step 2**-fraction."""
    return np.rint(np.ldexp(np.asarray(logits, dtype=np.float64), fraction)).astype(np.int64)


@lru_cache(maxsize=64)
def table(output: Output, n: int, fraction: int, low: float, high: float, accuracy: float) -> Table | None:
    """The table of fewest bits for sigmoid or tanh, None where none is within `accuracy`. See `outputs.specify`."""
    function = _sigmoid if output == Output.SIGMOID else np.tanh
    flat = math.log(8 / accuracy)  # further out the functions are within an eighth of the accuracy of their ends
    ends = tuple(float(function(np.array(end))) for end in (low, high))
    least, most = (int(words(np.array(end), fraction)) for end in (max(low, -flat), min(high, flat)))
    best: Table | None = None
    for shift in range(max(fraction, 0) + 4):
        if (most >> shift) - (least >> shift) > _MAX_TRIED:
            continue
        for digits in range(_digits(accuracy), _digits(accuracy) + 4):
            for top in (2**digits - 1, 2**digits):
                found = _entries(function, ends, least, most, fraction, shift, digits, top, accuracy)
                if found is None:
                    continue
                first, entries, error = found
                made = Table(n, fraction, shift, first, first + len(entries) - 1, tuple(entries), digits, error)
                if best is None or (made.bits, made.fraction) < (best.bits, best.fraction):
                    best = made
    return best


def _digits(accuracy: float) -> int:
    """Fractional bits without which rounding alone is too coarse."""
    return max(0, int(np.ceil(-np.log2(accuracy))) - 1)


def _entries(function, ends, least: int, most: int, fraction: int, shift: int, digits: int, top: int, accuracy: float):
    """First index, entries and largest error of one table; None where an entry's error is above `accuracy`.

    `ends`: the function of the lowest and the highest logit, which may lie beyond the words `least` and `most`.
    """
    index = np.arange(least >> shift, (most >> shift) + 1)
    firsts, lasts = np.maximum(index << shift, least), np.minimum(((index + 1) << shift) - 1, most)
    start, end = (function(np.ldexp(word.astype(float), -fraction)) for word in (firsts, lasts))
    lowest, highest = ends
    # The lowest entry also serves everything below it, the highest everything above.
    _, below = _nearest(np.full_like(start, lowest), end, digits, top)
    _, above = _nearest(start, np.full_like(end, highest), digits, top)
    first = max(int(np.count_nonzero(np.logical_and.accumulate(below <= accuracy))) - 1, 0)
    last = len(index) - 1 - max(int(np.count_nonzero(np.logical_and.accumulate(above[::-1] <= accuracy))) - 1, 0)
    if last <= first:  # so coarse that one value would do
        first, last = (len(index) - 1) // 2, (len(index) - 1) // 2 + 1
    if last >= len(index) or last - first >= MAX_ENTRIES:
        return None
    start, end = start[first : last + 1].copy(), end[first : last + 1].copy()
    start[0], end[-1] = lowest, highest
    entries, errors = _nearest(start, end, digits, top)
    error = float(errors.max())
    if error > accuracy or entries.min() == entries.max():
        return None
    return int(index[first]), entries.tolist(), error


def _nearest(start: np.ndarray, end: np.ndarray, digits: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The integers * 2**-digits, at most `top`, that are nearest to both ends, and the larger distance."""
    entries = np.minimum(np.rint(np.ldexp((start + end) / 2, digits)).astype(np.int64), top)
    values = np.ldexp(entries.astype(float), -digits)
    return entries, np.maximum(np.abs(values - start), np.abs(values - end))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -values))


def _width(values: np.ndarray) -> int:
    low, high = int(values.min()), int(values.max())
    return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + (low < 0)
