"""Inputs and outputs are counted where a description tells them, and left open elsewhere."""

from pathlib import Path

import pytest
from keras_file.files import dense, functional, layer, sequential

from flow.importing import counts
from flow.keras_file import check


@pytest.mark.parametrize(
    "rows, n_out",
    [
        ((dense("a", units=5), dense("out", units=4)), 4),
        ((dense("out", units=4), layer("Softmax", name="end")), 4),
        ((dense("out", units=4), layer("Flatten", name="end")), None),
    ],
)
def test_outputs_of_a_sequence(rows, n_out):
    described = check.check(sequential(*rows), Path("x")).config
    assert counts.outputs(described) == n_out and counts.inputs(described) == 4


def test_outputs_of_a_graph():
    described = check.check(functional(("a", "entry"), ("b", "a")), Path("x")).config
    assert counts.outputs(described) == 4 and counts.inputs(described) == 4
