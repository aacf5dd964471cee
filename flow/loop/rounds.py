"""One round of the loop: propose, train, shortlist, train long, trace, choose, build, verify, synthesise, calibrate."""

import math
from collections.abc import Sequence
from dataclasses import replace

from flow.design import Design, distance
from flow.errors import ToolFailed, Trouble
from flow.loop import pricing
from flow.loop.build import convert_all, project_folder, synthesise_all, trace_all
from flow.loop.context import Context
from flow.loop.prepare import Ground, Origin, train_on
from flow.loop.state import Built, CostState, Round, State
from flow.metrics import Figure
from flow.search import strategy
from flow.search.choose import Candidate, choose, rank
from flow.store import Step, commit, versions
from flow.study import State as TrialState
from flow.study import Trial, mirror, pasts, storage_errors
from flow.train.designs import figures_of, member_parameters

SHORTLIST = 4  # designs that are trained long and traced, for each one that is built
LADDER = 8  # uniform designs that every strategy's first batch starts from


def predicted(context: Context, ground: Ground, model: CostState, design: Design) -> dict[str, Figure]:
    """All closed-form figures of a design, by the cost model of the moment."""
    return pricing.predict(context, model, ground.topology, design, ground.scaling.word)


def search(context: Context, ground: Ground, state: State, number: int) -> State:
    """Propose and train the round's trials, batch by batch."""
    task = context.task
    total = number * task.search.trials
    while len(state.trials) < total:
        size = min(task.train.population, total - len(state.trials))
        proposed = _propose(context, ground, state, size)
        if not proposed:
            context.say(f"[{context.name}] the space has no more designs to propose")
            break
        state = replace(state, trials=(*state.trials, *_train(context, ground, state, proposed, number)))
    _record(context, ground, state)
    return state


def shortlist(context: Context, ground: Ground, state: State, number: int) -> tuple[Built, ...]:
    """Train the round's most promising trials long, and trace them."""
    task = context.task
    metric = task.objective.maximize
    tried = {item.design.digest for item in state.built}
    trials = {
        t.design.digest: t for t in state.trials if t.state is TrialState.TRAINED and t.design.digest not in tried
    }
    candidates = [
        Candidate(digest, trial.figures[metric], predicted(context, ground, state.model, trial.design))
        for digest, trial in trials.items()
    ]
    ranked = rank(candidates, context.limits, _bar(state, metric, context))
    chosen = [trials[c.digest] for c in ranked[: SHORTLIST * task.search.builds]]
    if not chosen:
        return ()
    designs = [trial.design for trial in chosen]
    origins = [_origin(context, ground, state, design) for design in designs]
    step = train_on(context, ground, "final", designs, origins, task.train.final_epochs)
    rows = []
    for member, trial in enumerate(chosen):
        row = step.result["members"][member]
        if not row["failed"]:
            rows.append((trial.design, f"trial {trial.number}", member, figures_of(row["figures"])))
    return trace_all(context, ground, state.model, number, step, rows)


def convert(context: Context, ground: Ground, state: State, finals: tuple[Built, ...]) -> tuple[Built, ...]:
    """Choose among the finally trained designs, build the chosen ones and verify them."""
    task = context.task
    metric = task.objective.maximize
    candidates = [_candidate(item, metric) for item in finals]
    least = min((c.metric.value for c in candidates), default=0.0)
    best = max((b.physics[metric].value for b in winners(context, state)), default=least)
    by_digest = {b.design.digest: b for b in finals}
    chosen = choose(candidates, context.limits, best, task.search.builds)
    return convert_all(context, ground, [by_digest[c.digest] for c in chosen])


def _candidate(item: Built, metric: str) -> Candidate:
    """The best prediction decides; how unsure the closed form is of the design tells what its report would teach."""
    lut = item.predicted["model"]["lut"]
    return Candidate(item.design.digest, item.physics[metric], item.price, (lut.error or 0.0) / max(lut.value, 1.0))


def feed_back(context: Context, ground: Ground, state: State, number: int, verified: tuple[Built, ...]) -> State:
    """Synthesise the round's designs and refit the cost model on their reports (in round 1 the baselines' too)."""
    built = synthesise_all(context, ground, verified)
    told = (*state.baselines, *built) if number == 1 else built
    errors = [item.error for item in told if item.error is not None]
    _wait_for_imports(context, [item for item in told if item.error and item.error.trouble is Trouble.MISSING])
    if errors and not any(item.report for item in (*state.baselines, *state.built, *built)):
        raise errors[0]  # no report at all: there is nothing to go on with
    reported = (*state.baselines, *state.built, *built)
    after = pricing.learn(context, ground.topology, ground.scaling.word, reported)
    trials = sum(trial.round == number for trial in state.trials)
    return state.with_round(Round(number, trials, built, state.model, after))


def _wait_for_imports(context: Context, items: Sequence[Built]) -> None:
    """Raise ToolFailed where designs wait for reports of a tool that is elsewhere: which, and how to go on."""
    if not items:
        return
    folders = " ".join(str(project_folder(context, item)) for item in items)
    raise ToolFailed(
        f"{context.path}: target.tool: {context.tool.name} is not on this machine, and {len(items)} designs wait for its"
        f" reports ({context.until.value}): take {folders} to where it is, run it there (each has a Makefile), then"
        f" `flow synth {context.folder} --import DIR` with what came back, and run again; or {context.tool.setting}",
        trouble=Trouble.MISSING,
    )


