"""What is known of trials: what they cost as the model is now, what they score, and where the next ones start."""

import math
from collections.abc import Mapping

from flow.cost.forgiving import Forgiving, Reference, forgiving_score, reference_price
from flow.cost.rtl import Weighed, weigh
from flow.design import Design, distance
from flow.loop import pricing
from flow.loop.context import Context
from flow.loop.ground import Ground, Origin
from flow.loop.state import State
from flow.metrics import Fidelity, Figure, figure
from flow.store import Step
from flow.study import State as TrialState
from flow.study import Trial
from flow.train.designs import member_network, member_parameters


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


def score(context: Context, ground: Ground, figures: dict[str, Figure]) -> dict[str, Figure]:
    """AutoQKeras' score of a trained design, where the task asks for it."""
    asked = context.task.objective
    if "forgiving_score" not in asked.maximize:
        return {}
    told = asked.forgiving.model_dump()
    goal, reference = told.pop("goal"), Reference(told.pop("reference"))
    settings = Forgiving(reference_price(ground.topology, goal, reference), **told)
    value = forgiving_score(figures[asked.metric].value, figures[goal].value, settings)
    return {"forgiving_score": figure("forgiving_score", value, Fidelity.MODEL)}


def weighed_by(ground: Ground, design: Design, step: Step, member: int) -> dict[str, Weighed]:
    """What the trained weights of a member say of its cost."""
    topology, weights = member_network(ground.topology, step.arrays, member)
    return weigh(topology, design, weights)


def origin(context: Context, ground: Ground, state: State, design: Design, parent: int | None = None) -> Origin:
    """Where a design's training starts: at its parent, else as the task says: at the float network, or at the nearest
    design that was trained."""
    if parent is not None:
        return weights_of(context, next(trial for trial in state.trials if trial.number == parent))
    trained = [t for t in state.trials if t.state is TrialState.TRAINED]
    if context.task.train.start == "float" or not trained:
        return ground.start
    nearest = min(trained, key=lambda trial: (distance(design, trial.design), trial.number))
    return ground.start if math.isinf(distance(design, nearest.design)) else weights_of(context, nearest)


def weights_of(context: Context, trial: Trial) -> Origin:
    """What a trial left of its training."""
    step = Step(context.store.folder / trial.step, trial.step, {})
    return f"{trial.step}/{trial.member}", member_parameters(step.arrays, trial.member)
