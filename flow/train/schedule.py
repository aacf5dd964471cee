"""How long and how fast a population trains, what is pruned when, and who is cut."""

import math
from dataclasses import asdict, dataclass
from enum import Enum


class Importance(Enum):
    """What a weight's pruning goes by: its size, or what the loss would lose without it (Fisher)."""

    MAGNITUDE = "magnitude"
    FISHER = "fisher"


@dataclass(frozen=True)
class Pruning:
    """Weights go in a cubic schedule (Zhu and Gupta, arXiv 1710.01878, eq. 1) that is complete after the fraction
    `until` of the epochs; the masks then hold."""

    importance: Importance = Importance.MAGNITUDE
    until: float = 0.2

    def last_epoch(self, epochs: int) -> int:
        """The number of epochs after which the kernels are as sparse as the designs ask."""
        return max(1, math.ceil(self.until * epochs - 1e-9))

    def share(self, epoch: int, epochs: int) -> float:
        """The share (0 to 1) of what is to be pruned that is masked while epoch `epoch` (from 0) trains."""
        return 1.0 - (1.0 - min((epoch + 1) / self.last_epoch(epochs), 1.0)) ** 3


@dataclass(frozen=True)
class Halving:
    """Successive halving (Jamieson and Talwalkar, arXiv 1502.07943): at each rung at least one in `factor` stays.

    Only designs that are worse by more than `deviations` standard errors than a design that costs no more
    are cut, so that a rung may cut fewer, or none.
    """

    factor: int = 2
    deviations: float = 2.0

    def rungs(self, epochs: int, first: int) -> tuple[int, ...]:
        """Numbers of epochs after which designs are compared: `first`, and its multiples by `factor`."""
        found = []
        epoch = first
        while epoch < epochs:
            found.append(epoch)
            epoch *= self.factor
        return tuple(found)


@dataclass(frozen=True)
class Distillation:
    """The loss of a student: (1 - weight) times the labels', plus weight times the teacher's at `temperature`
    (Hinton et al., arXiv 1503.02531)."""

    weight: float
    temperature: float = 2.0


@dataclass(frozen=True)
class Schedule:
    """Epochs, events per step, learning rate at the start (it falls as a cosine), and seed of the shuffling.

    `patience`: a member stops after so many epochs without a better metric; None trains all epochs.
    `halving` None cuts nobody; `distillation` None takes the labels alone.
    """

    epochs: int
    batch: int
    learning_rate: float
    seed: int
    pruning: Pruning = Pruning()
    patience: int | None = None
    halving: Halving | None = None
    distillation: Distillation | None = None

    def to_json(self) -> dict:
        row = asdict(self)
        return row | {"pruning": row["pruning"] | {"importance": self.pruning.importance.value}}
