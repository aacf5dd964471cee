"""What hls4ml's templates unroll to: multipliers, DSPs, memories and cycles of each layer, in closed form.

Sources: `nnet_dense_latency.h`, `nnet_dense_resource.h`, `nnet_mult.h` and the convolutions of hls4ml 1.3.0's Vivado
templates; how the compiler maps them was read off its reports (C synthesis of Vivado HLS 2018.2 to 2020.1).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from flow.cost.hls import constants, reuse
from flow.cost.hls.columns import USUAL_CLOCK_NS, Columns
from flow.cost.hls.layers import Kind, Strategy, Weights


class Regime(IntEnum):
    """Which hardware a layer becomes; each has its own physical features."""

    UNROLLED = 0  # Latency, reuse factor 1: a constant multiplication for each weight, pipelined
    PARALLEL = 1  # Resource, reuse factor 1: the same, not pipelined
    SHARED = 2  # Latency, reuse factor > 1: multiplications scheduled onto a limited number of multipliers
    REUSED = 3  # Resource, a legal reuse factor: weights from memories, accumulators
    SCATTERED = 4  # Resource, another reuse factor (hls4ml before 0.2): each multiplier reads any input
    DISTRIBUTED = 5  # distributed arithmetic: adders alone
    OTHER = 6  # no multiplications


SEQUENTIAL = (Regime.REUSED, Regime.SCATTERED)

_LATENCY, _RESOURCE = (list(Strategy).index(item) for item in (Strategy.LATENCY, Strategy.RESOURCE))
_POOLS = [list(Kind).index(kind) for kind in (Kind.POOLING, Kind.AVERAGE_POOLING)]
_MERGE = list(Kind).index(Kind.MERGE)
_INDEX_ROM_BITS = 1024  # smaller ROMs are put into LUTs
_TABLE_BITS = 18
_NARROW = 6


@dataclass(frozen=True)
class Structure:
    """Each array has the shape (layers,). `weights` are the multiplications of one position, `products` those that
    are not with zero; `digits` (layers, 5) the products by class of constant; `multipliers` work at once, and each
    serves `outputs_each` sums. `dsp` are blocks, `narrow` says that the weights are so narrow that logic synthesis may
    put them into LUTs; `bram_...` are blocks of 18 kbit. `cycles` are from a layer's first input to its last output,
    `interval` those from one input to the next; `pairs` are comparisons or sums of two values."""

    regime: np.ndarray
    reuse_factor: np.ndarray
    weights: np.ndarray
    products: np.ndarray
    digits: np.ndarray
    multipliers: np.ndarray
    outputs_each: np.ndarray
    dsp: np.ndarray
    narrow: np.ndarray
    bram_weights: np.ndarray
    bram_indices: np.ndarray
    bram_tables: np.ndarray
    bram_lines: np.ndarray
    rom_lut_bits: np.ndarray
    cycles: np.ndarray
    interval: np.ndarray
    pairs: np.ndarray


def structure(c: Columns) -> Structure:
    """The hardware of each layer."""
    weights = np.where(c.multiplying, c.n_in * c.n_out, 0.0)
    wanted = np.minimum(c.reuse_factor, np.maximum(weights, 1))
    regime, factor = _regime(c, wanted, weights)
    digits, in_dsp = _digits(c, weights)
    products = digits[:, 1:].sum(axis=1)
    sequential = np.isin(regime, SEQUENTIAL)
    at_once = np.ceil(weights / factor)
    multipliers = np.where(sequential | (regime == Regime.SHARED), at_once, products)
    outputs_each = np.where(sequential, factor / c.n_in, 1.0)
    kept = digits[:, 4] * (c.weights == Weights.FIXED)
    limit = np.minimum(_limit(at_once, factor), np.maximum(np.ceil(kept), 1))
    dsp = _dsp(c, regime, multipliers, in_dsp, kept, limit)
    width = np.where(sequential, multipliers * c.weight_bits, 0.0)
    in_lut = width * factor < _INDEX_ROM_BITS
    cycles, interval = _cycles(c, regime, factor, kept, limit)
    tables = _table_copies(c) * blocks(c.table_size, np.full_like(width, _TABLE_BITS))
    return Structure(
        regime=regime,
        reuse_factor=factor,
        weights=weights,
        products=products,
        digits=digits,
        multipliers=multipliers,
        outputs_each=outputs_each,
        dsp=dsp,
        narrow=c.weight_bits <= _NARROW,
        bram_weights=np.where(in_lut, 0.0, blocks(factor, width)),
        bram_indices=_index_rom(c, regime, factor, outputs_each),
        bram_tables=tables,
        bram_lines=_line_buffers(c),
        rom_lut_bits=np.where(in_lut, width * factor, 0.0),
        cycles=cycles,
        interval=interval,
        pairs=_pairs(c),
    )


def blocks(depth: np.ndarray, width: np.ndarray) -> np.ndarray:
    """18 kbit blocks of a memory: 512 x 36 or 1024 x 18 each, deeper ones stacked in tiles of 1024."""
    whole, rest = np.divmod(depth, 1024)
    tail = np.where(rest > 512, np.ceil(width / 18), np.where(rest > 0, np.ceil(width / 36), 0.0))
    return np.where(width > 0, whole * np.ceil(width / 18) + tail, 0.0)


def dsp_of_product(data_bits: np.ndarray, weight_bits: np.ndarray) -> np.ndarray:
    """DSP blocks of one product with a weight that is not constant: 27 x 18 bits each; narrow weights need none."""
    wide, narrow = np.maximum(data_bits, weight_bits), np.minimum(data_bits, weight_bits)
    return np.where(narrow <= 4, 0.0, np.ceil(wide / 27) * np.ceil(narrow / 18))


def _regime(c: Columns, wanted: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regime and effective reuse factor."""
    resource = c.multiplying & (c.strategy == _RESOURCE)
    legalised = resource & ~c.early & (wanted > 1)
    factor = wanted.copy()
    factor[legalised] = reuse.closest_many(c.n_in[legalised], c.n_out[legalised], wanted[legalised])
    # Before 0.2 loops ran as often as the configuration said, beyond the layer's own number of weights too.
    factor[c.early & resource] = c.reuse_factor[c.early & resource]
    divides = (c.n_in % factor == 0) | (factor % c.n_in == 0)
    regime = np.full(len(factor), Regime.DISTRIBUTED, dtype=np.int64)
    latency = c.strategy == _LATENCY
    regime[latency] = np.where(factor[latency] > 1, Regime.SHARED, Regime.UNROLLED)
    power = np.log2(c.n_in) % 1 == 0
    aligned = np.where(c.early, divides & power, True)
    reused = np.where(factor > 1, np.where(aligned, Regime.REUSED, Regime.SCATTERED), Regime.PARALLEL)
    regime[resource] = reused[resource]
    regime[~c.multiplying] = Regime.OTHER
    return regime, np.where(c.multiplying, factor, 1.0)


