"""From trained designs to reports, without the tools: what the gate's vectors are made from."""

import numpy as np
import pytest
from designs import example_design, example_scaling
from networks import NETWORKS

from flow.loop.build import first_kernel
from flow.topology import INPUT, Dense
from flow.train import qkeras_model
from flow.train.initial import random_weights


@pytest.mark.parametrize("name", ["dense", "concatenate", "conv2d valid", "scale"])
def test_corners_are_taken_where_a_dense_layer_reads_the_input(name):
    topology = NETWORKS[name]
    design, weights = example_design(topology), random_weights(topology, 0)
    kernel = first_kernel(topology, qkeras_model.build(topology, design, example_scaling(topology), weights))
    first = topology.weighted[0]
    if isinstance(first, Dense) and topology.sources[first.name] == (INPUT,):
        np.testing.assert_array_equal(kernel, design[first.name].kernel.quantize(weights[first.name][0]))
    else:
        assert kernel is None
