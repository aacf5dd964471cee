"""A Keras model, sequential or functional, as a list of its layers in the order of the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow.errors import BadInput
from flow.topology import INPUT

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """A Keras layer (or another operation) and what it reads; shapes leave out the batch."""

    where: Path | str
    name: str
    layer: Any
    inputs: tuple[str, ...]
    shapes_in: tuple[Shape, ...]
    shape: Shape

    @property
    def kind(self) -> str:
        return type(self.layer).__name__

    @property
    def shape_in(self) -> Shape:
        """Of the first input."""
        return self.shapes_in[0]

    def refused(self, reason: str) -> BadInput:
        """The error that names file and layer."""
        return BadInput(f"{self.where}: layer {self.name}: {reason}")


def nodes(model: "keras.Model", where: Path | str) -> tuple[Shape, list[Node]]:
    """The input's shape, and the layers between input and output, each behind the layers that it reads.

    Raises BadInput for a model that is not built or no graph, for several inputs or outputs, for a layer
    that is called twice, and for sizes that are left open.
    """
    source, result = _ends(model, where)
    source_layer = source._keras_history.operation
    found: list[Node] = []
    calls: dict[int, int] = {}  # which of its calls a layer was met in

    def visit(tensor) -> None:
        layer, call, _ = tensor._keras_history
        if layer is source_layer or calls.get(id(layer)) == call:
            return
        if id(layer) in calls:
            raise BadInput(
                f"{where}: layer {layer.name}: it is called more than once; supported: layers that share no weights"
            )
        calls[id(layer)] = call
        read = layer._inbound_nodes[call].input_tensors
        for each in read:
            visit(each)
        sources = [each._keras_history.operation for each in read]
        names = tuple(INPUT if each is source_layer else each.name for each in sources)
        found.append(
            Node(where, layer.name, layer, names, tuple(_shape(t, where) for t in read), _shape(tensor, where))
        )

    visit(result)
    return _shape(source, where), found


def _ends(model: "keras.Model", where: Path | str):
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise BadInput(
            f"{where}: the {type(model).__name__} model is no graph of layers; supported: keras.Sequential that begins"
            " with keras.Input, and keras.Model(inputs, outputs)"
        )
    for what, tensors in (("inputs", inputs), ("outputs", outputs)):
        if len(tensors) != 1:
            raise BadInput(f"{where}: the network has {len(tensors)} {what}; supported: one input and one output")
    return inputs[0], outputs[0]


def _shape(tensor, where: Path | str) -> Shape:
    shape = tuple(tensor.shape[1:])
    if None in shape:
        name = tensor._keras_history.operation.name
        raise BadInput(f"{where}: layer {name}: the shape {shape} leaves a size open; name every size in keras.Input")
    return shape
