"""What the hardware of a design must hold, from its formats and keep fractions alone: features by block.

Adders of a shift-and-add network cost what their operands overlap; their number is that of the weights' digits, less
one for each sum, less what sums have in common. The figures of `expected_adders` and `overlap` are least-squares
fits to alkaid's traces of a few hundred layers of 3 to 64 inputs (`benchmarks/prior.py` says how well they do).
"""

import math

import numpy as np

from flow.cost.rtl.columns import DOWN, EVEN, KINDS, UP, Kernel, Population, Values, rounding
from flow.topology import (
    INPUT,
    Activation,
    Conv,
    Dense,
    Layer,
    Merge,
    Pool,
    Reshape,
    Scale,
    Topology,
    Weighted,
    same_padding,
)

LUT_FEATURES = ("fixed", "ternary", "binary", "rounding", "clipping", "constants", "pairs", "input", "word")
FF_FEATURES = ("fixed", "ternary", "binary", "held", "boundary", "activation", "pairs", "output", "input", "word")
LATENCY_FEATURES = ("fixed", "ternary", "binary", "constants", "rounding", "activations", "pairs", "ends")

CUTOFF_FRACTION, ADDER_NS, ADDER_NS_PER_BIT = 0.92, 1.09375, 0.025390625
"""Those of `flow.firmware.pipeline`: the delay allowed in a stage, and alkaid's delays of an adder."""
CARRY = 1.5
"""Bits by which a sum is wider than what its operands overlap in, on average."""


def blocks(topology: Topology) -> dict[str, str]:
    """Layer → the block that it belongs to: itself with a kernel, else the layer with one in front of it.

    `INPUT` is the block that subtracts the offsets and puts the words onto the input grid.
    """
    found, block = {}, INPUT
    for layer in topology.layers:
        block = layer.name if isinstance(layer, Weighted) else block
        found[layer.name] = block
    return found


def block_names(topology: Topology) -> tuple[str, ...]:
    """The blocks that costs are told for, in the order of the data."""
    return (INPUT, *(layer.name for layer in topology.weighted))


def expected_adders(layer: Layer, kernel: Kernel) -> np.ndarray:
    """Two-input adders (n,) of one position of a layer, what its sums have in common counted once.

    A sum of d terms takes d - 1 adders, and none where d is 0: the mean over sums with a Poisson number of terms.
    """
    columns, products = _columns(layer), layer.terms * _inside(layer)
    terms = products * kernel.digits
    alone = columns * (terms - 1.0 + np.exp(-terms))
    shared = 1.038 * columns**-0.133 * products**-0.087 * np.maximum(kernel.nonzero, 1e-3) ** -0.153
    binary = 0.73 * products**1.077 * columns**0.513 * kernel.keep**0.379
    adders = np.where(kernel.kind == KINDS.index("binary"), binary, alone * np.minimum(shared, 1.0))
    if kernel.adders is not None:
        counted = kernel.adders * _inside(layer) * np.minimum(shared, 1.0)
        return np.where(kernel.kind == KINDS.index("binary"), adders * layer.shape[-1] / columns, counted)
    return adders * layer.shape[-1] / columns


def overlap(layer: Layer, kernel: Kernel, data: Values) -> np.ndarray:
    """Bits (n,) in which the operands of a layer's adders overlap, on average."""
    terms = np.maximum(layer.terms * _inside(layer) * kernel.digits, 1.0)
    return np.maximum(0.94 * data.bits + 0.603 * np.log2(terms) + 1.518 * data.signed - 1.184, 1.0)


def _built(kernel: Kernel, share: np.ndarray) -> np.ndarray:
    """The share (n,) of the expected adders that are built; counted ones are those of used results alone."""
    return share if kernel.adders is None else np.where(kernel.kind == KINDS.index("binary"), share, 1.0)


def used(population: Population) -> dict[str, np.ndarray]:
    """Layer → the share (n,) of its results that something behind it reads: pruning may leave some to nobody."""
    if population.used is not None:
        return dict(population.used)
    topology = population.topology
    readers: dict[str, list[Layer]] = {name: [] for name in topology.shapes}
    for layer in topology.layers:
        for name in topology.sources[layer.name]:
            readers[name].append(layer)
    found = {topology.output: np.ones(population.n)}
    for name in reversed((INPUT, *(layer.name for layer in topology.layers[:-1]))):
        match readers[name]:
            case [Dense() as reader]:
                unread = 1.0 - np.minimum(population.kernels[reader.name].nonzero, 1.0)
                found[name] = 1.0 - unread**reader.n_out
            case [Pool() | Reshape() | Activation() as reader]:
                found[name] = found[reader.name]
            case _:
                found[name] = np.ones(population.n)
    return found


