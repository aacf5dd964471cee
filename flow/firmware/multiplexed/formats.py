"""Formats of values: (signed, integer bits without the sign, fractional bits), and the intervals that they span."""

import numpy as np

from flow.firmware.pipeline import Kif


def fraction_of(values: np.ndarray) -> int:
    """The least fractional bits that hold some numbers exactly."""
    fraction = 0
    while fraction < 64 and not np.array_equal(np.rint(values * 2.0**fraction), values * 2.0**fraction):
        fraction += 1
    while fraction > -64 and values.any() and not np.any(np.rint(values * 2.0**fraction).astype(np.int64) % 2):
        fraction -= 1
    return fraction


def union(kifs) -> Kif:
    """The format that holds all values of some formats; a single unsigned bit where there are none."""
    return tuple(max(column) for column in zip(*kifs)) if kifs else (0, 1, 0)


def kif_from(interval) -> Kif:
    """The format of an interval of alkaid's."""
    signed, integer, fraction = interval.kif
    return int(signed), int(integer), int(fraction)


def kif_of(value) -> Kif:
    """The format of a traced value."""
    from alkaid.types import QInterval

    return kif_from(QInterval(float(value.low), float(value.high), float(value.step)))


def kif_of_ends(low: float, high: float, fraction: int) -> Kif:
    """The format of numbers between two, of one bit at least."""
    from alkaid.types import QInterval

    signed, integer, _ = kif_from(QInterval(float(low), float(high), 2.0**-fraction))
    return signed, max(integer, 1 - signed - fraction), fraction


def interval_of(kif: Kif) -> tuple[float, float, float]:
    """(Low, high, step) of a format, as wide as its bits."""
    signed, integer, fraction = kif
    return -(2.0**integer) * signed, 2.0**integer - 2.0**-fraction, 2.0**-fraction
