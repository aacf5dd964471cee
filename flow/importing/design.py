"""The design that the quantizers of a file stand for, and the weights that they see."""

from collections.abc import Sequence
from dataclasses import dataclass

from flow.design import Design, LayerDesign, check
from flow.firmware.followed import check_form
from flow.formats import INPUTS, Fixed, Format
from flow.importing.pieces import Network, Piece
from flow.topology import Activation, Scale, Topology
from flow.train.initial import Weights


@dataclass(frozen=True)
class Quantized:
    """A design with the unquantized weights that its quantizers see, and the format of the words that come in."""

    design: Design
    weights: Weights
    word: Fixed


def design_of(network: Network, topology: Topology, word: Fixed | None) -> tuple[Quantized | None, list[str]]:
    """The design of a fully quantized network; else None, and everything that is missing, one reason each.

    `word`: the format of the input words, None for that of the quantizer in front of the network.
    """
    reasons = list(network.unformatted)
    if not network.quantized:
        return None, ["the network has no quantizers"]
    given = network.word or word
    if given is None:
        reasons.append("no quantizer is in front of the network: --word gives the format of its input")
    word = word or (plain(given) if given is not None else None)
    if given is not None and word is None:
        reasons.append(f"the input's format {given} is no format for words: --word gives one that holds its values")
    if reasons:
        return None, reasons
    try:
        design = Design(
            given, tuple((layer.name, _layer_design(network, topology, layer)) for layer in topology.designed)
        )
        check(design, topology)
        _check_followed(design, topology)
    except ValueError as error:
        return None, [str(error)]
    return Quantized(design, weights_of(network, topology), word), []


def plain(form: Format) -> Fixed | None:
    """A format for words that holds every value of a format; None where there is none."""
    if form.kind not in INPUTS or form.auto:
        return None
    return Fixed(form.width + (not form.signed), form.integer)


def weights_of(network: Network, topology: Topology) -> Weights:
    """Layer → kernel and bias (None where it has none), float32; normalizations are folded as the file folds them."""
    found: Weights = {}
    pieces = {piece.name: piece for piece in network.pieces}
    for layer in topology.weighted:
        piece = pieces[layer.name]
        if piece.folded is not None:
            found[layer.name] = piece.folded
        elif isinstance(layer, Scale):
            found[layer.name] = (piece.arrays["gamma"], piece.arrays["beta"])
        else:
            found[layer.name] = (piece.arrays["kernel"], piece.arrays.get("bias"))
    return found


def _layer_design(network: Network, topology: Topology, layer) -> LayerDesign:
    piece = next(piece for piece in network.pieces if piece.name == layer.name)
    if isinstance(layer, Activation):
        return LayerDesign(None, None, _required(piece, "activation"))
    kernel = _required(piece, "kernel")
    bias = _required(piece, "bias") if layer.bias else None
    activation = None
    if topology.quantized(layer):
        source = piece if "activation" in piece.forms else _fused(network.pieces, topology, piece)
        activation = _required(source, "activation")
    return LayerDesign(kernel, bias, activation)


def _fused(pieces: Sequence[Piece], topology: Topology, piece: Piece) -> Piece:
    """The activation behind a layer that became one with it; a normalization may stand between."""
    names = {layer.name for layer in topology.layers}
    for other in pieces:
        if other.inputs[:1] == (piece.name,) and other.name not in names:
            return other if other.kind == "Activation" else _fused(pieces, topology, other)
    return piece


def _required(piece: Piece, part: str) -> Format:
    if part not in piece.forms:
        raise ValueError(f"{piece.name}: its {part} has no quantizer")
    return piece.forms[part]


def _check_followed(design: Design, topology: Topology) -> None:
    check_form("input", design.input)
    for name, item in design.layers:
        layer = topology[name]
        parts = {"kernel": item.kernel, "bias": item.bias, layer.activation: item.activation}
        for role, form in parts.items():
            if form is not None and (role != layer.activation or topology.quantized(layer)):
                try:
                    check_form(role, form)
                except ValueError as error:
                    raise ValueError(f"layer {name}: {error}") from None