def lut_features(population: Population) -> np.ndarray:
    """Features (n, blocks, k), in look-up tables if each bit of an adder, a clip or a comparison were one."""
    rows = _Rows(population, LUT_FEATURES)
    topology, share, word = population.topology, used(population), float(population.word.bits)
    rows.add(INPUT, "input", topology.n_in * population.values[INPUT].bits)
    rows.add(INPUT, "word", topology.n_in * word)
    rows.add(INPUT, "rounding", topology.n_in * word * population.input.of(lambda form: rounding(form) == EVEN))
    for layer in topology.layers:
        block, results = rows.block[layer.name], math.prod(layer.shape) * share[layer.name]
        sums = population.sums[layer.name].bits
        if layer.name in population.kernels:
            kernel, data = population.kernels[layer.name], population.read(layer)[0]
            adders = _positions(layer) * expected_adders(layer, kernel) * _built(kernel, share[layer.name])
            rows.add_by_kind(block, kernel, adders * overlap(layer, kernel, data))
            rows.add(block, "constants", results * sums * _shifted(layer))
        if layer.name in population.activations:
            rows.add(block, "rounding", results * sums * rounded(layer, population, EVEN))
            rows.add(block, "constants", results * sums * rounded(layer, population, UP))
            rows.add(block, "clipping", results * population.values[layer.name].bits)
        rows.add(block, "pairs", _pairs(layer, population))
    return rows.array


def ff_features(population: Population, clock_ns: float) -> np.ndarray:
    """Features (n, blocks, k), in bits of registers: what is computed, or waits, for a share of a stage or for many."""
    rows = _Rows(population, FF_FEATURES)
    topology, share, word = population.topology, used(population), float(population.word.bits)
    steps = 1.0 + population.input.of(lambda form: rounding(form) != DOWN)
    rows.add(INPUT, "word", topology.n_in * word)
    rows.add(INPUT, "input", topology.n_in * word * steps / per_stage(np.full(population.n, word), clock_ns))
    for layer in topology.layers:
        block, results = rows.block[layer.name], math.prod(layer.shape) * share[layer.name]
        sums, values = population.sums[layer.name].bits, population.values[layer.name].bits
        if layer.name in population.kernels:
            kernel, data = population.kernels[layer.name], population.read(layer)[0]
            pace = per_stage(overlap(layer, kernel, data) + CARRY, clock_ns)
            adders = _positions(layer) * expected_adders(layer, kernel) * share[layer.name]
            # What many sums have in common waits longer for the last of them.
            waiting = 0.52 + 0.19 * np.log2(_columns(layer))
            rows.add_by_kind(block, kernel, adders * (overlap(layer, kernel, data) + CARRY) * waiting / pace)
            source = topology.sources[layer.name][0]
            read = math.prod(topology.shapes[source]) * share[source] * data.bits
            rows.add(block, "held", read * depth(layer, kernel) / pace)
        if layer.name in population.activations:
            steps = 0.5 + rounded(layer, population, EVEN)
            rows.add(block, "boundary", results * sums * steps / per_stage(sums, clock_ns))
            rows.add(block, "activation", results * values)
        rows.add(block, "pairs", _pairs(layer, population) / per_stage(values, clock_ns))
    last = topology[topology.output]
    rows.add(rows.block[last.name], "output", math.prod(last.shape) * population.values[last.name].bits)
    return rows.array


def latency_features(population: Population, clock_ns: float) -> np.ndarray:
    """Features (n, 1, k) of the whole pipeline, in stages: those of its longest branch."""
    topology, n = population.topology, population.n
    wide = per_stage(np.full(n, float(population.word.bits)), clock_ns)
    even = population.input.of(lambda form: rounding(form) == EVEN)
    first = {"ends": np.ones(n), "constants": 1 / wide, "rounding": even / wide, "activations": 1 / wide}
    found = {INPUT: np.stack([first.get(name, np.zeros(n)) for name in LATENCY_FEATURES], axis=1)}
    for layer in topology.layers:
        branches = np.stack([found[name] for name in topology.sources[layer.name]])
        longest = branches.sum(axis=2).argmax(axis=0)
        own = _own_latency(layer, population, clock_ns)
        added = np.stack([np.broadcast_to(own.get(name, 0.0), n) for name in LATENCY_FEATURES], axis=1)
        found[layer.name] = branches[longest, np.arange(n)] + added
    return found[topology.output][:, None, :]


