"""The trials of a round: proposed and trained batch by batch, by one process or by several at once.

Which designs a batch holds follows from the trials before it alone, so several processes that share the folder agree
on every batch without a word, and each takes one that nobody trains. `search.parallel` batches are in flight: a batch is
proposed without waiting for the `parallel` - 1 before it, whatever the number of processes is.
"""

from collections.abc import Sequence
from dataclasses import replace

from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.problem import objectives
from flow.loop.proposals import Batch, window
from flow.loop.state import State
from flow.loop.studies import mark_of, record, study_of, tell
from flow.loop.training import train_on
from flow.loop.trials import origin, predicted, score, weighed_by
from flow.study import State as TrialState
from flow.study import Study, Trial, claim_batch
from flow.study.claims import is_claimed
from flow.train.designs import figures_of


def search(context: Context, ground: Ground, state: State, number: int, total: int | None = None) -> State:
    """Propose and train the round's trials, batch by batch; `total`: until there are so many (default: as the task says)."""
    study = study_of(context, ground)
    if not state.trials and not mark_of(context).holds():  # afterwards a storage that is away stops nothing
        study.open()
    total = number * context.task.search.trials if total is None else total
    while len(state.trials) < total and not context.time_is_over:
        flying = window(context, ground, state, number, total, study.name)
        if not flying:
            context.say(f"[{context.name}] the space has no more designs to propose")
            break
        batch = _next(context, study, flying)
        trials = _take(context, ground, state, number, batch, flying, study)
        if batch is flying[0]:
            state = replace(state, trials=(*state.trials, *trials))
    if context.time_is_over and len(state.trials) < total:
        context.say(
            f"[{context.name}] the time is over after {len(state.trials)} of {total} trials; run again to go on"
        )
    record(context, ground, state)
    return state


def _next(context: Context, study: Study, flying: Sequence[Batch]) -> Batch:
    """The batch that this process turns to: the first one, or where another process trains that, one that nobody does."""
    if _is_done(context, flying[0]):
        return flying[0]
    free = [b for b in flying if not _is_done(context, b) and not is_claimed(study.claims, study.batch_name(b.first))]
    return free[0] if free else flying[0]


def _marker(batch: Batch) -> dict:
    return {"proposals": batch.key}


def _is_done(context: Context, batch: Batch) -> bool:
    return context.store.find("batch", _marker(batch)) is not None


def _take(
    context: Context, ground: Ground, state: State, number: int, batch: Batch, flying: Sequence[Batch], study: Study
) -> list[Trial]:
    """The batch's trials, trained by this process, or by another one that is at it already."""
    waiting = [_proposed(context, ground, number, each, i) for each in flying for i in range(len(each.proposals))]
    with claim_batch(study.claims, study.batch_name(batch.first), lambda: _is_done(context, batch)) as mine:
        if mine:
            tell(context, study.sync((*state.trials, *waiting)))
        trials = _train(context, ground, state, number, batch)  # read back where another process has trained it
        if mine:
            tell(context, study.sync((*state.trials, *trials)))
            context.store.step("batch", _marker(batch), lambda: ({"trials": len(trials)}, {}))
    return trials


def _proposed(context: Context, ground: Ground, number: int, batch: Batch, place: int) -> Trial:
    proposal = batch.proposals[place]
    design = ground.space.design(proposal.chosen)
    return Trial(
        batch.first + place, number, proposal.chosen, design, TrialState.PROPOSED, {}, parent=proposal.parent,
        by=proposal.by or context.task.search.strategy, seed=context.task.search.seed, batch=batch.first,
    )  # fmt: skip


def _train(context: Context, ground: Ground, state: State, number: int, batch: Batch) -> list[Trial]:
    """Train a batch, those of as many epochs together."""
    usual = context.task.train.epochs
    found: dict[int, Trial] = {}
    for epochs in sorted({proposal.epochs or usual for proposal in batch.proposals}):
        places = [i for i, proposal in enumerate(batch.proposals) if (proposal.epochs or usual) == epochs]
        found |= _train_together(context, ground, state, number, batch, places, epochs)
    return [found[place] for place in range(len(batch.proposals))]


def _train_together(
    context: Context, ground: Ground, state: State, number: int, batch: Batch, places: Sequence[int], epochs: int
) -> dict[int, Trial]:
    designs = [ground.space.design(batch.proposals[i].chosen) for i in places]
    expected = [predicted(context, ground, state, design) for design in designs]
    known = replace(
        state, trials=tuple(t for t in state.trials if t.batch < batch.first and t.batch not in batch.hidden)
    )
    origins = [origin(context, ground, known, d, batch.proposals[i].parent) for i, d in zip(places, designs)]
    asked = context.task.objective
    # Halving compares by the metric and the cost: with more objectives it would cut what is good in another one.
    costs = [figures[asked.cost].value for figures in expected] if len(objectives(asked)) == 2 else None
    step = train_on(context, ground, "trials", designs, origins, epochs, costs)
    found = {}
    for member, (place, design) in enumerate(zip(places, designs)):
        row = step.result["members"][member]
        weighed = None if row["failed"] else weighed_by(ground, design, step, member)
        told = predicted(context, ground, state, design, weighed) | figures_of(row["figures"])
        if told.keys() >= {context.task.objective.metric}:
            told |= score(context, ground, told)
        found[place] = replace(
            _proposed(context, ground, number, batch, place),
            state=TrialState.FAILED if row["failed"] else TrialState.TRAINED,
            figures=told,
            step=step.folder.name,
            member=member,
            reason=_reason(row),
            epochs=len(row["losses"]),
            seconds=step.result["seconds"] / len(places),
            weighed=weighed,
        )
    return found


def _reason(row: dict) -> str:
    """Why a member was not trained to the end; empty where it was."""
    if row["failed"]:
        return f"the loss or the weights were no numbers any more in epoch {row['failed']}"
    return (
        f"cut after epoch {row['cut']}: another design is better beyond the noise and costs no more"
        if row["cut"]
        else ""
    )
