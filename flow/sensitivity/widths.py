"""What goes where a layer is made narrower: its weakest units, with all weights that make them and that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flow.sensitivity.floating import Pass, run
from flow.space import SearchSpace
from flow.topology import INPUT, Topology
from flow.train.initial import Weights
from flow.width import alive, channels, kernel_masks, units_of


@dataclass(frozen=True)
class Width:
    """The width factors of a layer, and the parameter that chooses among them."""

    layer: str
    name: str
    factors: tuple[float, ...]


@dataclass(frozen=True)
class Narrowed:
    """A network of which some units of a layer are gone (`units`: which stay (units,) bool)."""

    topology: Topology
    weights: Weights
    layer: str
    units: np.ndarray

    @cached_property
    def stays(self) -> dict[str, np.ndarray]:
        """By "<layer>.kernel" and "<layer>.bias": which weights stay, bool, in the weight's shape."""
        own = {self.layer: self.units}
        masks, values = kernel_masks(self.topology, own), alive(self.topology, own)
        found = {f"{name}.kernel": mask for name, mask in masks.items()}
        with_bias = (name for name in masks if self.weights[name][1] is not None)
        return found | {f"{name}.bias": channels(values[name]) for name in with_bias}

    def lost(self, name: str) -> np.ndarray:
        """The weights of "<layer>.kernel" or "<layer>.bias" that are gone, 0 where they stay."""
        layer, _, part = name.rpartition(".")
        values = np.asarray(self.weights[layer][part == "bias"], np.float64)
        return np.where(self.stays[name], 0.0, values)

    def logits(self, found: Pass) -> np.ndarray:
        """What the network without these units makes of the same events (n, classes)."""
        weights = {
            name: tuple(None if v is None else v * self.stays[f"{name}.{p}"] for v, p in zip(own, ("kernel", "bias")))
            for name, own in self.weights.items()
        }
        return run(self.topology, weights, found.values[INPUT].reshape(len(found.logits), -1)).logits


def widths(space: SearchSpace) -> tuple[Width, ...]:
    """The layers with a width to choose, in the order of the space."""
    return tuple(
        Width(target.rpartition(".")[0], space.parameter(target), tuple(float(value) for _, value in options))
        for target, options in space.choices
        if target.rpartition(".")[2] == "width"
    )


def narrowed(own: Width, found: Pass) -> list[Narrowed]:
    """The network at each width factor. Those units stay whose kernels have the largest norm, as training keeps them; a
    factor above 1 takes nothing away."""
    kernel = np.asarray(found.weights[own.layer][0], np.float64)
    norm = np.sqrt((kernel**2).reshape(-1, kernel.shape[-1]).sum(axis=0))
    order = np.argsort(-norm, kind="stable")
    made = []
    for factor in own.factors:
        units = np.zeros(len(norm), bool)
        units[order[: units_of(found.topology[own.layer], factor)]] = True
        made.append(Narrowed(found.topology, found.weights, own.layer, units))
    return made


def added(terms: dict, names: Sequence[str], table: np.ndarray) -> None:
    """Add a table to the damages of some parameters, in place."""
    terms[tuple(names)] = terms.get(tuple(names), 0.0) + table
