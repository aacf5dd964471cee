"""The space of candidates: named choices, and the design that a set of choices stands for."""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.design import Design, LayerDesign
from flow.errors import BadInput
from flow.formats import ACTIVATIONS_OF, BIASES, INPUTS, KERNELS, KINDS, WIDTHLESS, Format, best_integer, parse
from flow.task import Space
from flow.topology import Layer, Scale, Topology, Weighted

_WIDTH = re.compile(r"^\s*(\w+)\s*(?:\(\s*(\d+)\s*\))?\s*$")
_PARTS = ("kernel", "bias", "activation", "keep")
# Where a task says the formats behind each activation function.
_FUNCTION_KEYS = {"activation": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "linear": "linear"}


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
        return _design(self.topology, {name: dict(options)[chosen[name]] for name, options in self.choices})

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
    for name, own in space.layers.items():
        if name not in topology.names:
            guess = difflib.get_close_matches(name, topology.names, 1)
            hint = f"did you mean {guess[0]!r}? " if guess else ""
            raise BadInput(
                f"{path}: space.layers: the network has no layer {name!r}; {hint}it has {', '.join(topology.names)}"
            )
        for part in _PARTS:
            if getattr(own, part) is not None and part not in _parts(topology, topology[name]):
                reason = _lacks(topology, topology[name], part)
                raise BadInput(f"{path}: space.layers.{name}.{part}: {name} {reason}")
    for key, options in _written(space, topology).items():
        if not options:
            raise BadInput(f"{path}: space: {key} has no choice")
        shown = [f"{option:g}" if isinstance(option, float) else str(option).replace(" ", "") for option in options]
        twice = next((text for text in shown if shown.count(text) > 1), None)
        if twice is not None:
            raise BadInput(f"{path}: space: {key} lists {twice} twice")
    for _ in formats(space, topology, path):
        pass
    for name, function in _FUNCTION_KEYS.items():  # also where the network has no such layer
        for text in getattr(space, name):
            _read(text, name, ACTIVATIONS_OF[function], np.ones(1), path)


def formats(space: Space, topology: Topology, path: Path) -> Iterator[tuple[str, str, str, Format]]:
    """Every format to choose from: parameter, role, choice as written, and the format; BadInput where it fits nowhere.

    A role is "input", "kernel", "bias" or an activation function. What is left to the ranges suits values of 1.
    """
    for key, options in _written(space, topology).items():
        if not key.endswith(".keep"):
            role, allowed = _role(topology, key)
            for text in options:
                yield key, role, text, _read(text, key, allowed, np.ones(1), path)


def least_design(space: Space, topology: Topology, path: Path) -> Design:
    """The design of the narrowest choice everywhere; integer bits cost nothing, and those left open suit values of 1."""
    forms: dict[str, list[Format]] = {}
    for key, _, _, form in formats(space, topology, path):
        forms.setdefault(key, []).append(form)
    keeps = {key: float(min(o)) for key, o in _written(space, topology).items() if key.endswith(".keep")}
    narrowest = {key: min(options, key=lambda form: form.bits) for key, options in forms.items()}
    return _design(topology, narrowest | keeps)


def build_space(
    space: Space, topology: Topology, weights: Mapping, values: Mapping[str, np.ndarray], path: Path
) -> SearchSpace:
    """The space with integer bits taken from ranges.

    `weights`: layer → kernel, bias of the float network; `values`: "input" and layer → what it puts out.
    """
    samples = {"input": values["input"]}
    for layer in topology.designed:
        if isinstance(layer, Weighted):
            samples[f"{layer.name}.kernel"], samples[f"{layer.name}.bias"] = weights[layer.name]
        samples[f"{layer.name}.activation"] = values[layer.name]
    choices = []
    for key, options in _written(space, topology).items():
        if key.endswith(".keep"):
            choices.append((key, tuple((f"{value:g}", float(value)) for value in options)))
        else:
            _, allowed = _role(topology, key)
            choices.append((key, tuple((text, _read(text, key, allowed, samples[key], path)) for text in options)))
    return SearchSpace(topology, tuple(choices))


def _design(topology: Topology, values: Mapping[str, Format | float]) -> Design:
    layers = []
    for layer in topology.designed:
        kernel, bias, activation = (values.get(f"{layer.name}.{part}") for part in _PARTS[:3])
        layers.append((layer.name, LayerDesign(kernel, bias, activation, values.get(f"{layer.name}.keep", 1.0))))
    return Design(values["input"], tuple(layers))


def _parts(topology: Topology, layer: Layer) -> tuple[str, ...]:
    """What there is to choose at a layer. A layer that only scales is never pruned: a channel would go."""
    has = {
        "kernel": isinstance(layer, Weighted),
        "bias": isinstance(layer, Weighted) and layer.bias,
        "activation": topology.quantized(layer),
        "keep": isinstance(layer, Weighted) and not isinstance(layer, Scale),
    }
    return tuple(part for part in _PARTS if has[part])


def _lacks(topology: Topology, layer: Layer, part: str) -> str:
    if part == "activation":
        why = "gives the logits" if layer.name == topology.output else "is linear"
        return f"{why} and has no activation format"
    return (
        "only scales: it has no weights to prune" if part == "keep" and isinstance(layer, Scale) else f"has no {part}"
    )


def _written(space: Space, topology: Topology) -> dict[str, tuple]:
    """Parameter name → choices as the task writes them."""
    found: dict[str, tuple] = {"input": space.input}
    by_function = {function: getattr(space, key) for key, function in _FUNCTION_KEYS.items()}
    for layer in topology.designed:
        own = space.layers.get(layer.name)
        for part in _parts(topology, layer):
            special = None if own is None else getattr(own, part)
            general = by_function[layer.activation] if part == "activation" else getattr(space, part)
            found[f"{layer.name}.{part}"] = general if special is None else special
    return found


def _role(topology: Topology, key: str) -> tuple[str, tuple[str, ...]]:
    """What a parameter's format is for, and the kinds that fit."""
    name, _, part = key.rpartition(".")
    if part == "activation":
        function = topology[name].activation
        return function, ACTIVATIONS_OF[function]
    return part, {"input": INPUTS, "kernel": KERNELS, "bias": BIASES}[part]


def _read(text: str, key: str, allowed: tuple[str, ...], values: np.ndarray, path: Path) -> Format:
    """A choice as a format; integer bits, or a scale, that it leaves open are those that suit `values`."""
    match = _WIDTH.match(text)
    kind, width = match.groups() if match else (None, None)
    try:
        if kind in KINDS and kind not in allowed:
            raise ValueError(f"{kind} is not for {key.rsplit('.', 1)[-1]}s")
        if kind in KINDS and bool(width) != (kind in WIDTHLESS):
            return best_integer(values, int(width or 0), kind)
        form = parse(text)
        if form.kind not in allowed:
            raise ValueError(f"{form.kind} is not for {key.rsplit('.', 1)[-1]}s")
        return form
    except ValueError as error:
        raise BadInput(f"{path}: space: {key}: {text!r}: {error}; allowed here: {', '.join(allowed)}") from None
