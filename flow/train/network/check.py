"""What a whole network must be, whatever its layers are."""

from pathlib import Path

from flow.errors import BadInput
from flow.topology import INPUT, Dense, Layer, Topology, Weighted

# Layers that the QKeras model has besides those of the topology.
RESERVED = (INPUT, "words", "input_offset", "input_grid", "input_shape")


def check(topology: Topology, where: Path | str) -> None:
    """Raise BadInput where the input's rank, the last layer or a name can't be had."""
    if len(topology.input_shape) not in (1, 2, 3):
        raise BadInput(
            f"{where}: the network's input has the shape {topology.input_shape}; supported: one to three sizes"
        )
    _check_output(topology, where)
    _check_names(topology.layers, where)


def _check_output(topology: Topology, where: Path | str) -> None:
    layer = topology.layers[-1] if topology.layers else None
    if not isinstance(layer, Dense):
        found = "it has no layer" if layer is None else f"layer {layer.name} is the last one"
        raise BadInput(f"{where}: {found}; supported: a Dense layer at the end, which gives the logits")
    if layer.activation != "linear":
        raise BadInput(
            f"{where}: layer {layer.name}: activation {layer.activation!r} on the last layer;"
            " it gives the logits: leave the activation out"
        )


def _check_names(layers: tuple[Layer, ...], where: Path | str) -> None:
    """Names go into C++ and Verilog, some with the activation behind them; tools may fold their case."""
    taken = {name: "a layer of every network" for name in RESERVED}
    for layer in layers:
        name = layer.name
        if not name.isidentifier() or not name.isascii():
            raise BadInput(f"{where}: layer {name!r}: letters, digits and _ make a name that firmware can carry")
        made = [name, f"{name}_{layer.activation}"] if isinstance(layer, Weighted) else [name]
        for each in made:
            if each.lower() in taken:
                raise BadInput(
                    f"{where}: layer {name}: the name {each!r} is also that of {taken[each.lower()]}; choose another"
                )
        taken |= {each.lower(): f"layer {name}" if each == name else f"layer {name}'s activation" for each in made}
