"""What goes with a unit is felt: against the narrower networks themselves."""

from dataclasses import replace

import numpy as np
import pytest
from networks import NETWORKS
from sensitivity.spaces import events, space_of, weights_of

from flow.search.problem import Measure
from flow.sensitivity import floating
from flow.sensitivity.fisher import Fisher, fit
from flow.sensitivity.hessian import Traces, perturbed
from flow.sensitivity.knowledge import Sensitivity
from flow.sensitivity.outputs import divergence, divergences
from flow.sensitivity.widths import narrowed, widths
from flow.topology import INPUT, Topology
from flow.train.designs import Sample
from flow.train.evaluate import Truth
from flow.train.parameters import from_weights
from flow.width import resizable, resized

FACTORS = tuple((f"{factor:g}", factor) for factor in (0.3, 0.6, 1.0, 2.0))
WIDE = [name for name, topology in NETWORKS.items() if resizable(topology)]
DENSE = NETWORKS["dense"]


def space_with_widths(topology: Topology, shared=()):
    space = space_of(topology, shared)
    more = tuple((f"{name}.width", FACTORS) for name in resizable(topology))
    return replace(space, choices=(*space.choices, *more))


def passed(topology: Topology):
    weights = weights_of(topology)
    x, _ = events(topology, weights, 200)
    return floating.run(topology, weights, x)


def information(topology: Topology, found) -> Fisher:
    rng = np.random.default_rng(3)
    own = {
        f"{name}.{part}": rng.uniform(0.1, 1.0, np.shape(value))
        for name, pair in found.weights.items()
        for part, value in zip(("kernel", "bias"), pair)
        if value is not None
    }
    return Fisher(own, {name: np.ones((1, *topology.shapes[name])) for name in (INPUT, *topology.names)})


@pytest.mark.parametrize("name", WIDE)
def test_the_network_without_the_units_is_the_narrower_network(name):
    """Sliced out, the weights that stay give the same logits."""
    topology, found = NETWORKS[name], passed(NETWORKS[name])
    for own in widths(space_with_widths(topology)):
        for network in narrowed(own, found):
            kept = int(network.units.sum())
            small = resized(topology, {own.layer: kept} if kept < len(network.units) else {})
            weights = {}
            for layer in small.weighted:
                kernel, bias = found.weights[layer.name]
                stays = network.stays[f"{layer.name}.kernel"]
                weights[layer.name] = (
                    np.asarray(kernel)[stays].reshape(layer.kernel_shape),
                    None if bias is None else bias[network.stays[f"{layer.name}.bias"]],
                )
            x = found.values[INPUT].reshape(200, -1)
            np.testing.assert_allclose(network.logits(found), floating.run(small, weights, x).logits, atol=1e-9)


def test_the_units_of_the_smallest_norm_go():
    (own, _), found = widths(space_with_widths(DENSE)), passed(DENSE)
    norms = np.linalg.norm(found.weights["fc0"][0], axis=0)
    for network, count in zip(narrowed(own, found), (1, 3, 6, 6)):
        assert network.units.sum() == count
        assert norms[network.units].min() >= norms[~network.units].max(initial=0.0)


def test_fit_is_felt_together_with_the_kernel():
    """F·θ² of what goes, in front of the unit and behind it, and of what stays the format's error."""
    space, found = space_with_widths(DENSE), passed(DENSE)
    known = Sensitivity(space, {}, None)
    own = information(DENSE, found)
    table = fit(known.places, own, found, False, factors=known.factors).terms["fc0.kernel", "fc0.keep", "fc0.width"]
    plain = fit(known.places, own, found, False).terms["fc0.kernel", "fc0.keep"]
    np.testing.assert_allclose(table[:, :, 2], plain)  # a factor of 1
    np.testing.assert_allclose(table[:, :, 3], plain)  # more units take nothing away
    units = narrowed(known.factors[0], found)[0].units
    (kernel, bias), (behind, _) = found.weights["fc0"], found.weights["fc1"]
    gone = np.sum((own.weights["fc0.kernel"] * kernel**2)[:, ~units])
    gone += np.sum((own.weights["fc0.bias"] * bias**2)[~units])
    gone += np.sum((own.weights["fc1.kernel"] * behind**2)[~units])
    error = kernel - known.places[1].formats[0].quantize(kernel)
    left = np.sum((own.weights["fc0.kernel"] * error**2)[:, units])
    assert known.places[1].key == "fc0.kernel" and table[0, 2, 0] == pytest.approx(gone + left)
    assert (np.diff(table[-1, -1, :3]) < 0).all()


def test_the_outputs_are_those_of_the_narrower_network():
    space, found = space_with_widths(DENSE), passed(DENSE)
    known = Sensitivity(space, {}, None)
    for damages, error in zip(
        divergences(known.places, found, None, known.factors), (divergence, lambda a, b: np.mean((a - b) ** 2))
    ):
        table = damages.terms["fc1.width",]
        expected = [error(found.logits, network.logits(found)) for network in narrowed(known.factors[1], found)]
        np.testing.assert_allclose(table, expected)
        assert table[0] > table[1] > table[2] == table[3] == 0.0


def test_the_hessians_mean_trace_times_what_goes():
    space, found = space_with_widths(DENSE), passed(DENSE)
    known, weights = Sensitivity(space, {}, None), found.weights
    traces = Traces(
        {f"{n}.{p}": (2.0 * np.size(v), 0.0) for n, own in weights.items() for p, v in zip(("kernel", "bias"), own)},
        {name: (1.0, 0.0) for name in (INPUT, *DENSE.names)},
    )
    table = perturbed(known.places, traces, found, None, known.factors).terms["fc1.width",]
    units = narrowed(known.factors[1], found)[0].units
    gone = sum(
        np.sum(v**2) for v in (weights["fc1"][0][:, ~units], weights["fc1"][1][~units], weights["out"][0][~units])
    )
    assert table[0] == pytest.approx(2.0 * gone) and table[2] == table[3] == 0.0


def test_layers_that_share_a_width_add_up():
    shared = (("fc0.width", "network.width"), ("fc1.width", "network.width"))
    apart, together = (
        divergences(Sensitivity(space, {}, None).places, passed(DENSE), None, widths(space))[1].terms
        for space in (space_with_widths(DENSE), space_with_widths(DENSE, shared))
    )
    np.testing.assert_allclose(together["network.width",], apart["fc0.width",] + apart["fc1.width",])


@pytest.mark.parametrize("measure", [Measure.KL, Measure.OUTPUT])
def test_knowledge_has_them_and_keeps_them_apart_from_what_had_none(measure):
    asked = []

    def keep(name, inputs, compute):
        asked.append(inputs)
        result, arrays = compute()
        return type("Step", (), {"result": result, "arrays": arrays})

    x, y = events(DENSE, weights_of(DENSE), 300)
    sample = Sample(x, Truth(y, np.zeros((1, len(y)), np.float32)))
    parameters = from_weights(DENSE, weights_of(DENSE))
    found = [
        Sensitivity(space, parameters, sample, keep=keep).damages(measure).terms
        for space in (space_of(DENSE), space_with_widths(DENSE))
    ]
    assert set(found[1]) - set(found[0]) == {("fc0.width",), ("fc1.width",)}
    assert "widths" not in asked[0] and "widths" in asked[1]
