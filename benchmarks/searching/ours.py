"""One strategy's search in a process of its own, by the program's own loop: `python ours.py TASK OUT SEED FINALS`.

TASK is a task's folder; what the search makes goes below OUT, and its points, each with its network and the time when
it was there, to OUT/kept. The clock starts when everything is imported and runs through the float network's training
and all measuring and proposing; synthesis has no part in it. At the end the front's designs (at most FINALS) are
trained long, as the loop does with designs that it builds.
"""

import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from record import Kept, Layer, Named

from flow.cost.rtl import weigh
from flow.loop import pricing
from flow.loop.batches import search
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.prepare import lay_ground, read_data
from flow.loop.rounds import train_long
from flow.loop.state import State
from flow.loop.trials import predicted
from flow.store import Step, versions
from flow.study import State as TrialState
from flow.study import Trial
from flow.train import backend
from flow.train.designs import member_network

HOPELESS = 0.1  # trials that are so much less accurate than the best are not trained on


def main() -> None:
    task, out, seed, finals = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    context = Context.of(task, out, quiet=True)
    read_data(context)  # the peers' data lies ready too
    _import_all()
    begun = time.time()
    ground = lay_ground(context)
    state = search(context, ground, State(pricing.start(context)), 1)
    chosen = _front(context, ground, state, finals)
    final = train_long(context, ground, state, chosen)
    metric, kept = context.task.objective.metric, Kept(out / "kept")
    for trial in (trial for trial in state.trials if trial.state is TrialState.TRAINED):
        step = Step(context.store.folder / trial.step, trial.step, {})
        layers = layers_of(ground, trial, step, trial.member)
        about = {"trial": trial.number, "epochs": trial.epochs, "by": trial.by, "parent": trial.parent}
        about |= {"predicted_lut": trial.figures["lut"].value}
        kept.add(_ended(step) - begun, trial.figures[metric].value, layers, **about)
    for member, trial in enumerate(chosen):
        row = final.result["members"][member]
        if not row["failed"]:
            layers = layers_of(ground, trial, final, member)
            about = {"trial": trial.number, "epochs": len(row["losses"]), "final": True}
            about |= {"predicted_lut": _lut(context, ground, state, trial, final, member)}
            kept.add(_ended(final) - begun, row["figures"][metric]["value"], layers, **about)
    kept.close(
        method=context.task.search.strategy, seed=seed, versions=versions(), trials=len(state.trials),
        seconds=context.seconds,
    )  # fmt: skip


def _import_all() -> None:
    """What is imported late, and the first use of the processor's kernels: not the search's time, as for the peers."""
    import optuna  # noqa: F401

    from flow.train import inference, population  # noqa: F401

    backend.start()


def _lut(context: Context, ground: Ground, state: State, trial: Trial, step: Step, member: int) -> float:
    """LUTs by closed form, from the weights of the last training."""
    topology, weights = member_network(ground.topology, step.arrays, member)
    found = predicted(context, ground, state, trial.design, weigh(topology, trial.design, weights))
    return found["lut"].value


def _ended(step: Step) -> float:
    """When a step was written."""
    return step.folder.stat().st_mtime


def _front(context: Context, ground: Ground, state: State, count: int) -> list[Trial]:
    """At most `count` trials of the front of accuracy and predicted LUTs, evenly spread in their logarithm; of those of
    one design the most accurate."""
    metric = context.task.objective.metric
    trained = [trial for trial in state.trials if trial.state is TrialState.TRAINED]
    trained.sort(key=lambda trial: trial.figures[metric].value)
    rows = []
    for trial in {trial.design.digest: trial for trial in trained}.values():
        lut = predicted(context, ground, state, trial.design, trial.weighed)["lut"].value
        rows.append((lut, -trial.figures[metric].value, trial.number, trial))
    best = max((-row[1] for row in rows), default=0.0)
    found: list[tuple] = []
    for row in sorted(row for row in rows if -row[1] >= best - HOPELESS):
        if not found or row[1] < found[-1][1]:
            found.append(row)
    if len(found) <= count:
        return [row[3] for row in found]
    cost = np.log2([max(row[0], 1.0) for row in found])
    places = {int(np.argmin(np.abs(cost - value))) for value in np.linspace(cost[0], cost[-1], count)}
    return [found[place][3] for place in sorted(places)]


def layers_of(ground: Ground, trial: Trial, step: Step, member: int) -> list[Layer]:
    """The deployed network of a trial, dense layers in a row."""
    design = trial.design
    topology, weights = member_network(ground.topology, step.arrays, member)
    found, before = [], Named(str(design.input))
    for layer in topology.weighted:
        kernel, bias = weights[layer.name]
        form = design[layer.name]
        found.append(Layer(form.kernel.quantize(kernel), form.bias.quantize(bias), before))
        before = None if form.activation is None else Named(str(form.activation))
    if before is not None or math.prod(topology.shapes[topology.output]) != found[-1].kernel.shape[1]:
        raise ValueError("only dense layers in a row, logits without a quantizer, are followed here")
    return found


if __name__ == "__main__":
    main()
