"""How large the arrays of a described model are, before anything makes them: a few bytes can ask for terabytes."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flow.errors import BadInput
from flow.topology import output_size

MOST_WEIGHTS = 1 << 26  # of a network
MOST_OUTPUTS = 1 << 18  # of a layer, for one event

Shape = tuple[int, ...]


def check(config: Mapping, path: Path) -> None:
    """Raise BadInput, naming the layer, where a checked description asks for an array beyond all networks."""
    shapes: dict[str, Shape] = {}
    before: list[Shape] = []
    total = 0
    for layer in config["config"]["layers"]:
        own, kind = layer["config"], layer["class_name"]
        name = own["name"]
        sources = list(_sources(layer.get("inbound_nodes")))
        missing = [source for source in sources if source not in shapes]
        if missing:
            raise BadInput(
                f"{path}: layer {name} ({kind}): it reads {missing[0][:80]!r}, which is no layer in front of it"
            )
        read = [shapes[source] for source in sources] or before
        try:
            shape, weights = _made(kind.removeprefix("Q").removesuffix("Batchnorm"), own, read)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError):
            raise BadInput(f"{path}: layer {name} ({kind}): its sizes can't be read") from None
        total += weights
        for what, count, most in (
            ("weights up to here", total, MOST_WEIGHTS),
            ("values", math.prod(shape), MOST_OUTPUTS),
        ):
            if count > most:
                raise BadInput(f"{path}: layer {name} ({kind}): {count} {what}; at most {most} are read")
        shapes[name], before = shape, [shape]


def _made(kind: str, own: Mapping, read: list[Shape]) -> tuple[Shape, int]:
    """The shape that a layer puts out, and the number of its weights; sizes that are left open count as 1."""
    if kind == "InputLayer" or not read:
        sizes = own.get("batch_shape") or own.get("batch_input_shape") or [None, 1]
        read = [tuple(max(int(size or 1), 1) for size in sizes[1:])]
        if kind == "InputLayer":
            return read[0], 0
    shape = read[0]
    channels, sides = shape[-1], shape[:-1]
    if kind == "Dense":
        return (*sides, int(own["units"])), channels * int(own["units"])
    if "Conv" in kind:
        return _conv(kind, own, shape)
    if kind.startswith("Global"):
        return (channels,), 0
    if "Pooling" in kind:
        window = _tuple(own["pool_size"], len(sides))
        return (*_sides(sides, window, _tuple(own.get("strides") or window, len(sides)), own), channels), 0
    if kind == "Flatten":
        return (math.prod(shape),), 0
    if kind == "Reshape":
        return _reshaped(shape, own["target_shape"]), 0
    if kind == "Concatenate":
        return (*sides, sum(each[-1] for each in read)), 0
    return shape, 4 * channels


def _conv(kind: str, own: Mapping, shape: Shape) -> tuple[Shape, int]:
    channels, sides = shape[-1], shape[:-1]
    window = _tuple(own["kernel_size"], len(sides))
    multiplied = channels * int(own.get("depth_multiplier") or 1)
    filters = multiplied if kind.startswith("Depthwise") else int(own["filters"])
    weights = {"De": math.prod(window) * multiplied, "Se": math.prod(window) * multiplied + multiplied * filters}
    made = weights.get(kind[:2], math.prod(window) * channels * filters)
    return (*_sides(sides, window, _tuple(own.get("strides") or 1, len(sides)), own), filters), made


def _sides(sides: Shape, window: Shape, strides: Shape, own: Mapping) -> Shape:
    padding = "valid" if own.get("padding") == "valid" else "same"
    return tuple(max(output_size(n, w, s, padding), 1) for n, w, s in zip(sides, window, strides))


def _reshaped(shape: Shape, target: list) -> Shape:
    known = math.prod(size for size in target if size > 0)
    return tuple(size if size > 0 else max(math.prod(shape) // known, 1) for size in target)


def _tuple(value: Any, n: int) -> Shape:
    sizes = (int(value),) * n if isinstance(value, int) else tuple(int(size) for size in value)
    if min(sizes, default=1) < 1:
        raise ValueError("sizes begin with 1")
    return sizes


def _sources(nodes: Any) -> Iterator[str]:
    """The names of the layers in a checked `inbound_nodes`."""
    for node in nodes or []:
        for item in node["args"]:
            for tensor in item if isinstance(item, list) else [item]:
                yield tensor["config"]["keras_history"][0]
