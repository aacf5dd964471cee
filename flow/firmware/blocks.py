"""A QKeras model as combinational logic, traced in blocks.

``input`` is the first block (offset, grid and what else stands in front of the weights), then comes one block for
each layer with weights, named after it, with the layers behind it that have none. The blocks form a chain: a value
that a later block reads is passed along by those between, which costs nothing but the registers that hold it. A
block's name survives into the Verilog, the simulation and the synthesis, so that a difference or a cost can be told
by layer.
"""

from dataclasses import dataclass, replace

import numpy as np

from flow.errors import BadInput
from flow.firmware.pipeline import INPUT
from flow.firmware.settings import Output, Target
from flow.formats import Fixed

INPUT_BLOCK = "input"
WEIGHTED = (
    "QDense", "QDenseBatchnorm", "QConv1D", "QConv2D", "QConv2DBatchnorm", "QDepthwiseConv2D", "QBatchNormalization",
)  # fmt: skip
SEED = 20240  # any number: what counts is that it is the same for every trace

Sizes = tuple[tuple[str, int], ...]  # layers and how many values each has, one behind the other in a row


@dataclass(frozen=True)
class Block:
    """The combinational logic of one layer with weights and of what follows it.

    `carried` are the layers whose values leave the block: its own that are read behind it, and those of earlier
    blocks that are. `comb` is the block as it is synthesised: its outputs are the elements `live` of that row, those
    that something behind depends on. `whole` gives the whole row, `probe` the layers `inner` that end in the block
    (the sums in front of an activation); these two are used for verification only.
    """

    name: str
    layers: tuple[str, ...]
    carried: Sizes
    comb: object
    live: tuple[int, ...]
    whole: object
    inner: Sizes
    probe: object | None

    @property
    def widths(self) -> dict[str, int]:
        """Number of values of each layer of this block that leaves it."""
        return {layer: size for layer, size in self.carried if layer in self.layers}

    def element(self, position: int) -> tuple[str, int]:
        """The layer, and the element of its flattened output, at a position of the row that leaves the block."""
        for layer, size in self.carried:
            if position < size:
                return layer, position
            position -= size
        raise IndexError(position)


@dataclass(frozen=True)
class Traced:
    """A traced network: its blocks in the order of the data, its layers, and the format of its input words."""

    blocks: tuple[Block, ...]
    layers: tuple[str, ...]
    word: Fixed

    @property
    def n_in(self) -> int:
        return self.blocks[0].comb.shape[0]

    @property
    def n_out(self) -> int:
        return len(self.blocks[-1].live)

    @property
    def lut_by_block(self) -> dict[str, float]:
        """alkaid's estimate of the look-up tables, without ternary adders (Yosys does not map them)."""
        return {block.name: block.comb.cost for block in self.blocks}

    @property
    def lut_estimate(self) -> float:
        return sum(self.lut_by_block.values())

    def run(self, words: np.ndarray) -> dict[str, np.ndarray]:
        """Every layer's output, flattened to rows (n, size), in float64 for input words (n, n_in), bit for bit.

        Raises BadInput where the words are not on the grid of `word`.
        """
        values = on_grid(words, self.word, self.n_in)
        outputs: dict[str, np.ndarray] = {}
        for block in self.blocks:
            if block.probe is not None:
                outputs |= _split(_predict(block.probe, values), block.inner)
            values = _predict(block.whole, values)
            outputs |= _split(values, block.carried)
        return {layer: outputs[layer] for layer in self.layers}


def on_grid(words: np.ndarray, word: Fixed, n_in: int) -> np.ndarray:
    """Words (n, n_in) as contiguous float64; raises BadInput for another shape or values off the grid."""
    words = np.ascontiguousarray(words, dtype=np.float64)
    if words.ndim != 2 or words.shape[1] != n_in:
        raise BadInput(f"input words have the shape {words.shape}; the network takes (n, {n_in})")
    if not np.array_equal(word.quantize(words), words):
        raise BadInput(f"input words are not on the grid of {word}")
    return words


def trace(model, word: Fixed, target: Target | None = None) -> Traced:
    """Trace a QKeras model (``flow.train.qkeras_model.build``) whose input words have the format `word`.

    Where the output of `target` is not the logits, a last block named after it follows. The same model gives the same
    blocks, to the last bit. Raises BadInput for a layer that is not followed.
    """
    spec = output_spec(model, word, target)
    from alkaid.trace import fixed_variable

    from flow.train import qkeras_model

    # alkaid draws the identities of its variables, and so the order of equals, from a generator of its own;
    # seeded once only, since variables of two blocks that share an identity would be taken for one
    fixed_variable.rd.seed(SEED)
    sources = {layer.name: qkeras_model.sources(layer) for layer in model.layers[1:]}
    groups = grouped(model, sources)
    last_reader = {name: i for i, (_, layers) in enumerate(groups) for x in layers for name in sources[x.name]}
    last_reader[model.layers[-1].name] = len(groups)
    n_in = int(model.input_shape[-1])
    interval = (word.low, word.high, word.step)
    values = {model.layers[0].name: symbols([interval] * n_in, (1, n_in))}
    blocks: list[Block] = []
    for position, (name, layers) in enumerate(groups):
        found = followed(layers, sources, values)
        leaving = {layer: row for layer, row in found.items() if last_reader[layer] > position}
        blocks.append(_block(name, layers, values, found, leaving))
        intervals = [_widened(interval) for interval in blocks[-1].whole.out_qint]
        values = {}
        for layer, row in leaving.items():
            values[layer] = symbols(intervals[: row.size], row.shape)
            intervals = intervals[row.size :]
    layers = tuple(layer.name for layer in model.layers[1:])
    if spec is not None:
        layers = (*layers, str(target.output))
        blocks.append(output_block(layers[-1], spec, values))
    return Traced(tuple(_pruned(blocks)), layers, word)


