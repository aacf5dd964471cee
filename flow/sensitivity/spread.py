"""How far a design's errors spread to the logits, as root mean squares: intervals that most events keep to.

Worst-case intervals (`intervals`) grow by a sum of magnitudes in each layer; here errors of different origin add up
as variances, and each has the size that it has on real events. What a layer makes of the errors it reads goes with
the squares of its quantized weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.formats import Format
from flow.search.problem import Chosen
from flow.sensitivity.cells import Cell, quantized
from flow.sensitivity.floating import Pass
from flow.topology import INPUT, Layer, Merge, Pool, Topology, Weighted
from flow.train import exact


@dataclass(frozen=True)
class Spread:
    """Tables of one float network over a space's choices, by cell.

    `own`: mean squared errors that a choice makes in what its layer puts out (in front of the activation for weights),
    (choices ..., *shape); `squares`: squared quantized kernels (formats, keeps, *kernel_shape); `slopes`: layer →
    mean squared slope of its activation (*shape); `margin`: the median difference of the two largest logits.
    """

    topology: Topology
    parameters: Mapping[str, tuple[str, ...]]
    places: Mapping[tuple[str, str], Cell]
    own: Mapping[tuple[str, str], np.ndarray]
    squares: Mapping[str, np.ndarray]
    slopes: Mapping[str, np.ndarray]
    margin: float

    def variances(self, chosen: Chosen) -> np.ndarray:
        """Mean squared errors of the logits (classes,)."""
        found = {INPUT: self._own(INPUT, "input", chosen)}
        for layer in self.topology.layers:
            read = [found[name][None] for name in self.topology.sources[layer.name]]
            if isinstance(layer, Weighted):
                kernel = self.squares[layer.name][self._place(layer.name, "kernel", chosen)]
                result = exact.apply(layer, *read, kernel=kernel, bias=None)[0]
                result = result + self._own(layer.name, "kernel", chosen) + self._own(layer.name, "bias", chosen)
            else:
                result = _passed(layer, read)[0]
            if self.topology.quantized(layer):
                result = result * self.slopes[layer.name] + self._own(layer.name, "activation", chosen)
            found[layer.name] = result
        return found[self.topology.output]

    def ratio(self, chosen: Chosen) -> float:
        """Root mean squared error of the difference of two logits, in units of the margin."""
        return float(np.sqrt(2.0 * self.variances(chosen).mean())) / self.margin

    def _place(self, layer: str, part: str, chosen: Chosen) -> tuple[int, ...]:
        cell = self.places[layer, part]
        place = tuple(self.parameters[name].index(chosen[name]) for name in cell.names)
        return place if part != "kernel" or len(place) == 2 else (*place, 0)

    def _own(self, layer: str, part: str, chosen: Chosen) -> np.ndarray | float:
        if (layer, part) not in self.own:
            return 0.0
        return self.own[layer, part][self._place(layer, part, chosen)]


def spread(
    places: Sequence[Cell], parameters: Mapping[str, tuple[str, ...]], found: Pass, sizes: Mapping | None = None
) -> Spread:
    """The tables, from a float network on events. `sizes`: layer → what pruning goes by (None: magnitudes)."""
    own, squares = {}, {}
    for cell in places:
        if cell.part == "kernel":
            squares[cell.layer], own[cell.layer, "kernel"] = _kernel(cell, found, (sizes or {}).get(cell.layer))
        elif cell.part == "bias":
            bias = np.asarray(found.weights[cell.layer][1], np.float64)
            own[cell.layer, "bias"] = np.stack([(after - bias) ** 2 for _, _, after in quantized(cell, bias)])
        else:
            errors = [_rounding(form, found.sums[cell.layer], found.values[cell.layer]) for form in cell.formats]
            own[cell.layer, cell.part] = np.stack(errors)
    top = np.sort(found.logits, axis=-1)
    return Spread(
        found.topology,
        parameters,
        {(cell.layer, cell.part): cell for cell in places},
        own,
        squares,
        {layer.name: _slope(layer, found) for layer in found.topology.designed if found.topology.quantized(layer)},
        max(float(np.median(top[:, -1] - top[:, -2])), 1e-12),
    )


def _rounding(form: Format, sums: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean squared error by element of values that a format does not clip: training adapts to a range that saturates,
    and not to steps that are too coarse."""
    error = (form.quantize(sums) - values) ** 2
    inside = (values >= form.low) & (values <= form.high)
    return np.sum(error * inside, axis=0) / np.maximum(inside.sum(axis=0), 1)


def _kernel(cell: Cell, found: Pass, sizes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Squared quantized kernels, and the mean squared errors of the sums that each makes."""
    layer = found.topology[cell.layer]
    kernel = np.asarray(found.weights[cell.layer][0], np.float64)
    read = found.values[found.topology.sources[cell.layer][0]]
    squares = np.zeros((len(cell.formats), len(cell.keeps), *kernel.shape))
    errors = np.zeros((len(cell.formats), len(cell.keeps), *layer.shape))
    for i, j, after in quantized(cell, kernel, sizes):
        squares[i, j] = after**2
        errors[i, j] = np.mean(exact.apply(layer, read, kernel=after - kernel, bias=None) ** 2, axis=0)
    return squares, errors


def _passed(layer: Layer, read: Sequence[np.ndarray]) -> np.ndarray:
    """What a layer without weights makes of mean squared errors (1, *shape): of a window the mean (errors that go
    together, or those of the largest), of a sum the sum."""
    if isinstance(layer, Pool):
        pooled = exact.average_pool(read[0], layer.window, layer.strides)
        return exact.reshape(pooled, layer.shape)
    if isinstance(layer, Merge) and layer.operation == "add":
        return exact.add(*read)
    return exact.apply(layer, *read)


def _slope(layer: Layer, found: Pass) -> np.ndarray:
    """Mean squared slope of an activation function on events (*shape)."""
    sums, values = found.sums[layer.name], found.values[layer.name]
    squares = {
        "relu": lambda: sums > 0,
        "tanh": lambda: (1.0 - values**2) ** 2,
        "sigmoid": lambda: (values * (1.0 - values)) ** 2,
        "linear": lambda: np.ones_like(values),
    }
    return np.mean(squares[layer.activation](), axis=0)
