"""What a task writes about its space: targets, what each may be, and who shares a choice.

A target is a place of the network that has something to choose: "input", "fc0.kernel", "fc0.keep" ... A parameter is what
the search chooses: a target's own name, or the name of what several targets share.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

from flow.errors import BadInput
from flow.task import Space
from flow.topology import Activation, Conv, Dense, Layer, Scale, Topology, Weighted
from flow.width import resizable

PARTS = ("kernel", "bias", "activation", "keep", "width", "reuse")
NUMBERS = ("keep", "width", "reuse")  # parts whose choices are no formats
# Where a task says the formats behind each activation function.
FUNCTION_KEYS = {"activation": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "linear": "linear"}


def part_of(target: str) -> str:
    """What a target chooses: "input", or one of PARTS."""
    return target.rpartition(".")[2]


def is_number(target: str) -> bool:
    return part_of(target) in NUMBERS


def shown(option) -> str:
    """A choice as the search writes it."""
    return option if isinstance(option, str) else f"{option:g}"


def parts(topology: Topology, layer: Layer) -> tuple[str, ...]:
    """What there is to choose at a layer. A layer that only scales is never pruned: a channel would go."""
    has = {
        "kernel": isinstance(layer, Weighted),
        "bias": isinstance(layer, Weighted) and layer.bias,
        "activation": topology.quantized(layer),
        "keep": isinstance(layer, Weighted) and not isinstance(layer, Scale),
        "width": layer.name in resizable(topology),
        "reuse": isinstance(layer, (Dense, Conv)),
    }
    return tuple(part for part in PARTS if has[part])


def lacks(topology: Topology, layer: Layer, part: str) -> str:
    """Why a layer has nothing to choose there."""
    if part == "activation":
        why = "gives the logits" if layer.name == topology.output else "is linear"
        return f"{why} and has no activation format"
    if part == "keep" and isinstance(layer, Scale):
        return "only scales: it has no weights to prune"
    if part == "width":
        why = "has no units of its own" if isinstance(layer, (Activation, Scale)) else "gives the logits or feeds a sum"
        return f"{why}: its width is not to choose; layers with a width: {', '.join(resizable(topology)) or 'none'}"
    return f"has no {part}"


def written(space: Space, topology: Topology) -> dict[str, tuple]:
    """Target → choices as the task writes them. A width of 1 alone, and no reuse factor, is nothing to choose."""
    found: dict[str, tuple] = {"input": space.input}
    by_function = {function: getattr(space, key) for key, function in FUNCTION_KEYS.items()}
    for layer in topology.designed:
        own = space.layers.get(layer.name)
        for part in parts(topology, layer):
            special = None if own is None else getattr(own, part)
            if special is None and part == "width" and space.width_by == "none":
                continue
            general = by_function[layer.activation] if part == "activation" else getattr(space, part)
            options = general if special is None else special
            if options == (1.0,) and part == "width" or part == "reuse" and not options and special is None:
                continue
            found[f"{layer.name}.{part}"] = options
    return found


def blocks(space: Space, topology: Topology, path: Path) -> dict[str, tuple[str, ...]]:
    """Block → its layers, in the order of the data; every designed layer is in one."""
    found, place = {}, {}
    for name, layers in space.blocks.items():
        for layer in layers:
            _known(layer, topology.names, f"{path}: space.blocks.{name}", "layer")
            if layer in place:
                raise BadInput(
                    f"{path}: space.blocks: {layer} is in {place[layer]} and in {name}; each layer is in one"
                )
            place[layer] = name
    for layer in topology.names:
        name = place.get(layer, layer)
        found[name] = (*found.get(name, ()), layer)
    return found


def shared(space: Space, topology: Topology, path: Path) -> dict[str, str]:
    """Target → the parameter that chooses for it and for others; targets that choose for themselves are left out."""
    choices = written(space, topology)
    found: dict[str, str] = {}
    if space.width_by == "block":
        own = {f"{name}.width" for name, layer in space.layers.items() if layer.width is not None}
        named = blocks(space, topology, path) if space.blocks else {"network": topology.names}
        for block, layers in named.items():
            targets = [f"{layer}.width" for layer in layers if f"{layer}.width" in choices]
            found |= {target: f"{block}.width" for target in targets if target not in own}
    for group, members in space.groups.items():
        where = f"{path}: space.groups.{group}"
        for member in members:
            for target in _targets(member, choices, topology, where):
                if found.get(target, group).partition(".")[0] != group:
                    raise BadInput(f"{where}: {target} shares its choice in {found[target].partition('.')[0]} already")
                found[target] = group if target == member else f"{group}.{part_of(target)}"
    _check_names(found, choices, path)
    return found


def rules(space: Space, topology: Topology, path: Path) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """Forbidden combinations, each parameter → choices as the search writes them."""
    choices, common = written(space, topology), shared(space, topology, path)
    names = {common.get(target, target): target for target in choices}
    found = []
    for number, rule in enumerate(space.forbidden, 1):
        where, row = f"{path}: space.forbidden: rule {number}", {}
        for name, some in rule.items():
            parameter = common.get(name, name)
            _known(parameter, tuple(names), where, "parameter")
            options = tuple(shown(option).replace(" ", "") for option in choices[names[parameter]])
            for text in some:
                _known(text.replace(" ", ""), options, f"{where}: {name}", "choice")
            own = tuple(text.replace(" ", "") for text in some)
            # Two of a rule's targets may share their choice: it is forbidden where both say so.
            row[parameter] = tuple(text for text in own if text in row.get(parameter, own))
            if not row[parameter]:
                both = " and ".join(other for other in rule if common.get(other, other) == parameter)
                raise BadInput(f"{where}: {both} share their choice ({parameter}), and none is in both lists")
        if not row:
            raise BadInput(f"{where}: nothing in it; parameter: choice is expected")
        found.append(row)
    return tuple(found)


def _targets(member: str, choices: Mapping, topology: Topology, where: str) -> list[str]:
    """The targets that a member of a group names: a layer's, or one."""
    if member in topology.names:
        return [target for target in choices if target.rpartition(".")[0] == member]
    _known(member, (*topology.names, *choices), where, "layer or parameter")
    return [member]


def _check_names(found: Mapping[str, str], choices: Mapping[str, tuple], path: Path) -> None:
    """Raise BadInput where what shares a choice can't, or is named as something else."""
    taken = {target for target in choices if target not in found}
    for parameter in dict.fromkeys(found.values()):
        members = [target for target, own in found.items() if own == parameter]
        group = parameter.partition(".")[0]
        if parameter in taken or group == "input":
            raise BadInput(f"{path}: space.groups.{group}: the name is taken by the network; choose another")
        if len({part_of(target) for target in members}) > 1:
            raise BadInput(
                f"{path}: space.groups.{group}: {' and '.join(members)} are different things and can't share"
            )
        for target in members[1:]:
            if choices[target] != choices[members[0]]:
                raise BadInput(
                    f"{path}: space.groups.{group}: {members[0]} and {target} list different choices; give both the same"
                    " in space.layers, or leave one out of the group"
                )


def _known(name: str, names: tuple[str, ...], where: str, what: str) -> None:
    if name not in names:
        guess = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {guess[0]!r}? " if guess else ""
        raise BadInput(f"{where}: {name!r} is no {what} here; {hint}known: {', '.join(names)}")
