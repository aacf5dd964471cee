"""What there is to measure follows from the space."""

import numpy as np
from networks import NETWORKS
from sensitivity.spaces import space_of

from flow.formats import Binary, Fixed
from flow.sensitivity.cells import Cell, cells, damages, quantized
from flow.train.pruning import largest

DENSE = NETWORKS["dense"]


def test_kernels_are_felt_with_their_keep_fraction():
    found = {cell.key: cell for cell in cells(space_of(DENSE))}
    assert set(found) == {
        "input", "fc0.kernel", "fc0.bias", "fc0.activation", "fc1.kernel", "fc1.bias", "fc1.activation",
        "out.kernel", "out.bias",
    }  # fmt: skip
    assert found["fc1.kernel"].names == ("fc1.kernel", "fc1.keep")
    assert found["fc1.kernel"].shape == (4, 3)
    assert found["fc1.bias"].shape == (4,)


def test_what_shares_a_parameter_is_added_up():
    shared = (("fc0.kernel", "kernels"), ("fc1.kernel", "kernels"), ("fc0.bias", "biases"), ("fc1.bias", "biases"))
    places = cells(space_of(DENSE, shared))
    found = damages(places, lambda cell: np.full(cell.shape, 1.0 if cell.layer == "fc0" else 10.0))
    assert (found.terms["biases",] == 11.0).all()
    assert (found.terms["kernels", "fc0.keep"] == 1.0).all()
    assert (found.terms["kernels", "fc1.keep"] == 10.0).all()


def test_widths_and_reuse_are_no_cells():
    space = space_of(DENSE)
    wider = type(space)(space.topology, (*space.choices, ("fc0.width", (("0.5", 0.5), ("1", 1.0)))))
    assert cells(wider) == cells(space)


def test_the_mask_comes_before_the_format():
    values = np.array([[0.1, -0.9], [0.4, -0.2]])
    cell = Cell("fc0", "kernel", ("k", "w"), (Fixed(4, 0), Binary(-1)), (0.5, 1.0))
    found = {(i, j): after for i, j, after in quantized(cell, values)}
    assert (found[0, 0] == Fixed(4, 0).quantize([[0.0, -0.9], [0.4, 0.0]])).all()
    assert (found[1, 0] == [[0.5, -0.5], [0.5, 0.5]]).all()  # a binary kernel has no zeros
    by_size = {(i, j): after for i, j, after in quantized(cell, values, np.array([[4.0, 1.0], [2.0, 3.0]]))}
    assert ((by_size[0, 0] != 0) == (largest(np.array([[4.0, 1.0], [2.0, 3.0]]), 0.5) > 0)).all()
