"""The trials of a round: proposed and trained batch by batch, by one process or by several at once.

Which designs a batch holds follows from the trials before it alone, so several processes that share the folder agree
on every batch without a word, and each takes one that nobody trains. `search.parallel` batches are in flight: a batch is
proposed without waiting for the `parallel` - 1 before it, whatever the number of processes is.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from flow.cost.forgiving import Forgiving, Reference, forgiving_score, reference_price
from flow.cost.rtl import Weighed, weigh
from flow.design import Design, distance
from flow.loop import pricing
from flow.loop.context import Context
from flow.loop.ground import Ground, Origin
from flow.loop.problem import objectives, problem
from flow.loop.state import CostState, State
from flow.loop.training import train_on
from flow.metrics import Fidelity, Figure, figure
from flow.search import propose
from flow.search.problem import Chosen, Knowledge, Past, Problem, Proposal, key_of
from flow.sensitivity.knowledge import Sensitivity
from flow.store import Step, commit, digest_of, versions
from flow.study import Mark, Study, Trial, check, claim_batch, pasts, storage_of
from flow.study import State as TrialState
from flow.study.claims import is_claimed
from flow.train.designs import figures_of, member_network, member_parameters
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


def search(context: Context, ground: Ground, state: State, number: int, total: int | None = None) -> State:
    """Propose and train the round's trials, batch by batch; `total`: until there are so many (default: as the task says)."""
    study = study_of(context, ground)
    if not state.trials and not _mark(context).holds():  # afterwards a storage that is away stops nothing
        study.open()
    total = number * context.task.search.trials if total is None else total
    while len(state.trials) < total and not context.time_is_over:
        window = _window(context, ground, state, number, total, study.name)
        if not window:
            context.say(f"[{context.name}] the space has no more designs to propose")
            break
        batch = _next(context, study, window)
        trials = _take(context, ground, state, number, batch, window, study)
        if batch is window[0]:
            state = replace(state, trials=(*state.trials, *trials))
    if context.time_is_over and len(state.trials) < total:
        context.say(
            f"[{context.name}] the time is over after {len(state.trials)} of {total} trials; run again to go on"
        )
    record(context, ground, state)
    return state


def record(context: Context, ground: Ground, state: State) -> None:
    """Bring the Optuna study up to date, with what tools have reported."""
    clock = context.task.target.clock_ns
    reported = {item.design.digest: item.reported(clock) for item in state.built if item.report is not None}
    study, mark = study_of(context, ground), _mark(context)
    told = [[digest, {name: figure.to_json() for name, figure in own.items()}] for digest, own in reported.items()]
    content = {digest_of([study.name, item]) for item in (*(trial.to_json() for trial in state.trials), *told)}
    if not mark.holds(content):
        _tell(context, study.sync(state.trials, reported))
        if not study.behind:
            mark.set(content)


def check_storage(context: Context) -> None:
    """Raise BadInput for what is no storage, Storage for one that can't be used."""
    if not _mark(context).holds():
        check(storage_place(context))


def _mark(context: Context) -> Mark:
    return Mark(context.out / "claims" / "study.json", storage_place(context))


def study_of(context: Context, ground: Ground) -> Study:
    """The task's study in Optuna's storage; BadInput for what is no storage."""
    task, search = context.task, context.task.search
    settings = [part.model_dump(mode="json") for part in (task.objective, task.train, task.budget)]
    run = {
        "float": ground.floating.key,
        "space": ground.space.to_json(),
        "settings": [*settings, search.model_dump(mode="json", exclude={"storage", "rounds", "trials"})],
        "prices": _pricing(context, pricing.start(context)),
    }
    notes = {
        "task": context.name,
        "strategy": search.strategy,
        "seed": search.seed,
        "epochs": task.train.epochs,
        "versions": versions(),
        "commit": commit(),
    }
    name = f"{context.name}-{search.strategy}-{search.seed}-{context.store.key('study', run)[:8]}"
    if name not in context.studies:
        context.studies[name] = Study(
            storage_place(context),
            name,
            objectives=objectives(task.objective),
            parameters=ground.space.parameters,
            limits=context.limits,
            notes=notes,
            claims=context.out / "claims",
        )
    return context.studies[name]


def _pricing(context: Context, model: CostState) -> dict:
    """What predictions depend on, beside the design."""
    return {
        "model": model.to_json(),
        "target": context.target.to_json(),
        "tool": context.tool.name,
        "stage": context.until.value,
    }


def storage_place(context: Context):
    """Where the study is kept; BadInput for what is no storage."""
    where = f"{context.path}: search.storage"
    return storage_of(context.task.search.storage, context.out / "study.db", context.folder, where)


