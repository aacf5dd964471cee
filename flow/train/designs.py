"""Training of designs as steps: what goes in, what comes out, nothing of the loop."""

from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

import numpy as np

from flow.design import Design
from flow.metrics import Figure
from flow.topology import Topology
from flow.train import backend
from flow.train.evaluate import OperatingPoint, Truth, evaluate

Weights = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Sample:
    """Centred input values (n, features) float32, and the truth of n events."""

    values: np.ndarray
    truth: Truth


@dataclass(frozen=True)
class Physics:
    """What physics figures need beside logits and truth."""

    point: OperatingPoint
    classes: tuple[str, ...]


def train_designs(
    topology: Topology,
    designs: Sequence[Design | None],
    start: Weights | None,
    train: Sample,
    validation: Sample,
    physics: Physics,
    schedule,
    progress: Callable[[int, int], None],
) -> tuple[dict, dict[str, np.ndarray]]:
    """Train designs (None = float) together from `start` and evaluate each on the validation sample.

    Returns rows {figures, losses, failed} in order, and the members' weights stacked as
    "<layer>.kernel" (members, n_in, n_out) and "<layer>.bias" (members, n_out).
    """
    backend.start()
    from flow.train.population import Member, logits
    from flow.train.population import train as train_population

    members = [Member(design, start) for design in designs]
    trained = train_population(topology, members, train.values, train.truth.labels, schedule, progress)
    finished = [Member(design, result.weights) for design, result in zip(designs, trained)]
    outputs = logits(topology, finished, validation.values)
    rows = []
    for result, out in zip(trained, outputs):
        row = {"losses": list(result.losses), "failed": result.failed, "figures": {}}
        if not result.failed:
            figures = evaluate(out.astype(np.float64), validation.truth, physics.point, physics.classes)
            row["figures"] = {name: figure.to_json() for name, figure in figures.items()}
        else:
            row["losses"] = [loss if np.isfinite(loss) else None for loss in result.losses]
        rows.append(row)
    arrays = {}
    for layer in topology.names:
        arrays[f"{layer}.kernel"] = np.stack([result.weights[layer][0] for result in trained])
        arrays[f"{layer}.bias"] = np.stack([result.weights[layer][1] for result in trained])
    return {"members": rows}, arrays


def member_weights(topology: Topology, arrays: Mapping[str, np.ndarray], member: int) -> Weights:
    """The weights of one member out of `train_designs`' arrays."""
    return {name: (arrays[f"{name}.kernel"][member], arrays[f"{name}.bias"][member]) for name in topology.names}


def figures_of(row: Mapping) -> dict[str, Figure]:
    """Figures by name from their JSON rows."""
    return {name: Figure.from_json(item) for name, item in row.items()}
