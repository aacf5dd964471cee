"""A candidate as data: formats and keep fraction by layer, one canonical string, one digest."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

from flow.formats import ACTIVATIONS_OF, BIASES, INPUTS, KERNELS, Format, parse
from flow.topology import INPUT, Merge, Pool, Topology, Weighted, accumulator_bits
from flow.width import resizable


@dataclass(frozen=True)
class LayerDesign:
    """Formats of one layer; None where the layer has no such thing (`Topology.quantized`, `bias`).

    `keep` is the fraction of the kernel's weights that pruning leaves, 0 < keep <= 1. `width` multiplies the units or
    filters of the user's network (`flow.width`); `reuse` is the layer's reuse factor, None for the task's.
    """

    kernel: Format | None
    bias: Format | None
    activation: Format | None
    keep: float = 1.0
    width: float = 1.0
    reuse: int | None = None


@dataclass(frozen=True)
class Exact:
    """Values that no quantizer has touched, as sums are: the fixed-point type that holds them all."""

    bits: int
    integer: int
    signed: bool = True
    kind = "exact"

    @property
    def fraction(self) -> int:
        return self.bits - self.signed - self.integer

    @property
    def width(self) -> int:
        return self.bits


ValueFormat = Union[Format, Exact]


@dataclass(frozen=True)
class Design:
    """The format of the network's input and the design of each designed layer, in the order of the data."""

    input: Format
    layers: tuple[tuple[str, LayerDesign], ...]

    def __getitem__(self, name: str) -> LayerDesign:
        return dict(self.layers)[name]

    def to_json(self) -> dict:
        def named(form: Format | None) -> str | None:
            return None if form is None else str(form)

        return {
            "input": str(self.input),
            "layers": {
                name: {
                    "kernel": named(layer.kernel),
                    "bias": named(layer.bias),
                    "activation": named(layer.activation),
                    "keep": layer.keep,
                }
                | _structure(layer)
                for name, layer in self.layers
            },
        }

    @staticmethod
    def from_json(row: Mapping) -> "Design":
        """Raises ValueError or KeyError where `row` is no design."""
        layers = []
        for name, item in row["layers"].items():
            forms = [None if item[part] is None else parse(item[part]) for part in ("kernel", "bias", "activation")]
            reuse = item.get("reuse")
            structure = (float(item.get("width", 1.0)), None if reuse is None else int(reuse))
            layers.append((name, LayerDesign(*forms, float(item["keep"]), *structure)))
        return Design(parse(row["input"]), tuple(layers))

    def __str__(self) -> str:
        return json.dumps(self.to_json(), separators=(",", ":"))

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name the design: the same formats, the same digest."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:12]


def _structure(layer: LayerDesign) -> dict:
    """Width and reuse factor where they are not the usual ones: so no design without them gets another digest."""
    width = {} if layer.width == 1.0 else {"width": layer.width}
    return width | ({} if layer.reuse is None else {"reuse": layer.reuse})


def value_formats(topology: Topology, design: Design) -> dict[str, ValueFormat]:
    """The format of what each layer puts out, by name, `INPUT` among them."""
    found: dict[str, ValueFormat] = {INPUT: design.input}
    for layer in topology.layers:
        read = [found[name] for name in topology.sources[layer.name]]
        if topology.quantized(layer):
            found[layer.name] = design[layer.name].activation
        elif isinstance(layer, Weighted):
            found[layer.name] = _sum_format(layer.terms, read[0], design[layer.name])
        elif isinstance(layer, Merge):
            found[layer.name] = _enclosing(read, len(read) if layer.operation == "add" else 1)
        elif isinstance(layer, Pool) and layer.operation == "average":
            found[layer.name] = _mean_format(read[0], math.prod(layer.window))
        else:
            found[layer.name] = read[0]
    return found


def data_formats(topology: Topology, design: Design) -> dict[str, ValueFormat]:
    """The format of the values that each layer with a kernel multiplies, by name."""
    formats = value_formats(topology, design)
    return {layer.name: formats[topology.sources[layer.name][0]] for layer in topology.weighted}


