"""Width factors: networks with fewer or more units than the user's own.

A factor multiplies the filters of a convolution or the units of a dense layer, rounded down, never below 1, as
AutoQKeras does it (``max(int(units * factor), 1)``). The layers behind follow: what a layer reads says its shape.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flow.topology import INPUT, Activation, Conv, Dense, Layer, Merge, Pool, Reshape, Scale, Topology

if TYPE_CHECKING:
    from flow.design import Design

Units = Mapping[str, np.ndarray]  # layer -> which of its units live (units,) bool; a layer that is missing has all


def units_of(layer: Layer, factor: float) -> int:
    """Units or filters of a layer under a width factor."""
    return max(int(layer.shape[-1] * factor), 1)


def resizable(topology: Topology) -> tuple[str, ...]:
    """The names of the layers whose width can be chosen: dense ones and convolutions that mix channels.

    None that gives the logits or feeds a sum, where shapes must agree, and none whose units become positions.
    """
    return tuple(layer.name for layer in topology.layers if _has_units(layer) and _resizes(topology, layer))


def counts(topology: Topology, design: "Design | None") -> dict[str, int]:
    """Layer → units, of the layers of the user's network that a design makes narrower or wider."""
    found = {} if design is None else {name: part.width for name, part in design.layers if part.width != 1.0}
    return {name: units_of(topology[name], factor) for name, factor in found.items()}


def narrowed_topology(topology: Topology, design: "Design | None") -> Topology:
    """The network of a design, given the user's own; the same object where no width differs from 1."""
    return resized(topology, counts(topology, design))


def widest(topology: Topology, factors: Mapping[str, Iterable[float]]) -> Topology:
    """The network that holds all widths: each layer as its largest factor asks, and never below the user's own."""
    most = {name: max((1.0, *own)) for name, own in factors.items()}
    return resized(topology, {name: units_of(topology[name], f) for name, f in most.items() if f != 1.0})


def widest_of(topology: Topology, designs: "Iterable[Design | None]") -> Topology:
    """The network that holds all designs of the user's network."""
    factors: dict[str, list[float]] = {}
    for design in designs:
        for name, part in () if design is None else design.layers:
            factors.setdefault(name, []).append(part.width)
    return widest(topology, factors)


def has_widths(designs: "Iterable[Design | None]") -> bool:
    """Whether a design has a width factor that is not 1."""
    return any(part.width != 1.0 for design in designs if design is not None for _, part in design.layers)


def resized(topology: Topology, units: Mapping[str, int]) -> Topology:
    """A network with other numbers of units in some layers (layer → units); what reads them follows."""
    if not units:
        return topology
    shapes: dict[str, tuple[int, ...]] = {INPUT: topology.input_shape}
    layers = []
    for layer in topology.layers:
        read = [shapes[name] for name in topology.sources[layer.name]]
        before = topology.shapes[topology.sources[layer.name][0]]
        made = _resized_layer(layer, read, before, units.get(layer.name))
        shapes[layer.name] = made.shape
        layers.append(made)
    return Topology(tuple(layers), topology.input_shape)


def alive(topology: Topology, units: Units) -> dict[str, np.ndarray]:
    """Layer → which of its output values live (*shape) bool, `INPUT` among them.

    Raises ValueError where a network without the other units would not be this one without their values.
    """
    found = {INPUT: np.ones(topology.input_shape, bool)}
    for layer in topology.layers:
        read = [found[name] for name in topology.sources[layer.name]]
        found[layer.name] = _alive(layer, read, units.get(layer.name))
    return found


def kernel_masks(topology: Topology, units: Units) -> dict[str, np.ndarray]:
    """Layer with a kernel → which of its weights live (*kernel_shape) bool: between what lives in front and behind."""
    values, found = alive(topology, units), {}
    for layer in topology.weighted:
        before = channels(values[topology.sources[layer.name][0]])
        own = channels(values[layer.name])
        match layer:
            case Scale():
                mask = own
            case Conv(depthwise=True):
                mask = own[:, None]
            case _:
                mask = before[:, None] & own
        found[layer.name] = np.broadcast_to(mask, layer.kernel_shape)
    return found


def channels(values: np.ndarray) -> np.ndarray:
    """Which channels (the last axis) of a layer's values live; raises ValueError where that depends on the place."""
    rows = values.reshape(-1, values.shape[-1])
    if not (rows == rows[0]).all():
        raise ValueError("a channel lives at some positions only")
    return rows[0]


def _has_units(layer: Layer) -> bool:
    return isinstance(layer, Dense) or (isinstance(layer, Conv) and not layer.depthwise)


def _resizes(topology: Topology, layer: Layer) -> bool:
    """Whether the network still is one where a unit of a layer is gone."""
    units = np.ones(layer.shape[-1], bool)
    units[0] = False
    try:
        return bool(alive(topology, {layer.name: units})[topology.output].all())
    except ValueError:
        return False


def _alive(layer: Layer, read: list[np.ndarray], units: np.ndarray | None) -> np.ndarray:
    match layer:
        case Dense() | Conv(depthwise=False):
            channels(read[0])
            return np.broadcast_to(np.ones(layer.shape[-1], bool) if units is None else units, layer.shape)
        case Pool() | Conv() | Scale():
            return np.broadcast_to(channels(read[0]), layer.shape)
        case Merge(operation="add"):
            if not all(values.all() for values in read):
                raise ValueError(f"layer {layer.name} adds values of which some are gone")
            return read[0]
        case Merge():
            return np.concatenate(read, axis=-1)
        case Reshape():
            values = read[0].reshape(layer.shape)
            if values.ndim > 1 and not values.all():
                if values.shape[-1] != read[0].shape[-1]:
                    raise ValueError(f"layer {layer.name} makes positions of channels")
                channels(values)
            return values
        case Activation():
            return read[0]
    raise TypeError(f"{layer!r} is no layer")


def _resized_layer(layer: Layer, read: list[tuple[int, ...]], before: tuple[int, ...], units: int | None) -> Layer:
    """A layer that reads values of other shapes; `before` is what its first input was."""
    shape = read[0]
    match layer:
        case Dense():
            return replace(layer, n_in=shape[-1], n_out=units or layer.n_out)
        case Conv():
            filters = shape[-1] if layer.depthwise else units or layer.filters
            return replace(layer, input_shape=shape, filters=filters)
        case Pool():
            return replace(layer, input_shape=shape)
        case Merge(operation="concatenate"):
            return replace(layer, shape=(*shape[:-1], sum(own[-1] for own in read)))
        case Reshape() if shape == before:
            return layer
        case Reshape():
            own = (math.prod(shape),) if len(layer.shape) == 1 else (*layer.shape[:-1], shape[-1])
            return replace(layer, shape=own)
    return replace(layer, shape=shape)
