"""One round of the loop, its trials once trained: shortlist, train long, trace, choose, build, verify, synthesise,
calibrate."""

from collections.abc import Sequence

from flow.errors import ToolFailed, Trouble
from flow.loop import pricing
from flow.loop.build import convert_all, project_folder, synthesise_all, trace_all
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.state import Built, Round, State
from flow.loop.training import train_on
from flow.loop.trials import origin, predicted
from flow.search.choose import Candidate, choose, rank
from flow.store import Step
from flow.study import State as TrialState
from flow.study import Trial
from flow.train.designs import figures_of

SHORTLIST = 4  # designs that are trained long and traced, for each one that is built


def shortlist(context: Context, ground: Ground, state: State, number: int) -> tuple[Built, ...]:
    """Train the round's most promising trials long, and trace them."""
    task = context.task
    metric = task.objective.metric
    tried = {item.design.digest for item in state.built}
    trials = {
        t.design.digest: t for t in state.trials if t.state is TrialState.TRAINED and t.design.digest not in tried
    }
    candidates = [
        Candidate(digest, trial.figures[metric], predicted(context, ground, state, trial.design, trial.weighed))
        for digest, trial in trials.items()
    ]
    ranked = rank(candidates, context.limits, _bar(state, metric, context))
    chosen = [trials[c.digest] for c in ranked[: SHORTLIST * task.search.builds]]
    if not chosen:
        return ()
    step = train_long(context, ground, state, chosen)
    rows = []
    for member, trial in enumerate(chosen):
        row = step.result["members"][member]
        if not row["failed"]:
            rows.append((trial.design, f"trial {trial.number}", member, figures_of(row["figures"])))
    return trace_all(context, ground, state.model, number, step, rows)


def convert(context: Context, ground: Ground, state: State, finals: tuple[Built, ...]) -> tuple[Built, ...]:
    """Choose among the finally trained designs, build the chosen ones and verify them."""
    task = context.task
    metric = task.objective.metric
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


def train_long(context: Context, ground: Ground, state: State, trials: Sequence[Trial]) -> Step:
    """The last training of some trials' designs, from the trial's own weights where they were inherited, and so trained
    longer; else from where trials start."""
    own = [trial.parent is not None for trial in trials]
    designs = [trial.design for trial in trials]
    origins = [
        origin(context, ground, state, trial.design, trial.number if inherited else None)
        for trial, inherited in zip(trials, own)
    ]
    return train_on(context, ground, "final", designs, origins, context.task.train.final_epochs, settled=own)


def _bar(state: State, metric: str, context: Context) -> float:
    """The metric, after short training, of the best design that is known to be inside the budget."""
    known = {item.design.digest for item in winners(context, state)}
    values = [t.figures[metric].value for t in state.trials if t.design.digest in known]
    trained = sorted(t.figures[metric].value for t in state.trials if metric in t.figures)
    return max(values, default=trained[len(trained) // 2] if trained else 0.0)
