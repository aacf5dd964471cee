"""Training of a population on a worker: of Dask, Slurm or HTCondor, which sees the same folders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.design import Design
from flow.loop.ground import Ground
from flow.store import Step
from flow.topology import Topology
from flow.train.designs import Physics, Start, train_designs
from flow.train.schedule import Schedule


@dataclass(frozen=True)
class Training:
    """The arguments of `train_designs` as plain values; the events are read from `data`, the folder of their step."""

    topology: Topology
    designs: Sequence[Design | None]
    starts: Sequence[Start]
    data: Path
    physics: Physics
    schedule: Schedule
    teacher: Mapping[str, np.ndarray] | None
    population: int
    wide: Topology | None = None


def train(job: Training) -> tuple[dict, dict[str, np.ndarray]]:
    """What `train_designs` returns, computed where this is called."""
    data = Step(job.data, "", json.loads((job.data / "result.json").read_text(encoding="utf-8")))
    ground = Ground(job.topology, data, data, None, job.physics)
    return train_designs(
        job.topology,
        job.designs,
        job.starts,
        ground.train,
        ground.validation,
        job.physics,
        job.schedule,
        teacher=job.teacher,
        population=job.population,
        wide=job.wide,
    )
