"""RTL whose larger layers are time-multiplexed: a layer with reuse factor R has 1/R of the hardware and takes R cycles.

What a layer shares: a dense layer multipliers (`lanes`), a convolution copies of its window's shift-and-add logic
(`windows`); both with the activation right behind them. Everything else is unrolled and pipelined as at interval 1.
The interval of the whole is the largest reuse factor in use.

Sharing is not free. Multipliers that take any weight cost more than shifts and adds of constant ones, and selecting and
collecting values costs by itself: a dense layer of 64 x 32 with 6-bit weights took 16,235 look-up tables and 9,149
registers unrolled; 6,017, 11,434 and 488 DSPs at a reuse factor of 4; 3,085, 6,438 and 255 DSPs at 8 (Yosys,
``benchmarks/multiplexed.py``). A small layer can be larger with a reuse factor than without one.
"""

from flow.firmware.multiplexed.project import summarise, write
from flow.firmware.multiplexed.reuse import factors

__all__ = ["factors", "summarise", "write"]
