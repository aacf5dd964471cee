"""The contest: every strategy searches the task with every seed, until it has trained as many events as the others.

The budget is what training costs: events times epochs, summed over designs. A strategy that trains many designs a little
and one that trains few of them long spend the same; what a strategy trains beyond the budget does not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flow.loop import pricing
from flow.loop.batches import search
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.prepare import baseline_designs, lay_ground
from flow.loop.problem import objectives
from flow.loop.state import State
from flow.loop.trials import now
from flow.search.pareto import hypervolume, octaves, ranks
from flow.search.problem import Objective
from flow.study import State as TrialState

BELOW_FLOAT = 0.1  # how far below the float network's figures the reference point lies
MOST = 20  # times the planned trials, after which a strategy that spends little is stopped


@dataclass(frozen=True)
class Reference:
    """The point that hypervolumes are measured from: a value of each objective."""

    objectives: tuple[Objective, ...]
    values: tuple[float, ...]

    def volume(self, rows: np.ndarray) -> float:
        """Hypervolume of points (n, objectives) as declared: what is maximised above the reference as it is, what is
        minimised in octaves below it."""
        return hypervolume(self.upward(rows), np.zeros(len(self.values)))

    def upward(self, rows: np.ndarray) -> np.ndarray:
        """Points with larger better and the reference at 0."""
        columns = [
            column - value if objective.maximize else octaves(value, objective.name) - octaves(column, objective.name)
            for objective, value, column in zip(self.objectives, self.values, rows.T)
        ]
        return np.stack(columns, 1) if len(rows) else np.zeros((0, len(self.values)))

    def to_json(self) -> dict:
        return {objective.name: value for objective, value in zip(self.objectives, self.values)}


@dataclass(frozen=True)
class Outcome:
    """What one strategy found with one seed: `points`, in the order of their training: events trained until then, and
    the objectives; `spent` events in all, less than the budget where it had nothing more to propose; `fidelity`, of
    each objective."""

    strategy: str
    seed: int
    points: tuple[tuple[float, tuple[float, ...]], ...]
    spent: float
    fidelity: Mapping[str, str] = field(default_factory=dict)

    def rows(self, until: float) -> np.ndarray:
        """The objectives (n, objectives) of what was trained within a budget of events."""
        found = [values for spent, values in self.points if spent <= until]
        return np.array(found, float) if found else np.zeros((0, len(self.points[0][1]) if self.points else 0))

    def front(self, reference: Reference, until: float) -> list[tuple[float, ...]]:
        """The points of the front, by the last objective."""
        rows = self.rows(until)
        best = rows[ranks(reference.upward(rows)) == 0] if len(rows) else rows
        return sorted({tuple(map(float, row)) for row in best}, key=lambda row: row[-1])


def compete(
    folder: Path, out: Path | None, strategies: Sequence[str], seeds: Sequence[int], trials: int | None
) -> tuple[Context, Reference, list[Outcome], float]:
    """The task's context, the reference, the outcomes, and the budget in events; everything is kept in the task's folder,
    so that what was searched before is read back. The reference is that of the smallest seed, in whatever order they
    are named."""
    found, reference, budget, context = [], None, 0.0, None
    wanted = trials or Context.of(folder, out).task.search.trials
    for seed in sorted(seeds):
        for strategy in strategies:
            context = _context(folder, out, strategy, seed, trials)
            ground = lay_ground(context)
            events = len(ground.train.truth.labels)
            budget = float(events) * wanted * context.task.train.epochs
            reference = reference or reference_of(context, ground)
            found.append(_search(context, ground, strategy, seed, events, budget))
    return context, reference, found, budget


def _context(folder: Path, out: Path | None, strategy: str, seed: int, trials: int | None) -> Context:
    """The task with another strategy and seed, in one round."""
    searching = {"strategy": strategy, "seed": seed, "rounds": 1} | ({} if trials is None else {"trials": trials})
    return Context.of(folder, out, searching=searching)


def reference_of(context: Context, ground: Ground) -> Reference:
    """Physics figures of the float network less `BELOW_FLOAT`, and the costs of the uniform 6-bit design (model)."""
    design = next(iter(baseline_designs(ground).values()))
    prices = pricing.predict(context, pricing.start(context), ground.topology, design, ground.scaling.word)
    asked = objectives(context.task.objective)
    values = []
    for objective in asked:
        physics = ground.float_figures.get(objective.name)
        if physics is not None:
            values.append(physics.value - BELOW_FLOAT if objective.maximize else 2.0 * max(physics.value, 1e-6))
        elif objective.name in prices:
            values.append(max(prices[objective.name].value, 1.0))
        else:  # a score, which is the metric times a factor near 1
            values.append(ground.float_figures[context.task.objective.metric].value - BELOW_FLOAT)
    return Reference(asked, tuple(values))


def _search(context: Context, ground: Ground, strategy: str, seed: int, events: int, budget: float) -> Outcome:
    context.say(f"[{context.name}] {strategy}, seed {seed}")
    state, spent, points, fidelity = State(pricing.start(context)), 0.0, [], {}
    names = [objective.name for objective in objectives(context.task.objective)]
    size, planned = context.task.train.population, context.task.search.trials
    for total in range(size, MOST * max(planned, size) + 1, size):  # batch by batch, until the budget ends it
        before = len(state.trials)
        state = search(context, ground, state, 1, total)
        costs = now(context, ground, state)
        for trial in state.trials[before:]:
            spent += float(events) * trial.epochs
            if trial.state is TrialState.TRAINED:
                told = trial.figures | costs[trial.number]
                points.append((spent, tuple(told[name].value for name in names)))
                fidelity = {name: told[name].fidelity.value for name in names}  # the same for all
        if spent >= budget or len(state.trials) == before:
            break
    return Outcome(strategy, seed, tuple(points), spent, fidelity)
