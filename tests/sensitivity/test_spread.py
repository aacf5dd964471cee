"""Errors as variances, against the real errors of quantized networks."""

import numpy as np
import pytest
from networks import NETWORKS
from sensitivity.spaces import choose, events, space_of, weights_of

from flow.formats import Fixed
from flow.sensitivity import floating
from flow.sensitivity.cells import cells
from flow.sensitivity.intervals import Interval, errors
from flow.sensitivity.spread import spread
from flow.space import SearchSpace
from flow.topology import Dense, Topology

PLAIN = [name for name in NETWORKS if name not in ("tanh", "sigmoid")]


@pytest.mark.parametrize("name", PLAIN)
def test_fine_choices_leave_no_error_and_coarse_ones_do(name):
    topology = NETWORKS[name]
    weights, space = weights_of(topology), space_of(topology)
    found = spread(cells(space), space.parameters, floating.run(topology, weights, events(topology, weights, 200)[0]))
    assert found.ratio(choose(space, -1)) < 0.05 < found.ratio(choose(space, 0))


def test_one_layer_is_exact_but_for_what_is_independent():
    """Inputs on a coarse grid through one float layer: mean squared errors of sums of independent errors."""
    topology = Topology((Dense("out", 6, 4),))
    weights = weights_of(topology)
    fine = (("fine", Fixed(24, 4)),)
    space = SearchSpace(
        topology,
        (("input", (("coarse", Fixed(6, 3)),)), ("out.kernel", fine), ("out.keep", (("1", 1.0),)), ("out.bias", fine)),
    )
    x, _ = events(topology, weights, 20_000)
    found = spread(cells(space), space.parameters, floating.run(topology, weights, x))
    kernel, bias = weights["out"]
    real = np.mean(((Fixed(6, 3).quantize(x) - x) @ kernel) ** 2, axis=0)
    np.testing.assert_allclose(found.variances(choose(space, 0)), real, rtol=0.05)


def test_the_worst_case_is_wider_than_what_happens():
    topology = NETWORKS["dense"]
    weights, space = weights_of(topology), space_of(topology)
    x, _ = events(topology, weights, 500)
    found = spread(cells(space), space.parameters, floating.run(topology, weights, x))
    chosen = choose(space, 1)
    reach = Interval(x.min(axis=0, keepdims=True), x.max(axis=0, keepdims=True))
    worst = errors(topology, space.design(chosen), weights, reach).errors["out"].size[0]
    assert (worst > 3.0 * np.sqrt(found.variances(chosen))).all()
