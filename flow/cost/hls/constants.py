"""What HLS compilers make of a multiplication by a constant weight.

Products with few non-zero digits are shifts and adds; the others stay multiplications, which go to DSPs. The rule
(at least four non-zero digits in canonical signed form, or six ones in binary form, of the weight or of its
complement) was chosen among combinations of such counts as the nearest to what Vivado HLS 2020.1 keeps of uniformly
distributed weights of 6 to 14 bits, in three networks; it is within 1 % of those shares (none, 0.25, 0.63, 0.85, 0.94),
and no other report has tested it.
"""

from functools import lru_cache

import numpy as np

CLASSES = ("zero", "one_digit", "two_digits", "three_digits", "multiplied")
WIDEST = 16  # from here on almost all weights are multiplied
_DSP_DIGITS = 6  # odd part of a constant, in bits, from which its multiplier is put into a DSP


@lru_cache(maxsize=1)
def shares() -> np.ndarray:
    """Share of weights (bits 0..16, 6): by number of digits as in `CLASSES`, then the share that needs a DSP.

    All values of a width are taken to be equally frequent.
    """
    return np.array([_shares(max(bits, 1)) for bits in range(WIDEST + 1)])


def classes(values: np.ndarray) -> np.ndarray:
    """Class (index into `CLASSES`) of integer weights, the shape is kept."""
    size = np.abs(np.asarray(values, dtype=np.int64))
    digits = np.bitwise_count(size ^ (3 * size))
    ones = np.bitwise_count(np.where(values < 0, ~np.asarray(values, dtype=np.int64), size))
    return np.where((digits >= 4) | (ones >= 6), 4, np.minimum(digits, 3)).astype(np.int64)


def _shares(bits: int) -> np.ndarray:
    values = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    kinds = classes(values)
    size = np.abs(values)
    odd = size // np.maximum(size & -size, 1)
    in_dsp = (kinds == 4) & (odd >= 2 ** (_DSP_DIGITS - 1))
    return np.array([*(np.mean(kinds == i) for i in range(5)), np.mean(in_dsp)])
