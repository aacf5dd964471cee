"""One choice at a time, against the whole network evaluated anew."""

import numpy as np
import pytest
from networks import NETWORKS
from sensitivity.spaces import events, space_of, weights_of

from flow.sensitivity import floating
from flow.sensitivity.cells import cells
from flow.sensitivity.outputs import divergence, divergences

PLAIN = [name for name in NETWORKS if name not in ("tanh", "sigmoid")]  # the space has rectifiers' formats


@pytest.mark.parametrize("name", ["dense", "residual", "concatenate", "separable", "max pooling"])
def test_changed_weights_are_those_of_the_whole_network(name):
    topology = NETWORKS[name]
    weights = weights_of(topology)
    x, _ = events(topology, weights, 50)
    found = floating.run(topology, weights, x)
    for layer in topology.weighted:
        kernel, bias = weights[layer.name]
        other = (np.round(kernel * 4) / 4, None if bias is None else bias + 0.25)
        anew = floating.run(topology, {**weights, layer.name: other}, x).logits
        np.testing.assert_allclose(floating.with_weights(found, layer.name, *other), anew, rtol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_fine_choices_hurt_less(name):
    topology = NETWORKS[name]
    weights = weights_of(topology)
    x, _ = events(topology, weights, 200)
    kl, squares = divergences(cells(space_of(topology)), floating.run(topology, weights, x))
    for term, table in kl.terms.items():
        assert (table >= -1e-12).all() and np.isfinite(table).all()
        finest = (-1,) * table.ndim
        assert table[finest] < 1e-4 and squares.terms[term][finest] < 1e-3, term
        assert table[(0,) * table.ndim] > table[finest]


def test_divergence_by_hand():
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    assert divergence(np.log(p)[None] + 3.0, np.log(q)[None] - 1.0) == pytest.approx(np.sum(p * np.log(p / q)))