def distance(design: Design, other: Design) -> float:
    """How far a design is from another one of the same network, in bits: of widths that differ, and of kernels' bits
    that only one of them keeps, or has for being wider (shares of a kernel times its bits). Infinite where `other` has
    pruned more of a kernel, or is narrower: what is gone can't be inherited."""
    total = float(abs(design.input.bits - other.input.bits))
    for (_, mine), (_, theirs) in zip(design.layers, other.layers, strict=True):
        if theirs.keep < mine.keep or theirs.width < mine.width:
            return math.inf
        for part in ("kernel", "bias", "activation"):
            a, b = getattr(mine, part), getattr(theirs, part)
            if a is not None and a != b:
                total += max(abs(a.bits - b.bits), 0.5)  # another kind, or another range, of the same width
        if mine.kernel is not None:
            total += (theirs.keep - mine.keep + theirs.width - mine.width) * mine.kernel.bits
    return total


def check(design: Design, topology: Topology) -> None:
    """Raise ValueError where a design does not fit a network."""
    names = tuple(name for name, _ in design.layers)
    if names != topology.names:
        raise ValueError(f"the design has the layers {', '.join(names)}; the network has {', '.join(topology.names)}")
    _check_form("the input", design.input, INPUTS)
    for layer in topology.designed:
        item, where = design[layer.name], f"layer {layer.name}"
        weighted = isinstance(layer, Weighted)
        _check_form(f"{where}: kernel", item.kernel, KERNELS if weighted else ())
        _check_form(f"{where}: bias", item.bias, BIASES if weighted and layer.bias else ())
        kinds = ACTIVATIONS_OF[layer.activation] if topology.quantized(layer) else ()
        _check_form(f"{where}: activation ({layer.activation})", item.activation, kinds)
        if not 0 < item.keep <= 1:
            raise ValueError(f"{where}: keep fraction {item.keep} is not in (0, 1]")
        _check_structure(where, item, weighted)
    _check_widths(design, topology)


def _check_structure(where: str, item: LayerDesign, weighted: bool) -> None:
    if not 0 < item.width < math.inf:
        raise ValueError(f"{where}: width factor {item.width} is not above 0")
    if item.reuse is not None and item.reuse < 1:
        raise ValueError(f"{where}: reuse factor {item.reuse}: a whole number from 1 on")
    if item.reuse is not None and not weighted:
        raise ValueError(f"{where}: it multiplies nothing and has no reuse factor")


def _check_widths(design: Design, topology: Topology) -> None:
    wide = [name for name, item in design.layers if item.width != 1.0]
    free = resizable(topology) if wide else ()
    for name in wide:
        if name not in free:
            raise ValueError(f"layer {name}: its width can't be chosen; that of {', '.join(free) or 'no layer'} can")


def _check_form(where: str, form: Format | None, kinds: tuple[str, ...]) -> None:
    if form is None and not kinds:
        return
    if form is None or form.kind not in kinds:
        raise ValueError(f"{where}: {form} does not fit; allowed: {', '.join(kinds) or 'none'}")
    if form.auto and kinds is not KERNELS:
        raise ValueError(f"{where}: {form}: only kernels take their scale from the values; allowed: alpha=1")


def _sum_format(terms: int, data: ValueFormat, part: LayerDesign) -> Exact:
    """A type that holds every sum, whatever the weights are, and its bias."""
    fraction = data.fraction + part.kernel.fraction
    integer = accumulator_bits(terms, data.width, part.kernel.width) - 1 - fraction
    if part.bias is not None and (part.bias.fraction > fraction or part.bias.integer > integer):
        fraction, integer = max(fraction, part.bias.fraction), max(integer, part.bias.integer) + 1
    return Exact(1 + integer + fraction, integer)


def _enclosing(read: list[ValueFormat], summed: int) -> ValueFormat:
    if len(set(read)) == 1 and summed == 1:
        return read[0]
    integer = max(form.integer for form in read) + math.ceil(math.log2(summed))
    fraction = max(form.fraction for form in read)
    signed = any(form.signed for form in read)
    return Exact(integer + fraction + signed, integer, signed)


def _mean_format(data: ValueFormat, size: int) -> Exact:
    return Exact(data.bits + math.ceil(math.log2(size)), data.integer, data.signed)
