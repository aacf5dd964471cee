"""Designs trained as a step: here, or on a worker of a job system."""

import time
from collections.abc import Sequence

from flow.design import Design
from flow.loop.context import Context
from flow.loop.ground import RANDOM, Ground, Origin
from flow.store import Step
from flow.synth import cache
from flow.synth.jobs.call import call
from flow.synth.jobs.run import folder_of
from flow.synth.jobs.settings import Needs, System
from flow.train.designs import Start, train_designs
from flow.train.schedule import Distillation, Halving, Importance, Pruning, Schedule

TRAINING_GB, TRAINING_S = 8.0, 4 * 3600.0  # what a batch system is asked for, for a population


def train_on(
    context: Context,
    ground: Ground,
    name: str,
    designs: Sequence[Design | None],
    starts: Sequence[Origin],
    epochs: int,
    costs: Sequence[float] | None = None,
    settled: Sequence[bool] | None = None,
) -> Step:
    """Train designs as a step on the ground that was laid; None stands for the float network.

    With `costs`, one for each design, successive halving takes out those that another one beats at no more cost.
    `settled` tells which designs start from weights that were pruned for them (None: none does).
    """
    settings, point = context.task.train, ground.physics.point
    schedule = _schedule(context, designs, epochs, costs is not None)
    teacher = ground.start if schedule.distillation else RANDOM
    wide = None if None in designs else ground.wide
    inputs = {
        "data": ground.data.key,
        "topology": ground.topology.to_json(),
        "designs": [None if design is None else design.to_json() for design in designs],
        "schedule": schedule.to_json(),
        "point": [list(point.signal), list(point.background), point.background_efficiency],
        "maximize": ground.physics.maximize,
        "starts": [key for key, _ in starts],
        "costs": None if schedule.halving is None else list(costs),
        "teacher": teacher[0],
    } | ({} if wide is None else {"wide": wide.to_json()})
    own = [False] * len(designs) if settled is None else list(settled)
    inputs |= {"settled": own} if any(own) else {}

    def compute():
        prices = [0.0] * len(designs) if costs is None else costs
        begins = [Start(p, cost, pruned) for (_, p), cost, pruned in zip(starts, prices, own, strict=True)]
        with context.stage(f"training {name}"):
            if context.jobs.system is not System.LOCAL:
                return _timed(_train_elsewhere, context, ground, designs, begins, schedule, teacher[1], wide)
            return _timed(
                train_designs,
                ground.topology,
                designs,
                begins,
                ground.train,
                ground.validation,
                ground.physics,
                schedule,
                context.progress("epochs"),
                teacher[1],
                settings.population,
                context.say,
                wide,
            )

    return context.store.step(name.replace(" ", "-"), inputs, compute)


def _timed(train, *arguments):
    """What a training returns, and how long it took (s)."""
    begun = time.monotonic()
    result, arrays = train(*arguments)
    return result | {"seconds": round(time.monotonic() - begun, 3)}, arrays


def _train_elsewhere(context: Context, ground: Ground, designs, starts, schedule: Schedule, teacher, wide):
    """As `train_designs`, on a worker of the job system."""
    from flow.loop.elsewhere import Training, train

    population = context.task.train.population
    job = Training(
        ground.topology, tuple(designs), tuple(starts), ground.data.folder.resolve(), ground.physics, schedule, teacher,
        population, wide,
    )  # fmt: skip
    needs = Needs(1, TRAINING_GB, TRAINING_S)
    return call(train, job, settings=context.jobs, folder=folder_of(cache.root()), needs=needs, say=context.say)


def _schedule(context: Context, designs: Sequence[Design | None], epochs: int, halved: bool) -> Schedule:
    """The task's schedule; a float network has all its epochs and no teacher."""
    settings, floating = context.task.train, None in designs
    return Schedule(
        epochs,
        settings.batch,
        settings.learning_rate,
        context.task.search.seed,
        Pruning(Importance(settings.importance), settings.pruned_after),
        None if floating else settings.patience,
        Halving(settings.halving) if halved and settings.halving > 1 else None,
        Distillation(settings.distillation, settings.temperature) if settings.distillation and not floating else None,
    )
