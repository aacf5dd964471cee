"""The equivalence gate: QKeras, the C simulation, the traced arithmetic and the simulated RTL give the same bits.

Every side is held against the QKeras model's exact answer, so that sides that pass are equal to one another.
Nothing is tolerated unless that was asked for: a difference of one bit in one vector fails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from flow.errors import BadInput, Mismatch
from flow.firmware.gate.sides import LAYER_VECTORS, Outputs, Side, csim_side, rtl_side, traced_side
from flow.firmware.gate.stimuli import vectors
from flow.firmware.precision import HlsType, enclosing, fraction_bits

__all__ = [
    "LAYER_VECTORS", "REFERENCE", "Difference", "Equivalence", "NotRun", "Outputs", "Pair", "Rule", "Side",
    "compare", "csim_side", "merged", "require", "rtl_side", "traced_side", "vectors",
]  # fmt: skip

REFERENCE = "qkeras"


@dataclass(frozen=True)
class Rule:
    """What passes: `allowed` is the largest difference of the last layer, in its unit; `hidden` whether the layers in
    front of it have to be equal, to the last bit."""

    allowed: float = 0.0
    hidden: bool = True


EXACT = Rule()


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
    """How one side compares with another, mostly the reference; `mismatches` counts the vectors that differ in any
    layer by more than what is allowed. `largest` is the largest difference of the last layer (None where it's NaN),
    `allowed` the one that passes."""

    name: str
    vectors: int
    layers: tuple[str, ...]
    layer_vectors: int
    mismatches: int
    first: Difference | None
    largest: float | None = 0.0
    allowed: float = 0.0


@dataclass(frozen=True)
class NotRun:
    """A side that was not compared, and why."""

    side: str
    reason: str


@dataclass(frozen=True)
class Equivalence:
    """The gate's record. `float32_deviation`: how far the model's own float32 inference is from its exact logits.

    `tolerance` is the difference of the outputs that the user chose to let pass. `facts` say what was verified and
    with what: see `flow.firmware.gate`.
    """

    pairs: tuple[Pair, ...]
    float32_deviation: float | None = None
    tolerance: float = 0.0
    not_run: tuple[NotRun, ...] = ()
    facts: Mapping = field(default_factory=dict)

    @property
    def compared(self) -> bool:
        """Whether some side ran: files of expectations alone (their names are paths) prove nothing of the firmware."""
        return any("/" not in pair.name for pair in self.pairs)

    @property
    def equal(self) -> bool:
        """Whether all sides that ran agree with the reference, and so with one another; False where none did."""
        return self.compared and all(pair.mismatches == 0 for pair in self.pairs)

    def to_json(self) -> dict:
        return {
            "equal": self.equal,
            "tolerance": self.tolerance,
            "float32_deviation": self.float32_deviation,
            "pairs": [asdict(p) for p in self.pairs],
            "not_run": [asdict(side) for side in self.not_run],
            **self.facts,
        }


def compare(
    reference: Outputs,
    sides: Sequence[Side],
    words: np.ndarray,
    types: Mapping[str, HlsType] | None = None,
    float32_deviation: float | None = None,
    rule: Rule = EXACT,
    against: str = REFERENCE,
) -> Equivalence:
    """Compare sides with the reference's outputs for words (n, n_in): layers in network order, the outputs last.

    Outputs are compared for all vectors, every other layer that both know for the first 1,000. `types` (from
    `hls4ml_qkeras.result_types`) gives the formats that a difference is shown in; `against` names the reference.
    """
    if not len(words):
        raise BadInput("the equivalence gate needs at least one vector")
    pairs = tuple(_pair(reference, side, words, types or {}, rule, against) for side in sides)
    return Equivalence(pairs, float32_deviation)


def merged(parts: Sequence[Equivalence], **more) -> Equivalence:
    """One record of the pairs of several; `more` are its other fields."""
    return Equivalence(tuple(pair for part in parts for pair in part.pairs), **more)


def require(equivalence: Equivalence) -> None:
    """Raise Mismatch, naming pair, vector, layer and both values, unless all sides are equal; BadInput, with the
    reasons, where no side ran."""
    for pair in equivalence.pairs:
        if pair.first is not None:
            at = pair.first
            allowed = f" within {pair.allowed:g}" if pair.allowed else ""
            raise Mismatch(
                f"{pair.name} fails for {pair.mismatches} of {pair.vectors} vectors: vector {at.vector}, layer {at.layer},"
                f" element {at.element} is {at.found!r} ({at.found_binary}) and should be"
                f" {at.expected!r} ({at.expected_binary}){allowed}"
            )
    if not equivalence.compared:
        reasons = "; ".join(f"{side.side}: {side.reason}" for side in equivalence.not_run) or "no side was given"
        raise BadInput(f"the equivalence gate compared nothing: {reasons}")


def _pair(reference: Outputs, side: Side, words: np.ndarray, types, rule: Rule, against: str) -> Pair:
    found = side.run(words)
    *_, last = reference
    if last not in found:
        raise BadInput(f"side {side.name} gave no logits: layer {last} is missing")
    differing = _differing(reference, found, side.name, rule)
    bad = np.zeros(len(words), dtype=bool)
    for rows in differing.values():
        bad[rows] = True
    first = None
    if differing:
        layer, rows = next(iter(differing.items()))
        at = int(rows[0])
        first = _first(reference, found, layer, at, at, types, rule)
        if layer == last:
            first = _parting(reference, found, side, words, first, types)
    layers = tuple(name for name in reference if name in found)
    known = max((min(len(found[name]), LAYER_VECTORS) for name in layers[:-1]), default=0)
    if not rule.hidden:
        layers, known = (last,), 0
    largest = float(np.abs(np.asarray(reference[last]) - np.asarray(found[last])).max(initial=0.0))
    largest = largest if np.isfinite(largest) else None
    name = f"{against}={side.name}"
    return Pair(name, len(words), layers, known, int(bad.sum()), first, largest, rule.allowed)


def _differing(reference: Outputs, found: Outputs, side: str, rule: Rule) -> dict[str, np.ndarray]:
    """By layer in network order, the vectors (indices) that differ; layers without any are left out."""
    *_, last = reference
    differing = {}
    for layer, expected in reference.items():
        if layer not in found or not (layer == last or rule.hidden):
            continue
        rows = len(expected) if layer == last else min(len(found[layer]), len(expected), LAYER_VECTORS)
        mine, theirs = np.asarray(expected)[:rows], np.asarray(found[layer])[:rows]
        if mine.shape != theirs.shape:
            raise BadInput(f"side {side}, layer {layer}: outputs of shape {theirs.shape}, not {mine.shape}")
        bad = np.any(_unequal(mine, theirs, rule if layer == last else None), axis=1)
        if bad.any():
            differing[layer] = np.flatnonzero(bad)
    return differing


def _unequal(mine: np.ndarray, theirs: np.ndarray, rule: Rule | None) -> np.ndarray:
    """Element by element; in a hidden layer (no `rule`) NaN is an element that the side doesn't have."""
    return ~(np.abs(mine - theirs) <= rule.allowed) if rule else (mine != theirs) & ~np.isnan(theirs)


def _parting(reference: Outputs, found: Outputs, side: Side, words: np.ndarray, first: Difference, types) -> Difference:
    """The layer that parts first for the vector of `first`, a difference of the last one.

    Where that vector's hidden layers are not known, it is run alone. Where the two have hidden layers that agree, or
    none, it is `first` itself.
    """
    at = first.vector
    alone = {layer: values[at : at + 1] for layer, values in reference.items()}
    known = {layer: values[at : at + 1] for layer, values in found.items() if layer in alone and len(values) > at}
    if len(known) < 2:
        known = (side.explain or side.run)(words[at : at + 1])
    differing = _differing(alone, known, side.name, EXACT)
    layer = next(iter(differing), first.layer)
    return first if layer == first.layer else _first(alone, known, layer, 0, at, types, EXACT)


def _first(reference: Outputs, found: Outputs, layer: str, row: int, vector: int, types, rule: Rule) -> Difference:
    mine, theirs = np.asarray(reference[layer])[row], np.asarray(found[layer])[row]
    is_last = layer == [*reference][-1]
    element = int(np.flatnonzero(_unequal(mine, theirs, rule if is_last else None))[0])
    expected, other = float(mine[element]), float(theirs[element])
    form, near = types.get(layer), expected
    if form is not None and is_last and rule.allowed:  # a table's exact value is on no grid: the word nearest to it
        near = float(form.quantize(expected))
    form = _shown(np.asarray(reference[layer]), near, other, form)
    shown = [form.binary(value) if np.isfinite(value) else str(value) for value in (near, other)]
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
