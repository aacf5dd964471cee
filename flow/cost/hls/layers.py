"""A network as hls4ml builds it: what its C++ is instantiated with, layer by layer, free of any framework.

Unknown values are None; what is predicted then starts from what is usual, and says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum, IntEnum
from types import NoneType

from flow.errors import BadInput


class Strategy(Enum):
    """How hls4ml multiplies: everything unrolled, with reused multipliers, or by shifts and adds."""

    LATENCY = "latency"
    RESOURCE = "resource"
    DISTRIBUTED_ARITHMETIC = "distributed_arithmetic"


class IoType(Enum):
    """How layers pass on their values: all at once, or as a stream of one position after the other."""

    PARALLEL = "io_parallel"
    STREAM = "io_stream"


class Tool(Enum):
    """The compiler of the C++."""

    VIVADO_HLS = "Vivado HLS"
    VITIS_HLS = "Vitis HLS"


class Kind(Enum):
    """What a layer computes."""

    DENSE = "dense"
    CONV1D = "conv1d"
    CONV2D = "conv2d"
    DEPTHWISE1D = "depthwise1d"
    DEPTHWISE2D = "depthwise2d"
    SCALE = "scale"
    POOLING = "pooling"
    AVERAGE_POOLING = "average_pooling"
    ACTIVATION = "activation"
    MERGE = "merge"
    CONCATENATE = "concatenate"
    RESHAPE = "reshape"


class Weights(IntEnum):
    """What a kernel's values are, as far as a multiplication depends on it."""

    FIXED = 0
    BINARY = 1
    TERNARY = 2
    POWER_OF_TWO = 3


MULTIPLYING = (Kind.DENSE, Kind.CONV1D, Kind.CONV2D, Kind.DEPTHWISE1D, Kind.DEPTHWISE2D, Kind.SCALE)
TABLES = ("tanh", "sigmoid", "softmax", "softplus", "softsign", "elu", "selu")  # activations read from a memory
RECTIFIERS = ("relu", "leaky_relu", "prelu", "thresholded_relu", "hard_tanh", "hard_sigmoid")


@dataclass(frozen=True)
class Layer:
    """One layer. A dense layer has `n_in` x `n_out` weights; a convolution `n_in` terms in a sum (window times
    channels), `n_out` filters and `positions` that share them; other kinds have `n_in` values for each of `n_out`.

    `buffer_values` are held between positions by line buffers (io_stream). Bits are widths of the fixed-point types,
    `..._int` their integer bits with the sign; `zeros` is the fraction of weights that are 0; `result_bits` is the
    accumulator's width. `activation` follows the sums; `table_size` entries hold it where it is read from a memory.
    """

    kind: Kind
    n_in: int
    n_out: int
    name: str = ""
    positions: int = 1
    buffer_values: int = 0
    weight_bits: int | None = None
    weight_int: int | None = None
    data_bits: int | None = None
    data_int: int | None = None
    result_bits: int | None = None
    reuse_factor: int | None = None
    strategy: Strategy | None = None
    activation: str | None = None
    table_size: int | None = None
    zeros: float = 0.0
    weights: Weights = Weights.FIXED

    def to_json(self) -> dict:
        return _to_json(self)


@dataclass(frozen=True)
class Network:
    """The layers in the order of the data, and what they are compiled with and for."""

    layers: tuple[Layer, ...]
    io_type: IoType | None = None
    tool: Tool | None = None
    tool_version: str | None = None
    part: str | None = None
    clock_ns: float | None = None
    name: str = ""
    hls4ml_version: str | None = None

    def to_json(self) -> dict:
        return _to_json(self) | {"layers": [layer.to_json() for layer in self.layers]}

    @staticmethod
    def from_json(row: Mapping) -> "Network":
        """Raises BadInput for what is no network."""
        try:
            layers = tuple(Layer(**_values(item, _LAYER)) for item in row["layers"])
            return checked(Network(**(_values(row, _NETWORK) | {"layers": layers})))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"no network of hls4ml layers ({type(error).__name__}: {error})") from None


# Least and largest of each number; None where it may be unknown. No network that is synthesised comes near the ends.
_RANGES: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("n_in", "n_out", "positions"), (1, 10**9)),
    **dict.fromkeys(("buffer_values", "table_size"), (0, 10**9)),
    **dict.fromkeys(("weight_bits", "data_bits"), (1, 1024)),
    **dict.fromkeys(("weight_int", "data_int"), (-10_000, 10_000)),
    "result_bits": (1, 4096),
    "reuse_factor": (1, 10**9),
    "weights": (0, len(Weights) - 1),
}
_NEEDED = ("n_in", "n_out", "positions", "buffer_values", "weights")
_MOST_WEIGHTS = 10**9
_CLOCKS_NS = (1e-3, 1e6)


def checked(network: Network) -> Network:
    """The network, if its numbers are such that costs can be told. BadInput names the layer and the number."""
    for layer in network.layers:
        for name, (low, high) in _RANGES.items():
            value = getattr(layer, name)
            known = value is not None or name in _NEEDED
            if known and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high):
                raise BadInput(f"layer {layer.name}: {name} is {_short(value)}; allowed: whole numbers {low} to {high}")
        if layer.kind in MULTIPLYING and layer.n_in * layer.n_out > _MOST_WEIGHTS:
            raise BadInput(f"layer {layer.name}: {layer.n_in} x {layer.n_out} weights, more than {_MOST_WEIGHTS}")
        if not isinstance(layer.zeros, (int, float)) or not 0 <= layer.zeros <= 1:
            raise BadInput(f"layer {layer.name}: zeros is {_short(layer.zeros)}; allowed: a fraction of the weights")
        _check_texts(layer, ("name", "activation"))
    _check_texts(network, ("tool_version", "part", "name", "hls4ml_version"))
    clock = network.clock_ns
    if clock is not None and not (isinstance(clock, (int, float)) and _CLOCKS_NS[0] <= clock <= _CLOCKS_NS[1]):
        raise BadInput(f"clock_ns is {_short(clock)}; allowed: {_CLOCKS_NS[0]:g} to {_CLOCKS_NS[1]:g} ns")
    if not network.layers:
        raise BadInput("a network without layers has no cost")
    return network


def _check_texts(item: Layer | Network, names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(getattr(item, name), (str, NoneType)):
            raise BadInput(f"{name} is {_short(getattr(item, name))}; allowed: text")


def _short(value) -> str:
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a number beyond 10^60"
    return text if len(text) <= 60 else f"{text[:60]}..."


_LAYER = {"kind": Kind, "strategy": Strategy, "weights": Weights}
_NETWORK = {"io_type": IoType, "tool": Tool}


def _values(row: Mapping, enums: Mapping) -> dict:
    return {key: enums[key](value) if key in enums and value is not None else value for key, value in row.items()}


def _to_json(item) -> dict:
    """The fields that differ from their defaults, and those without any."""
    row = {}
    for field in fields(item):
        value = getattr(item, field.name)
        if value != field.default:
            row[field.name] = value.value if isinstance(value, Enum) else value
    return row
