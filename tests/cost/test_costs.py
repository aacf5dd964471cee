"""Costs from formats alone, and the regression that learns from reports."""

from flow.cost import COSTS, costs
from flow.design import Design, LayerDesign
from flow.formats import Fixed, Relu
from flow.topology import Conv, Dense, Pool, Reshape, Topology

TOPOLOGY = Topology((Dense("fc0", 16, 64, "relu"), Dense("fc1", 64, 32, "relu"), Dense("out", 32, 5, "linear")))
KERNEL, RELU = Fixed(4, 0), Relu(4, 1)


def design(kernel=KERNEL, keep=1.0, activation=RELU) -> Design:
    return Design(
        Fixed(8, 2),
        tuple(
            (l.name, LayerDesign(kernel, Fixed(6, 0), activation if l.activation == "relu" else None, keep))
            for l in TOPOLOGY.layers
        ),
    )


def test_bits_and_ebops_by_hand():
    found = costs(TOPOLOGY, design(keep=0.5))
    weights = 0.5 * (16 * 64 + 64 * 32 + 32 * 5) * 4
    assert found["bits"].value == weights + (64 + 32 + 5) * 6 + 16 * 8 + (64 + 32) * 4
    assert found["ebops"].value == 0.5 * (16 * 64 * 4 * 8 + 64 * 32 * 4 * 4 + 32 * 5 * 4 * 4)
    assert set(found) == set(COSTS) and all(f.fidelity.value == "model" and f.unit is not None for f in found.values())


IMAGE = Topology(
    (
        Conv("conv", (6, 6, 2), 3, (3, 3), (1, 1), "same", "relu"),
        Pool("pool", (6, 6, 3), (2, 2), (2, 2)),
        Reshape("flat", (27,)),
        Dense("out", 27, 3, bias=False),
    ),
    (6, 6, 2),
)
IMAGE_DESIGN = Design(
    Fixed(8, 2), (("conv", LayerDesign(KERNEL, Fixed(6, 0), RELU, 0.5)), ("out", LayerDesign(KERNEL, None, None)))
)


def test_bits_and_ebops_of_a_convolution_by_hand():
    """Weights and biases are there once, products at each of the 36 positions."""
    found = costs(IMAGE, IMAGE_DESIGN)
    weights = (0.5 * 3 * 3 * 2 * 3 + 27 * 3) * 4
    assert found["bits"].value == weights + 3 * 6 + 36 * 2 * 8 + 36 * 3 * 4
    assert found["ebops"].value == 0.5 * 36 * 3 * 3 * 2 * 3 * 4 * 8 + 27 * 3 * 4 * 4