def _digits(c: Columns, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected weights by class (layers, 5), and the number that needs a DSP when its weight is constant."""
    # Trained weights hardly reach beyond 1/4 where the type was not made for them: 1,826 of 4,256 products went to
    # DSPs in the network of arXiv:2006.10159 with ap_fixed<16,6>, as for uniform weights of 9 bits.
    spare = np.where(c.weight_int > 1, c.weight_int + 1, 0)
    used = np.clip(c.weight_bits - spare, np.minimum(c.weight_bits, 2), constants.WIDEST)
    share = constants.shares()[used.astype(int)]
    simple = c.weights != Weights.FIXED
    share = np.where(simple[:, None], np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), share)
    share = np.where((c.weights == Weights.TERNARY)[:, None], np.array([1 / 3, 2 / 3, 0.0, 0.0, 0.0, 0.0]), share)
    # What pruning leaves keeps its distribution; zeros of a narrow format are among the pruned ones.
    rest = np.where(c.zeros > 0, np.minimum(1.0 - c.zeros, 1.0) / np.maximum(1.0 - share[:, 0], 1e-9), 1.0)
    rest = np.minimum(rest, 1.0)
    counts = share * (rest * weights)[:, None]
    return counts[:, :5], counts[:, 5]


def _limit(at_once: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Multipliers that the Latency strategy allows; one more was seen wherever the factor was 1024."""
    return at_once + (factor >= 1024)


def _dsp(c, regime, multipliers, in_dsp, kept, limit) -> np.ndarray:
    each = np.where(c.weights == Weights.FIXED, dsp_of_product(c.data_bits, c.weight_bits), 0.0)
    # Of the multipliers by 6-bit weights, one fewer is in a DSP behind more than 32 inputs (C synthesis).
    narrow = (c.weight_bits > 4) & (c.weight_bits <= 6) & (c.n_in > 32)
    reused = np.maximum(multipliers - narrow, 0) * each
    # Before 0.2 each input's index was taken modulo n_in, which is no wiring unless n_in is a power of two.
    modulo = (regime == Regime.SCATTERED) & (np.log2(np.maximum(c.n_in, 1)) % 1 != 0) & (c.reuse_factor > c.n_in)
    reused = np.where(modulo, 2 * np.maximum(multipliers - 1, 0), reused)
    unrolled = in_dsp * np.maximum(each, 1.0)
    by_regime = [unrolled, unrolled, np.where(kept < 1, 0.0, limit), reused, reused, 0 * each, _scale_dsp(c)]
    return np.choose(regime, by_regime)


def _scale_dsp(c: Columns) -> np.ndarray:
    """Softmax multiplies each exponential by the inverse of their sum."""
    return np.where((c.activation == 2) & c.softmax, c.n_out, 0.0)


def _index_rom(c: Columns, regime, factor, outputs_each) -> np.ndarray:
    """Blocks of the table that says which output a turn adds to (`outidx`)."""
    bits = np.ceil(np.log2(np.maximum(outputs_each, 1)))
    there = (regime == Regime.REUSED) & ~c.early & (outputs_each > 1) & (factor * bits >= _INDEX_ROM_BITS)
    return np.where(there, blocks(factor, bits), 0.0)


def _cycles(c, regime, factor, kept, limit) -> tuple[np.ndarray, np.ndarray]:
    """Cycles of a layer from its first input to its last output, and the interval that it alone would allow."""
    deep, flat = np.floor(_levels(c) / _levels_a_cycle(c, 5.3)), np.floor(_levels(c) / _levels_a_cycle(c, 5.6))
    shared = np.where(kept < 1, deep + (deep > 0), np.ceil(kept / np.maximum(limit, 1)))
    once = np.maximum(deep, 1.0)
    cycles = np.choose(regime, [deep, flat, shared, factor, factor, once, 0.0 * once])
    turns = np.choose(regime, [1.0 + 0 * once, flat + 1, shared + 1, factor, factor, 1.0 + 0 * once, 1.0 + 0 * once])
    # Layers without weights take all positions at once, unless they come as a stream.
    positions = np.where(c.multiplying | c.stream, c.positions, 1.0)
    return np.where(positions > 1, np.maximum(turns, 1) * positions, cycles), turns * positions


def _levels(c: Columns) -> np.ndarray:
    """Levels of adders behind each other: of a sum's terms, and half as much for each further digit of a weight."""
    digits = np.where(c.weights == Weights.FIXED, np.ceil(c.weight_bits / 2), 1.0)
    return np.log2(np.maximum(c.n_in, 1)) + 0.5 * np.clip(digits - 1, 0, 4)


def _levels_a_cycle(c: Columns, at_usual_clock: float) -> np.ndarray:
    """What fits into a cycle, from where C synthesis of Vivado HLS 2020.1 at 5 ns began to put in registers."""
    return at_usual_clock * c.clock_ns / USUAL_CLOCK_NS


def _pairs(c: Columns) -> np.ndarray:
    """Comparisons and sums of two values in layers without weights."""
    pools = np.isin(c.kind, _POOLS)
    at_once = np.where(c.stream, 1.0, c.positions)
    pairs = np.where(pools, c.n_out * (c.n_in - 1) * at_once, 0.0)
    return pairs + np.where(c.kind == _MERGE, c.n_out * (c.n_in - 1) * at_once, 0.0)


def _table_copies(c: Columns) -> np.ndarray:
    """Memories that hold an activation's table: one for each two values read at once, two tables for softmax."""
    values = c.n_out * np.where(c.stream, 1.0, c.positions)
    return np.where(c.activation == 2, np.where(c.softmax, np.ceil(values / 2) + 1, np.ceil(values / 2)), 0.0)


def _line_buffers(c: Columns) -> np.ndarray:
    """Blocks of a convolution's line buffers in a stream; small ones are shift registers."""
    bits = c.buffer_values * c.data_bits * c.stream
    return np.where(bits > 8 * 1024, np.ceil(bits / 18432), 0.0)
