"""Training of designs as steps: what goes in, what comes out, nothing of the loop."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flow.design import Design
from flow.metrics import Figure
from flow.topology import Topology
from flow.train import backend
from flow.train.evaluate import OperatingPoint, Truth, evaluate, resampled
from flow.train.initial import Weights
from flow.train.schedule import Schedule
from flow.width import has_widths, kernel_masks, widest_of

MONITORED = 61_440  # events of the validation sample on which members are compared while they train


@dataclass(frozen=True)
class Sample:
    """Centred input values (n, features) float32 (an array, or rows read from a file), and the truth of n events."""

    values: np.ndarray
    truth: Truth


@dataclass(frozen=True)
class Physics:
    """What physics figures need beside logits and truth; `maximize` names the figure that members are compared by."""

    point: OperatingPoint
    classes: tuple[str, ...]
    maximize: str = "accuracy"


@dataclass(frozen=True)
class Start:
    """Where a member's training starts: parameters by name (None = random), its cost, which halving looks at, and whether
    the parameters were pruned for this very design (`flow.train.population.Member`)."""

    parameters: Mapping[str, np.ndarray] | None = None
    cost: float = 0.0
    settled: bool = False


def train_designs(
    topology: Topology,
    designs: Sequence[Design | None],
    starts: Sequence[Start],
    train: Sample,
    validation: Sample,
    physics: Physics,
    schedule: Schedule,
    progress: Callable[[int, int], None] = lambda done, total: None,
    teacher: Mapping[str, np.ndarray] | None = None,
    population: int | None = None,
    say: Callable[[str], None] = lambda text: None,
    wide: Topology | None = None,
) -> tuple[dict, dict[str, np.ndarray]]:
    """Train designs (None = float) together and evaluate each on the validation sample.

    `topology` is the user's network, `wide` the widest one of the space, in which designs with widths train (None: the
    widest of these designs). Where they differ, or a design has widths, parameters are those of the wide network, and
    "<layer>.alive" (members, units) tells which units each member has. `teacher`: parameters of the float network, for `schedule.distillation`. Returns rows {figures, losses, metrics,
    best, failed, cut} in order (epochs count from 1, None = it didn't happen), and the members' parameters, stacked
    by name "<layer>.<parameter>" (members, ...).
    """
    backend.start()
    from flow.train.events import Events
    from flow.train.inference import logits
    from flow.train.parameters import deployed
    from flow.train.population import Member, Monitor
    from flow.train.population import train as train_population
    from flow.train.widths import units_in

    wide = widest_of(topology, designs) if wide is None else wide
    taught = None
    if teacher is not None and schedule.distillation is not None:
        taught = next(logits(topology, [None], [deployed(topology, teacher)], train.values))
    members = [
        Member(design, dict(start.parameters) if start.parameters else None, seed, None, start.cost, start.settled)
        for seed, (design, start) in enumerate(zip(designs, starts))
    ]
    trained = train_population(
        wide,
        members,
        Events(train.values, train.truth.labels, taught),
        schedule,
        _monitor(validation, physics, Monitor),
        population,
        progress,
        say,
        topology,
    )
    living = None
    if wide != topology or has_widths(designs):
        living = [kernel_masks(wide, units_in(item.parameters)) for item in trained]
    weights = [deployed(wide, item.parameters) for item in trained]
    outputs = logits(wide, designs, weights, validation.values, living)
    rows = [_row(item, out, validation, physics) for item, out in zip(trained, outputs)]
    arrays = {name: np.stack([item.parameters[name] for item in trained]) for name in trained[0].parameters}
    return {"members": rows}, arrays


def member_parameters(arrays: Mapping[str, np.ndarray], member: int) -> dict[str, np.ndarray]:
    """The parameters of one member out of `train_designs`' arrays."""
    return {name: values[member] for name, values in arrays.items()}


def member_weights(topology: Topology, arrays: Mapping[str, np.ndarray], member: int) -> Weights:
    """The deployed weights of one member out of `train_designs`' arrays: layer → kernel, bias (None where none)."""
    from flow.train.parameters import deployed

    return deployed(topology, member_parameters(arrays, member))


def member_network(topology: Topology, arrays: Mapping[str, np.ndarray], member: int) -> tuple[Topology, Weights]:
    """The network of one member out of `train_designs`' arrays, and its deployed weights.

    `topology` is the user's network; the member's is another one where its design has widths.
    """
    from flow.train.widths import narrowed

    return narrowed(topology, member_parameters(arrays, member))


def figures_of(row: Mapping) -> dict[str, Figure]:
    """Figures by name from their JSON rows."""
    return {name: Figure.from_json(item) for name, item in row.items()}


def _monitor(validation: Sample, physics: Physics, monitor):
    """What members are compared by: the task's metric on the first events of the validation sample."""
    count = min(MONITORED, len(validation.truth.labels))

    @lru_cache(maxsize=2)
    def first(events: int) -> Truth:
        return Truth(validation.truth.labels[:events], validation.truth.weights[:, :events])

    def compare(out: np.ndarray) -> tuple[float, np.ndarray]:
        return resampled(physics.maximize, out, first(len(out)), physics.point)

    return monitor(np.asarray(validation.values[:count], np.float32), compare)


def _row(item, out: np.ndarray, validation: Sample, physics: Physics) -> dict:
    """What is remembered of a trained member; numbers that are none are None."""
    figures = {}
    if item.failed is None:
        figures = evaluate(out.astype(np.float64), validation.truth, physics.point, physics.classes)
    return {
        "figures": {name: figure.to_json() for name, figure in figures.items()},
        "losses": [loss if math.isfinite(loss) else None for loss in item.losses],
        "metrics": list(item.metrics),
        "best": item.best,
        "failed": item.failed,
        "cut": item.cut,
    }
