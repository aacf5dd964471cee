"""Integers in lanes: how many bits a lane needs, and where the values of a stage lie in memory while they are needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.errors import BadInput
from flow.firmware.precision import HlsType, enclosing

LANE_BITS = (16, 32, 64)
_ALIGNMENT = 64


@dataclass(frozen=True)
class Buffer:
    """`size` integers of one event in lanes of `bits` each, from byte `offset` of one lane on."""

    name: str
    size: int
    bits: int
    offset: int = 0

    @property
    def bytes(self) -> int:
        """Bytes for one event."""
        return self.size * self.bits // 8


def bits_of(form: HlsType) -> int:
    """Bits of the signed integer that holds every word of a type."""
    return form.width + (not form.signed)


def lane_bits(needed: int, what: str) -> int:
    """The narrowest lane of `needed` bits; raises BadInput, naming `what`, where there is none."""
    for bits in LANE_BITS:
        if needed <= bits:
            return bits
    raise BadInput(f"{what}: the emulator would need integers of {needed} bits; at most {LANE_BITS[-1]} are supported")


def interval_bits(low: np.ndarray, high: np.ndarray, fraction: int) -> int:
    """Bits of the signed integer that holds every multiple of 2**-fraction in [low, high]."""
    return bits_of(enclosing(float(np.min(low)), float(np.max(high)), fraction))


def wrapped(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers (any shape, as Python's own or float64) modulo 2**bits, signed, as int64."""
    whole = np.asarray(values, dtype=object)
    half = 1 << (bits - 1)
    return np.array([(int(v) + half) % (1 << bits) - half for v in whole.reshape(-1)], dtype=np.int64).reshape(
        whole.shape
    )


def placed(buffers: Sequence[Buffer], last_read: Mapping[str, int], written: Mapping[str, int]) -> dict[str, Buffer]:
    """The buffers with offsets, in memory that is used again once a buffer has been read for the last time.

    `written` and `last_read` are the numbers of the steps that do so.
    """
    found: dict[str, Buffer] = {}
    for buffer in sorted(buffers, key=lambda item: written[item.name]):
        taken = [
            (other.offset, other.offset + _padded(other.bytes))
            for other in found.values()
            if last_read[other.name] >= written[buffer.name]
        ]
        offset = 0
        for begin, end in sorted(taken):
            if offset + _padded(buffer.bytes) <= begin:
                break
            offset = max(offset, end)
        found[buffer.name] = Buffer(buffer.name, buffer.size, buffer.bits, offset)
    return found


def arena_bytes(buffers: Mapping[str, Buffer]) -> int:
    """Bytes of memory for one event."""
    return max(item.offset + _padded(item.bytes) for item in buffers.values())


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
