"""A task's space for people and programs: parameters, choices, what shares one, what is forbidden, how many designs."""

import json
from pathlib import Path

from flow.forbidden import COUNTED
from flow.loop.checks import check_followed
from flow.loop.context import Context
from flow.loop.prepare import read_topology
from flow.space import SearchSpace, build_space, check_space


def show(folder: Path, as_json: bool) -> int:
    """Print the space of a task; BadInput for whatever is wrong with it. Nothing is trained."""
    context = Context.of(folder)
    topology = read_topology(context)
    check_space(context.task.space, topology, context.path)
    check_followed(context, topology)
    space = build_space(context.task.space, topology, None, None, context.path)
    print(json.dumps(_row(context.name, space)) if as_json else "\n".join(_lines(context.name, space)))
    return 0


def _row(name: str, space: SearchSpace) -> dict:
    parameters = {
        parameter: {"choices": list(options), "targets": list(space.targets(parameter))}
        for parameter, options in space.parameters.items()
    }
    return {
        "task": name,
        "parameters": parameters,
        "blocks": {block: list(layers) for block, layers in space.blocks},
        "forbidden": [{key: list(some) for key, some in rule.items()} for rule in space.forbidden],
        "designs": space.size,
        "exact": len(space.forbidden) <= COUNTED,
    }


def _lines(name: str, space: SearchSpace) -> list[str]:
    wide = max(len(parameter) for parameter in space.parameters)
    found = []
    for parameter, options in space.parameters.items():
        targets = space.targets(parameter)
        chosen_for = "" if targets == (parameter,) else f"  (for {', '.join(targets)})"
        found.append(f"{parameter:{wide}}  {', '.join(options)}{chosen_for}")
    if any(len(layers) > 1 for _, layers in space.blocks):
        found.append("blocks: " + "; ".join(f"{block}: {', '.join(layers)}" for block, layers in space.blocks))
    for rule in space.forbidden:
        found.append("forbidden: " + " with ".join(f"{key} {' or '.join(some)}" for key, some in rule.items()))
    about = "" if len(space.forbidden) <= COUNTED else "at most "
    found.append(f"{name}: {len(space.parameters)} parameters, {about}{space.size:.4g} designs")
    return found
