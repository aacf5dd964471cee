"""Widths, reuse factors, shared choices and forbidden combinations of a space."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flow.errors import BadInput
from flow.space import SearchSpace, build_space, check_space
from flow.task import parse_text
from flow.topology import Dense, Topology

PATH = Path("models/x/task.yaml")
TOPOLOGY = Topology(
    (Dense("fc0", 4, 8, "relu"), Dense("fc1", 8, 8, "relu"), Dense("fc2", 8, 6, "relu"), Dense("out", 6, 3, "linear"))
)
FEW = "space: {input: ['quantized_bits(4)'], kernel: [ternary, 'quantized_bits(4)'], bias: ['quantized_bits(4)'], "
FEW += "activation: ['quantized_relu(3)'], keep: [0.5, 1], "


def built(text: str) -> SearchSpace:
    space = parse_text(text, PATH).space
    check_space(space, TOPOLOGY, PATH)
    return build_space(space, TOPOLOGY, None, None, PATH)


def refused(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        built(text)
    assert str(caught.value).startswith(str(PATH)) and "\n" not in str(caught.value)
    return str(caught.value)


def some(space: SearchSpace, **chosen: str) -> dict[str, str]:
    return {name: options[0] for name, options in space.parameters.items()} | chosen


def test_widths_by_layer_with_an_exception():
    space = built(FEW + "width: [0.5, 1, 2], layers: {fc1: {width: [1]}}}")
    assert space.parameters["fc0.width"] == ("0.5", "1", "2") == space.parameters["fc2.width"]
    assert not {"fc1.width", "out.width"} & set(space.parameters)
    design = space.design(some(space, **{"fc0.width": "2", "fc2.width": "0.5"}))
    assert [part.width for _, part in design.layers] == [2.0, 1.0, 0.5, 1.0]


def test_widths_by_block():
    blocks = "width_by: block, blocks: {front: [fc0, fc1], back: [fc2, out]}"
    space = built(FEW + f"width: [0.5, 1], {blocks}}}")
    assert space.targets("front.width") == ("fc0.width", "fc1.width")
    assert space.targets("back.width") == ("fc2.width",)
    assert [part.width for _, part in space.design(some(space)).layers] == [0.5, 0.5, 0.5, 1.0]
    assert dict(built(FEW + "width: [0.5, 1], width_by: block}").shared)["fc0.width"] == "network.width"
    assert not any(name.endswith("width") for name in built(FEW + "width: [0.5, 1], width_by: none}").parameters)


def test_reuse_factors():
    space = built(FEW + "reuse: [1, 2], layers: {out: {reuse: [3]}}}")
    assert space.parameters["fc0.reuse"] == ("1", "2") and space.parameters["out.reuse"] == ("3",)
    design = space.design(some(space, **{"fc0.reuse": "2"}))
    assert [part.reuse for _, part in design.layers] == [2, 1, 1, 3]
    back = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert back.to_json() == space.to_json() and back.choices == space.choices


def test_layers_that_share_their_choices():
    space = built(FEW + "groups: {hidden: [fc1, fc2]}}")
    assert {"hidden.kernel", "hidden.bias", "hidden.activation", "hidden.keep"} <= set(space.parameters)
    assert not any(name.startswith(("fc1.", "fc2.")) for name in space.parameters)
    design = space.design(some(space, **{"hidden.kernel": "quantized_bits(4)", "hidden.keep": "1"}))
    assert design["fc1"].kernel.bits == design["fc2"].kernel.bits == 4 and design["fc0"].kernel.bits == 2
    assert space.size == np.prod([len(options) for options in space.parameters.values()])


def test_parameters_that_share_a_choice():
    space = built(FEW + "groups: {kernels: [fc0.kernel, out.kernel]}}")
    assert space.targets("kernels") == ("fc0.kernel", "out.kernel") and "fc0.keep" in space.parameters


def test_forbidden_combinations_are_counted_and_refused():
    text = (
        "forbidden: [{fc0.kernel: ternary, fc0.keep: 0.5}, {fc1.kernel: [ternary], fc2.kernel: ternary}, {out.keep: 1}]"
    )
    space = built(FEW + text + "}")
    every = [dict(zip(space.parameters, row)) for row in itertools.product(*space.parameters.values())]
    assert space.size == sum(map(space.allowed, every)) < len(every)
    assert all(space.allowed(chosen) for chosen in space.ladder(6))
    assert replace(space, forbidden=()).size == len(every)


def test_a_rule_on_what_is_shared():
    space = built(FEW + "groups: {hidden: [fc1, fc2]}, forbidden: [{fc1.kernel: ternary, fc0.kernel: ternary}]}")
    assert space.forbidden == ({"hidden.kernel": ("ternary",), "fc0.kernel": ("ternary",)},)


def test_a_rule_on_two_that_share_a_choice():
    """It is forbidden where both say so, whatever their order."""
    text = "groups: {{hidden: [fc1, fc2]}}, forbidden: [{{fc1.keep: [{}], fc2.keep: [{}], out.keep: 1}}]}}"
    for some in (("0.5, 1", "1"), ("1", "0.5, 1")):
        assert built(FEW + text.format(*some)).forbidden == ({"hidden.keep": ("1",), "out.keep": ("1",)},)


@pytest.mark.parametrize(
    "text, words",
    [
        ("layers: {out: {width: [1, 2]}}", ["space.layers.out.width", "gives the logits", "fc0, fc1, fc2"]),
        ("width: [0.5, 0.5]", ["fc0.width", "twice"]),
        ("width: [9]", ["space.width", "8"]),
        ("width_by: blocks", ["width_by", "'layer', 'block' or 'none'"]),
        ("blocks: {a: [fc0, fcx]}", ["space.blocks.a", "'fcx'", "did you mean 'fc"]),
        ("blocks: {a: [fc0], b: [fc0]}", ["fc0 is in a and in b"]),
        ("groups: {fc0: [fc1, fc2]}", ["space.groups.fc0", "taken"]),
        ("groups: {g: [fc1, fc9]}", ["space.groups.g", "fc9"]),
        ("groups: {g: [fc1.kernel, fc1.keep]}", ["can't share"]),
        ("groups: {g: [fc1.kernel, fc2.kernel]}, layers: {fc1: {kernel: [binary]}}", ["different choices"]),
        ("groups: {g: [fc1], h: [fc1.kernel]}", ["space.groups.h", "in g already"]),
        ("forbidden: [{fc0.kernel: binary}]", ["rule 1", "'binary' is no choice", "ternary"]),
        ("forbidden: [{fc0.kernle: ternary}]", ["'fc0.kernle'", "did you mean 'fc0.kernel'"]),
        ("forbidden: [{fc0.keep: [0.5, 1]}]", ["no design is left"]),
        ("forbidden: [{}]", ["rule 1", "nothing in it"]),
        (
            "groups: {g: [fc1, fc2]}, forbidden: [{fc1.keep: 1, fc2.keep: 0.5}]",
            ["rule 1", "fc1.keep and fc2.keep share", "g.keep"],
        ),
        ("reuse: [0]", ["space.reuse"]),
    ],
)
def test_what_can_not_be_is_said(text, words):
    said = refused(FEW + text + "}")
    assert all(word in said for word in words), said
