"""The space of candidates: named choices, and the design that a set of choices stands for."""

import difflib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

import numpy as np

from flow.design import Design, LayerDesign
from flow.errors import BadInput
from flow.formats import KINDS, Format, best_integer, parse
from flow.task import Space
from flow.topology import Topology

_WIDTH = re.compile(r"^\s*(\w+)\s*(?:\(\s*(\d+)\s*\))?\s*$")
_FITTING = {
    "input": ("quantized_bits",),
    "kernel": ("quantized_bits", "ternary", "binary"),
    "bias": ("quantized_bits",),
    "activation": ("quantized_relu",),
}


@dataclass(frozen=True)
class SearchSpace:
    """`choices`: parameter name ("input", "fc0.kernel", "fc0.keep" ...) → choice as written → format or fraction.

    Choices stand in the order in which the task lists them, cheapest first by custom.
    """

    topology: Topology
    choices: tuple[tuple[str, tuple[tuple[str, Format | float], ...]], ...]

    @property
    def parameters(self) -> dict[str, tuple[str, ...]]:
        """Parameter name → its choices as written."""
        return {name: tuple(text for text, _ in options) for name, options in self.choices}

    @property
    def size(self) -> int:
        """Number of designs."""
        return math.prod(len(options) for _, options in self.choices)

    def design(self, chosen: Mapping[str, str]) -> Design:
        """The design of one choice per parameter."""
        values = {name: dict(options)[chosen[name]] for name, options in self.choices}
        layers = []
        for layer in self.topology.layers:
            activation = values.get(f"{layer.name}.activation")
            part = LayerDesign(
                values[f"{layer.name}.kernel"], values[f"{layer.name}.bias"], activation, values[f"{layer.name}.keep"]
            )
            layers.append((layer.name, part))
        return Design(values["input"], tuple(layers))

    def ladder(self, rungs: int) -> list[dict[str, str]]:
        """Uniform designs from the first choices everywhere to the last ones, evenly spread, both ends in."""
        found = []
        for share in np.linspace(0.0, 1.0, max(rungs, 2)):
            chosen = {n: options[round(share * (len(options) - 1))] for n, options in self.parameters.items()}
            if chosen not in found:
                found.append(chosen)
        return found

    def to_json(self) -> dict:
        return {
            "topology": self.topology.to_json(),
            "choices": {n: {t: v if isinstance(v, float) else str(v) for t, v in o} for n, o in self.choices},
        }

    @staticmethod
    def from_json(row: dict) -> "SearchSpace":
        choices = tuple(
            (
                name,
                tuple((text, value if isinstance(value, float) else parse(value)) for text, value in options.items()),
            )
            for name, options in row["choices"].items()
        )
        return SearchSpace(Topology.from_json(row["topology"]), choices)


def check_space(space: Space, topology: Topology, path: Path) -> None:
    """Raise BadInput where the task's choices do not fit the network; nothing is trained for this."""
    for name, part in space.layers.items():
        if name not in topology.names:
            guess = difflib.get_close_matches(name, topology.names, 1)
            hint = f"did you mean {guess[0]!r}? " if guess else ""
            raise BadInput(
                f"{path}: space.layers: the network has no layer {name!r}; {hint}it has {', '.join(topology.names)}"
            )
        layer = next(l for l in topology.layers if l.name == name)
        if part.activation is not None and layer.activation != "relu":
            raise BadInput(
                f"{path}: space.layers.{name}.activation: {name} gives the logits and has no activation format"
            )
    for key, options in _written(space, topology).items():
        parameter = key.rsplit(".", 1)[-1]
        if not options:
            raise BadInput(f"{path}: space: {key} has no choice")
        if parameter != "keep":
            for text in options:
                _read(text, parameter, key, path)


def least_design(space: Space, topology: Topology, path: Path) -> Design:
    """The design of the narrowest choice everywhere; integer bits, which cost nothing, are 0 where left open."""

    def narrowest(key: str):
        options = _written(space, topology)[key]
        if key.endswith(".keep"):
            return min(options)
        forms = [_read(text, key.rsplit(".", 1)[-1], key, path) for text in options]
        forms = [_narrow(form) if isinstance(form, tuple) else form for form in forms]
        return min(forms, key=lambda form: form.bits)

    layers = []
    for layer in topology.layers:
        activation = narrowest(f"{layer.name}.activation") if layer.activation == "relu" else None
        kernel, bias, keep = (narrowest(f"{layer.name}.{part}") for part in ("kernel", "bias", "keep"))
        layers.append((layer.name, LayerDesign(kernel, bias, activation, float(keep))))
    return Design(narrowest("input"), tuple(layers))


def build_space(
    space: Space, topology: Topology, weights: Mapping, values: Mapping[str, np.ndarray], path: Path
) -> SearchSpace:
    """The space with integer bits taken from ranges.

    `weights`: layer → kernel, bias of the float network; `values`: "input" and layer → what it puts out.
    """
    samples = {"input": values["input"]}
    for layer in topology.layers:
        samples[f"{layer.name}.kernel"], samples[f"{layer.name}.bias"] = weights[layer.name]
        samples[f"{layer.name}.activation"] = values[layer.name]
    choices = []
    for key, options in _written(space, topology).items():
        parameter = key.rsplit(".", 1)[-1]
        if parameter == "keep":
            choices.append((key, tuple((f"{value:g}", float(value)) for value in options)))
            continue
        resolved = []
        for text in options:
            form = _read(text, parameter, key, path)
            if isinstance(form, tuple):
                form = best_integer(samples[key], form[1], form[0])
            resolved.append((text, form))
        choices.append((key, tuple(resolved)))
    return SearchSpace(topology, tuple(choices))


def _written(space: Space, topology: Topology) -> dict[str, tuple]:
    """Parameter name → choices as the task writes them."""
    found: dict[str, tuple] = {"input": space.input}
    for layer in topology.layers:
        own = space.layers.get(layer.name)
        for parameter in ("kernel", "bias", "activation", "keep"):
            if parameter == "activation" and layer.activation != "relu":
                continue
            special = None if own is None else getattr(own, parameter)
            found[f"{layer.name}.{parameter}"] = getattr(space, parameter) if special is None else special
    return found


def _read(text: str, parameter: str, key: str, path: Path) -> Format | tuple[str, int]:
    """A choice as a format, or as (kind, bits) where the integer bits are left to the ranges."""
    allowed = _FITTING[parameter]
    match = _WIDTH.match(text)
    try:
        if match and match.group(1) in KINDS and match.group(1) not in allowed:
            raise ValueError(f"{match.group(1)} is not for {parameter}s")
        if match and match.group(1) in ("ternary", "binary"):
            return match.group(1), 0
        if match and match.group(1) in KINDS and match.group(2):
            KINDS[match.group(1)](int(match.group(2)), 0)  # the width alone may be out of range
            return match.group(1), int(match.group(2))
        form = parse(text)
        if form.kind not in allowed:
            raise ValueError(f"{form.kind} is not for {parameter}s")
        return form
    except ValueError as error:
        raise BadInput(f"{path}: space: {key}: {text!r}: {error}; allowed here: {', '.join(allowed)}") from None


def _narrow(form: tuple[str, int]) -> Format:
    kind, bits = form
    return KINDS[kind](0) if kind in ("ternary", "binary") else KINDS[kind](bits, 0)
