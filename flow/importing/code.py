"""The imported network as a readable `network.py` that takes its weights from `weights.npz` beside it."""

import keyword
from collections.abc import Sequence

from flow.importing.pieces import Network, Piece
from flow.topology import INPUT

_TAKEN = ("inputs", "keras", "np", "Path", "network", "WEIGHTS", "model", "arrays", "layer", "weight")

_HEAD = '''"""{title}

Made by `flow import`. The weights are those of the imported file; weights.npz names them <layer>.<weight>.
"""

from pathlib import Path

import keras
import numpy as np

WEIGHTS = Path(__file__).with_name("weights.npz")


def network() -> keras.Model:
    inputs = keras.Input({shape})
'''
_TAIL = """    model = keras.Model(inputs, {output})
    with np.load(WEIGHTS, allow_pickle=False) as arrays:
        for layer in model.layers:
            layer.set_weights([arrays[f"{{layer.name}}.{{weight.name}}"] for weight in layer.weights])
    return model
"""


def network_text(network: Network, title: str) -> str:
    """The text of network.py. Names and numbers are those of checked pieces: no text of a file gets into code."""
    variables = {INPUT: "inputs"}
    lines = []
    for piece in network.pieces:
        variables[piece.name] = _variable(piece.name)
        lines.append(f"    {variables[piece.name]} = {_call(piece)}({_read(piece.inputs, variables)})\n")
    shape = repr(tuple(int(size) for size in network.shape))
    tail = _TAIL.format(output=variables[network.pieces[-1].name])
    return _HEAD.format(title=title, shape=shape) + "".join(lines) + tail


def _variable(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def _call(piece: Piece) -> str:
    settings = dict(piece.settings)
    first = [
        settings.pop(key) for key in ("units", "filters", "kernel_size", "target_shape", "pool_size") if key in settings
    ]
    arguments = [repr(value) for value in first] + [f"{key}={_shown(value)}" for key, value in settings.items()]
    return f"keras.layers.{piece.kind}({', '.join([*arguments, f'name={_shown(piece.name)}'])})"


def _shown(value) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _read(inputs: Sequence[str], variables: dict[str, str]) -> str:
    names = [variables[name] for name in inputs]
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
