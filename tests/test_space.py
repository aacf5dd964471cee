"""Spaces and designs: choices become formats; what doesn't fit is refused before training."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from flow.design import Design, check
from flow.errors import BadInput
from flow.formats import Binary, Fixed, Relu, Ternary
from flow.space import SearchSpace, build_space, check_space, least_design
from flow.task import parse_text
from flow.topology import Dense, Topology

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("out", 6, 3, "linear")))
PATH = Path("models/x/task.yaml")


def space_of(text: str = ""):
    return parse_text(text, PATH).space


@pytest.fixture
def space() -> SearchSpace:
    rng = np.random.default_rng(0)
    weights = {l.name: (rng.normal(0, 0.3, (l.n_in, l.n_out)), rng.normal(0, 0.1, l.n_out)) for l in TOPOLOGY.layers}
    values = {
        "input": rng.normal(0, 1, (500, 4)),
        "fc0": np.abs(rng.normal(0, 1, (500, 6))),
        "out": rng.normal(0, 1, (500, 3)),
    }
    return build_space(space_of(), TOPOLOGY, weights, values, PATH)


def test_every_choice_gives_a_design_that_fits(space):
    rng = np.random.default_rng(1)
    for _ in range(50):
        design = space.design({name: rng.choice(options) for name, options in space.parameters.items()})
        check(design, TOPOLOGY)
        assert Design.from_json(json.loads(str(design))) == design
    assert space.size == np.prod([len(o) for o in space.parameters.values()])


def test_a_space_comes_back_from_json(space):
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_the_ladder_goes_from_one_end_to_the_other(space):
    rungs = space.ladder(8)
    assert rungs[0] == {n: o[0] for n, o in space.parameters.items()}
    assert rungs[-1] == {n: o[-1] for n, o in space.parameters.items()}
    assert len({json.dumps(r, sort_keys=True) for r in rungs}) == len(rungs)


def test_the_digest_names_the_formats(space):
    design = space.design({n: o[0] for n, o in space.parameters.items()})
    other = dataclasses.replace(design, input=Fixed(9, 3))
    assert len(design.digest) == 12 and design.digest != other.digest
    assert Design.from_json(design.to_json()).digest == design.digest


def test_explicit_integer_bits_are_kept():
    weights = {l.name: (np.ones((l.n_in, l.n_out)), np.ones(l.n_out)) for l in TOPOLOGY.layers}
    values = {"input": np.ones((9, 4)), "fc0": np.ones((9, 6)), "out": np.ones((9, 3))}
    text = 'space: {layers: {fc0: {kernel: ["quantized_bits(5,-2)", "ternary(alpha=0.5)"], keep: [0.5]}}}'
    space = build_space(space_of(text), TOPOLOGY, weights, values, PATH)
    chosen = dict(space.choices)["fc0.kernel"]
    assert [value for _, value in chosen] == [Fixed(5, -2), Ternary(-1)]
    assert space.parameters["fc0.keep"] == ("0.5",)
    assert "out.activation" not in space.parameters


@pytest.mark.parametrize(
    "text, words",
    [
        ("space: {layers: {fc: {kernel: [binary]}}}", ["no layer 'fc'", "did you mean 'fc0'", "fc0, out"]),
        ('space: {layers: {out: {activation: ["quantized_relu(4)"]}}}', ["space.layers.out.activation", "logits"]),
        ('space: {kernel: ["quantized_relu(4)"]}', ["fc0.kernel", "quantized_relu", "quantized_bits, ternary, binary"]),
        ("space: {activation: [ternary]}", ["fc0.activation", "quantized_relu"]),
        ('space: {kernel: ["quantised_bits(4)"]}', ["quantised_bits", "known"]),
        ('space: {kernel: ["quantized_bits(99)"]}', ["2 to 32 bits"]),
        ('space: {kernel: ["quantized_bits(1)"]}', ["2 to 32 bits"]),
        ("space: {kernel: []}", ["fc0.kernel", "no choice"]),
        ("space: {input: [binary]}", ["input", "quantized_bits"]),
    ],
)
def test_what_does_not_fit_is_said(text, words):
    with pytest.raises(BadInput) as caught:
        check_space(space_of(text), TOPOLOGY, PATH)
    assert all(word in str(caught.value) for word in [*words, str(PATH)])


def test_the_least_design():
    least = least_design(space_of(), TOPOLOGY, PATH)
    assert isinstance(least["fc0"].kernel, Binary) and least["fc0"].keep == 0.2
    assert least["fc0"].activation == Relu(2, 0) and least["out"].activation is None


def test_a_design_for_another_network_is_refused(space):
    design = space.design({n: o[0] for n, o in space.parameters.items()})
    with pytest.raises(ValueError, match="fc0, out"):
        check(design, Topology((Dense("a", 4, 6, "relu"), Dense("out", 6, 3, "linear"))))
