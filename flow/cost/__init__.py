"""What a design will cost, before any tool has seen it. One file and one line here add a cost.

The registry holds the costs that are functions of network and design alone; the prediction of LUT, FF
and latency, which reports recalibrate, is `flow.cost.rtl`.
"""

from collections.abc import Callable

from flow.cost.bits import bits, ebops
from flow.cost.energy import energy
from flow.cost.operations import bops, macs
from flow.design import Design
from flow.metrics import Fidelity, Figure, figure
from flow.topology import Topology

COSTS: dict[str, Callable[[Topology, Design], float]] = {
    "bits": bits,
    "ebops": ebops,
    "macs": macs,
    "bops": bops,
    "energy": energy,
}


def costs(topology: Topology, design: Design) -> dict[str, Figure]:
    """Every closed-form cost of a design, as figures of fidelity `model`."""
    return {name: figure(name, float(cost(topology, design)), Fidelity.MODEL) for name, cost in COSTS.items()}
