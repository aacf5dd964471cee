"""The equivalence gate: QKeras, the C simulation, the traced arithmetic and the simulated RTL give the same bits.

Every side is held against the QKeras model's exact answer, so that sides that pass are equal to one another.
Nothing is tolerated: a difference of one bit in one vector fails.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from flow.data.scaling import InputScaling
from flow.errors import BadInput, Mismatch
from flow.firmware.precision import HlsType, enclosing, fraction_bits
from flow.formats import Format

REFERENCE = "qkeras"
LAYER_VECTORS = 1000  # of how many vectors the hidden layers are compared

Outputs = Mapping[str, np.ndarray]  # layer name -> values (rows, size), a layer's values flattened into a row


@dataclass(frozen=True)
class Side:
    """One way to compute the network: `run` takes words (n, n_in) and gives outputs by layer name.

    The logits (n, n_out) must be among them; other layers may be, with fewer rows: those of the first vectors.
    A NaN in such a layer says that the element doesn't exist on this side.
    """

    name: str
    run: Callable[[np.ndarray], Outputs]


@dataclass(frozen=True)
class Difference:
    """The first vector and element (of the flattened row) in which a layer differs; words in binary, in its format."""

    vector: int
    layer: str
    element: int
    expected: float
    found: float
    expected_binary: str
    found_binary: str


@dataclass(frozen=True)
class Pair:
    """How one side compares with the reference; `mismatches` counts the vectors that differ in any layer."""

    name: str
    vectors: int
    layers: tuple[str, ...]
    layer_vectors: int
    mismatches: int
    first: Difference | None


@dataclass(frozen=True)
class Equivalence:
    """The gate's record. `float32_deviation`: how far the model's own float32 inference is from its exact logits."""

    pairs: tuple[Pair, ...]
    float32_deviation: float | None = None

    @property
    def equal(self) -> bool:
        """Whether all sides agree with the reference, and so with one another; False where none was compared."""
        return bool(self.pairs) and all(pair.mismatches == 0 for pair in self.pairs)

    def to_json(self) -> dict:
        return {
            "equal": self.equal,
            "float32_deviation": self.float32_deviation,
            "pairs": [asdict(p) for p in self.pairs],
        }


def compare(
    reference: Outputs,
    sides: Sequence[Side],
    words: np.ndarray,
    types: Mapping[str, HlsType] | None = None,
    float32_deviation: float | None = None,
) -> Equivalence:
    """Compare sides with the reference's outputs for words (n, n_in): layers in network order, the logits last.

    Logits are compared for all vectors, every other layer that both know for the first 1,000. `types` (from
    `hls4ml_qkeras.result_types`) gives the formats that a difference is shown in.
    """
    if not len(words):
        raise BadInput("the equivalence gate needs at least one vector")
    return Equivalence(tuple(_pair(reference, side, words, types or {}) for side in sides), float32_deviation)


def require(equivalence: Equivalence) -> None:
    """Raise Mismatch, naming pair, vector, layer and both values, unless all sides are equal."""
    for pair in equivalence.pairs:
        if pair.first is not None:
            at = pair.first
            raise Mismatch(
                f"{pair.name} fails for {pair.mismatches} of {pair.vectors} vectors: vector {at.vector}, layer {at.layer},"
                f" element {at.element} is {at.found!r} ({at.found_binary}) and should be"
                f" {at.expected!r} ({at.expected_binary})"
            )
    if not equivalence.equal:
        raise Mismatch("the equivalence gate compared nothing")


def csim_side(folder: Path) -> Side:
    """The C simulation of the hls4ml project in `folder`."""
    from flow.firmware import hls

    return Side("csim", lambda words: hls.simulate(folder, words, layers=True))


def traced_side(traced) -> Side:
    """The traced arithmetic (`flow.firmware.rtl.trace`); hidden layers for the first 1,000 vectors."""

    def run(words: np.ndarray) -> Outputs:
        outputs = traced.run(words)
        *hidden, logits = outputs
        return {**{layer: outputs[layer][:LAYER_VECTORS] for layer in hidden}, logits: outputs[logits]}

    return Side("traced", run)


def rtl_side(folder: Path, model) -> Side:
    """The simulated Verilog in `folder` (`flow.firmware.rtl`) of a QKeras model.

    Its blocks are simulated only where the logits differ from the model's: the simulation with their signals
    is compiled apart.
    """
    from flow.firmware import rtl
    from flow.train import qkeras_model

    last = model.layers[-1].name

    def run(words: np.ndarray) -> Outputs:
        logits = rtl.simulate(folder, words)
        if np.array_equal(logits, qkeras_model.reference(model, words, [last])[last]):
            return {last: logits}
        return {**rtl.simulate_blocks(folder, words[:LAYER_VECTORS]), last: logits}

    return Side("rtl", run)


def vectors(
    scaling: InputScaling,
    real_words: np.ndarray,
    n_random: int,
    seed: int,
    grid: Format | None = None,
    kernel: np.ndarray | None = None,
) -> np.ndarray:
    """Input words (n, n_in) for the gate: corners first, then real events, then random words on the grid.

    `grid` is the format of the network's first quantizer: its ties and both ends of its range are then among the
    corners. With the `kernel` (n_in, n_out) of a fully connected first layer so are the words that drive its sums to
    their ends.
    """
    word, n_in = scaling.word, len(scaling.features)
    offsets = np.asarray(scaling.offsets, dtype=np.float64)
    zero = np.zeros(n_in)
    rows = [zero + word.low, zero + word.high, zero, offsets, offsets + word.step, offsets - word.step]
    rows += [row for sign in (1, -1) for row in offsets + sign * word.step * np.eye(n_in)]
    if grid is not None:
        rows += [offsets + value for value in _grid_points(grid, word.step)]
    if kernel is not None:
        rows += [row for up in (kernel > 0, kernel < 0) for row in np.where(up.T, word.high, word.low)]
    random = np.random.default_rng(seed).integers(
        round(word.low / word.step), round(word.high / word.step), (n_random, n_in), endpoint=True
    )
    real = np.asarray(real_words, dtype=np.float64).reshape(-1, n_in)
    return np.concatenate([word.quantize(np.stack(rows)), word.quantize(real), random * word.step])


def _grid_points(grid: Format, step: float) -> np.ndarray:
    """Values (m,) around ties and ends of a quantizer's range, before the offset is added, `step` apart and more."""
    whole = np.arange(-4.0, 4.0) * grid.step
    ties = np.concatenate([whole, whole + grid.low, whole + grid.high]) + grid.step / 2
    ends = np.array([grid.low, grid.low - grid.step, grid.high, grid.high + grid.step, 2 * grid.low, 2 * grid.high])
    return np.concatenate([ties, ties - step, ties + step, ends, ends - step, ends + step])


