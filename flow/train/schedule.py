"""How long and how fast a population trains."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Epochs, events per step, learning rate at the start (it falls as a cosine), and seed of the shuffling."""

    epochs: int
    batch: int
    learning_rate: float
    seed: int
