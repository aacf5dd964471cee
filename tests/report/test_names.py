"""Formats and layers in the page's tables."""

import pytest
from designs import example_design
from networks import NETWORKS
from report.example import example

from flow.report import tables
from flow.report.names import bits_of, describe, short


@pytest.mark.parametrize(
    "text, shown",
    [
        ("quantized_bits(6,0,0,alpha=1)", "fixed(6,0)"),
        ("quantized_bits(6,-2,0,alpha=1)", "fixed(6,\N{MINUS SIGN}2)"),
        ("quantized_bits(4,0,0,keep_negative=0,alpha=1)", "unsigned fixed(4,0)"),
        ("quantized_bits(4,0,1,alpha='auto_po2')", "fixed(4,auto)"),
        ("quantized_relu(6,2)", "relu(6,2)"),
        ("truncated_relu(6,2)", "truncated relu(6,2)"),
        ("half_up_bits(6,2)", "half-up fixed(6,2)"),
        ("quantized_tanh(4)", "tanh(4)"),
        ("quantized_sigmoid(4)", "sigmoid(4)"),
        ("quantized_po2(4,0.5)", "po2(4,≤0.5)"),
        ("ternary(alpha=0.5)", "ternary(±0.5)"),
        ("stochastic_binary(alpha=0.25)", "stochastic binary(±0.25)"),
        ("ternary(alpha='auto_po2')", "ternary(auto)"),
        (None, "—"),
        ("<b>", "<b>"),
    ],
)
def test_formats_are_shortened(text, shown):
    assert short(text) == shown


def test_widths():
    assert bits_of("quantized_bits(6,0)") == 6 and bits_of("nonsense") == bits_of(None)


def test_layers_are_described():
    rows = {row["name"]: describe(row) for row in NETWORKS["separable"].to_json()["layers"]}
    assert rows["conv_depthwise"] == "depthwise 3 × 3 on 6 × 6 × 2, 2 filters"
    assert rows["conv_pointwise"] == "1 × 1 on 6 × 6 × 2, 3 filters"
    assert rows["out"] == "108 → 3" and rows["flat"] == ""
    assert describe(None) == describe({}) == describe("dense") == ""


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_of_layers_shows_every_network(name):
    """A row for the input, for each layer with a format, and for the two sums; nothing for a kernel that is not there."""
    topology, result = NETWORKS[name], example()
    design = example_design(topology)
    result["topology"] = topology.to_json()
    result["chosen"] |= {"design": design.to_json(), "by_layer": {"input": {"lut": 3}}, "predicted_by_layer": {}}
    table = tables.layers(result)
    rows = {row[0].text: row for row in table.rows}
    assert list(rows) == ["input", *topology.names, "sum of the layers", "whole design"]
    for layer in topology.designed:
        part, (_, kernel, bias, activation, keep, *_) = design[layer.name], rows[layer.name]
        for form, cell in ((part.kernel, kernel), (part.bias, bias), (part.activation, activation)):
            assert cell.text == short(None if form is None else str(form))
        assert (keep.text == short(None)) == (part.kernel is None)
        if layer in topology.weighted:
            assert rows[layer.name][0].tag