def winners(context: Context, state: State) -> list[Built]:
    """Built designs that a report shows inside the budget."""
    clock = context.task.target.clock_ns
    return [item for item in state.built if item.inside(context.limits, clock)]


def now(context: Context, ground: Ground, state: State) -> dict[str, dict[str, Figure]]:
    """Digest → the resource figures that count now: reported ones, or predicted by the model as it is."""
    clock = context.task.target.clock_ns
    reported = {item.design.digest: item.reported(clock) for item in state.built}
    return {
        trial.design.digest: predicted(context, ground, state.model, trial.design)
        | reported.get(trial.design.digest, {})
        for trial in state.trials
    }


def _bar(state: State, metric: str, context: Context) -> float:
    """The metric, after short training, of the best design that is known to be inside the budget."""
    known = {item.design.digest for item in winners(context, state)}
    values = [t.figures[metric].value for t in state.trials if t.design.digest in known]
    trained = sorted(t.figures[metric].value for t in state.trials if metric in t.figures)
    return max(values, default=trained[len(trained) // 2] if trained else 0.0)


def _propose(context: Context, ground: Ground, state: State, size: int) -> list[dict[str, str]]:
    task = context.task
    parameters = ground.space.parameters
    past = pasts(
        state.trials, task.objective.maximize, task.objective.minimize, context.limits, now(context, ground, state)
    )
    first = ground.space.ladder(min(LADDER, size)) if not state.trials else []
    inputs = {
        "strategy": task.search.strategy,
        "seed": task.search.seed,
        "batch": len(state.trials),
        "size": size,
        "parameters": {name: list(options) for name, options in parameters.items()},
        "past": [[dict(p.chosen), p.metric, p.cost, dict(p.excess)] for p in past],
        "first": first,
    }

    def compute():
        with context.stage("proposing designs"):
            seen = {tuple(sorted(chosen.items())) for chosen in first}
            # Seeded anew for each batch, so that a resumed search proposes what an undisturbed one would.
            seed = task.search.seed * 1_000_003 + len(state.trials)
            rest = (
                strategy(task.search.strategy)(parameters, past, size - len(first), seed) if size > len(first) else []
            )
            return {"proposed": first + [c for c in rest if tuple(sorted(c.items())) not in seen]}, {}

    return context.store.step("proposals", inputs, compute).result["proposed"]


def _train(context: Context, ground: Ground, state: State, proposed: Sequence[dict], number: int) -> list[Trial]:
    designs = [ground.space.design(chosen) for chosen in proposed]
    expected = [predicted(context, ground, state.model, design) for design in designs]
    origins = [_origin(context, ground, state, design) for design in designs]
    costs = [figures[context.task.objective.minimize].value for figures in expected]
    step = train_on(context, ground, "trials", designs, origins, context.task.train.epochs, costs)
    found = []
    for member, (chosen, design, figures) in enumerate(zip(proposed, designs, expected)):
        row = step.result["members"][member]
        found.append(
            Trial(
                len(state.trials) + member,
                number,
                chosen,
                design,
                TrialState.FAILED if row["failed"] else TrialState.TRAINED,
                figures | figures_of(row["figures"]),
                step.folder.name,
                member,
                _reason(row),
                len(row["losses"]),
            )
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


def _origin(context: Context, ground: Ground, state: State, design: Design) -> Origin:
    """Where a design's training starts: at the float network, or at the nearest design that was trained."""
    trained = [t for t in state.trials if t.state is TrialState.TRAINED]
    if context.task.train.start == "float" or not trained:
        return ground.start
    nearest = min(trained, key=lambda trial: (distance(design, trial.design), trial.number))
    if math.isinf(distance(design, nearest.design)):
        return ground.start
    step = Step(context.store.folder / nearest.step, nearest.step, {})
    return f"{nearest.step}/{nearest.member}", member_parameters(step.arrays, nearest.member)


def _record(context: Context, ground: Ground, state: State) -> None:
    """Bring the Optuna study up to date, if it lacks a trial."""
    task = context.task
    run = {
        "float": ground.floating.key,
        "space": ground.space.to_json(),
        "settings": [part.model_dump(mode="json") for part in (task.objective, task.train, task.search, task.budget)],
    }
    name = f"{context.name}-{context.store.key('study', run)[:8]}"
    marker = {"study": name, "trials": [trial.design.digest for trial in state.trials]}
    study = context.out / "study.db"
    if study.exists() and context.store.find("recorded", marker) is not None:
        return
    notes = {
        "task": context.name,
        "strategy": task.search.strategy,
        "seed": task.search.seed,
        "epochs": task.train.epochs,
        "versions": versions(),
        "commit": commit(),
    }
    with storage_errors(study):
        mirror(
            study, name, state.trials, ground.space.parameters, task.objective.maximize, task.objective.minimize, notes
        )
    context.store.step("recorded", marker, lambda: ({"study": name}, {}))
