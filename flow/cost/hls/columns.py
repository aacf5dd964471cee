"""Networks as columns of numbers: one row a layer, all networks behind each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from flow import parts
from flow.cost.hls.layers import MULTIPLYING, RECTIFIERS, TABLES, IoType, Kind, Network, Strategy, Tool
from flow.errors import BadInput

UNKNOWN = "unknown"
USUAL_BITS = 16  # hls4ml's default type is ap_fixed<16,6>
USUAL_CLOCK_NS = 5.0

_NUMBERS = attrgetter(
    "n_in", "n_out", "positions", "buffer_values", "weight_bits", "weight_int", "data_bits", "result_bits",
    "reuse_factor", "table_size", "zeros", "weights",
)  # fmt: skip
_KINDS = {kind: i for i, kind in enumerate(Kind)}
_STRATEGIES = {None: np.nan} | {strategy: float(i) for i, strategy in enumerate(Strategy)}
_ACTIVATIONS = {None: 0.0, "linear": 0.0, "": 0.0} | dict.fromkeys(RECTIFIERS, 1.0) | dict.fromkeys(TABLES, 2.0)
_MULTIPLYING = np.array([kind in MULTIPLYING for kind in Kind])


@dataclass(frozen=True)
class Columns:
    """Each array has the shape (layers,). `network` says whose a layer is, `starts` (networks,) where its first is.

    Unknown numbers are replaced by what is usual; `..._known` has the flags. `activation` is 0 for none, 1 for a
    comparison, 2 for a table. `early` are layers of hls4ml before 0.2, which kept illegal reuse factors.
    """

    network: np.ndarray
    starts: np.ndarray
    kind: np.ndarray
    multiplying: np.ndarray
    n_in: np.ndarray
    n_out: np.ndarray
    positions: np.ndarray
    buffer_values: np.ndarray
    weight_bits: np.ndarray
    weight_int: np.ndarray
    data_bits: np.ndarray
    result_bits: np.ndarray
    reuse_factor: np.ndarray
    table_size: np.ndarray
    zeros: np.ndarray
    weights: np.ndarray
    strategy: np.ndarray
    activation: np.ndarray
    softmax: np.ndarray
    stream: np.ndarray
    early: np.ndarray
    vitis: np.ndarray
    clock_ns: np.ndarray
    strategy_known: np.ndarray
    widths_known: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums by network of rows (layers,) or (layers, k)."""
        return np.add.reduceat(values, self.starts, axis=0) if len(values) else values

    def largest(self, values: np.ndarray) -> np.ndarray:
        """Maxima by network of values (layers,)."""
        return np.maximum.reduceat(values, self.starts)


def columns(networks: Sequence[Network]) -> Columns:
    """The layers of `networks` as columns. Raises BadInput for a network without layers."""
    sizes = np.array([len(network.layers) for network in networks], dtype=np.int64)
    if not len(sizes) or not sizes.all():
        raise BadInput("a network without layers has no cost")
    layers = [layer for network in networks for layer in network.layers]
    table = np.array([_NUMBERS(layer) for layer in layers], dtype=float)
    kind = np.array([_KINDS[layer.kind] for layer in layers], dtype=np.int64)
    strategy = np.array([_STRATEGIES[layer.strategy] for layer in layers])
    of_network = np.repeat(np.arange(len(sizes)), sizes)
    streams = np.array([network.io_type is IoType.STREAM for network in networks])
    early = np.array([_early(network.tool, network.tool_version, network.hls4ml_version) for network in networks])
    clocks = np.array([network.clock_ns or USUAL_CLOCK_NS for network in networks], dtype=float)
    vitis = np.array([network.tool is not Tool.VIVADO_HLS for network in networks])
    n_in, n_out, positions, buffered, weight_bits, weight_int, data_bits, result_bits, factor, size, zeros, weights = (
        table.T
    )
    weighted = _MULTIPLYING[kind]
    widths_known = ~(np.isnan(data_bits) | (np.isnan(weight_bits) & weighted))
    data_bits = np.where(np.isnan(data_bits), USUAL_BITS, data_bits)
    strategy_known = ~(np.isnan(factor) | np.isnan(strategy)) | ~weighted
    factor = np.where(np.isnan(factor), 1, factor)
    usual = np.where(factor > 1, 1.0, 0.0)
    return Columns(
        network=of_network,
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]),
        kind=kind,
        multiplying=weighted,
        n_in=n_in,
        n_out=n_out,
        positions=positions,
        buffer_values=buffered,
        weight_bits=np.where(np.isnan(weight_bits), USUAL_BITS, weight_bits),
        weight_int=np.where(np.isnan(weight_int), 1, weight_int),
        data_bits=data_bits,
        result_bits=np.where(np.isnan(result_bits), data_bits, result_bits),
        reuse_factor=factor,
        table_size=np.where(np.isnan(size), 1024, size),
        zeros=zeros,
        weights=weights,
        strategy=np.where(np.isnan(strategy), usual, strategy),
        activation=np.array([_ACTIVATIONS.get(layer.activation, 2.0) for layer in layers]),
        softmax=np.array([layer.activation == "softmax" for layer in layers]),
        stream=streams[of_network],
        early=early[of_network],
        vitis=vitis[of_network],
        clock_ns=clocks[of_network],
        strategy_known=strategy_known,
        widths_known=widths_known,
    )


def is_early(network: Network) -> bool:
    """Whether hls4ml's templates before 0.2 (of 2019) built the network."""
    return _early(network.tool, network.tool_version, network.hls4ml_version)


def family(part: str | None) -> str:
    """The part's family, or `UNKNOWN`."""
    if part not in _FAMILIES:
        try:
            _FAMILIES[part] = UNKNOWN if part is None else parts.find(part).family
        except BadInput:
            _FAMILIES[part] = UNKNOWN
    return _FAMILIES[part]


_FAMILIES: dict[str | None, str] = {}


def _early(tool: Tool | None, version: str | None, hls4ml: str | None) -> bool:
    if hls4ml:
        return hls4ml.startswith(("0.0", "0.1"))
    return tool is Tool.VIVADO_HLS and (version or "9999") < "2019.2"
