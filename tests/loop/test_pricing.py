"""What a design is predicted to cost: that of its own network, at its own reuse factors."""

from dataclasses import replace
from pathlib import Path

import pytest

from flow.cost import costs
from flow.design import Design, LayerDesign
from flow.formats import Fixed, Relu
from flow.loop import pricing
from flow.loop.context import Context
from flow.topology import Dense, Topology
from flow.width import narrowed_topology

TINY = Path(__file__).parents[2] / "models" / "tiny"
TOPOLOGY = Topology((Dense("fc0", 6, 8, "relu"), Dense("logits", 8, 5)))
WORD = Fixed(11, 4)


def design(width: float = 1.0, reuse: int | None = None) -> Design:
    first = LayerDesign(Fixed(4, 0), Fixed(5, 0), Relu(4, 1), 0.5, width, reuse)
    return Design(Fixed(6, 2), (("fc0", first), ("logits", LayerDesign(Fixed(4, 0), Fixed(5, 0), None))))


@pytest.fixture
def context(tmp_path) -> Context:
    return Context.of(TINY, tmp_path, quiet=True)


def test_a_narrower_design_is_priced_as_the_narrower_network(context):
    model, half = pricing.start(context), design(0.5)
    found = pricing.predict(context, model, TOPOLOGY, half, WORD)
    alone = pricing.predict(context, model, narrowed_topology(TOPOLOGY, half), design(), WORD)
    whole = pricing.predict(context, model, TOPOLOGY, design(), WORD)
    assert {name: figure.value for name, figure in found.items()} == {n: f.value for n, f in alone.items()}
    assert found["lut"].value < 0.7 * whole["lut"].value and found["macs"].value == 0.5 * 6 * 4 + 4 * 5
    assert costs(narrowed_topology(TOPOLOGY, half), half)["ebops"].value == found["ebops"].value
    rows = [pricing.by_layer(context, model, TOPOLOGY, item, WORD) for item in (half, design())]
    assert rows[0]["fc0"]["lut"] < rows[1]["fc0"]["lut"]


def test_shared_verilog_is_not_priced_and_a_shared_hls_project_is(context):
    assert pricing.priced(context) and pricing.priced(context, design()) and pricing.priced(context, design(reuse=1))
    assert not pricing.priced(context, design(reuse=4))
    target = context.task.target.model_copy(update={"tool": "vitis"})
    firmware = context.task.firmware.model_copy(update={"strategy": "Resource"})
    task = context.task.model_copy(update={"target": target, "firmware": firmware})
    hls = replace(context, task=task)
    assert pricing.priced(hls, design(reuse=4))
    model = pricing.start(hls)
    cycles = [pricing.predict(hls, model, TOPOLOGY, design(reuse=r), WORD)["interval_cycles"].value for r in (1, 4)]
    assert cycles[1] > cycles[0]
