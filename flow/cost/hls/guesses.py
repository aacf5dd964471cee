"""What coefficients are before any report: what structure says that each feature costs.

Those for scattered layers (hls4ml before 0.2) were set with the reports of three networks in view, for want of others:
what is then predicted of one of the three from the other two looks better than a fourth network would.
"""

from flow.cost.hls.features import Block
from flow.cost.hls.structure import Regime

# What structure alone says: LUTs and registers for each bit, cycles for each step. Uncertain by `ASSUMED`.
ASSUMED = 0.6
STRUCTURAL: dict[str, dict[Block, tuple[float, ...]]] = {
    "lut": {Regime.DISTRIBUTED: (0.6,), Regime.OTHER: (0.5, 1.0, 2.0, 0.3)},
    "ff": {Regime.DISTRIBUTED: (0.4,), Regime.OTHER: (0.3, 0.5, 1.0, 1.0)},
    "dsp": {Regime.OTHER: (1.0,)},
    "bram_18k": {Regime.OTHER: (1.0, 1.0)},
    "latency_cycles": {Regime.DISTRIBUTED: (1.0,), Regime.OTHER: (1.0,)},
    "interval_cycles": {Regime.DISTRIBUTED: (1.0,), Regime.OTHER: (1.0,)},
}

# What each coefficient is without any report: LUTs of adders (one a bit), of multiplexers (a third for each bit and
# input in a tree, one in a chain), registers of each bit that is kept, blocks and cycles as the rules count them.
_DIGITS = (1.0, 2.0, 3.0, 1.5)
GUESSES: dict[str, dict[Block, tuple[float, ...]]] = {
    "lut": {
        Regime.UNROLLED: _DIGITS,
        Regime.PARALLEL: _DIGITS,
        Regime.SHARED: _DIGITS,
        Regime.REUSED: (1000.0, 2.0, 2.0, 3.0, 10.0, 20.0, 40.0, 80.0, 0.03),
        Regime.SCATTERED: (1000.0, 4.0, 4.0, 5.0, 200.0, 0.33, 1.0, 0.5),
    },
    "ff": {
        Regime.UNROLLED: (1.0, 0.3, 0.1, 0.2, 0.3),
        Regime.PARALLEL: (0.3, 1.0, 0.1, 0.2, 0.6),
        Regime.SHARED: (1.0, 0.3, 0.1, 0.2, 1.0),
        Regime.REUSED: (100.0, 1.0, 1.0, 1.0, 1.0),
        Regime.SCATTERED: (100.0, 4.0, 4.0, 5.0, 500.0, 5.0),
    },
    "dsp": dict.fromkeys(list(Regime)[:5], (1.0, 1.0)),
    "bram_18k": dict.fromkeys((Regime.REUSED, Regime.SCATTERED), (1.0, 1.0, 1.0, 0.03, 0.5)),
    "latency_cycles": {
        **dict.fromkeys((Regime.UNROLLED, Regime.PARALLEL, Regime.SHARED), (1.0,)),
        Regime.REUSED: (1.0, 2.0, 2.0),
        Regime.SCATTERED: (1.0, 15.0, 5.0, 30.0),
    },
    "interval_cycles": dict.fromkeys(list(Regime)[:5], (1.0,)),
}
GUESSED = 1.0  # how uncertain a guess is, relative
COUNTED = {"cycles": 0.02, "interval": 0.02}  # loops run as often as the templates say
