"""Hutchinson's traces against second differences of the loss."""

import numpy as np
import pytest
from networks import NETWORKS
from sensitivity.spaces import events, space_of, weights_of

from flow.sensitivity import floating
from flow.sensitivity.cells import cells
from flow.sensitivity.hessian import Traces, perturbed, traces
from flow.sensitivity.outputs import log_softmax
from flow.topology import INPUT, Conv, Dense, Reshape, Topology

pytestmark = pytest.mark.slow


def loss(logits: np.ndarray, y: np.ndarray) -> float:
    return -float(log_softmax(logits)[np.arange(len(y)), y].mean())


CONV = Topology(
    (Conv("conv", (4, 4, 1), 2, (3, 3), (1, 1), "valid", "tanh"), Reshape("flat", (8,)), Dense("out", 8, 3)), (4, 4, 1)
)


@pytest.mark.parametrize("topology", [NETWORKS["tanh"], NETWORKS["dense"], CONV], ids=["tanh", "relu", "convolution"])
def test_traces_against_second_differences(topology):
    weights = weights_of(topology)
    x, y = events(topology, weights, 60)
    run = floating.run(topology, weights, x)
    found = traces(topology, weights, x, y, seed=1, draws=100)
    for layer in topology.weighted:
        kernel, bias = (np.asarray(part, float) for part in weights[layer.name])
        total, here, h = 0.0, loss(run.logits, y), 1e-3
        for place in np.ndindex(*kernel.shape):
            step = np.zeros_like(kernel)
            step[place] = h
            ends = [loss(floating.with_weights(run, layer.name, kernel + s * step, bias), y) for s in (1, -1)]
            total += (sum(ends) - 2.0 * here) / h**2
        mean, error = found.weights[f"{layer.name}.kernel"]
        # Where a rectifier's kink lies inside the step, the difference is off: a tenth is allowed for that.
        assert mean == pytest.approx(total, abs=5.0 * error + 0.1 * abs(total))


def test_trace_of_values():
    """At the input of the network: the mean over events of each event's own trace."""
    topology = NETWORKS["tanh"]
    weights = weights_of(topology)
    x, y = events(topology, weights, 40)
    run, h, total = floating.run(topology, weights, x), 1e-3, 0.0
    for i in range(topology.n_in):
        step = np.zeros_like(x, dtype=float)
        step[:, i] = h
        ends = [loss(floating.with_values(run, INPUT, run.values[INPUT] + s * step), y) for s in (1, -1)]
        total += (sum(ends) - 2.0 * loss(run.logits, y)) / h**2
    mean, error = traces(topology, weights, x, y, seed=1, draws=200).values[INPUT]
    assert mean == pytest.approx(total, abs=5.0 * error)


def test_damages_are_trace_times_error():
    topology = NETWORKS["dense"]
    weights = weights_of(topology)
    x, y = events(topology, weights, 100)
    run, found = floating.run(topology, weights, x), traces(topology, weights, x, y, seed=1)
    assert Traces.from_json(found.to_json()) == found
    space = space_of(topology)
    tables = perturbed(cells(space), found, run).terms
    kernel = weights["fc1"][0]
    form = dict(space.choices)["fc1.kernel"][1][1]
    expected = found.weights["fc1.kernel"][0] / kernel.size * np.sum((form.quantize(kernel) - kernel) ** 2)
    assert tables["fc1.kernel", "fc1.keep"][1, -1] == pytest.approx(expected)
    assert traces(topology, weights, x, y, seed=1) == found
