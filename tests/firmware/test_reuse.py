"""Reuse factors of a space, checked by shape: what is let through is taken by both ways to firmware, the rest by none."""

from dataclasses import replace

import pytest
from designs import example_design, example_scaling
from networks import NETWORKS
from weights import example_weights

from flow.design import Design
from flow.errors import BadInput
from flow.firmware.reuse import check_choices
from flow.firmware.settings import Strategy, Target, for_design

TARGET = Target("xcvu13p-flga2577-2-e", 5.0)
RESOURCE = replace(TARGET, strategy=Strategy.RESOURCE)


def accepted(topology, target, layer, factor, width=None) -> bool:
    try:
        check_choices(topology, target, {layer: (factor,)}, {} if width is None else {layer: (width,)})
    except BadInput:
        return False
    return True


EACH = [
    (name, layer, strategy) for name, layer in (("dense", "fc1"), ("conv2d valid", "conv")) for strategy in Strategy
]


@pytest.mark.parametrize("name,layer,strategy", [*EACH, ("depthwise", "conv", Strategy.LATENCY)])
def test_the_same_factors_are_refused_as_by_the_ways_to_firmware(name, layer, strategy):
    pytest.importorskip("qkeras")
    from flow.firmware import hls, hls4ml_qkeras, multiplexed
    from flow.train import qkeras_model

    topology, target = NETWORKS[name], replace(TARGET, strategy=strategy)
    design = example_design(topology)
    model = qkeras_model.build(topology, design, example_scaling(topology), example_weights(topology))

    def built(factor: int) -> bool:
        own = replace(target, reuse=((layer, factor),))
        try:
            hls.available.require(own, hls4ml_qkeras.stages(model, own))
            multiplexed.factors(model, own)
        except BadInput:
            return False
        return True

    wanted = {factor for factor in range(1, 34) if built(factor)}
    assert wanted == {factor for factor in range(1, 34) if accepted(topology, target, layer, factor)}
    assert 1 in wanted


def test_every_width_counts():
    topology = NETWORKS["dense"]
    assert accepted(topology, TARGET, "fc1", 4) and not accepted(topology, TARGET, "fc1", 4, 0.5)
    check_choices(topology, RESOURCE, {"fc1": (2,)}, {"fc1": (1.0, 2.0)})
    with pytest.raises(BadInput, match=r"reuse factor 2 of layer fc1: hls4ml does not take it for 3 x 5 weights"):
        check_choices(topology, RESOURCE, {"fc1": (2,)}, {"fc0": (0.5, 1.0)})  # what it reads is narrower
    with pytest.raises(BadInput, match="2 outputs"):  # the task's own factor, at a width of the space
        check_choices(topology, replace(TARGET, reuse=(("fc1", 3),)), {}, {"fc1": (0.5,)})


def test_the_interval_is_a_limit():
    with pytest.raises(BadInput, match="reuse factor 4 of layer fc0: at most 2 cycles"):
        check_choices(NETWORKS["dense"], TARGET, {"fc0": (1, 4)}, {}, most=2)


def test_a_designs_own_factors_go_before_the_tasks():
    topology = NETWORKS["dense"]
    target = replace(TARGET, reuse=(("fc0", 2), ("out", 3)))
    design = example_design(topology)
    assert for_design(target, design) is target
    layers = tuple((n, replace(p, reuse={"fc0": 6, "fc1": 1}.get(n))) for n, p in design.layers)
    own = for_design(target, Design(design.input, layers))
    assert [own.reuse_of(name) for name in ("fc0", "fc1", "out")] == [6, 1, 3]
    assert own.interval == 6 and not own.plain and Target.from_json(own.to_json()) == own
