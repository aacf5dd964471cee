"""What strategies may ask, answered for a task: its space, what designs cost by closed form, what hurts its network."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from flow.cost import COSTS
from flow.cost import rtl as rtl_cost
from flow.cost.forgiving import GOALS, Reference, reference_price
from flow.design import Design
from flow.formats import Fixed
from flow.loop import pricing
from flow.loop.context import Context
from flow.loop.state import CostState
from flow.metrics import Implementation
from flow.search.problem import Chosen, Knowledge, Objective, Problem
from flow.space import SearchSpace
from flow.task import Objective as Asked
from flow.topology import Topology
from flow.width import narrowed_topology


class Prices(Mapping):
    """Figure → its closed-form value for each of some designs (designs,), computed when it is asked for."""

    def __init__(self, context: Context, model: CostState, topology: Topology, designs: Sequence[Design], word: Fixed):
        self._asked = context, model, topology, designs, word
        self._found: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._found:
            _, _, topology, designs, _ = self._asked
            if name in COSTS:
                values = [COSTS[name](narrowed_topology(topology, design), design) for design in designs]
                self._found[name] = np.array(values, float)
            else:
                self._found |= predict_many(*self._asked)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        if not self._found.keys() - COSTS.keys():
            self._found |= predict_many(*self._asked)
        return iter(dict.fromkeys((*COSTS, *self._found)))

    def __len__(self) -> int:
        return len(list(iter(self)))


def predict_many(
    context: Context, model: CostState, topology: Topology, designs: Sequence[Design], word: Fixed
) -> dict[str, np.ndarray]:
    """Resources and latency of designs (designs,), for the tool of the loop; designs of one topology at once."""
    if context.tool.implementation is not Implementation.RTL or context.target.cycles is not None:
        rows = [pricing.predict(context, model, topology, design, word) for design in designs]
        names = rows[0].keys() - COSTS.keys() if rows else ()
        return {name: np.array([row[name].value for row in rows]) for name in names}
    groups: dict[Topology, list[int]] = {}
    for place, design in enumerate(designs):
        groups.setdefault(narrowed_topology(topology, design), []).append(place)
    found: dict[str, np.ndarray] = {}
    for own, places in groups.items():
        rows = rtl_cost.predict_many(
            model, own, [designs[i] for i in places], word, context.task.target.clock_ns, context.tool.name,
            context.until.fidelity.value,
        )  # fmt: skip
        for name, row in rows.items():
            found.setdefault(name, np.zeros(len(designs)))[places] = row.value
    return found


def objectives(asked: Asked) -> tuple[Objective, ...]:
    """The objectives of a task, what is maximised first."""
    return tuple(Objective(name, True) for name in asked.maximize) + tuple(
        Objective(name, False) for name in asked.minimize
    )


def problem(
    context: Context, topology: Topology, space: SearchSpace, model: CostState, word: Fixed, knowledge: Knowledge
) -> Problem:
    """What the strategies of a task see."""
    task = context.task

    def prices(designs: Sequence[Chosen]) -> Prices:
        return Prices(context, model, topology, [space.design(chosen) for chosen in designs], word)

    def by_layer(chosen: Chosen) -> dict[str, dict[str, float]]:
        return pricing.by_layer(context, model, topology, space.design(chosen), word)

    return Problem(
        space.parameters,
        objectives(task.objective),
        context.limits,
        prices,
        by_layer,
        knowledge,
        task.train.epochs,
        task.search.trials,
        task.train.population,
        space.forbidden,
        tuple(_parameters(space, layers) for _, layers in space.blocks),
        settings=_settings(context, topology),
    )


def _settings(context: Context, topology: Topology) -> dict[str, dict]:
    """The settings of strategies; AutoQKeras' are those of its score, unless it is given its own."""
    asked = context.task.search.options
    score = context.task.objective.forgiving.model_dump() | asked.get("autoqkeras", {})
    references = {item.value: item for item in Reference}
    if str(score["goal"]) in GOALS and str(score["reference"]) in references:  # what is neither, the strategy refuses
        price = reference_price(topology, score["goal"], references[score["reference"]])
        score = {"reference_price": price} | score
    return asked | {"autoqkeras": score}


def _parameters(space: SearchSpace, layers: Sequence[str]) -> tuple[str, ...]:
    """The parameters that choose for some layers."""
    targets = [target for target, _ in space.choices if target.rpartition(".")[0] in layers]
    return tuple(dict.fromkeys(space.parameter(target) for target in targets))
