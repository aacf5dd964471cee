"""What there is to measure: every place of a network with the choices that a space has for it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from flow.formats import Format
from flow.search.damages import Damages
from flow.space import SearchSpace
from flow.topology import INPUT
from flow.train.pruning import largest


@dataclass(frozen=True)
class Cell:
    """One place that gets a format: `part` ("input", "kernel", "bias" or "activation") of `layer`.

    `names` are the parameters that choose for it. A kernel has a format and a keep fraction, which are felt together:
    what is gone has no rounding error. All others have one parameter.
    """

    layer: str
    part: str
    names: tuple[str, ...]
    formats: tuple[Format, ...]
    keeps: tuple[float, ...] = (1.0,)

    @property
    def key(self) -> str:
        """The name of the target, as the space has it."""
        return self.layer if self.part == "input" else f"{self.layer}.{self.part}"

    @property
    def shape(self) -> tuple[int, ...]:
        """That of a table over the choices of `names`."""
        return (len(self.formats), len(self.keeps))[: len(self.names)]


def cells(space: SearchSpace) -> tuple[Cell, ...]:
    """The places with a format to choose, in the order of the space. Widths (`widths`) and reuse factors are none."""
    options = {target: tuple(value for _, value in pairs) for target, pairs in space.choices}
    found = []
    for target, values in options.items():
        layer, _, part = target.rpartition(".")
        if target == INPUT:
            found.append(Cell(INPUT, "input", (space.parameter(target),), values))
        elif part == "kernel" and f"{layer}.keep" in options:
            names = (space.parameter(target), space.parameter(f"{layer}.keep"))
            found.append(Cell(layer, part, names, values, tuple(float(keep) for keep in options[f"{layer}.keep"])))
        elif part in ("kernel", "bias", "activation"):
            found.append(Cell(layer, part, (space.parameter(target),), values))
    return tuple(found)


def damages(places: Iterable[Cell], table: Callable[[Cell], np.ndarray]) -> Damages:
    """The damages whose terms are the tables of all places, each of the cell's `shape`; what shares its parameters is
    added up."""
    found: dict[tuple[str, ...], np.ndarray] = {}
    for cell in places:
        found[cell.names] = found.get(cell.names, 0.0) + np.asarray(table(cell), np.float64).reshape(cell.shape)
    return Damages(found)


def quantized(cell: Cell, values: np.ndarray, sizes: np.ndarray | None = None) -> Iterator[tuple[int, int, np.ndarray]]:
    """What each choice makes of a kernel or bias: place of the format, place of the keep fraction, values.

    Of a kernel the largest `sizes` (its shape; the magnitudes where None) stay, as training prunes it: first the mask,
    then the format, so that a binary kernel has no zeros.
    """
    values = np.asarray(values, np.float64)
    for j, keep in enumerate(cell.keeps):
        masked = values if keep >= 1.0 else values * largest(np.abs(values) if sizes is None else sizes, keep)
        for i, form in enumerate(cell.formats):
            yield i, j, form.quantize(masked)
