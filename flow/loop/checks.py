"""What is wrong with a task, said before anything is trained."""

from collections.abc import Mapping, Sequence

import numpy as np

from flow.errors import BadInput, BudgetMissed
from flow.firmware.followed import check_form
from flow.firmware.reuse import check_choices
from flow.formats import parse
from flow.loop import pricing
from flow.loop.context import Context
from flow.search.nearest import nearest
from flow.search.pricing import beyond
from flow.space import build_space, formats, least_design
from flow.topology import Topology


def check_files(context: Context) -> None:
    """Raise BadInput where a file that the task names is missing."""
    from flow.data.prepare import sources

    for path in sources(context.task.data, context.folder):
        if not path.exists():
            raise BadInput(f"{context.path}: data.file: {path}: no such file")
    weights = context.task.train.weights
    if weights is not None and not (context.folder / weights).is_file():
        raise BadInput(f"{context.path}: train.weights: {context.folder / weights}: no such file")


def check_followed(context: Context, topology: Topology) -> None:
    """Raise BadInput where firmware can't follow a choice of the space."""
    for key, role, text, form in formats(context.task.space, topology, context.path):
        try:
            check_form(role, form)
        except ValueError as error:
            raise BadInput(f"{context.path}: space: {key}: {text!r}: {error}") from None


def check_firmware(context: Context, topology: Topology) -> None:
    """Raise BadInput where the network can't be built as the task asks for it."""
    space, word = context.task.space, parse(context.task.data.word)
    choices = build_space(space, topology, None, None, context.path)
    try:
        check_choices(
            topology,
            context.target,
            choices.numbers("reuse"),
            choices.numbers("width"),
            context.task.target.interval,
        )
    except BadInput as error:
        raise BadInput(f"{context.path}: space: {error}") from None
    least = least_design(space, topology, context.path)
    inputs = {"topology": topology.to_json(), "design": least.to_json(), "word": str(word)}

    def compute():
        from flow.firmware.rehearsal import require

        try:
            require(topology, least, word, context.target, context.name)
        except BadInput as error:
            raise BadInput(f"{context.path}: target, firmware: {error}") from None
        return {}, {}

    context.store.step("rehearsal", inputs | {"target": context.target.to_json(), "name": context.name}, compute)


def check_budget(context: Context, topology: Topology) -> None:
    """Raise BudgetMissed where every design of the space is predicted far outside the budget, with the nearest one.

    Nothing is said of what the closed form does not price.
    """
    from flow.loop.problem import Prices

    if not pricing.priced(context):
        return
    space, word = build_space(context.task.space, topology, None, None, context.path), parse(context.task.data.word)
    model, limits = pricing.start(context), context.limits

    def excess(designs: Sequence[Mapping[str, str]]) -> np.ndarray:
        prices = Prices(context, model, topology, [space.design(chosen) for chosen in designs], word)
        return np.maximum([beyond(prices[name], limit) for name, limit in limits.items()], 0.0).sum(0)

    if not limits:
        return
    chosen = nearest(space.parameters, space.forbidden, excess)
    figures = pricing.predict(context, model, topology, space.design(chosen), word)
    for name, limit in limits.items():
        figure = figures[name]
        if figure.value - 3 * (figure.error or 0.0) > limit:
            key = "latency" if name == "latency_ns" else name
            raise BudgetMissed(
                f"{context.path}: budget.{key}: {limit:g} {figure.unit} can't be met: the nearest design of the space needs"
                f" about {figure.value:.0f} ± {figure.error or 0:.0f} {figure.unit} (model):"
                f" {', '.join(f'{name} {text}' for name, text in chosen.items())}; raise it, or widen the space"
            )
