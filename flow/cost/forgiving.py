"""AutoQKeras' forgiving factor: a metric that counts for more, the less a design costs than a reference.

score = metric * (1 + delta), delta = delta_p or delta_n percent * ln(reference * stress / price) / ln(rate): delta_p
where the price is below the reference, delta_n where it is not (C. Coelho et al., arXiv:2006.10159, section 4; the
code is `qkeras/autoqkeras/forgiving_metrics` of QKeras 0.9.0). A price `rate` times smaller raises the score by
delta_p percent, whatever the price is.

What differs from that code, by intent:

- `stress` counts for every goal. There it reaches the score of the goal "bits" alone: the energy's reference is stored
  without it.
- The energy of the 8-bit reference is that of a network whose every value has 8 bits, so that such a design scores
  its metric. There the reference's activations are as wide as its accumulators ("int8" gives 3283 pJ for
  16-64-32-32-5 where the same network in quantized_bits(8,0) has 1245 pJ).
- float64 throughout, and no price is cut to a whole number.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from flow.cost.bits import bits
from flow.cost.energy import Float, energy
from flow.design import Design, LayerDesign
from flow.errors import BadInput
from flow.formats import Fixed, Format, Relu, Sigmoid, Tanh
from flow.topology import Topology, Weighted


class Reference(Enum):
    """The network whose price designs are measured against, nothing of it pruned."""

    FLOAT = "float"  # 32-bit floating point
    EIGHT_BITS = "uniform 8 bits"  # kernels, biases, activations and the input of 8 bits


GOALS: dict[str, Callable[[Topology, Design], float]] = {"bits": bits, "energy": energy}


@dataclass(frozen=True)
class Forgiving:
    """Settings of the factor. `reference`: the reference's price, in the goal's unit (`reference_price`); `delta_p` and
    `delta_n` in percent of the metric; `rate` and `stress` without unit. BadInput for what has no logarithm."""

    reference: float
    delta_p: float = 8.0
    delta_n: float = 8.0
    rate: float = 2.0
    stress: float = 1.0

    def __post_init__(self):
        for name, value, least in (
            ("reference", self.reference, 0.0),
            ("rate", self.rate, 1.0),
            ("stress", self.stress, 0.0),
        ):
            if not (math.isfinite(value) and value > least):
                raise BadInput(f"forgiving: {name} is {value:g}; a number above {least:g} is needed")
        for name, value in (("delta_p", self.delta_p), ("delta_n", self.delta_n)):
            if not (math.isfinite(value) and value >= 0.0):
                raise BadInput(f"forgiving: {name} is {value:g}; a percentage of 0 or more is needed")


def delta(price: float, settings: Forgiving) -> float:
    """By which fraction of itself the metric of a design of this price counts for more (less, if negative)."""
    if not price > 0.0:
        raise BadInput(f"forgiving: a price of {price:g} has no logarithm; prices are above 0")
    reference = settings.reference * settings.stress
    percent = settings.delta_p if price < reference else settings.delta_n
    return percent / 100.0 * math.log(reference / price) / math.log(settings.rate)


def forgiving_score(metric: float, price: float, settings: Forgiving) -> float:
    """The score of a design: its metric, to be maximised, times 1 + `delta` of its price."""
    return metric * (1.0 + delta(price, settings))


def reference_price(topology: Topology, goal: str, reference: Reference) -> float:
    """The price of the reference network, in the goal's unit: bit or pJ. BadInput for another goal."""
    if goal not in GOALS:
        raise BadInput(f"forgiving: goal {goal!r} is not known; known: {', '.join(GOALS)}")
    return GOALS[goal](topology, reference_design(topology, reference))


def reference_design(topology: Topology, reference: Reference) -> Design:
    """The same format for every value, and for every activation of a function; only costs read one of floats."""
    parts = {Reference.FLOAT: _FLOATS, Reference.EIGHT_BITS: _EIGHT_BITS}[reference]
    layers = []
    for layer in topology.designed:
        weighted = isinstance(layer, Weighted)
        kernel = parts["value"] if weighted else None
        bias = parts["value"] if weighted and layer.bias else None
        activation = parts[layer.activation] if topology.quantized(layer) else None
        layers.append((layer.name, LayerDesign(kernel, bias, activation)))
    return Design(parts["value"], tuple(layers))


_FLOATS: Mapping[str, Float] = dict.fromkeys(("value", "relu", "tanh", "sigmoid", "linear"), Float())
# Values below 1: no sum is wider than its products and their number ask for.
_EIGHT_BITS: Mapping[str, Format] = {
    "value": Fixed(8, 0),
    "relu": Relu(8, 0),
    "tanh": Tanh(8),
    "sigmoid": Sigmoid(8),
    "linear": Fixed(8, 0),
}
