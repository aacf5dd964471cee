"""What a network's values range over: those of the float network, and those in front of a design's quantizers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from flow.design import Design
from flow.formats import WIDTHLESS, Format
from flow.topology import INPUT, Layer, Topology
from flow.train import exact
from flow.train.initial import Weights

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * np.tanh(0.5 * x) + 0.5,  # never overflows
}

# QKeras' tanh and sigmoid are straight lines between -1 and 1: they saturate there by definition.
HARD = ("quantized_tanh", "quantized_sigmoid")
POWERS = ("quantized_po2", "quantized_relu_po2")


@dataclass(frozen=True)
class LayerRange:
    """The values in front of one quantizer, against what its format holds.

    `part` is "input", "kernel", "bias" or "activation". `smallest` and `largest` are the values on the sample;
    `low` and `high` the format's ends. `saturated` is the fraction of values that lie more than a rounding
    beyond them: for a rectifier only those above, for a hard tanh or sigmoid those beyond its straight line.
    `integer` is the format's integer bits, `integer_needed` those with which nothing would saturate at this
    step; None where the kind has none to choose or takes its scale from the values.
    """

    layer: str
    part: str
    format: str
    low: float
    high: float
    smallest: float
    largest: float
    saturated: float
    integer: int | None
    integer_needed: int | None

    def to_json(self) -> dict:
        return asdict(self)


def hidden_values(
    topology: Topology, weights: Weights, values: np.ndarray, layers: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """What each layer of a float network puts out (n, *shape), behind its activation, by name.

    `values` are centred inputs (n, n_in); tanh and sigmoid are the real ones; all is float64. `layers` names the
    ones to keep where not all are needed.
    """
    names = [layer.name for layer in topology.layers if layers is None or layer.name in layers]

    def activate(layer: Layer, sums: np.ndarray) -> np.ndarray:
        return FUNCTIONS[getattr(layer, "activation", "linear")](sums)

    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for batch in _batches(topology, values):
        found = _walk(topology, weights, batch, activate)
        for name in names:
            parts[name].append(found[name])
    return {name: np.concatenate(found) for name, found in parts.items()}


def ranges(topology: Topology, design: Design, weights: Weights, values: np.ndarray) -> tuple[LayerRange, ...]:
    """What stands in front of each quantizer of a trained design, in order: the input, then layer by layer.

    `weights` are the unquantized ones of training, `values` centred inputs (n, n_in); the network is evaluated
    with the design's own formats.
    """
    found: dict[tuple[str, str], _Tally] = {(INPUT, "input"): _Tally(design.input)}
    quantized = {}
    for layer in topology.designed:
        item = design[layer.name]
        for part, form, array in zip(("kernel", "bias"), (item.kernel, item.bias), weights.get(layer.name, ())):
            if array is not None:
                found[layer.name, part] = _Tally(form).seen(np.asarray(array, dtype=np.float64))
        if layer.name in weights:
            kernel, bias = weights[layer.name]
            quantized[layer.name] = (item.kernel.quantize(kernel), None if bias is None else item.bias.quantize(bias))
        if topology.quantized(layer):
            found[layer.name, "activation"] = _Tally(item.activation)

    def activate(layer: Layer, sums: np.ndarray) -> np.ndarray:
        if not topology.quantized(layer):
            return sums
        key = (layer.name, "activation")
        found[key] = found[key].seen(sums)
        return design[layer.name].activation.quantize(sums)

    for batch in _batches(topology, values):
        found[INPUT, "input"] = found[INPUT, "input"].seen(batch)
        _walk(topology, quantized, design.input.quantize(batch), activate)
    return tuple(tally.range(*key) for key, tally in found.items())


def _batches(topology: Topology, values: np.ndarray) -> list[np.ndarray]:
    shaped = np.asarray(values, dtype=np.float64).reshape(len(values), *topology.input_shape)
    return [shaped[start : start + exact.BATCH] for start in range(0, max(len(shaped), 1), exact.BATCH)]


def _walk(topology: Topology, weights: Weights, first: np.ndarray, activate: Callable) -> dict[str, np.ndarray]:
    found = {INPUT: first}
    for layer in topology.layers:
        read = (found[name] for name in topology.sources[layer.name])
        kernel, bias = weights.get(layer.name, (None, None))
        found[layer.name] = activate(layer, exact.apply(layer, *read, kernel=kernel, bias=bias))
    return found


@dataclass(frozen=True)
class _Tally:
    """Extremes and saturated values of what was seen so far."""

    form: Format
    smallest: float = math.inf
    largest: float = -math.inf
    saturated: int = 0
    count: int = 0

    def seen(self, values: np.ndarray) -> "_Tally":
        low, high = _limits(self.form)
        return replace(
            self,
            smallest=min(self.smallest, float(values.min(initial=math.inf))),
            largest=max(self.largest, float(values.max(initial=-math.inf))),
            saturated=self.saturated + int(np.count_nonzero((values < low) | (values > high))),
            count=self.count + values.size,
        )

    def range(self, layer: str, part: str) -> LayerRange:
        form = self.form
        chosen = form.kind not in HARD and not form.auto
        smallest, largest = (self.smallest, self.largest) if self.count else (0.0, 0.0)
        return LayerRange(
            layer,
            part,
            str(form),
            form.low,
            form.high,
            smallest,
            largest,
            self.saturated / max(self.count, 1),
            form.integer if chosen else None,
            _integer_needed(form, smallest, largest) if chosen else None,
        )


def _slack(form: Format) -> tuple[float, float]:
    """How far below its lowest and above its highest value a format still rounds a value, and does not clip it."""
    if form.kind in POWERS:
        return (math.sqrt(2) - 1) * form.high, (math.sqrt(2) - 1) * form.high
    if form.kind.startswith("truncated"):
        return 0.0, form.step
    return form.step / 2, form.step / 2


def _limits(form: Format) -> tuple[float, float]:
    """The ends beyond which a value is not rounded but clipped."""
    if form.auto:
        return -math.inf, math.inf
    if form.kind in HARD:
        return -1.0, 1.0
    below, above = _slack(form)
    return (form.low - below if form.signed else -math.inf), form.high + above


def _integer_needed(form: Format, smallest: float, largest: float) -> int:
    """Integer bits with which a format of this step would hold the values; never fewer than leave one step.

    For a kind without a width, the integer bits of its narrowest scale that holds them.
    """
    if form.kind in POWERS:
        most = max(largest, -smallest if form.signed else 0.0)
        return max(round(math.log2(most)) + 1, form.min_exponent + 1) if most > 0 else form.min_exponent + 1
    if form.kind in WIDTHLESS:  # a wider one has a wider step: its scale is what is sought
        most = max(largest, -smallest)
        return math.ceil(math.log2(most / 1.5)) + 1 if most > 0 else form.integer
    end, (below, above) = 2.0**form.integer, _slack(form)
    reach = largest + (end - form.high) - above
    if form.signed:
        reach = max(reach, -smallest + (end + form.low) - below)
    least = 0 if form.kind == "quantized_relu" else -form.fraction
    return max(math.ceil(math.log2(reach)), least) if reach > 0 else least
