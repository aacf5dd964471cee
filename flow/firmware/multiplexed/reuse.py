"""Which layers share their hardware, and how often each uses it for one word."""

import math

from flow.errors import BadInput
from flow.firmware.settings import Target

DENSE = ("QDense", "QDenseBatchnorm")
CONVOLUTIONS = ("QConv1D", "QConv2D", "QConv2DBatchnorm", "QDepthwiseConv2D")
SHARED = (*DENSE, *CONVOLUTIONS)


def factors(model, target: Target) -> dict[str, int]:
    """Layer -> reuse factor of the layers of a QKeras model that have one above 1.

    The global factor is taken down to what a layer can use: its outputs (dense) or its positions (convolutions, and
    dense layers over more than one axis). Raises BadInput for a factor of its own that is larger, or that is given to
    a layer that does not exist or can't share anything.
    """
    layers = {layer.name: layer for layer in model.layers}
    for name, factor in target.reuse:
        if name not in layers:
            raise BadInput(f"reuse factor of layer {name}: there is no such layer; layers: {', '.join(layers)}")
        _check(layers[name], factor)
    found = {
        layer.name: min(target.reuse_of(layer.name), most(layer))
        for layer in model.layers
        if type(layer).__name__ in SHARED
    }
    return {name: factor for name, factor in found.items() if factor > 1}


def most(layer) -> int:
    """The largest reuse factor that a layer can use."""
    shape = layer.output.shape[1:]
    return math.prod(shape[:-1]) if windowed(layer) else int(shape[-1])


def windowed(layer) -> bool:
    """Whether the same weights are used at several positions."""
    return type(layer).__name__ in CONVOLUTIONS or len(layer.output.shape) > 2


def _check(layer, factor: int) -> None:
    kind = type(layer).__name__
    if kind not in SHARED:
        raise BadInput(
            f"reuse factor {factor} of layer {layer.name}: {kind} has nothing to share; reuse factors are for"
            f" {', '.join(SHARED)}"
        )
    if factor > most(layer):
        what = "positions" if windowed(layer) else "outputs"
        raise BadInput(
            f"reuse factor {factor} of layer {layer.name}: it has {most(layer)} {what}; 1 to {most(layer)} is allowed"
        )
