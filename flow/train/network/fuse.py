"""Batch normalizations and activations, put into the layers in front of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from flow.topology import Activation, Conv, Dense, Layer, Scale, Weighted


def fuse(layers: Sequence[Layer], fold_batchnorm: bool = True) -> tuple[Layer, ...]:
    """The layers, each naming its inputs, with those that a layer in front can take over left out.

    A `Scale` goes into the linear Dense or convolution that it alone reads, where `fold_batchnorm` allows; an
    activation into the linear layer with weights that it alone reads. A linear `Activation` stays: it asks for a format.
    """
    readers = Counter(name for layer in layers for name in layer.inputs)
    found: dict[str, Layer] = {}
    became: dict[str, str] = {}  # layer that was taken over -> the layer that took it
    for layer in layers:
        alone = readers[layer.inputs[0]] == 1
        layer = replace(layer, inputs=tuple(became.get(name, name) for name in layer.inputs))
        before = found.get(layer.inputs[0])
        joined = _joined(before, layer, fold_batchnorm) if alone else None
        if joined is None:
            found[layer.name] = layer
        else:
            found[joined.name] = joined
            became[layer.name] = joined.name
    return tuple(found.values())


def _joined(before: Layer | None, layer: Layer, fold_batchnorm: bool) -> Layer | None:
    """Both layers as one, or None."""
    if not isinstance(before, Weighted) or before.activation != "linear":
        return None
    if isinstance(layer, Activation) and layer.activation != "linear":
        return replace(before, activation=layer.activation)
    if isinstance(layer, Scale) and fold_batchnorm and isinstance(before, (Dense, Conv)) and not before.normalized:
        return replace(before, normalized=True, bias=True)  # the shift becomes the bias
    return None