def _own_latency(layer: Layer, population: Population, clock_ns: float) -> dict[str, np.ndarray]:
    """The stages (n,) that a layer takes, by feature."""
    pace = per_stage(population.sums[layer.name].bits, clock_ns)
    own = {"pairs": _pair_depth(layer) / pace}
    if layer.name in population.kernels:
        kernel, data = population.kernels[layer.name], population.read(layer)[0]
        levels = depth(layer, kernel) / per_stage(overlap(layer, kernel, data) + CARRY, clock_ns)
        own |= {kind: levels * (kernel.kind == i) for i, kind in enumerate(KINDS)}
        own["constants"] = _shifted(layer) / pace
    if layer.name in population.activations:
        own |= {"rounding": rounded(layer, population, EVEN) / pace, "activations": 1 / pace}
    return own


def depth(layer: Layer, kernel: Kernel) -> np.ndarray:
    """Levels (n,) of adders in a sum."""
    return np.log2(1.0 + layer.terms * _inside(layer) * kernel.digits)


def per_stage(bits: np.ndarray, clock_ns: float) -> np.ndarray:
    """Adders of a width, one behind the other, that fit into a stage of the pipeline: at least one."""
    return np.maximum(np.floor(CUTOFF_FRACTION * clock_ns / (ADDER_NS + ADDER_NS_PER_BIT * (bits - 1))), 1.0)


class _Rows:
    """Features being added up, by block and name."""

    def __init__(self, population: Population, features: tuple[str, ...]):
        names = block_names(population.topology)
        self.block = blocks(population.topology) | {INPUT: INPUT}
        self.array = np.zeros((population.n, len(names), len(features)))
        self._position = {name: i for i, name in enumerate(names)}
        self._feature = {name: i for i, name in enumerate(features)}

    def add(self, block: str, feature: str, amount) -> None:
        self.array[:, self._position[block], self._feature[feature]] += amount

    def add_by_kind(self, block: str, kernel: Kernel, amount: np.ndarray) -> None:
        for i, kind in enumerate(KINDS):
            self.add(block, kind, np.where(kernel.kind == i, amount, 0.0))


def rounded(layer: Layer, population: Population, how: str) -> np.ndarray:
    """1 where the activation behind a layer rounds in this way and has digits to round, else 0 (n,)."""
    forms = population.activations[layer.name]
    finer = population.sums[layer.name].fraction > forms.of(lambda form: form.fraction)
    return forms.of(lambda form: rounding(form) == how) * finer


def _shifted(layer: Layer) -> float:
    """1 where a constant is added to the sums."""
    return float(layer.bias)


def _columns(layer: Layer) -> int:
    """Sums over the same data: those that may have terms in common."""
    return 1 if isinstance(layer, Scale) or getattr(layer, "depthwise", False) else layer.shape[-1]


def _positions(layer: Layer) -> int:
    return math.prod(layer.shape[:-1])


def _inside(layer: Layer) -> float:
    """The share of a convolution's products that do not multiply padded zeros."""
    if not isinstance(layer, Conv) or layer.padding != "same":
        return 1.0
    share = 1.0
    for size, window, stride, positions in zip(layer.input_shape, layer.window, layer.strides, layer.shape):
        first = -same_padding(size, window, stride)[0]
        starts = [first + stride * i for i in range(positions)]
        share *= sum(min(start + window, size) - max(start, 0) for start in starts) / (positions * window)
    return share


def _pairs(layer: Layer, population: Population) -> np.ndarray | float:
    """Bits of the comparisons or sums of two values in a pooling or a sum of branches; a maximum chooses, too."""
    bits = np.max([values.bits for values in population.read(layer)], axis=0)
    if isinstance(layer, Pool):
        return math.prod(layer.shape) * (math.prod(layer.window) - 1) * bits * (2 if layer.operation == "max" else 1)
    if isinstance(layer, Merge) and layer.operation == "add":
        return math.prod(layer.shape) * (len(layer.inputs) - 1) * bits
    return 0.0


def _pair_depth(layer: Layer) -> float:
    """Levels of comparisons or sums of two values."""
    if isinstance(layer, Pool):
        return math.log2(math.prod(layer.window)) * (1.5 if layer.operation == "max" else 1.0)
    if isinstance(layer, Merge) and layer.operation == "add":
        return math.log2(len(layer.inputs))
    return 0.0
