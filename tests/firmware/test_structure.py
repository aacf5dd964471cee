"""Designs whose network, formats and reuse factors are all their own: equal on every side of the gate."""

from dataclasses import replace

import numpy as np
import pytest
from designs import example_scaling

from flow.design import Design, LayerDesign, check
from flow.firmware import gate, project
from flow.firmware.gate import comparison
from flow.firmware.settings import Target, for_design
from flow.formats import Binary, Fixed, PowerOfTwo, Ternary
from flow.topology import Conv, Dense, Pool, Reshape, Topology
from flow.width import narrowed_topology, widest

BASE = Topology(
    (
        Conv("conv", (4, 4, 1), 4, (2, 2), (1, 1), "same", "relu"),
        Pool("pool", (4, 4, 4), (2, 2), (2, 2)),
        Reshape("flat", (16,)),
        Dense("fc", 16, 6, "relu", normalized=True),
        Dense("out", 6, 3),
    ),
    (4, 4, 1),
)
# Every format that AutoQKeras knows for a bias and in the place of a rectifier, beside narrower and wider layers.
DESIGN = Design(
    Fixed(5, 2),
    (
        ("conv", LayerDesign(Fixed(4, 0), PowerOfTwo(4, 3), Ternary(-1), width=0.5)),
        ("fc", LayerDesign(Binary(-1), PowerOfTwo(3), Binary(0), keep=0.5, width=1.5)),
        ("out", LayerDesign(PowerOfTwo(4, 0), Fixed(4, 0), None)),
    ),
)
SCALING = example_scaling(BASE)


def network(design: Design):
    """The design's network and the weights that masked training would leave it, from parameters that are not trivial."""
    from flow.train.parameters import random_parameters
    from flow.train.widths import begin, narrowed, noted

    wide = widest(BASE, {"conv": (0.5, 1.0), "fc": (1.0, 2.0)})
    start = random_parameters(BASE, 3)
    rng = np.random.default_rng(0)
    start |= {n: (v + rng.normal(0, 0.2, v.shape)).astype(np.float32) for n, v in start.items() if "variance" not in n}
    parameters, units = begin(BASE, wide, design, start, 1)
    return narrowed(BASE, parameters | noted(units))


@pytest.mark.slow
def test_a_narrowed_design_of_new_formats_is_equal_on_every_side(tmp_path):
    """One layer shares its hardware; the others are unrolled."""
    from flow.train import qkeras_model

    check(DESIGN, BASE)
    design = Design(DESIGN.input, tuple((n, replace(p, reuse=3 if n == "fc" else None)) for n, p in DESIGN.layers))
    topology, weights = network(design)
    assert topology == narrowed_topology(BASE, design)
    assert topology["conv"].filters == 2 and topology["fc"].kernel_shape == (8, 9)
    model = qkeras_model.build(topology, design, SCALING, weights)
    words = comparison.vectors(SCALING, np.zeros((1, 16)), 60, 2, design.input)
    logits = qkeras_model.reference(model, words)["out"]
    assert len(np.unique(logits)) > 10
    assert qkeras_model.float32_deviation(model, words, logits) == 0
    target = for_design(Target("xcvu13p-flga2577-2-e", 5.0), design)
    built = project.build(model, design, SCALING, topology, "tiny", target, tmp_path, {}, words=words, logits=logits)
    record = gate.verify(built, random=200)
    comparison.require(record)
    assert record.not_run == () and {pair.name for pair in record.pairs} >= {
        "qkeras=csim",
        "qkeras=traced",
        "qkeras=rtl",
    }
