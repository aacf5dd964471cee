"""The run's study in Optuna's storage: which it is, where it is kept, and what it is told."""

from flow.loop import pricing
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.problem import objectives
from flow.loop.state import CostState, State
from flow.store import commit, digest_of, versions
from flow.study import Mark, Study, check, storage_of


def record(context: Context, ground: Ground, state: State) -> None:
    """Bring the Optuna study up to date, with what tools have reported."""
    clock = context.task.target.clock_ns
    reported = {item.design.digest: item.reported(clock) for item in state.built if item.report is not None}
    study, mark = study_of(context, ground), mark_of(context)
    told = [[digest, {name: figure.to_json() for name, figure in own.items()}] for digest, own in reported.items()]
    content = {digest_of([study.name, item]) for item in (*(trial.to_json() for trial in state.trials), *told)}
    if not mark.holds(content):
        tell(context, study.sync(state.trials, reported))
        if not study.behind:
            mark.set(content)


def check_storage(context: Context) -> None:
    """Raise BadInput for what is no storage, Storage for one that can't be used."""
    if not mark_of(context).holds():
        check(storage_place(context))


def mark_of(context: Context) -> Mark:
    """Whether the storage is as this run left it."""
    return Mark(context.out / "claims" / "study.json", storage_place(context))


def study_of(context: Context, ground: Ground) -> Study:
    """The task's study in Optuna's storage; BadInput for what is no storage."""
    task, search = context.task, context.task.search
    settings = [part.model_dump(mode="json") for part in (task.objective, task.train, task.budget)]
    run = {
        "float": ground.floating.key,
        "space": ground.space.to_json(),
        "settings": [*settings, search.model_dump(mode="json", exclude={"storage", "rounds", "trials"})],
        "prices": prices_of(context, pricing.start(context)),
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


def prices_of(context: Context, model: CostState) -> dict:
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


def tell(context: Context, line: str) -> None:
    """Say what the study has to say, if anything."""
    if line:
        context.say(f"[{context.name}] {line}")
