"""The shape of a network, without its framework: what cost models, spaces and firmware need to know of it."""

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; `activation` is "relu" or "linear"."""

    name: str
    n_in: int
    n_out: int
    activation: str

    @property
    def multiplications(self) -> int:
        return self.n_in * self.n_out


@dataclass(frozen=True)
class Topology:
    """The layers in the order of the data; the last one gives the logits."""

    layers: tuple[Dense, ...]

    @property
    def n_in(self) -> int:
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    def to_json(self) -> list[dict]:
        return [asdict(layer) for layer in self.layers]

    @staticmethod
    def from_json(rows: list[dict]) -> "Topology":
        return Topology(tuple(Dense(**row) for row in rows))


def accumulator_bits(n_in: int, data_bits: int, weight_bits: int) -> int:
    """Bits that hold any sum of `n_in` products and a bias: never overflows, whatever the weights are."""
    return data_bits + weight_bits + math.ceil(math.log2(n_in + 1))
