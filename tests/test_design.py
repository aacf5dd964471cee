"""Designs as values: what fits a network, how far two are apart, what formats values have on the way."""

import math
from dataclasses import replace

import pytest
from designs import example_design
from networks import NETWORKS

from flow.design import Design, check, data_formats, distance, value_formats
from flow.formats import Fixed, PowerOfTwo, Relu, Ternary

DENSE = NETWORKS["dense"]


def changed(design: Design, layer: str, **parts) -> Design:
    return replace(design, layers=tuple((n, replace(p, **parts) if n == layer else p) for n, p in design.layers))


@pytest.mark.parametrize("topology", NETWORKS.values(), ids=NETWORKS.keys())
def test_there_and_back(topology):
    design = example_design(topology, 1)
    assert Design.from_json(design.to_json()) == design
    assert set(value_formats(topology, design)) == {"input", *(layer.name for layer in topology.layers)}
    assert set(data_formats(topology, design)) == {layer.name for layer in topology.weighted}


def test_values_on_their_way():
    topology = NETWORKS["average pooling"]
    design = example_design(topology, kernels=(Fixed(4, 0),), activations={"relu": (Relu(4, 1),)})
    formats = value_formats(topology, design)
    assert formats["conv"] == Relu(4, 1)
    assert (formats["pool"].bits, formats["pool"].fraction) == (6, 5)  # the mean of four: two more fractional bits


def test_sums_of_powers_of_two_are_as_wide_as_their_exponents_reach():
    design = example_design(DENSE, kernels=(PowerOfTwo(4),))
    assert value_formats(DENSE, design)["out"].bits > 4 + PowerOfTwo(4).width


def test_distance():
    design = example_design(DENSE, 1, kernels=(Fixed(4, 0),), keep=0.5)
    assert distance(design, design) == 0.0
    assert distance(design, changed(design, "fc1", kernel=Fixed(6, 0))) == 2.0
    assert 0 < distance(design, changed(design, "fc1", kernel=Ternary(-1))) <= 2.0
    assert distance(design, changed(design, "fc1", keep=1.0)) == 2.0  # half of the kernel's four bits
    assert math.isinf(distance(design, changed(design, "fc1", keep=0.4)))


@pytest.mark.parametrize(
    "layer, parts, said",
    [
        ("fc0", {"activation": None}, "layer fc0: activation .relu.: None does not fit; allowed: quantized_relu"),
        ("out", {"activation": Relu(4, 1)}, "layer out: activation .linear.*allowed: none"),
        ("fc0", {"kernel": Relu(4, 1)}, "layer fc0: kernel: quantized_relu.4,1. does not fit; allowed: quantized_bits"),
        ("fc0", {"bias": Fixed(4, 0, exponent=None)}, "layer fc0: bias: .*only kernels take their scale"),
        ("fc0", {"keep": 0.0}, "layer fc0: keep fraction 0.0 is not in"),
    ],
)
def test_what_does_not_fit_is_named(layer, parts, said):
    with pytest.raises(ValueError, match=said):
        check(changed(example_design(DENSE, 1), layer, **parts), DENSE)
