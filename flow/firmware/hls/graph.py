"""Stages as hls4ml's own descriptions of layers; every type is given from outside (`flow.firmware.precision`).

With explicit types and plain numbers for weights, none of hls4ml's passes inserts a scale or infers a type.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from flow.errors import BadInput
from flow.firmware.outputs import hls_layer
from flow.firmware.precision import Decision, Linear, Quantize, Stage, StageTypes, word_type
from flow.firmware.settings import Strategy, Target
from flow.formats import Format
from flow.topology import INPUT, Conv, Dense, Merge, Pool, Reshape, Scale, same_padding

WORDS = "words"  # the input layer: hls4ml keeps the name `input` to itself

# hls4ml's names of sizes and paddings, by the dimensions of a window.
_SIDES = {1: ("width",), 2: ("height", "width")}
_PADS = {1: (("pad_left", "pad_right"),), 2: (("pad_top", "pad_bottom"), ("pad_left", "pad_right"))}


def layers(stages: Sequence[Stage], n_in: int, types: Mapping[str, StageTypes]) -> list[dict]:
    """hls4ml's list of layers, the input of `n_in` words first."""
    found = [{"name": WORDS, "class_name": "InputLayer", "input_shape": [n_in]}]
    for stage in stages:
        inputs = [WORDS if name == INPUT else name for name in stage.inputs]
        found.append({"name": stage.name, "inputs": inputs, "data_format": "channels_last", **_layer(stage, types)})
    return found


def config(
    stages: Sequence[Stage], types: Mapping[str, StageTypes], word: Format, target: Target, shown: Collection[str]
) -> dict:
    """hls4ml's configuration: types, strategy and reuse factor of each stage, and traces of the layers `shown`."""
    words = str(word_type(word))
    rows = {
        stage.name: {
            "Precision": _precision(types[stage.name]),
            "Trace": stage.name in shown,
            "Strategy": str(_strategy(stage, target)),
            "ReuseFactor": target.reuse_of(getattr(stage, "owner", stage.name)),
        }
        for stage in stages
    }
    rows[WORDS] = {"Precision": {"result": words}}
    model = {"Precision": words, "BitExact": False, "ReuseFactor": target.reuse_factor}
    model["Strategy"] = str(_plain(target.strategy))
    return {"Model": model, "LayerName": rows}


def _strategy(stage: Stage, target: Target) -> Strategy:
    """Distributed arithmetic is for dense layers and convolutions alone: hls4ml fails on every other layer with it."""
    kernel = isinstance(stage, Linear) and isinstance(stage.layer, (Dense, Conv))
    return target.strategy if kernel else _plain(target.strategy)


def _plain(strategy: Strategy) -> Strategy:
    return Strategy.LATENCY if strategy == Strategy.DISTRIBUTED_ARITHMETIC else strategy


def _precision(item: StageTypes) -> dict[str, str]:
    kinds = {"result": item.result}
    if item.accum is not None:
        kinds |= {"accum": item.accum}
    if item.weight is not None:
        kinds |= {"weight": item.weight, "scale": item.weight, "bias": item.bias}
    return {kind: str(form) for kind, form in kinds.items()}


def _layer(stage: Stage, types: Mapping[str, StageTypes]) -> dict:
    match stage:
        case Quantize(type=form, shape=shape):
            function = "linear" if form.signed else "relu"
            return {"class_name": "Activation", "activation": function, "n_in": int(np.prod(shape))}
        case Linear(layer=Scale(shape=shape), kernel=kernel, bias=bias):
            return {
                "class_name": "BatchNormalization",
                "n_in": int(np.prod(shape)),
                "n_filt": shape[-1] if len(shape) > 1 else -1,
                "scale_data": kernel,
                "bias_data": bias + 0.0,  # no negative zero
                "use_gamma": False,
                "use_beta": False,
            }
        case Linear(layer=Dense(n_in=n_in, n_out=n_out), kernel=kernel, bias=bias):
            return {"class_name": "Dense", "n_in": n_in, "n_out": n_out, "weight_data": kernel, "bias_data": bias}
        case Linear(layer=Conv() as layer, kernel=kernel, bias=bias):
            return _convolution(layer, kernel, bias)
        case Pool():
            return _pooling(stage)
        case Merge(operation="add"):
            return {"class_name": "Merge", "op": "add"}
        case Merge(shape=shape):
            return {"class_name": "Concatenate", "op": f"concatenate{len(shape)}d", "axis": -1}
        case Reshape(shape=shape):
            return {"class_name": "Reshape", "target_shape": list(shape)}
        case Decision(inputs=(logits,)):
            return hls_layer.description(types[stage.name].spec, types[logits].low.size)
    raise BadInput(f"{stage!r} is no stage")


def _convolution(layer: Conv, kernel: np.ndarray, bias: np.ndarray) -> dict:
    depthwise = {"depthwise_data": kernel, "depth_multiplier": 1} if layer.depthwise else {"weight_data": kernel}
    return {
        "class_name": f"{'Depthwise' if layer.depthwise else ''}Conv{len(layer.window)}D",
        "n_chan": layer.channels,
        "n_filt": layer.filters,
        "bias_data": bias,
        **_geometry(layer, "filt"),
        **depthwise,
    }


def _pooling(layer: Pool) -> dict:
    operation = {"max": "Max", "average": "Average"}[layer.operation]
    sizes = {"n_in": layer.input_shape[0], "n_out": layer.shape[0]} if len(layer.window) == 1 else {}
    return {
        "class_name": f"{'Global' if layer.flat else ''}{operation}Pooling{len(layer.window)}D",
        "n_filt": layer.input_shape[-1],
        **_geometry(layer, "pool"),
        **sizes,
    }


def _geometry(layer: Conv | Pool, window: str) -> dict:
    """Sizes, strides and paddings under hls4ml's names; `window` is what it calls the window."""
    found = {}
    padded = getattr(layer, "padding", "valid") == "same"
    for i, side in enumerate(_SIDES[len(layer.window)]):
        size, width, stride = layer.input_shape[i], layer.window[i], layer.strides[i]
        found |= {f"in_{side}": size, f"{window}_{side}": width, f"stride_{side}": stride}
        found[f"out_{side}"] = 1 if getattr(layer, "flat", False) else layer.shape[i]
        found |= zip(_PADS[len(layer.window)][i], same_padding(size, width, stride) if padded else (0, 0))
    return found
