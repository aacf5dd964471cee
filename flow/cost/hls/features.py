"""The physical features that each figure is linear in, by layer: what the hardware of a layer is made of.

Features are grouped in blocks, one for each regime of multiplying and one for what surrounds the multiplications;
each block has a regression of its own. Widths are in bits, so that a coefficient is a cost for each bit.
"""

from collections.abc import Callable

import numpy as np

from flow.cost.hls.columns import Columns
from flow.cost.hls.structure import Regime, Structure

FIGURES = ("lut", "ff", "dsp", "bram_18k", "uram", "latency_cycles", "interval_cycles")
Block = Regime
Rows = dict[Block, np.ndarray]

_MUXES = (32, 64, 128, 256)
_DIGITS = ("one_digit", "two_digits", "three_digits", "multiplied")
_REUSED_LUT = (
    "layers",
    "input_bits",
    "output_bits",
    "multiplier_bits",
    *(f"mux_{size}" for size in _MUXES),
    "rom_bits",
)
_SCATTERED_LUT = (
    "layers", "input_bits", "output_bits", "multiplier_bits", "modulo_units", "input_mux_bits", "wide_input_mux_bits",
    "ragged_mux_bits",
)  # fmt: skip
_REUSED_FF = ("layers", "input_bits", "output_bits", "stage_bits", "copied_output_bits")
_SCATTERED_FF = ("layers", "input_bits", "output_bits", "stage_bits", "modulo_units", "network_input_bits")
_SURROUNDING = ("activation_bits", "pair_bits", "table_bits", "buffer_bits")

# Figure → block → the names of its features.
NAMES: dict[str, dict[Block, tuple[str, ...]]] = {
    "lut": {
        **dict.fromkeys((Regime.UNROLLED, Regime.PARALLEL, Regime.SHARED), _DIGITS),
        Regime.REUSED: _REUSED_LUT,
        Regime.SCATTERED: _SCATTERED_LUT,
        Regime.DISTRIBUTED: ("adder_bits",),
        Regime.OTHER: _SURROUNDING,
    },
    "ff": {
        **dict.fromkeys((Regime.UNROLLED, Regime.PARALLEL, Regime.SHARED), ("input_bits", "output_bits", *_DIGITS[1:])),
        Regime.REUSED: _REUSED_FF,
        Regime.SCATTERED: _SCATTERED_FF,
        Regime.DISTRIBUTED: ("adder_bits",),
        Regime.OTHER: _SURROUNDING,
    },
    "dsp": {
        **dict.fromkeys(list(Regime)[:5], ("wide_weights", "narrow_weights")),
        Regime.OTHER: ("products",),
    },
    "bram_18k": {
        **dict.fromkeys(
            (Regime.REUSED, Regime.SCATTERED), ("shallow_weights", "deep_weights", "indices", "shallow_bits", "inputs")
        ),
        Regime.OTHER: ("tables", "line_buffers"),
    },
    "uram": {},
    "latency_cycles": {
        **dict.fromkeys((Regime.UNROLLED, Regime.PARALLEL, Regime.SHARED, Regime.DISTRIBUTED), ("cycles",)),
        Regime.REUSED: ("cycles", "layers", "shared_sums"),
        Regime.SCATTERED: ("cycles", "layers", "shared_sums", "ragged"),
        Regime.OTHER: ("steps",),
    },
    "interval_cycles": dict.fromkeys(Regime, ("interval",)),
}


def features(figure: str, c: Columns, s: Structure) -> Rows:
    """Block → features (layers, k) in the order of `NAMES`; zero in layers that are of another regime."""
    found = {}
    for block in NAMES[figure]:
        values = np.stack(_BUILDERS[figure](block, c, s), axis=1)
        found[block] = values if block is Regime.OTHER else values * (s.regime == block)[:, None]
    return found


def _lut(block: Block, c: Columns, s: Structure) -> list[np.ndarray]:
    if block is Regime.OTHER:
        return _surrounding(c, s)
    if block is Regime.REUSED:
        muxes = _mux(c, s) * (s.multipliers * c.result_bits)[:, None]
        return [*_sums(c), s.multipliers * c.data_bits, *muxes.T, s.rom_lut_bits]
    if block is Regime.SCATTERED:
        return [*_sums(c), *_scattered_lut(c, s)]
    if block is Regime.DISTRIBUTED:
        return [_adder_bits(c, s)]
    return list((s.digits[:, 1:] * c.data_bits[:, None]).T)


def _scattered_lut(c: Columns, s: Structure) -> list[np.ndarray]:
    """Before 0.2 every multiplier read any input: through trees of the library's multiplexers up to 256 inputs,
    else through a chain. Where turns don't divide the weights, a multiplier serves any output too."""
    read = s.multipliers * c.data_bits
    return [
        read,
        _modulo_units(c, s),
        read * _power(c.n_in) * (c.n_in <= 256),
        read * c.n_in * (c.n_in > 256),
        read * (_power(c.n_in) + _power(c.n_out)) * _ragged(s),
    ]


def _ragged(s: Structure) -> np.ndarray:
    """Where turns don't divide the weights."""
    return s.weights % s.reuse_factor != 0


