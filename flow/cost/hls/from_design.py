"""A task's network and a design of it, as hls4ml builds them."""

import math
from collections.abc import Sequence

from flow.cost.hls.layers import IoType, Kind, Layer, Network, Strategy, Tool, Weights
from flow.design import Design, ValueFormat, value_formats
from flow.formats import Format
from flow.topology import (
    INPUT,
    Activation,
    Conv,
    Dense,
    Merge,
    Pool,
    Reshape,
    Scale,
    Topology,
    Weighted,
    accumulator_bits,
)
from flow.topology import Layer as TopologyLayer

# The piecewise linear activations of the formats are comparisons, in hls4ml's own templates too.
_ACTIVATIONS = {"linear": "relu", "relu": "relu", "tanh": "hard_tanh", "sigmoid": "hard_sigmoid"}
_CONVOLUTIONS = {
    (1, False): Kind.CONV1D,
    (2, False): Kind.CONV2D,
    (1, True): Kind.DEPTHWISE1D,
    (2, True): Kind.DEPTHWISE2D,
}


def network(
    topology: Topology,
    design: Design,
    *,
    strategy: Strategy | None,
    reuse_factor: int | None,
    io_type: IoType | None,
    tool: Tool | None,
    tool_version: str | None,
    part: str | None,
    clock_ns: float | None,
    reuse: Sequence[tuple[str, int]] = (),
) -> Network:
    """The hls4ml network of a design; pruned weights count as zeros, the input's offsets as a layer of sums.

    `reuse`: (layer, reuse factor) where it differs from `reuse_factor`.
    """
    formats, own = value_formats(topology, design), dict(reuse)
    layers = [Layer(Kind.MERGE, 2, topology.n_in, INPUT, data_bits=design.input.bits, activation="relu")]
    for layer in topology.layers:
        data = max((formats[name] for name in topology.sources[layer.name]), key=_bits)
        settings = {"strategy": strategy, "reuse_factor": own.get(layer.name, reuse_factor)}
        layers.append(_layer(topology, design, layer, data, settings, io_type))
    return Network(tuple(layers), io_type, tool, tool_version, part, clock_ns)


def _layer(
    topology: Topology, design: Design, layer: TopologyLayer, data: ValueFormat, settings: dict, io_type: IoType | None
) -> Layer:
    positions, channels = math.prod(layer.shape[:-1]), layer.shape[-1]
    common = {"name": layer.name, "data_bits": _bits(data), "data_int": getattr(data, "integer", None)}
    if topology.quantized(layer):
        common["activation"] = _ACTIVATIONS[layer.activation]
    if isinstance(layer, Weighted):
        part = design[layer.name]
        terms = max(math.ceil(part.keep * layer.terms), 1)
        common |= settings | {
            "weight_bits": _bits(part.kernel),
            "weight_int": part.kernel.integer + part.kernel.signed,
            "result_bits": accumulator_bits(terms, _bits(data), _bits(part.kernel)),
            "zeros": 1.0 - part.keep,
            "weights": _weights(part.kernel),
        }
    match layer:
        case Dense():
            return Layer(Kind.DENSE, layer.n_in, layer.n_out, **common)
        case Conv():
            kind = _CONVOLUTIONS[len(layer.window), layer.depthwise]
            rows = (layer.window[0] - 1) * math.prod(layer.input_shape[1:])
            return Layer(kind, layer.terms, channels, positions=positions, buffer_values=rows, **common)
        case Scale():
            if io_type is IoType.STREAM:
                return Layer(Kind.SCALE, 1, channels, positions=positions, **common)
            return Layer(Kind.SCALE, 1, positions * channels, **common)
        case Pool():
            kind = Kind.POOLING if layer.operation == "max" else Kind.AVERAGE_POOLING
            return Layer(kind, math.prod(layer.window), channels, positions=positions, **common)
        case Merge():
            kind = Kind.MERGE if layer.operation == "add" else Kind.CONCATENATE
            return Layer(kind, len(layer.inputs), channels, positions=positions, **common)
        case Activation():
            return Layer(Kind.ACTIVATION, 1, channels, positions=positions, **common)
        case Reshape():
            return Layer(Kind.RESHAPE, 1, channels, positions=positions, **common)
    raise TypeError(f"{layer!r} is no layer")


def _bits(form: ValueFormat) -> int:
    """Bits of the fixed-point number that holds every value."""
    return form.width if form.kind.endswith("po2") else form.bits


def _weights(form: Format) -> Weights:
    ends = {"binary": Weights.BINARY, "ternary": Weights.TERNARY, "po2": Weights.POWER_OF_TWO}
    return next((kind for end, kind in ends.items() if form.kind.endswith(end)), Weights.FIXED)
