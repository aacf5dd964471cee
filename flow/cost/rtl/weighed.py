"""What the real weights of a trained design say in place of what its formats let expect: digits, sums, dead units.

Training and pruning leave fewer weights than a keep fraction allows (many kept ones round to zero), and units that nobody
reads or that read nothing, which no tool builds. Counting them takes milliseconds where a trace takes seconds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from flow.cost.rtl.digits import canonical_digits
from flow.design import Design
from flow.topology import INPUT, Conv, Dense, Layer, Merge, Pool, Scale, Topology

_BITS = 24  # a weight times 2**24 is whole, whatever its format is; digits don't mind the shift

Masks = dict[str, np.ndarray]  # layer -> which of its values something depends on (*shape) bool


@dataclass(frozen=True)
class Weighed:
    """One layer's weights that count: the shares that are not zero, their digits and size (in steps) by weight, those that
    are zero among them; the adders of one position, each sum for itself; the share of results that are used.

    Of the network's input `used` alone says something.
    """

    nonzero: float = 0.0
    digits: float = 0.0
    size: float = 0.0
    adders: float = 0.0
    used: float = 1.0

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def weigh(topology: Topology, design: Design, weights: Mapping) -> dict[str, Weighed]:
    """Layer → what its weights say, `INPUT` among them. `topology` is the design's own network, `weights` its deployed
    ones: layer → kernel (`kernel_shape`) before quantization, bias."""
    kernels = {
        layer.name: np.asarray(design[layer.name].kernel.quantize(weights[layer.name][0]), float)
        for layer in topology.weighted
    }
    living = _living(topology, kernels)
    reading = _reading(topology, kernels, living)
    found = {INPUT: Weighed(used=float(reading[INPUT].mean()))}
    for layer in topology.layers:
        used = living[layer.name] & reading[layer.name]
        if layer.name in kernels:
            source = living[topology.sources[layer.name][0]]
            kernel = _counted(layer, kernels[layer.name], _channels(source), _channels(used))
            found[layer.name] = _weighed(kernel, design[layer.name].kernel.fraction, float(used.mean()))
        else:
            found[layer.name] = Weighed(used=float(used.mean()))
    return found


def _weighed(kernel: np.ndarray, fraction: int, used: float) -> Weighed:
    digits = canonical_digits(np.rint(kernel * 2.0**_BITS))
    sums = digits.reshape(-1, digits.shape[-1]).sum(0)  # by unit or filter
    return Weighed(
        float(np.mean(kernel != 0)),
        float(digits.mean()),
        float(np.abs(kernel).mean() * 2.0**fraction),
        float(np.maximum(sums - 1.0, 0.0).sum()),
        used,
    )


def _counted(layer: Layer, kernel: np.ndarray, source: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The kernel with the weights that reach from living values to used results; the channels of sums on the last axis."""
    match layer:
        case Scale():
            return kernel * used
        case Conv(depthwise=True):
            return np.moveaxis(kernel, -1, 0)[0] * source * used
    return kernel * source[:, None] * used


def _living(topology: Topology, kernels: Mapping[str, np.ndarray]) -> Masks:
    """What is not constant: it reads something that is not, by a weight that is not zero."""
    found = {INPUT: np.ones(topology.input_shape, bool)}
    for layer in topology.layers:
        read = [found[name] for name in topology.sources[layer.name]]
        match layer:
            case Dense() | Conv(depthwise=False):
                there = (kernels[layer.name] != 0) & _channels(read[0])[:, None]
                channels = there.reshape(-1, there.shape[-1]).any(0)
            case Conv():
                own = (kernels[layer.name] != 0).reshape(-1, layer.channels).any(0)
                channels = own & _channels(read[0])
            case Scale():
                channels = (kernels[layer.name] != 0) & _channels(read[0])
            case Pool():
                channels = _channels(read[0])
            case Merge(operation="concatenate"):
                found[layer.name] = np.concatenate(read, axis=-1)
                continue
            case Merge():
                found[layer.name] = np.logical_or.reduce(read)
                continue
            case _:
                found[layer.name] = read[0].reshape(layer.shape)
                continue
        found[layer.name] = np.broadcast_to(channels, layer.shape)
    return found


def _reading(topology: Topology, kernels: Mapping[str, np.ndarray], living: Masks) -> Masks:
    """What something behind it reads, down to the logits."""
    found = {name: np.zeros(shape, bool) for name, shape in topology.shapes.items()}
    found[topology.output] = np.ones(topology.shapes[topology.output], bool)
    for layer in reversed(topology.layers):
        sources = topology.sources[layer.name]
        mine = found[layer.name] & living[layer.name]
        for place, name in enumerate(sources):
            found[name] = found[name] | _read_by(layer, kernels.get(layer.name), mine, topology, sources, place)
    return found


def _read_by(layer: Layer, kernel, mine: np.ndarray, topology: Topology, sources, place: int) -> np.ndarray:
    """Which values of one of its sources a layer reads for those of its results that count."""
    shape = topology.shapes[sources[place]]
    match layer:
        case Dense() | Conv(depthwise=False):
            there = (kernel != 0) & _channels(mine)
            channels = np.moveaxis(there, -2, 0).reshape(shape[-1], -1).any(1)
        case Conv():
            channels = (kernel != 0).reshape(-1, layer.channels).any(0) & _channels(mine)
        case Scale():
            channels = (kernel != 0) & _channels(mine)
        case Pool():
            channels = _channels(mine)
        case Merge(operation="concatenate"):
            begin = sum(topology.shapes[name][-1] for name in sources[:place])
            return mine[..., begin : begin + shape[-1]]
        case _:
            return mine.reshape(shape)
    return np.broadcast_to(channels, shape)


def _channels(values: np.ndarray) -> np.ndarray:
    """Which channels (the last axis) have a value that counts, at any position."""
    return values.reshape(-1, values.shape[-1]).any(0)
