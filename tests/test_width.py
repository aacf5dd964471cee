"""Width factors: which layers have them, and the networks that follow."""

from dataclasses import replace

import numpy as np
import pytest
from designs import example_design
from networks import NETWORKS

from flow.design import Design, check, distance
from flow.formats import Fixed
from flow.topology import Conv, Dense, Pool, Reshape, Topology
from flow.width import alive, kernel_masks, narrowed_topology, resizable, units_of, widest

# What is worth a width in each of the small networks.
FREE = {
    "dense": ("fc0", "fc1"),
    "scale": ("fc0",),
    "separable": ("conv_pointwise",),
    "depthwise": (),  # its channels are the input's
    "add": (),  # both sides of a sum must agree
    "residual": (),
    "concatenate": ("left", "right"),
    "reshape": ("conv",),  # the units of fc0 become places of an image
    "global average": ("conv",),
}


def resized(design: Design, **widths: float) -> Design:
    return Design(design.input, tuple((n, replace(p, width=widths.get(n, 1.0))) for n, p in design.layers))


@pytest.mark.parametrize("name", FREE)
def test_layers_whose_units_can_be_left_out(name):
    assert resizable(NETWORKS[name]) == FREE[name]


@pytest.mark.parametrize(("factor", "units"), [(0.5, 3), (0.75, 5), (0.01, 1), (1.5, 10), (2.0, 14)])
def test_factors_round_down_and_never_to_nothing(factor, units):
    assert units_of(Dense("fc", 4, 7), factor) == units


def test_what_reads_a_narrower_layer_follows_it():
    image = (8, 8, 3)
    topology = Topology(
        (
            Conv("conv0", image, 8, (3, 3), (1, 1), "same", "relu"),
            Conv("deep", (8, 8, 8), 8, (3, 3), (1, 1), "same", "relu", depthwise=True),
            Pool("pool", (8, 8, 8), (2, 2), (2, 2)),
            Conv("conv1", (4, 4, 8), 6, (3, 3), (1, 1), "valid", "relu"),
            Reshape("flat", (24,)),
            Dense("out", 24, 3),
        ),
        image,
    )
    narrow = narrowed_topology(topology, resized(example_design(topology), conv0=0.5, conv1=1.5))
    shapes = {layer.name: layer.shape for layer in narrow.layers}
    assert shapes["deep"] == (8, 8, 4) and narrow["deep"].kernel_shape == (3, 3, 4, 1)
    assert shapes["pool"] == (4, 4, 4) and narrow["conv1"].kernel_shape == (3, 3, 4, 9)
    assert shapes["flat"] == (36,) and narrow["out"].n_in == 36 and narrow.n_out == 3
    assert narrow.input_shape == topology.input_shape
    assert Topology.from_json(narrow.to_json()) == narrow


def test_a_design_without_widths_has_the_network_itself():
    topology = NETWORKS["dense"]
    assert narrowed_topology(topology, example_design(topology)) is topology
    assert widest(topology, {"fc0": (0.5, 1.0), "fc1": (0.25,)}) is topology
    assert widest(topology, {"fc0": (0.5, 2.0)})["fc1"].n_in == 12


def test_living_weights_are_those_between_living_units():
    topology = NETWORKS["max pooling"]
    units = np.array([True, False, True])
    masks = kernel_masks(topology, {"conv": units})
    assert masks["conv"].sum(axis=(0, 1, 2)).tolist() == [18, 0, 18]
    assert masks["out"].sum(axis=1).tolist() == [3, 0, 3] * 4  # flattened: channel by channel at each place
    assert alive(topology, {"conv": units})["pool"].shape == (2, 2, 3)


def test_digests_know_widths_and_not_their_absence():
    topology = NETWORKS["dense"]
    design = example_design(topology)
    half = resized(design, fc0=0.5)
    assert "width" not in str(design) and "reuse" not in str(design)
    assert half.digest != design.digest
    assert Design.from_json(half.to_json()) == half


def test_a_wider_parent_is_as_far_as_what_is_dropped_and_a_narrower_one_is_none():
    design = example_design(NETWORKS["dense"], kernels=(Fixed(4, 0),))
    half, double = resized(design, fc0=0.5), resized(design, fc0=2.0)
    assert distance(design, design) == 0 and distance(half, design) == 0.5 * 4
    assert distance(half, double) == 1.5 * 4 and distance(design, half) == np.inf


@pytest.mark.parametrize(
    ("name", "layer", "said"),
    [("dense", "out", "layer out: its width"), ("add", "left", "no layer can"), ("depthwise", "conv", "no layer can")],
)
def test_a_width_where_there_is_none_to_choose_is_refused(name, layer, said):
    topology = NETWORKS[name]
    with pytest.raises(ValueError, match=said):
        check(resized(example_design(topology), **{layer: 0.5}), topology)
