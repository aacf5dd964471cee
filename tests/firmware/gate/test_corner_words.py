"""Corners of the gate: what drives the first layer's sums, and the quantizers behind it, to ties and ends."""

import numpy as np
import pytest
from designs import example_design, example_scaling
from networks import NETWORKS
from weights import example_weights

from flow.firmware.gate import corner_words
from flow.firmware.gate.comparison import vectors
from flow.topology import INPUT, Dense
from flow.train import qkeras_model
from flow.train.initial import random_weights


@pytest.mark.parametrize("name", ["dense", "concatenate", "conv2d valid", "scale"])
def test_corners_are_taken_where_a_dense_layer_reads_the_input(name):
    topology = NETWORKS[name]
    design, weights = example_design(topology), random_weights(topology, 0)
    kernel = corner_words.first_kernel(qkeras_model.build(topology, design, example_scaling(topology), weights))
    first = topology.weighted[0]
    if isinstance(first, Dense) and topology.sources[first.name] == (INPUT,):
        np.testing.assert_array_equal(kernel, design[first.name].kernel.quantize(weights[first.name][0]))
    else:
        assert kernel is None


@pytest.mark.parametrize("name", ["dense", "sigmoid", "tanh"])
def test_hidden_quantizers_are_brought_to_ties_and_ends(name):
    topology = NETWORKS[name]
    scaling, design = example_scaling(topology), example_design(topology, 3)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology))
    pool = vectors(scaling, np.zeros((0, 4)), 2000, 5)
    found = corner_words.deep(model, pool)
    assert 0 < len(found) <= corner_words.MOST and np.array_equal(found, corner_words.deep(model, pool))
    assert {tuple(row) for row in found} <= {tuple(row) for row in pool}
    reached, possible = corner_words.coverage(model, found), corner_words.coverage(model, pool)
    assert list(reached) == list(possible) == [f"{x.name}_{x.activation}" for x in topology.layers[:-1]]
    assert reached == possible and any(row["ties"] for row in reached.values())
    layer = next(iter(reached))
    form, sums = design["fc0"].activation, qkeras_model.reference(model, found)["fc0"]
    halves = 0.5 * sums + 0.5 if name == "sigmoid" else sums
    tied = (np.abs(halves / form.step % 1 - 0.5) == 0) & (halves > form.low) & (halves < form.high)
    assert reached[layer]["ties"] == tied.any(axis=0).sum()


def test_words_with_several_largest_logits_are_found():
    topology = NETWORKS["dense"]
    scaling = example_scaling(topology)
    model = qkeras_model.build(topology, example_design(topology, 3), scaling, example_weights(topology))
    pool = vectors(scaling, np.zeros((0, 4)), 3000, 5)
    found = corner_words.equal_logits(model, pool)
    logits = qkeras_model.reference(model, found)["out"]
    assert 0 < len(found) <= 64 and ((logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1).all()
