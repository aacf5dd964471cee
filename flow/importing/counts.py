"""How many inputs and outputs a network has, as far as its checked description tells."""

import math
from collections.abc import Mapping

_DENSE = ("Dense", "QDense", "QDenseBatchnorm")
_SAME = ("Activation", "QActivation", "ReLU", "Softmax", "Dropout")  # as many values out as in


def inputs(config: Mapping) -> int | None:
    """The values of one event; None where the description leaves them open."""
    layers = _rows(config)
    if config["class_name"] == "Functional":
        layers = [row for row in layers if row["class_name"] == "InputLayer"]
        if len(layers) != 1:
            return None
    own = layers[0]["config"]
    shape = own.get("batch_shape") or own.get("batch_input_shape")
    sizes = shape[1:] if isinstance(shape, list) else []
    return math.prod(sizes) if sizes and all(type(size) is int and size > 0 for size in sizes) else None


def outputs(config: Mapping) -> int | None:
    """The units of the last dense layer where nothing behind it changes their number; None for other ends."""
    layers = {row["config"]["name"]: row for row in _rows(config)}
    before = _sources(config, layers)
    name = _end(config, layers)
    while name in layers and layers[name]["class_name"] in _SAME:
        name = before[name]
    if name not in layers or layers[name]["class_name"] not in _DENSE:
        return None
    units = layers[name]["config"].get("units")
    return units if type(units) is int else None


def _rows(config: Mapping) -> list[Mapping]:
    return config["config"]["layers"]


def _sources(config: Mapping, layers: Mapping[str, Mapping]) -> dict[str, str | None]:
    """By layer, the one in front of it; None where there is none or several."""
    names = list(layers)
    if config["class_name"] == "Sequential":
        return dict(zip(names, [None, *names]))
    found = {}
    earlier: set[str] = set()  # a layer reads those in front of it alone, so that no way goes round
    for name, row in layers.items():
        arguments = [item for node in row.get("inbound_nodes") or [] for item in node["args"]]
        one = len(arguments) == 1 and isinstance(arguments[0], Mapping)
        source = arguments[0]["config"]["keras_history"][0] if one else None
        found[name] = source if source in earlier else None
        earlier.add(name)
    return found


def _end(config: Mapping, layers: Mapping[str, Mapping]) -> str | None:
    if config["class_name"] == "Sequential":
        return list(layers)[-1]
    ends = config["config"].get("output_layers")
    while isinstance(ends, list) and len(ends) == 1:
        ends = ends[0]
    return ends[0] if isinstance(ends, list) and ends and isinstance(ends[0], str) else None
