"""What the module of a layer that shares its hardware is to those who use it, and how it collects its results."""

from dataclasses import dataclass

from flow.cost.rtl.operations import COUNTS
from flow.firmware.multiplexed.segment import Segment
from flow.firmware.multiplexed.verilog import Bits, joined, packed, sliced
from flow.firmware.pipeline import Kif


@dataclass(frozen=True)
class SharedModule:
    """A module with the ports clk, start, take (one bit a phase), x (what it reads) and y (its results).

    With its inputs stable from row t on, for as many rows as it has phases, ``start`` is high for the edge into row
    t - `ahead`, and ``take[p]`` for the edge into row t + p + `lead`, from which on the results of phase p are there.
    A row is what signals are between two clock edges. `reads` are the elements of x, positions in the row in front.
    """

    name: str
    text: str
    inner: Segment | None
    copies: int
    phases: int
    ahead: int
    lead: int
    reads: tuple[int, ...]
    kifs: tuple[Kif, ...]
    lut_estimate: float
    register_bits: int
    counts: dict[str, float]

    @property
    def rows(self) -> int:
        """From the row in which the inputs are there to that in which all results are."""
        return self.lead + self.phases - 1


def counts(**found: float) -> dict[str, float]:
    return dict.fromkeys(COUNTS, 0.0) | found


def header(name: str, n_in: int, n_out: int, phases: int) -> list[str]:
    return [
        "`timescale 1 ns / 1 ps",
        "",
        f"module {name} (",
        "    input clk,",
        "    input start,",
        f"    input [{phases - 1}:0] take,",
        f"    input [{max(n_in, 1) - 1}:0] x,",
        f"    output reg [{n_out - 1}:0] y",
        ");",
        "",
    ]


def collected(by_phase: list[list[Bits]], steady: bool) -> tuple[list[str], int]:
    """Lines that keep the results of each phase, in the order of the phases, in y; and bits of registers.

    `steady`: y changes at once, with the last phase, and stays for an interval; without it results come into y phase
    by phase, and all are there for one row at least.
    """
    widths = [sum(value.width for value in values) for values in by_phase]
    early = steady and sum(widths[:-1]) > 0
    target = "early" if early else "y"
    lines, low = [], 0
    last = len(by_phase) - 1
    if early:
        lines.append(f"    reg [{sum(widths[:-1]) - 1}:0] early;")
    lines.append("    always @(posedge clk) begin")
    for phase, (values, width) in enumerate(zip(by_phase, widths)):
        if early and phase == last:
            lines.append(f"        if (take[{phase}]) y <= {joined([packed(values)] * (width > 0) + ['early'])};")
        elif width:
            lines.append(f"        if (take[{phase}]) {sliced(target, low, width)} <= {packed(values)};")
        low += width
    lines.append("    end")
    return lines, sum(widths) + (sum(widths[:-1]) if early else 0)
