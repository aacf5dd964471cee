"""Parameters and their choices, and the design of one choice each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from flow.design import Design, LayerDesign
from flow.forbidden import Rule, broken, counts
from flow.formats import Format, parse
from flow.space import written as told
from flow.space.reading import read, role
from flow.task import Space
from flow.topology import Topology, Weighted

Value = Format | float


@dataclass(frozen=True)
class SearchSpace:
    """`choices`: target ("input", "fc0.kernel", "fc0.keep" ...) → choice as written → format, fraction or factor.

    Choices stand in the order in which the task lists them, cheapest first by custom. `shared`: target → the parameter
    that chooses for several; `forbidden`: combinations, parameter → choices; `blocks`: name → layers.
    """

    topology: Topology
    choices: tuple[tuple[str, tuple[tuple[str, Value], ...]], ...]
    shared: tuple[tuple[str, str], ...] = ()
    forbidden: tuple[Rule, ...] = ()
    blocks: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @cached_property
    def parameters(self) -> dict[str, tuple[str, ...]]:
        """Parameter name → its choices as written."""
        return {self.parameter(target): tuple(text for text, _ in options) for target, options in self.choices}

    def parameter(self, target: str) -> str:
        """The parameter that chooses for a target."""
        return dict(self.shared).get(target, target)

    def targets(self, parameter: str) -> tuple[str, ...]:
        """What a parameter chooses for."""
        return tuple(target for target, _ in self.choices if self.parameter(target) == parameter)

    def numbers(self, part: str) -> dict[str, list[float]]:
        """Layer → what it may have of "keep", "width" or "reuse"."""
        return {
            target.rpartition(".")[0]: [value for _, value in options]
            for target, options in self.choices
            if told.part_of(target) == part
        }

    @property
    def size(self) -> int:
        """Number of designs (see `counts`)."""
        return counts(self.parameters, self.forbidden)

    def allowed(self, chosen: Mapping[str, str]) -> bool:
        """Whether no forbidden combination is among the choices."""
        return not broken(self.forbidden, chosen)

    @cached_property
    def _values(self) -> dict[str, tuple[str, dict[str, Value]]]:
        return {target: (self.parameter(target), dict(options)) for target, options in self.choices}

    def design(self, chosen: Mapping[str, str]) -> Design:
        """The design of one choice per parameter."""
        return _design(
            self.topology, {target: options[chosen[name]] for target, (name, options) in self._values.items()}
        )

    def ladder(self, rungs: int) -> list[dict[str, str]]:
        """Uniform designs from the first choices everywhere to the last ones, evenly spread, both ends in; without
        those that are forbidden."""
        found = []
        for share in np.linspace(0.0, 1.0, max(rungs, 2)):
            chosen = {n: options[round(share * (len(options) - 1))] for n, options in self.parameters.items()}
            if chosen not in found and self.allowed(chosen):
                found.append(chosen)
        return found

    def to_json(self) -> dict:
        return {
            "topology": self.topology.to_json(),
            "choices": {n: {t: v if isinstance(v, (int, float)) else str(v) for t, v in o} for n, o in self.choices},
            "shared": dict(self.shared),
            "forbidden": [{name: list(some) for name, some in rule.items()} for rule in self.forbidden],
            "blocks": {name: list(layers) for name, layers in self.blocks},
        }

    @staticmethod
    def from_json(row: dict) -> "SearchSpace":
        def value(text):
            return text if isinstance(text, (int, float)) else parse(text)

        choices = tuple((n, tuple((t, value(v)) for t, v in options.items())) for n, options in row["choices"].items())
        forbidden = tuple({name: tuple(some) for name, some in rule.items()} for rule in row["forbidden"])
        return SearchSpace(
            Topology.from_json(row["topology"]),
            choices,
            tuple(row["shared"].items()),
            forbidden,
            tuple((name, tuple(layers)) for name, layers in row["blocks"].items()),
        )


def build_space(
    space: Space,
    topology: Topology,
    weights: Mapping | None,
    values: Mapping[str, np.ndarray] | None,
    path: Path,
) -> SearchSpace:
    """The space with integer bits taken from ranges.

    `weights`: layer → kernel, bias of the float network; `values`: "input" and layer → what it puts out. Without them,
    before there is a float network, integer bits suit values of 1.
    """
    samples = {}
    if values is not None and weights is not None:
        samples = {"input": values["input"]}
        for layer in topology.designed:
            if isinstance(layer, Weighted):
                samples[f"{layer.name}.kernel"], samples[f"{layer.name}.bias"] = weights[layer.name]
            samples[f"{layer.name}.activation"] = values[layer.name]
    choices = []
    for target, options in told.written(space, topology).items():
        if told.is_number(target):
            kind = int if told.part_of(target) == "reuse" else float
            choices.append((target, tuple((told.shown(value), kind(value)) for value in options)))
        else:
            _, allowed = role(topology, target)
            own = samples.get(target, np.ones(1))
            choices.append(
                (target, tuple((text.replace(" ", ""), read(text, target, allowed, own, path)) for text in options))
            )
    shared, rules = told.shared(space, topology, path), told.rules(space, topology, path)
    return SearchSpace(
        topology, tuple(choices), tuple(shared.items()), rules, tuple(told.blocks(space, topology, path).items())
    )


def least_design(space: Space, topology: Topology, path: Path) -> Design:
    """The design of the narrowest choice everywhere; integer bits cost nothing, and those left open suit values of 1."""
    found = build_space(space, topology, None, None, path)
    return _design(topology, {target: min((v for _, v in options), key=_size) for target, options in found.choices})


def counted(space: Space, topology: Topology, path: Path) -> int:
    """The number of designs that a task's space holds."""
    return build_space(space, topology, None, None, path).size


def _size(value: Value) -> float:
    return value if isinstance(value, (int, float)) else value.bits


def _design(topology: Topology, values: Mapping[str, Value]) -> Design:
    layers = []
    for layer in topology.designed:
        own = {part: values.get(f"{layer.name}.{part}") for part in ("kernel", "bias", "activation")}
        more = {part: values[f"{layer.name}.{part}"] for part in told.NUMBERS if f"{layer.name}.{part}" in values}
        layers.append((layer.name, LayerDesign(**own, **more)))
    return Design(values["input"], tuple(layers))
