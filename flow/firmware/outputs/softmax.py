"""Integer arithmetic of softmax: powers of the distance to the largest, their sum, its reciprocal, products.

With words x_i: t_i = max(x) - x_i, e_i = powers[min(t_i >> shift, last)], S = sum(e_i), r = inverse[(S >> sum_shift) -
sum_first], p_i = min((e_i * r + half) >> drop, top), in units of 2**-fraction.

The error has a proven bound. Let each power of the table differ from exp(-t) by at most a * exp(-t) + b (checked at
both ends of the words that share an entry), and let q be the true probability. The powers' share of the error is then
at most (2 a q (1-q) + b ((1-q) + (n-1) q)) / (1 - a - n b), largest over q; the reciprocal's is the largest
|r S / 2**k - 1| * e_0 / S over every sum S that can occur; rounding adds half a step.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from flow.firmware.outputs.tables import MAX_ENTRIES, words
from flow.firmware.settings import Output

_MAX_SUMS = 2**22
_MAX_DIGITS = 20


@dataclass(frozen=True)
class Softmax:
    """See the module. `word_fraction`, `power_fraction`, `inverse_fraction`, `fraction`: fractional bits of the logits,
    of the powers, of the reciprocal (of the sum's value), of the probabilities; `error`: the proven bound."""

    n: int
    word_fraction: int
    shift: int
    powers: tuple[int, ...]
    power_fraction: int
    sum_shift: int
    sum_first: int
    inverse: tuple[int, ...]
    inverse_fraction: int
    fraction: int
    top: int
    error: float
    low = 0.0

    @property
    def n_out(self) -> int:
        return self.n

    @property
    def last(self) -> int:
        return len(self.powers) - 1

    @property
    def drop(self) -> int:
        """Bits that are dropped from the products."""
        return self.power_fraction + self.inverse_fraction - self.fraction

    @property
    def high(self) -> float:
        return self.top * 2.0**-self.fraction

    @cached_property
    def bits(self) -> int:
        """Bits of all tables: that of powers is there for every logit."""
        powers = len(self.powers) * max(self.powers).bit_length()
        return self.n * powers + len(self.inverse) * max(self.inverse).bit_length()

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities (rows, n) in float64 for logits (rows, n)."""
        found = words(logits, self.word_fraction)
        gaps = found.max(axis=1, keepdims=True) - found
        powers = np.asarray(self.powers)[np.minimum(gaps >> self.shift, self.last)]
        sums = powers.sum(axis=1, keepdims=True)
        inverse = np.asarray(self.inverse)[(sums >> self.sum_shift) - self.sum_first]
        shares = (powers * inverse + (1 << (self.drop - 1))) >> self.drop
        return np.minimum(shares, self.top) * 2.0**-self.fraction


@dataclass(frozen=True)
class _Powers:
    shift: int
    digits: int
    entries: np.ndarray
    error: float


@dataclass(frozen=True)
class _Inverse:
    shift: int
    digits: int
    first: int
    entries: np.ndarray
    error: float


@lru_cache(maxsize=64)
def softmax(output: Output, n: int, fraction: int, low: float, high: float, accuracy: float) -> Softmax | None:
    """The tables of fewest bits, None where none is within `accuracy`. See `outputs.specify`."""
    longest = int(words(np.array(high - low), fraction))
    best: Softmax | None = None
    for powers in _all_powers(n, fraction, longest, accuracy):
        least_bits = n * len(powers.entries) * int(powers.entries[0]).bit_length()
        if best is not None and least_bits >= best.bits:
            continue
        for inverse in _all_inverses(n, powers, accuracy):
            made = _made(n, fraction, powers, inverse, accuracy)
            if made is not None and (best is None or made.bits < best.bits):
                best = made
    return best


def _made(n: int, fraction: int, powers: _Powers, inverse: _Inverse, accuracy: float) -> Softmax | None:
    """With the fewest digits of the result that leave the error within `accuracy`."""
    first = max(0, math.ceil(-math.log2(accuracy)) - 1)
    for digits in range(first, first + 4):
        error = powers.error + inverse.error + 2.0 ** -(digits + 1)
        if error <= accuracy and powers.digits + inverse.digits > digits:
            whole = 2.0**-digits > accuracy  # whether 1 itself is needed for what is near it
            error = error if whole else max(error, 2.0**-digits)
            return Softmax(
                n, fraction, powers.shift, tuple(powers.entries.tolist()), powers.digits, inverse.shift, inverse.first,
                tuple(inverse.entries.tolist()), inverse.digits, digits, 2**digits - (not whole), error,
            )  # fmt: skip
    return None


def _all_powers(n: int, fraction: int, longest: int, accuracy: float) -> list[_Powers]:
    """Tables of powers whose share of the error leaves something, smallest first."""
    found = []
    least = max(1, math.ceil(-math.log2(accuracy)) - 1)
    for shift in range(max(fraction, 0) + 4):
        for digits in range(least, min(least + n.bit_length() + 5, _MAX_DIGITS)):
            made = _powers(n, fraction, longest, shift, digits)
            if made is not None and made.error < accuracy:
                found.append(made)
    return sorted(found, key=lambda row: len(row.entries) * row.digits)


def _powers(n: int, fraction: int, longest: int, shift: int, digits: int) -> _Powers | None:
    """Every entry serves the distances [index << shift, (index + 1 << shift) - 1], the last one all beyond."""
    tail = (digits + 1) * math.log(2.0)  # from here on the nearest entry is 0
    last = min(math.ceil(math.ldexp(tail, fraction - shift)), longest >> shift)
    if last < 1 or last >= MAX_ENTRIES:
        return None
    index = np.arange(last + 1)
    most = np.exp(-np.ldexp((index << shift).astype(float), -fraction))
    ends = np.minimum(((index + 1) << shift) - 1, longest)
    ends[-1] = longest
    least = np.exp(-np.ldexp(ends.astype(float), -fraction))
    entries = np.rint(np.ldexp((most + least) / 2, digits)).astype(np.int64)
    values = np.ldexp(entries.astype(float), -digits)
    relative = math.expm1(math.ldexp(float((1 << shift) - 1), -fraction)) / 2
    absolute = max(float((values - least - relative * least).max()), float((most - values - relative * most).max()), 0)
    return _Powers(shift, digits, entries, _powers_error(n, relative, absolute))


def _powers_error(n: int, relative: float, absolute: float) -> float:
    """The powers' share of the error, see the module."""
    rest = 1 - relative - n * absolute
    if rest <= 0:
        return math.inf
    slope = absolute * (n - 2)
    at = min(0.5 + slope / (4 * relative), 1.0) if relative else 1.0
    return max(2 * relative * q * (1 - q) + absolute + slope * q for q in (0.0, at)) / rest


def _all_inverses(n: int, powers: _Powers, accuracy: float) -> list[_Inverse]:
    largest = int(powers.entries[0])
    if (n - 1) * largest > _MAX_SUMS:
        return []
    left = accuracy - powers.error
    least = max(1, math.ceil(-math.log2(accuracy)) - 1)
    found = []
    for shift in range(powers.digits + 1):
        size = 2**shift  # the second entry, which serves that many sums, is off by this at least
        if (size - 1) / (2 * largest + 3 * size) * largest / (largest + 2 * size) > left:
            break
        for digits in range(least, min(least + 6, _MAX_DIGITS)):
            made = _inverse(n, largest, powers.digits, shift, digits)
            if made is not None and made.error < left:
                found.append(made)
    return sorted(found, key=lambda row: len(row.entries) * row.digits)


def _inverse(n: int, largest: int, power_digits: int, shift: int, digits: int) -> _Inverse | None:
    """Every sum has one whole `largest` power in it, and at most `n`."""
    first, last = largest >> shift, n * largest >> shift
    if not 1 <= last - first < MAX_ENTRIES:
        return None
    index = np.arange(first, last + 1)
    least, most = np.maximum(index << shift, largest), np.minimum(((index + 1) << shift) - 1, n * largest)
    scale = 2.0 ** (power_digits + digits)
    entries = np.rint(2 * scale / (least + most)).astype(np.int64)
    shares = (np.abs(entries / scale * sums - 1) * largest / sums for sums in (least, most))
    return _Inverse(shift, digits, first, entries, float(max(share.max() for share in shares)))
