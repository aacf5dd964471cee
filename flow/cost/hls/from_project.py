"""The layers of a project that hls4ml has written, read from its headers.

`firmware/parameters.h` has the numbers that the templates are instantiated with (reuse factors as they were made
legal, zeros as they were counted), `firmware/defines.h` the types, and the top function which type goes where.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flow.cost.hls.layers import Kind, Layer, Strategy
from flow.cost.hls.settings import Type, parse_type
from flow.errors import BadInput

_STRUCT = re.compile(r"struct (\w+) : nnet::(\w+)_config \{(.*?)^\};", re.DOTALL | re.MULTILINE)
_VALUE = re.compile(r"static const \w+(?:::\w+)? (\w+) =\s*([\w:*+\- ]+);")
_TYPEDEF = re.compile(r"^typedef (.+?) (\w+);", re.MULTILINE)
_CALL = re.compile(r"^\s*nnet::(\w+)<([^;()]*)>\(.*?\);\s*//\s*(\S+)", re.MULTILINE)
_TABLES = {"tanh", "sigmoid", "softmax", "softplus", "softsign", "elu", "selu"}
_RECTIFIERS = {"relu", "linear", "leaky_relu", "prelu", "thresholded_relu", "hard_tanh", "hard_sigmoid", "relu_max"}
_MERGES = {"add", "subtract", "multiply", "average", "maximum", "minimum"}
_MOVES = ("clone_stream", "zeropad", "repack", "transpose", "resize", "reshape")
_STRATEGIES = {
    "latency": Strategy.LATENCY,
    "resource": Strategy.RESOURCE,
    "distributed_arithmetic": Strategy.DISTRIBUTED_ARITHMETIC,
}


@dataclass(frozen=True)
class _Project:
    """Numbers by config, types by name, bodies by config."""

    values: Mapping[str, Mapping[str, str]]
    bodies: Mapping[str, str]
    types: Mapping[str, str]

    def number(self, config: str, name: str, default: int | None = None) -> int:
        text = self.values.get(config, {}).get(name)
        if text is not None and re.fullmatch(r"\d{1,12}(\*\d{1,12}){0,5}", text.replace(" ", ""), re.ASCII):
            return math.prod(int(factor) for factor in text.replace(" ", "").split("*"))
        if default is None:
            raise BadInput(f"parameters.h: {config} has no number {name}")
        return default

    def type(self, name: str) -> Type | None:
        text = self.types.get(name, name)
        try:
            return parse_type(text)
        except BadInput:
            return None

    def own_type(self, config: str, name: str) -> Type | None:
        """The type that a config calls `name`."""
        match = re.search(rf"typedef (\S+) {name};", self.bodies.get(config, ""))
        return self.type(match.group(1)) if match else None

    def shape(self, type_name: str, values: int) -> dict[str, int]:
        """`values` as positions of channels: a stream carries an array of all channels at a time."""
        match = re.search(r",\s*(\d+)\s*\*\s*1\s*>$", self.types.get(type_name, ""))
        channels = int(match.group(1)) if match else values
        return {"n_out": channels, "positions": max(values // max(channels, 1), 1)}


def is_written(folder: Path) -> bool:
    """Whether a project lies in `folder`."""
    return (folder / "firmware" / "parameters.h").is_file() and (folder / "firmware" / "defines.h").is_file()


def layers(folder: Path) -> tuple[Layer, ...]:
    """The layers in the order in which the top function calls them; each activation follows its sums."""
    firmware = folder / "firmware"
    parameters, defines = _read(firmware / "parameters.h"), _read(firmware / "defines.h")
    sources = [_read(path) for path in sorted(firmware.glob("*.cpp"))]
    structs = {name: body for name, _, body in _STRUCT.findall(parameters)}
    values = {name: {key: text.strip() for key, text in _VALUE.findall(body)} for name, body in structs.items()}
    project = _Project(values, structs, {name: text for text, name in _TYPEDEF.findall(defines)})
    calls = [call for source in sources for call in _CALL.findall(source)]
    found = [_layer(project, *call) for call in calls if not call[0].startswith(_MOVES)]
    if not found:
        raise BadInput(f"{firmware}: the top function calls no layers")
    return tuple(found)


def _layer(project: _Project, function: str, arguments: str, name: str) -> Layer:
    types = _split(arguments)
    config = types[-1] if types[-1] in project.values else ""
    data = project.type(types[0])
    common = {"name": name, "data_bits": data and data.bits, "data_int": data and data.integer}
    if function in _TABLES | _RECTIFIERS:
        size = project.number(config, "table_size", project.number(config, "exp_table_size", 1024))
        kind = function if function in _TABLES else "relu"
        shape = project.shape(types[0], project.number(config, "n_in"))
        return Layer(Kind.ACTIVATION, 1, **shape, activation=kind, table_size=size, **common)
    if function == "dense":
        return Layer(
            Kind.DENSE,
            project.number(config, "n_in"),
            project.number(config, "n_out"),
            **_weighted(project, config),
            **common,
        )
    if "conv" in function:
        return _convolution(project, function, config, name, common)
    if function == "normalize":
        weight = project.own_type(config, "scale_t")
        factor = project.number(config, "reuse_factor", 1)
        own = {"weight_bits": weight and weight.bits, "weight_int": weight and weight.integer, "reuse_factor": factor}
        shape = project.shape(types[0], project.number(config, "n_in"))
        return Layer(Kind.SCALE, 1, **shape, strategy=Strategy.LATENCY, **own, **common)
    if "pooling" in function:
        return _pooling(project, function, config, common)
    if function in _MERGES:
        return Layer(Kind.MERGE, 2, **project.shape(types[0], project.number(config, "n_elem", 1)), **common)
    if function.startswith("concatenate"):
        return Layer(Kind.CONCATENATE, 2, 1, **common)
    raise BadInput(f"layer {name}: no costs are known for nnet::{function}")


def _weighted(project: _Project, config: str) -> dict:
    weight, accum = project.own_type(config, "weight_t"), project.own_type(config, "accum_t")
    weights = project.number(config, "n_in") * project.number(config, "n_out")
    strategy = project.values[config].get("strategy", "nnet::latency").removeprefix("nnet::")
    return {
        "weight_bits": weight and weight.bits,
        "weight_int": weight and weight.integer,
        "result_bits": accum and accum.bits,
        "reuse_factor": project.number(config, "reuse_factor", 1),
        "strategy": _STRATEGIES.get(strategy, Strategy.RESOURCE),
        "zeros": min(project.number(config, "n_zeros", 0) / max(weights, 1), 1.0),
    }


def _convolution(project: _Project, function: str, config: str, name: str, common: dict) -> Layer:
    two = "2d" in function
    product = f"{config}_mult"
    depthwise = "depthwise" in function or "Depthwise" in project.bodies.get(product, "")
    channels, filters = project.number(config, "n_chan"), project.number(config, "n_filt")
    window = [project.number(config, f"filt_{side}") for side in (("height", "width") if two else ("width",))]
    positions = [project.number(config, f"out_{side}") for side in (("height", "width") if two else ("width",))]
    row = (project.number(config, "in_width") if two else 1) * channels
    return Layer(
        (Kind.DEPTHWISE2D if two else Kind.DEPTHWISE1D) if depthwise else (Kind.CONV2D if two else Kind.CONV1D),
        math.prod(window) * (1 if depthwise else channels),
        channels if depthwise else filters,
        positions=math.prod(positions),
        buffer_values=(window[0] - 1) * row,
        **_weighted(project, product if product in project.values else config),
        **common,
    )


def _pooling(project: _Project, function: str, config: str, common: dict) -> Layer:
    sides = ("height", "width") if "2d" in function else ("width",)
    whole = "global" in function
    input_names = [f"in_{side}" for side in sides] if len(sides) == 2 else ["n_in"]
    window = [project.number(config, n) for n in input_names] if whole else [
        project.number(config, f"pool_{side}") for side in sides
    ]  # fmt: skip
    outputs = [f"out_{side}" for side in sides] if len(sides) == 2 else ["n_out"]
    positions = 1 if whole else math.prod(project.number(config, n) for n in outputs)
    kind = Kind.AVERAGE_POOLING if "Average" in project.bodies.get(config, "") else Kind.POOLING
    return Layer(kind, math.prod(window), project.number(config, "n_filt"), positions=positions, **common)


def _split(arguments: str) -> list[str]:
    """Template arguments at the outer level."""
    found, depth, start = [], 0, 0
    for i, char in enumerate(arguments):
        depth += (char == "<") - (char == ">")
        if char == "," and depth == 0:
            found.append(arguments[start:i].strip())
            start = i + 1
    return [*found, arguments[start:].strip()]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: can't be read ({type(error).__name__})") from None
