"""Expressions of Verilog for values in fixed point."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flow.firmware.pipeline import Kif


@dataclass(frozen=True)
class Bits:
    """A value in a packed signal."""

    signal: str
    low: int
    kif: Kif

    @property
    def width(self) -> int:
        return sum(self.kif)

    @property
    def text(self) -> str:
        return sliced(self.signal, self.low, self.width)


def sliced(signal: str, low: int, width: int) -> str:
    return f"{signal}[{low + width - 1}:{low}]"


def packed(values: Sequence[Bits]) -> str:
    """Values in one row, the first in the lowest bits."""
    runs: list[list] = []
    for value in values:
        if not value.width:
            continue
        if runs and runs[-1][0] == value.signal and runs[-1][2] == value.low:
            runs[-1][2] += value.width
        else:
            runs.append([value.signal, value.low, value.low + value.width])
    return joined(sliced(signal, low, high - low) for signal, low, high in reversed(runs))


def joined(parts: Iterable[str]) -> str:
    """A concatenation, the first part in the highest bits."""
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"


def placed(signal: str, kifs: Iterable[Kif], low: int = 0) -> list[Bits]:
    """Values in a packed signal, one behind the other."""
    found = []
    for kif in kifs:
        found.append(Bits(signal, low, kif))
        low += sum(kif)
    return found


def aligned(value: Bits, kif: Kif) -> str:
    """The bits of a value in a format that holds it."""
    signed, integer, _ = value.kif
    if not value.width:
        return zeros(sum(kif))
    above, below = kif[0] + kif[1] - signed - integer, kif[2] - value.kif[2]
    parts = [value.text]
    if above > 0:
        sign = sliced(value.signal, value.low + value.width - 1, 1)
        parts.insert(0, f"{{{above}{{{sign}}}}}" if signed else zeros(above))
    if below > 0:
        parts.append(zeros(below))
    return joined(parts)


def signed(value: Bits) -> str:
    return f"$signed({value.text})" if value.kif[0] else f"$signed({{1'b0, {value.text}}})"


def zeros(width: int) -> str:
    return f"{width}'d0"


def phase_counter(phases: int) -> list[str]:
    """Lines that count the phases of a word: 0 after the edge at which ``start`` is high; the last one stays."""
    bits = phase_bits(phases)
    return [
        f"    reg [{bits - 1}:0] phase = {bits}'d{phases - 1};",
        "    always @(posedge clk)",
        f"        phase <= start ? {zeros(bits)} : phase == {bits}'d{phases - 1} ? phase : phase + {bits}'d1;",
    ]


def phase_bits(phases: int) -> int:
    return max(1, (phases - 1).bit_length())
