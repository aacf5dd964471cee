"""Whether every reuse factor of a space can be built, told from shapes alone, before anything is trained.

The rules are those of the two ways to firmware: `flow.firmware.hls.available` and `flow.firmware.multiplexed.reuse`.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from flow.cost.hls.reuse import is_legal
from flow.errors import BadInput
from flow.firmware.settings import Strategy, Target
from flow.topology import Conv, Dense, Layer, Topology
from flow.width import resizable, resized, units_of


def check_choices(
    topology: Topology,
    target: Target,
    reuse: Mapping[str, Sequence[int]],
    widths: Mapping[str, Sequence[float]],
    most: int | None = None,
) -> None:
    """Raise BadInput for the first reuse factor of a space that a layer can't take at one of its widths.

    `reuse` and `widths`: layer → the factors to choose from; a layer that `reuse` leaves out has the target's own.
    `most`: cycles that may lie between events, None for any number.
    """
    for name, factors in reuse.items():
        too_many = next((factor for factor in factors if most is not None and factor > most), None)
        if too_many is not None:
            raise BadInput(f"reuse factor {too_many} of layer {name}: at most {most} cycles may lie between events")
    for layer in topology.weighted:
        if not isinstance(layer, (Dense, Conv)):
            if reuse.get(layer.name):
                raise BadInput(f"layer {layer.name}: it multiplies by one factor a channel and shares nothing")
            continue
        own = reuse.get(layer.name) or [factor for name, factor in target.reuse if name == layer.name]
        for shaped in _shapes(topology, layer, widths):
            for factor in own or (target.reuse_factor,):
                for reason in _refused(shaped, target, factor, bool(own)):
                    raise BadInput(f"reuse factor {factor} of layer {layer.name}: {reason}")


def _shapes(topology: Topology, layer: Layer, widths: Mapping[str, Sequence[float]]) -> Iterator[Layer]:
    """The layer at every combination of the widths that its kernel depends on."""
    shape = layer.kernel_shape
    touching = [
        name
        for name in resizable(topology)
        if any(factor != 1.0 for factor in widths.get(name, ()))
        and resized(topology, {name: topology[name].shape[-1] + 1})[layer.name].kernel_shape != shape
    ]
    for chosen in itertools.product(*(widths[name] for name in touching)):
        units = {name: units_of(topology[name], factor) for name, factor in zip(touching, chosen)}
        yield resized(topology, units)[layer.name]


def _refused(layer: Dense | Conv, target: Target, factor: int, own: bool) -> Iterator[str]:
    """Why hls4ml or the Verilog can't take a factor; the Verilog takes one for all layers down to what each can use."""
    depthwise = isinstance(layer, Conv) and layer.depthwise
    n_in, n_out = math.prod(layer.kernel_shape[:-1]), layer.kernel_shape[-1]
    shape = f"{n_in} x {n_out} weights"
    if target.strategy is Strategy.DISTRIBUTED_ARITHMETIC:
        if factor != 1:
            yield "distributed arithmetic shares nothing: 1 alone"
    elif not depthwise and target.strategy is Strategy.LATENCY and factor > n_in * n_out:
        yield f"hls4ml has {shape} to share at that width"
    elif not depthwise and target.strategy is Strategy.RESOURCE and not is_legal(n_in, n_out, factor):
        yield f"hls4ml does not take it for {shape}"
    windowed = isinstance(layer, Conv)
    most = math.prod(layer.shape[:-1]) if windowed else layer.shape[-1]
    if own and factor > most:
        yield f"it has {most} {'positions' if windowed else 'outputs'}; 1 to {most} is allowed"
