"""Batches as they are proposed: from the trials before them alone, so that several processes propose the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flow.loop.context import Context
from flow.loop.ground import Ground, Origin
from flow.loop.problem import objectives, problem
from flow.loop.state import State
from flow.loop.studies import prices_of
from flow.loop.trials import now, weights_of
from flow.search import propose
from flow.search.problem import Chosen, Knowledge, Past, Problem, Proposal, key_of
from flow.sensitivity.knowledge import Sensitivity
from flow.store import Step
from flow.study import pasts
from flow.train.schedule import Importance

LADDER = 8  # uniform designs that every strategy's first batch starts from
UNIFORM = "ladder"  # who proposed them


@dataclass(frozen=True)
class Batch:
    """Proposals that train together. `first` is the number of the first one's trial; `hidden`, the batches (by their
    first trials) that were proposed before and may still be in flight: nothing of their results is used."""

    first: int
    proposals: tuple[Proposal, ...]
    key: str
    hidden: frozenset[int] = frozenset()


def window(context: Context, ground: Ground, state: State, number: int, total: int, study: str) -> list[Batch]:
    """The batches that can be proposed now: the next one, and those in flight behind it."""
    found: list[Batch] = []
    first = len(state.trials)
    while len(found) < context.task.search.parallel and first < total:
        size = _size(context, study, first, total)
        batch = _propose(context, ground, state, number, found, first, size)
        if not batch.proposals:
            break
        found.append(batch)
        first += len(batch.proposals)
    return found


def _size(context: Context, study: str, first: int, total: int) -> int:
    """How many trials the batch has: as it was when it was first proposed, so that a search that is asked for more
    trials than before goes on behind those that it has."""
    size = min(context.task.train.population, total - first)
    step = context.store.step("size", {"study": study, "batch": first}, lambda: ({"size": size}, {}))
    return step.result["size"]


def _propose(
    context: Context, ground: Ground, state: State, number: int, flying: Sequence[Batch], first: int, size: int
) -> Batch:
    """The batch that starts with trial `first`; of batches that may still be in flight it knows the choices alone."""
    search = context.task.search
    hidden = _hidden(context, state, number, flying)
    past = _past(context, ground, state, flying, hidden)
    uniform = [] if first else [Proposal(c, by=UNIFORM) for c in ground.space.ladder(min(LADDER, size))]
    asked = _problem(context, ground, state)
    inputs = {
        "strategy": search.strategy,
        "seed": search.seed,
        "batch": first,
        "size": size,
        "space": ground.space.to_json(),
        "float": ground.floating.key,
        "objectives": [[item.name, item.maximize] for item in asked.objectives],
        "limits": dict(asked.limits),
        "plan": [asked.epochs, asked.trials, asked.population],
        "settings": {name: dict(own) for name, own in asked.settings.items()},
        "prices": prices_of(context, state.model),
        "past": [_row(item) for item in past],
        "first": [dict(proposal.chosen) for proposal in uniform],
    }

    def compute():
        with context.stage("proposing designs"):
            # Seeded anew for each batch, so that a resumed search proposes what an undisturbed one would.
            seed = search.seed * 1_000_003 + first
            rest = size - len(uniform)
            more = propose(search.strategy, asked, past, rest, seed) if rest else []
            seen = {key_of(proposal.chosen) for proposal in uniform}
            found = uniform + [p for p in more if p.parent is not None or key_of(p.chosen) not in seen]
            return {"proposed": [[dict(p.chosen), p.parent, p.epochs, p.by] for p in found]}, {}

    step = context.store.step("proposals", inputs, compute)
    return Batch(first, tuple(Proposal(*row) for row in step.result["proposed"]), step.key, hidden)


def _hidden(context: Context, state: State, number: int, flying: Sequence[Batch]) -> frozenset[int]:
    """The batches whose results the next one does not wait for: the `search.parallel` - 1 before it, of this round."""
    before = list(dict.fromkeys(trial.batch for trial in state.trials if trial.round == number))
    before += [batch.first for batch in flying]
    return frozenset(before[max(len(before) + 1 - context.task.search.parallel, 0) :])


def _past(
    context: Context, ground: Ground, state: State, flying: Sequence[Batch], hidden: frozenset[int]
) -> list[Past]:
    """The trials as strategies see them; of hidden batches the choices alone, whether they are done or not."""
    costs = now(context, ground, state)
    trials = [replace(trial, figures={**trial.figures, **costs[trial.number]}) for trial in state.trials]
    reported = {item.design.digest for item in state.built if item.report is not None}
    found = pasts(trials, objectives(context.task.objective), context.limits, reported)
    for batch in flying:
        found += [_waiting(batch.first + i, p.chosen, batch.first, p.by or context.task.search.strategy)
                  for i, p in enumerate(batch.proposals)]  # fmt: skip
    return [_waiting(p.number, p.chosen, p.batch, p.by) if p.batch in hidden else p for p in found]


def _waiting(number: int, chosen: Chosen, batch: int, by: str) -> Past:
    return Past(number, chosen, (), batch=batch, by=by)


def _row(item: Past) -> list:
    """A past trial as JSON."""
    return [
        item.number, dict(item.chosen), list(item.values), dict(item.excess), item.epochs, item.parent, item.batch,
        item.by, item.reported,
    ]  # fmt: skip


def _problem(context: Context, ground: Ground, state: State) -> Problem:
    return problem(
        context, ground.topology, ground.space, state.model, ground.scaling.word, _knowledge(context, ground, state)
    )


def _knowledge(context: Context, ground: Ground, state: State) -> Knowledge:
    """What is measured on the float network, kept as steps."""

    def keep(name: str, inputs: dict, compute: Callable) -> Step:
        def announced():
            with context.stage("measuring", name):
                return compute()

        return context.store.step(name, inputs, announced)

    def parameters_of(number: int) -> Origin:
        # Where widths are to choose, trials have other shapes than the tables: the float network stands for them.
        return ground.start if ground.wide is not None else weights_of(context, state.trials[number])

    return Sensitivity(
        ground.space,
        ground.start[1],
        ground.train,
        context.task.search.seed,
        Importance(context.task.train.importance),
        keep,
        ground.floating.key,
        parameters_of,
    )
