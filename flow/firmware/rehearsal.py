"""Whether a network can be built for a target, found before anything is trained.

The least design of the space, with random weights, goes as far as nothing is written: what it is refused for, every
other design is too.
"""

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.firmware.settings import Target, for_design
from flow.formats import Fixed
from flow.topology import Topology, Weighted
from flow.width import narrowed_topology


def require(topology: Topology, design: Design, word: Fixed, target: Target, task_name: str) -> None:
    """Raise BadInput, with the reason, where `design` with any weights can't be built for `target`.

    `topology` is the user's network: widths and reuse factors of the design's own are followed.
    """
    from flow.firmware import hls, hls4ml_qkeras, precision, rtl
    from flow.firmware.project import top_name
    from flow.train import qkeras_model

    topology, target = narrowed_topology(topology, design), for_design(target, design)
    n_in = topology.n_in
    scaling = InputScaling(tuple(f"x{i}" for i in range(n_in)), word, (0,) * n_in, (0.0,) * n_in)
    model = qkeras_model.build(topology, design, scaling, _weights(topology))
    stages = hls4ml_qkeras.stages(model, target)
    hls.require(target, stages)
    rtl.require(model, target, top_name(task_name))
    precision.types(stages, word, n_in)  # tables of the output that can't be as accurate as asked for


def _weights(topology: Topology) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    random = np.random.default_rng(0)
    return {
        layer.name: (random.standard_normal(layer.kernel_shape), np.zeros(layer.shape[-1:]) if layer.bias else None)
        for layer in topology.layers
        if isinstance(layer, Weighted)
    }
