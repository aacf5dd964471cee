"""Many designs of one network as columns of numbers, one value a design: what the features are computed from."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from flow.cost.rtl.digits import STEPS, table
from flow.cost.rtl.weighed import Weighed
from flow.design import Design
from flow.formats import Fixed, Format
from flow.topology import INPUT, Layer, Merge, Pool, Topology, Weighted

EVEN, UP, DOWN = "even", "up", "down"
ROUNDING = {"truncated_bits": DOWN, "truncated_relu": DOWN, "half_up_bits": UP, "half_up_relu": UP, "binary": DOWN}
KINDS = ("fixed", "ternary", "binary")


def rounding(form: Format) -> str:
    """How a format rounds (`flow.firmware.alkaid_quantize`); of a binary one the sign bit is left, which is wiring."""
    return ROUNDING.get(form.kind, EVEN)


def kind_of(form: Format) -> str:
    """The feature of a kernel's adders; powers of two shift like any weight."""
    return next((kind for kind in KINDS[1:] if form.kind.endswith(kind)), "fixed")


@dataclass(frozen=True)
class Values:
    """The fixed-point types that hold a layer's values: arrays (n,)."""

    bits: np.ndarray
    integer: np.ndarray
    signed: np.ndarray

    @property
    def fraction(self) -> np.ndarray:
        return self.bits - self.signed - self.integer


@dataclass(frozen=True)
class Forms:
    """The formats chosen in one place: which of `forms` each design has, and their types."""

    forms: tuple[Format, ...]
    chosen: np.ndarray

    def of(self, read) -> np.ndarray:
        """`read` of each design's format (n,)."""
        return np.array([float(read(form)) for form in self.forms])[self.chosen]

    @property
    def values(self) -> Values:
        return Values(*(self.of(attrgetter(key)) for key in ("width", "integer", "signed")))


@dataclass(frozen=True)
class Kernel:
    """The weights of one layer, arrays (n,): index into `KINDS`, and what `flow.cost.rtl.digits` says of them, or the
    real weights themselves; these also say the `adders` of one position (None: to be expected from the digits)."""

    kind: np.ndarray
    nonzero: np.ndarray
    digits: np.ndarray
    size: np.ndarray
    keep: np.ndarray
    fraction: np.ndarray
    adders: np.ndarray | None = None

    def weighed(self, rows: Sequence[Weighed]) -> "Kernel":
        """The same with what each design's real weights say."""
        columns = {
            name: np.array([getattr(row, name) for row in rows]) for name in ("nonzero", "digits", "size", "adders")
        }
        return replace(self, **columns)


def forms_of(formats: Sequence[Format]) -> Forms:
    index: dict[Hashable, int] = {}
    chosen = [index.setdefault(form, len(index)) for form in formats]
    return Forms(tuple(index), np.array(chosen, dtype=int))


def kernel_of(formats: Sequence[Format], keeps: Sequence[float]) -> Kernel:
    forms, keep = forms_of(formats), np.array(keeps, dtype=float)
    tables = np.array([table(form.kind, form.bits) for form in forms.forms]).reshape(-1, 3, STEPS + 1)
    low = np.minimum((keep * STEPS).astype(int), STEPS - 1)
    part = keep * STEPS - low
    rows = tables[forms.chosen, :, low] * (1 - part)[:, None] + tables[forms.chosen, :, low + 1] * part[:, None]
    kind = forms.of(lambda form: KINDS.index(kind_of(form)))
    return Kernel(kind, rows[:, 0], rows[:, 1], rows[:, 2], keep, forms.of(lambda form: form.fraction))


@dataclass(frozen=True)
class Population:
    """Designs of one network, by layer. `values` are the types of what each layer puts out, `INPUT` among them;
    `sums` those of what stands in front of a layer's activation, as wide as sums are expected to become; `used`, where
    real weights say it, the share (n,) of each layer's results that count."""

    topology: Topology
    n: int
    word: Fixed
    input: Forms
    kernels: Mapping[str, Kernel]
    activations: Mapping[str, Forms]
    values: Mapping[str, Values]
    sums: Mapping[str, Values]
    used: Mapping[str, np.ndarray] | None = None

    def read(self, layer: Layer) -> list[Values]:
        return [self.values[name] for name in self.topology.sources[layer.name]]


def population(
    topology: Topology, designs: Sequence[Design], word: Fixed, weighed: Sequence[Mapping[str, Weighed]] | None = None
) -> Population:
    """The columns of designs of one network; the layers of each in the network's order (`flow.design.check`).

    `weighed`: what the real weights of each say (`flow.cost.rtl.weighed`); None: what the formats let expect.
    """
    parts = [[part for _, part in design.layers] for design in designs]
    kernels, activations = {}, {}
    for i, layer in enumerate(topology.designed):
        column = [row[i] for row in parts]
        if isinstance(layer, Weighted):
            kernels[layer.name] = kernel_of([part.kernel for part in column], [part.keep for part in column])
            if weighed is not None:
                kernels[layer.name] = kernels[layer.name].weighed([row[layer.name] for row in weighed])
        if topology.quantized(layer):
            activations[layer.name] = forms_of([part.activation for part in column])
    given = forms_of([design.input for design in designs])
    values, sums = {INPUT: given.values}, {}
    for layer in topology.layers:
        read = [values[name] for name in topology.sources[layer.name]]
        sums[layer.name] = _sum(layer, read, kernels.get(layer.name))
        values[layer.name] = activations[layer.name].values if layer.name in activations else sums[layer.name]
    used = None if weighed is None else {n: np.array([row[n].used for row in weighed]) for n in topology.shapes}
    return Population(topology, len(designs), word, given, kernels, activations, values, sums, used)


def _sum(layer: Layer, read: list[Values], kernel: Kernel | None) -> Values:
    """The type that a layer's results need in front of its activation: that of expected sums, not of the largest."""
    data = read[0]
    if kernel is not None:
        growth = np.log2(1.0 + layer.terms * kernel.size)
        fraction = data.fraction + kernel.fraction
        bits = data.bits + growth + (1 - data.signed)
        return Values(bits, bits - 1 - fraction, np.ones_like(bits))
    if isinstance(layer, Merge):
        grown = np.log2(len(read)) if layer.operation == "add" else 0.0
        integer = np.max([one.integer for one in read], axis=0) + grown
        fraction = np.max([one.fraction for one in read], axis=0)
        signed = np.max([one.signed for one in read], axis=0)
        return Values(integer + fraction + signed, integer, signed)
    if isinstance(layer, Pool) and layer.operation == "average":
        return Values(data.bits + np.log2(np.prod(layer.window)), data.integer, data.signed)
    return data
