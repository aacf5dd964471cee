"""What is wrong with a task's space, said before anything is trained."""

import difflib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.formats import ACTIVATIONS_OF, Format
from flow.space import written as told
from flow.space.reading import read, role
from flow.space.space import counted
from flow.task import Space
from flow.topology import Topology


def check_space(space: Space, topology: Topology, path: Path) -> None:
    """Raise BadInput where the task's choices do not fit the network; nothing is trained for this."""
    for name, own in space.layers.items():
        if name not in topology.names:
            guess = difflib.get_close_matches(name, topology.names, 1)
            hint = f"did you mean {guess[0]!r}? " if guess else ""
            raise BadInput(
                f"{path}: space.layers: the network has no layer {name!r}; {hint}it has {', '.join(topology.names)}"
            )
        for part in told.PARTS:
            if getattr(own, part) is not None and part not in told.parts(topology, topology[name]):
                reason = told.lacks(topology, topology[name], part)
                raise BadInput(f"{path}: space.layers.{name}.{part}: {name} {reason}")
    for key, options in told.written(space, topology).items():
        if not options:
            raise BadInput(f"{path}: space: {key} has no choice")
        texts = [told.shown(option).replace(" ", "") for option in options]
        twice = next((text for text in texts if texts.count(text) > 1), None)
        if twice is not None:
            raise BadInput(f"{path}: space: {key} lists {twice} twice")
    for _ in formats(space, topology, path):
        pass
    for name, function in told.FUNCTION_KEYS.items():  # also where the network has no such layer
        for text in getattr(space, name):
            read(text, name, ACTIVATIONS_OF[function], np.ones(1), path)
    told.blocks(space, topology, path)
    if counted(space, topology, path) == 0:
        raise BadInput(f"{path}: space.forbidden: no design is left that has none of these combinations; allow one")


def formats(space: Space, topology: Topology, path: Path) -> Iterator[tuple[str, str, str, Format]]:
    """Every format to choose from: target, role, choice as written, and the format; BadInput where it fits nowhere.

    A role is "input", "kernel", "bias" or an activation function. What is left to the ranges suits values of 1.
    """
    for key, options in told.written(space, topology).items():
        if not told.is_number(key):
            own, allowed = role(topology, key)
            for text in options:
                yield key, own, text, read(text, key, allowed, np.ones(1), path)