def _window(context: Context, ground: Ground, state: State, number: int, total: int, study: str) -> list[Batch]:
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
        "prices": _pricing(context, state.model),
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
        return ground.start if ground.wide is not None else _weights_of(context, state.trials[number])

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


def _next(context: Context, study: Study, window: Sequence[Batch]) -> Batch:
    """The batch that this process turns to: the first one, or where another process trains that, one that nobody does."""
    if _is_done(context, window[0]):
        return window[0]
    free = [b for b in window if not _is_done(context, b) and not is_claimed(study.claims, study.batch_name(b.first))]
    return free[0] if free else window[0]


def _marker(batch: Batch) -> dict:
    return {"proposals": batch.key}


def _is_done(context: Context, batch: Batch) -> bool:
    return context.store.find("batch", _marker(batch)) is not None


def _take(
    context: Context, ground: Ground, state: State, number: int, batch: Batch, window: Sequence[Batch], study: Study
) -> list[Trial]:
    """The batch's trials, trained by this process, or by another one that is at it already."""
    waiting = [_proposed(context, ground, number, each, i) for each in window for i in range(len(each.proposals))]
    with claim_batch(study.claims, study.batch_name(batch.first), lambda: _is_done(context, batch)) as mine:
        if mine:
            _tell(context, study.sync((*state.trials, *waiting)))
        trials = _train(context, ground, state, number, batch)  # read back where another process has trained it
        if mine:
            _tell(context, study.sync((*state.trials, *trials)))
            context.store.step("batch", _marker(batch), lambda: ({"trials": len(trials)}, {}))
    return trials


def _tell(context: Context, line: str) -> None:
    if line:
        context.say(f"[{context.name}] {line}")


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
        weighed = None if row["failed"] else _weighed(ground, design, step, member)
        told = predicted(context, ground, state, design, weighed) | figures_of(row["figures"])
        if told.keys() >= {context.task.objective.metric}:
            told |= _score(context, ground, told)
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


def _weighed(ground: Ground, design: Design, step: Step, member: int) -> dict[str, Weighed]:
    """What the trained weights of a member say of its cost."""
    topology, weights = member_network(ground.topology, step.arrays, member)
    return weigh(topology, design, weights)


def _score(context: Context, ground: Ground, figures: dict[str, Figure]) -> dict[str, Figure]:
    """AutoQKeras' score of a trained design, where the task asks for it."""
    asked = context.task.objective
    if "forgiving_score" not in asked.maximize:
        return {}
    told = asked.forgiving.model_dump()
    goal, reference = told.pop("goal"), Reference(told.pop("reference"))
    settings = Forgiving(reference_price(ground.topology, goal, reference), **told)
    value = forgiving_score(figures[asked.metric].value, figures[goal].value, settings)
    return {"forgiving_score": figure("forgiving_score", value, Fidelity.MODEL)}


def predicted(
    context: Context, ground: Ground, state: State, design: Design, weighed: Mapping[str, Weighed] | None = None
) -> dict[str, Figure]:
    """All closed-form figures of a design, by the cost model of the moment."""
    return pricing.predict(context, state.model, ground.topology, design, ground.scaling.word, weighed)


def now(context: Context, ground: Ground, state: State) -> dict[int, dict[str, Figure]]:
    """Trial → the resource figures that count now: reported ones, or predicted by the model as it is."""
    clock = context.task.target.clock_ns
    reported = {item.design.digest: item.reported(clock) for item in state.built}
    return {
        trial.number: predicted(context, ground, state, trial.design, trial.weighed)
        | reported.get(trial.design.digest, {})
        for trial in state.trials
    }


def _reason(row: dict) -> str:
    """Why a member was not trained to the end; empty where it was."""
    if row["failed"]:
        return f"the loss or the weights were no numbers any more in epoch {row['failed']}"
    return (
        f"cut after epoch {row['cut']}: another design is better beyond the noise and costs no more"
        if row["cut"]
        else ""
    )


def origin(context: Context, ground: Ground, state: State, design: Design, parent: int | None = None) -> Origin:
    """Where a design's training starts: at its parent, else as the task says: at the float network, or at the nearest
    design that was trained."""
    if parent is not None:
        return _weights_of(context, next(trial for trial in state.trials if trial.number == parent))
    trained = [t for t in state.trials if t.state is TrialState.TRAINED]
    if context.task.train.start == "float" or not trained:
        return ground.start
    nearest = min(trained, key=lambda trial: (distance(design, trial.design), trial.number))
    return ground.start if math.isinf(distance(design, nearest.design)) else _weights_of(context, nearest)


def _weights_of(context: Context, trial: Trial) -> Origin:
    """What a trial left of its training."""
    step = Step(context.store.folder / trial.step, trial.step, {})
    return f"{trial.step}/{trial.member}", member_parameters(step.arrays, trial.member)
