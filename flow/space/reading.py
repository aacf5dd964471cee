"""A choice's text as a format."""

import re
from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.formats import ACTIVATIONS_OF, BIASES, INPUTS, KERNELS, KINDS, WIDTHLESS, Format, best_integer, parse
from flow.topology import Topology

_WIDTH = re.compile(r"^\s*(\w+)\s*(?:\(\s*(\d+)\s*\))?\s*$")


def role(topology: Topology, target: str) -> tuple[str, tuple[str, ...]]:
    """What a target's format is for, and the kinds that fit."""
    name, _, part = target.rpartition(".")
    if part == "activation":
        function = topology[name].activation
        return function, ACTIVATIONS_OF[function]
    return part, {"input": INPUTS, "kernel": KERNELS, "bias": BIASES}[part]


def read(text: str, target: str, allowed: tuple[str, ...], values: np.ndarray, path: Path) -> Format:
    """A choice as a format; integer bits, or a scale, that it leaves open are those that suit `values`."""
    match = _WIDTH.match(text)
    kind, width = match.groups() if match else (None, None)
    try:
        if kind in KINDS and kind not in allowed:
            raise ValueError(f"{kind} is not for {target.rsplit('.', 1)[-1]}s")
        if kind in KINDS and bool(width) != (kind in WIDTHLESS):
            return best_integer(values, int(width or 0), kind)
        form = parse(text)
        if form.kind not in allowed:
            raise ValueError(f"{form.kind} is not for {target.rsplit('.', 1)[-1]}s")
        return form
    except ValueError as error:
        raise BadInput(f"{path}: space: {target}: {text!r}: {error}; allowed here: {', '.join(allowed)}") from None