def _modulo_units(c: Columns, s: Structure) -> np.ndarray:
    """Multipliers whose input's index is a remainder that is no wiring: n_in is no power of two."""
    return s.multipliers * (_power(c.n_in) != c.n_in)


def _ff(block: Block, c: Columns, s: Structure) -> list[np.ndarray]:
    if block is Regime.OTHER:
        return _surrounding(c, s)
    if block in (Regime.REUSED, Regime.SCATTERED):
        # A weight waits for its product; where the accumulator has to be found first, so does the data.
        bits = np.where((s.outputs_each > 2) & (s.dsp > 0), c.data_bits, c.weight_bits)
        copied = c.n_out * c.result_bits * (s.multipliers <= 1)
        own = [copied] if block is Regime.REUSED else [_modulo_units(c, s), _first_inputs(c) * c.data_bits]
        return [*_sums(c), s.multipliers * bits, *own]
    if block is Regime.DISTRIBUTED:
        return [_adder_bits(c, s)]
    return [*_sums(c)[1:], *(s.digits[:, 2:] * c.data_bits[:, None]).T]


def _dsp(block: Block, c: Columns, s: Structure) -> list[np.ndarray]:
    if block is Regime.OTHER:
        return [s.dsp * (s.regime == Regime.OTHER)]
    return [s.dsp * ~s.narrow, s.dsp * s.narrow]


def _bram(block: Block, c: Columns, s: Structure) -> list[np.ndarray]:
    if block is Regime.OTHER:
        return [s.bram_tables, s.bram_lines]
    shallow = s.reuse_factor <= 1024
    bits = s.multipliers * c.weight_bits * shallow * (s.bram_weights > 0)
    return [s.bram_weights * shallow, s.bram_weights * ~shallow, s.bram_indices, bits, _first_inputs(c) * c.early]


def _first_inputs(c: Columns) -> np.ndarray:
    """The network's own inputs, with its first layer."""
    first = np.zeros_like(c.n_in)
    first[c.starts] = c.n_in[c.starts]
    return first


def _latency(block: Block, c: Columns, s: Structure) -> list[np.ndarray]:
    if block is Regime.OTHER:
        return [(c.activation > 0) + 2.0 * (c.activation == 2) + (s.pairs > 0)]
    # Layers of a stream work at the same time: all but the slowest add the cycles of one position.
    slowest = s.interval == c.largest(s.interval)[c.network]
    cycles = np.where(c.stream & ~slowest, s.cycles / c.positions, s.cycles)
    filling = [np.ones_like(cycles), (s.outputs_each > 1).astype(float), _ragged(s).astype(float)]
    return [cycles, *filling][: len(NAMES["latency_cycles"][block])]


def _interval(block: Block, c: Columns, s: Structure) -> list[np.ndarray]:
    """The slowest layer's interval, which is the network's; the first of several as slow."""
    order = np.arange(len(s.interval), dtype=float)
    slowest = s.interval == c.largest(s.interval)[c.network]
    first = -c.largest(np.where(slowest, -order, -np.inf))[c.network]
    return [s.interval * (order == first) * (s.regime == block)]


_BUILDERS: dict[str, Callable[[Block, Columns, Structure], list[np.ndarray]]] = {
    "lut": _lut,
    "ff": _ff,
    "dsp": _dsp,
    "bram_18k": _bram,
    "latency_cycles": _latency,
    "interval_cycles": _interval,
}


def _sums(c: Columns) -> list[np.ndarray]:
    """A layer, the bits of its inputs, those of its sums."""
    return [np.ones_like(c.n_in), c.n_in * c.data_bits, c.n_out * c.result_bits]


def _power(size: np.ndarray) -> np.ndarray:
    """The power of two that a multiplexer is made for."""
    return 2.0 ** np.ceil(np.log2(np.maximum(size, 1)))


def _mux(c: Columns, s: Structure) -> np.ndarray:
    """Share of each multiplexer of `_MUXES` (layers, 4): of all outputs, where a multiplier serves three or more.

    The compiler has a library of them, in powers of two; smaller and larger ones are taken in proportion.
    """
    size = np.where(s.outputs_each >= 3, _power(c.n_out), 0.0)
    nearest = np.clip(size, _MUXES[0], _MUXES[-1])
    return np.stack([np.where(nearest == known, size / known, 0.0) for known in _MUXES], axis=1)


def _adder_bits(c: Columns, s: Structure) -> np.ndarray:
    """Bits of the adders of a shift-and-add network without sharing."""
    digits = s.digits @ np.array([0.0, 1.0, 2.0, 3.0, 4.5])
    return np.maximum(digits - c.n_out, 0) * c.data_bits


def _surrounding(c: Columns, s: Structure) -> list[np.ndarray]:
    """Comparisons behind the sums, pooling and merging, tables, and what is kept between positions."""
    values = c.n_out * np.where(c.stream, 1.0, c.positions)
    window = np.where(c.positions > 1, c.n_in * c.data_bits, 0.0) * c.multiplying
    return [
        values * c.result_bits * (c.activation == 1),
        s.pairs * c.data_bits,
        s.bram_tables * c.data_bits,
        window + np.where(c.stream & (s.bram_lines == 0), c.buffer_values * c.data_bits, 0.0),
    ]