def _pair(reference: Outputs, side: Side, words: np.ndarray, types: Mapping[str, HlsType]) -> Pair:
    found = side.run(words)
    *hidden, logits = reference
    if logits not in found:
        raise BadInput(f"side {side.name} gave no logits: layer {logits} is missing")
    differing = _differing(reference, found, side.name)
    bad = np.zeros(len(words), dtype=bool)
    for rows in differing.values():
        bad[rows] = True
    first = None
    if differing:
        layer, rows = next(iter(differing.items()))
        first = _first(reference, found, layer, int(rows[0]), int(rows[0]), types)
        compared = min((len(found[name]) for name in hidden if name in found), default=0)
        if layer == logits and first.vector >= compared:
            first = _earlier(reference, side, words, first, types)
    layers = tuple(name for name in reference if name in found)
    known = max((min(len(found[name]), LAYER_VECTORS) for name in layers[:-1]), default=0)
    return Pair(f"{REFERENCE}={side.name}", len(words), layers, known, int(bad.sum()), first)


def _differing(reference: Outputs, found: Outputs, side: str) -> dict[str, np.ndarray]:
    """By layer in network order, the vectors (indices) that differ; layers without any are left out."""
    *_, logits = reference
    differing = {}
    for layer, expected in reference.items():
        if layer not in found:
            continue
        rows = len(expected) if layer == logits else min(len(found[layer]), len(expected), LAYER_VECTORS)
        mine, theirs = np.asarray(expected)[:rows], np.asarray(found[layer])[:rows]
        if mine.shape != theirs.shape:
            raise BadInput(f"side {side}, layer {layer}: outputs of shape {theirs.shape}, not {mine.shape}")
        bad = np.any(_unequal(mine, theirs, layer == logits), axis=1)
        if bad.any():
            differing[layer] = np.flatnonzero(bad)
    return differing


def _unequal(mine: np.ndarray, theirs: np.ndarray, is_logits: bool) -> np.ndarray:
    """Element by element; in a hidden layer NaN is an element that the side doesn't have."""
    return (mine != theirs) if is_logits else (mine != theirs) & ~np.isnan(theirs)


def _earlier(reference: Outputs, side: Side, words: np.ndarray, first: Difference, types) -> Difference:
    """The layer that parts first for a vector whose hidden layers were not compared: that vector is run alone."""
    at = first.vector
    alone = {layer: values[at : at + 1] for layer, values in reference.items()}
    found = side.run(words[at : at + 1])
    differing = _differing(alone, found, side.name)
    return _first(alone, found, next(iter(differing)), 0, at, types) if differing else first


def _first(reference: Outputs, found: Outputs, layer: str, row: int, vector: int, types) -> Difference:
    mine, theirs = np.asarray(reference[layer])[row], np.asarray(found[layer])[row]
    element = int(np.flatnonzero(_unequal(mine, theirs, layer == [*reference][-1]))[0])
    expected, other = float(mine[element]), float(theirs[element])
    form = _shown(np.asarray(reference[layer]), expected, other, types.get(layer))
    shown = [form.binary(value) if np.isfinite(value) else str(value) for value in (expected, other)]
    return Difference(vector, layer, element, expected, other, *shown)


def _shown(values: np.ndarray, expected: float, found: float, form: HlsType | None) -> HlsType:
    """The layer's format, or one as narrow as its values allow; widened where the other value doesn't fit it."""
    pair = [value for value in (expected, found) if np.isfinite(value)]
    everything = [*pair, *((form.low, form.high) if form else (values.min(), values.max()))]
    fractions = [form.fraction] if form else [fraction_bits(values)]
    fraction = max((f for f in (*fractions, fraction_bits(np.array(pair))) if f is not None), default=0)
    if form is not None and form.holds(np.array(pair)):
        return form
    return enclosing(float(min(everything)), float(max(everything)), fraction)
