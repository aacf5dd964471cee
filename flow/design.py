"""A candidate as data: formats and keep fraction by layer, one canonical string, one digest."""

import hashlib
import json
from dataclasses import dataclass
from typing import Mapping

from flow.formats import Format, Relu, parse
from flow.topology import Topology


@dataclass(frozen=True)
class LayerDesign:
    """Formats of one layer. `activation` is None where the layer's outputs are the logits.

    `keep` is the fraction of the kernel's weights that pruning leaves, 0 < keep <= 1.
    """

    kernel: Format
    bias: Format
    activation: Format | None
    keep: float = 1.0


@dataclass(frozen=True)
class Design:
    """The format of the network's input and the design of each layer, in the order of the data."""

    input: Format
    layers: tuple[tuple[str, LayerDesign], ...]

    def __getitem__(self, name: str) -> LayerDesign:
        return dict(self.layers)[name]

    def to_json(self) -> dict:
        return {
            "input": str(self.input),
            "layers": {
                name: {
                    "kernel": str(layer.kernel),
                    "bias": str(layer.bias),
                    "activation": None if layer.activation is None else str(layer.activation),
                    "keep": layer.keep,
                }
                for name, layer in self.layers
            },
        }

    @staticmethod
    def from_json(row: Mapping) -> "Design":
        """Raises ValueError or KeyError where `row` is no design."""
        layers = []
        for name, item in row["layers"].items():
            activation = None if item["activation"] is None else parse(item["activation"])
            layers.append(
                (name, LayerDesign(parse(item["kernel"]), parse(item["bias"]), activation, float(item["keep"])))
            )
        return Design(parse(row["input"]), tuple(layers))

    def __str__(self) -> str:
        return json.dumps(self.to_json(), separators=(",", ":"))

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name the design: the same formats, the same digest."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:12]

    def data_format(self, name: str) -> Format:
        """The format of the values that layer `name` multiplies its kernel with."""
        before = self.input
        for layer, item in self.layers:
            if layer == name:
                return before
            before = item.activation
        raise KeyError(name)


def check(design: Design, topology: Topology) -> None:
    """Raise ValueError where a design does not fit a network."""
    names = tuple(name for name, _ in design.layers)
    if names != topology.names:
        raise ValueError(f"the design has the layers {', '.join(names)}; the network has {', '.join(topology.names)}")
    for layer in topology.layers:
        item = design[layer.name]
        rectified = isinstance(item.activation, Relu)
        if rectified != (layer.activation == "relu"):
            raise ValueError(f"layer {layer.name}: activation {item.activation} does not fit '{layer.activation}'")
        if not 0 < item.keep <= 1:
            raise ValueError(f"layer {layer.name}: keep fraction {item.keep} is not in (0, 1]")