def output_spec(model, word: Fixed, target: Target | None):
    from flow.firmware import hls4ml_qkeras

    if target is None or target.output == Output.LOGITS:
        return None
    return hls4ml_qkeras.output_spec(model, word, target)


def output_block(name: str, spec, values: dict) -> Block:
    """The block of what the firmware puts out behind the logits, which are all of `values`."""
    from alkaid.trace import trace as to_comb

    from flow.firmware.outputs.traced import follow

    (logits,) = values.values()
    found = {name: follow(spec, logits)}
    whole = to_comb(flat_row(values), flat_row(found))
    return Block(name, (name,), _sizes(found), whole, tuple(range(whole.shape[1])), whole, (), None)


def grouped(model, sources: dict[str, tuple[str, ...]]) -> list[tuple[str, list]]:
    """The model's layers by block; one without weights goes into the latest block that it reads from."""
    groups: list[tuple[str, list]] = [(INPUT_BLOCK, [])]
    block_of = {model.layers[0].name: 0}
    for layer in model.layers[1:]:
        if type(layer).__name__ in WEIGHTED:
            groups.append((layer.name, []))
            block_of[layer.name] = len(groups) - 1
        else:
            block_of[layer.name] = max(block_of[name] for name in sources[layer.name])
        groups[block_of[layer.name]][1].append(layer)
    return [group for group in groups if group[1]]


def followed(layers: list, sources: dict[str, tuple[str, ...]], values: dict) -> dict:
    """`values`, symbolic by layer name, and those that some more layers make of them."""
    from flow.firmware.alkaid_qkeras import handler_of

    found = dict(values)
    for layer in layers:
        read = [found[name] for name in sources[layer.name]]
        found[layer.name] = handler_of(layer)(read if len(read) > 1 else read[0])["final"][0]
    return found


def _block(name: str, layers: list, values: dict, found: dict, leaving: dict) -> Block:
    """The logic from `values` to `leaving`, and to what else is `found` in the block; all by layer name."""
    from alkaid.trace import trace as to_comb

    names = tuple(layer.name for layer in layers)
    inputs = flat_row(values)
    whole = to_comb(inputs, flat_row(leaving))
    inner = {layer: found[layer] for layer in names if layer not in leaving}
    probe = to_comb(inputs, flat_row(inner)) if inner else None
    return Block(name, names, _sizes(leaving), whole, tuple(range(whole.shape[1])), whole, _sizes(inner), probe)


def _pruned(blocks: list[Block]) -> list[Block]:
    """The blocks without the logic of outputs that nothing behind depends on.

    Those in front of a block whose outputs are constant have none left, and no `live` elements.
    """
    from alkaid.trace.passes import add_surrogate, dead_code_elimin

    last = blocks[-1]
    result = [replace(last, comb=with_a_bit(last.comb))]
    for block in reversed(blocks[:-1]):
        live = tuple(sorted({op.data[0] for op in result[0].comb.ops if op.opcode == INPUT}))
        comb = block.comb
        comb = comb._replace(
            shape=(comb.shape[0], len(live)),
            out_idxs=[comb.out_idxs[i] for i in live],
            out_shifts=[comb.out_shifts[i] for i in live],
            out_negs=[comb.out_negs[i] for i in live],
        )
        comb = add_surrogate(dead_code_elimin(comb)) if live else comb._replace(ops=[])
        result.insert(0, replace(block, comb=comb, live=live))
    return result


def with_a_bit(comb):
    """Logic whose outputs have one bit at least: a port of none can't be written, and constants of 0 have none."""
    from alkaid.types import QInterval

    if any(sum(interval.kif) for interval in comb.out_qint):
        return comb
    index = comb.out_idxs[0]
    ops = [op._replace(qint=QInterval(0.0, 1.0, 1.0)) if i == index else op for i, op in enumerate(comb.ops)]
    return comb._replace(ops=ops)


def symbols(intervals: list, shape: tuple[int, ...]):
    """Variables of their own with the given (low, high, step), as an array."""
    from alkaid.trace import FVArray, HWConfig

    low, high, step = np.array(intervals, dtype=np.float64).T
    hardware = HWConfig(1, 1, -1)  # carry chains are priced bit by bit
    return FVArray.from_lhs(low, high, step, hardware, solver_options={}).reshape(shape)


def _widened(interval) -> tuple[float, float, float]:
    """An interval as wide as its bits; constants stay constants.

    alkaid widens inputs so when it optimises, and a bit that was the highest of a sum would then no longer be it.
    """
    if interval.min == interval.max:
        return tuple(interval)
    return tuple(interval.kif.qint)


def flat_row(values: dict) -> list:
    return [one for array in values.values() for one in np.asarray(array).ravel()]


def _sizes(values: dict) -> Sizes:
    return tuple((layer, array.size) for layer, array in values.items())


def _split(rows: np.ndarray, sizes: Sizes) -> dict[str, np.ndarray]:
    ends = np.cumsum([size for _, size in sizes])
    return dict(zip([layer for layer, _ in sizes], np.split(rows, ends[:-1], axis=1)))


def _predict(comb, values: np.ndarray) -> np.ndarray:
    """alkaid's interpreter on values (n, n_in), on one thread so that several runs share a machine."""
    if len(values) == 0:
        return np.zeros((0, comb.shape[1]))
    return comb.predict(values, n_threads=1)
