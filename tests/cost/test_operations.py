"""Multiplications and bit operations, by hand."""

import math

import pytest
from designs import example_design
from networks import NETWORKS

from flow.cost import costs
from flow.cost.operations import bops, macs
from flow.design import Design, LayerDesign
from flow.formats import Binary, Fixed, PowerOfTwo, Relu, Ternary
from flow.topology import Conv, Dense, Pool, Reshape, Topology

DENSE = Topology((Dense("fc", 16, 64, "relu"), Dense("out", 64, 5)))


KERNEL = Fixed(4, 0)


def design(kernel=KERNEL, keep=1.0) -> Design:
    rows = (("fc", LayerDesign(kernel, Fixed(6, 0), Relu(3, 1), keep)), ("out", LayerDesign(kernel, None, None, keep)))
    return Design(Fixed(8, 2), rows)


def test_of_a_dense_network():
    assert macs(DENSE, design()) == 16 * 64 + 64 * 5
    first, last = 4 * 8 + 4 + 8 + math.log2(16), 4 * 3 + 4 + 3 + math.log2(64)
    assert bops(DENSE, design()) == pytest.approx(16 * 64 * first + 64 * 5 * last)


def test_pruned_weights_are_neither_multiplied_nor_added():
    assert macs(DENSE, design(keep=0.25)) == 0.25 * macs(DENSE, design())
    assert bops(DENSE, design(keep=0.25)) == pytest.approx(0.25 * bops(DENSE, design()))


def test_a_convolution_counts_each_position():
    """36 positions of 3 x 3 x 2 products for 3 filters; a sum has 18 terms. The pooling multiplies nothing."""
    topology = Topology(
        (
            Conv("conv", (6, 6, 2), 3, (3, 3), (1, 1), "same", "relu"),
            Pool("pool", (6, 6, 3), (2, 2), (2, 2)),
            Reshape("flat", (27,)),
            Dense("out", 27, 3, bias=False),
        ),
        (6, 6, 2),
    )
    parts = (
        ("conv", LayerDesign(Fixed(5, 0), Fixed(6, 0), Relu(3, 1), 0.5)),
        ("out", LayerDesign(Ternary(-1), None, None)),
    )
    found = Design(Fixed(8, 2), parts)
    assert macs(topology, found) == 0.5 * 36 * 18 * 3 + 27 * 3
    conv, out = 5 * 8 + 5 + 8 + math.log2(18), 2 * 3 + 2 + 3 + math.log2(27)
    assert bops(topology, found) == pytest.approx(0.5 * 36 * 18 * 3 * conv + 27 * 3 * out)


def test_a_depthwise_convolution_sums_over_its_window_only():
    topology = NETWORKS["depthwise"]
    found = example_design(topology, kernels=(Fixed(4, 0),))
    conv, out = topology.weighted
    assert conv.terms == 9 and macs(topology, found) == 4 * 4 * 2 * 9 + out.n_in * out.n_out


@pytest.mark.parametrize("kernel, width", [(Binary(-1), 1), (Ternary(-1), 2), (PowerOfTwo(4), 4), (Fixed(7, 2), 7)])
def test_the_width_of_a_weight_is_that_of_its_format(kernel, width):
    topology = Topology((Dense("out", 8, 2),))
    found = Design(Fixed(6, 1), (("out", LayerDesign(kernel, None, None)),))
    assert bops(topology, found) == 16 * (width * 6 + width + 6 + 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_operations_as_figures(name):
    topology = NETWORKS[name]
    found = costs(topology, example_design(topology, keep=0.5))
    assert 0 < found["macs"].value < found["ebops"].value < found["bops"].value
    assert found["macs"].fidelity.value == found["bops"].fidelity.value == "model"
