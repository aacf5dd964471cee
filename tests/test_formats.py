"""Formats: their names come back, their values are QKeras' own."""

import numpy as np
import pytest
from tests_support import grid

from flow.formats import Binary, Fixed, Relu, Ternary, best_integer, parse

FORMATS = [
    *(Fixed(bits, integer) for bits in (2, 3, 4, 8, 16) for integer in (-2, 0, 3)),
    *(Relu(bits, integer) for bits in (1, 2, 4, 8) for integer in (0, 1, 4)),
    *(Ternary(exponent) for exponent in (-3, 0, 2)),
    *(Binary(exponent) for exponent in (-3, 0, 2)),
]


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_name_comes_back(form):
    assert parse(str(form)) == form


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_values_are_those_of_qkeras(form):
    from flow.train.qkeras_model import _quantizer

    values = grid(form)
    own = form.quantize(values)
    theirs = form.quantize(np.asarray(_quantizer(form)(values[None, :]))[0])  # QKeras leaves float32 dust at most
    np.testing.assert_array_equal(own, theirs)
    assert np.abs(np.asarray(_quantizer(form)(values[None, :]))[0] - own).max() <= 1e-4 * np.abs(values).max()


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_quantized_values_stay(form):
    values = form.quantize(grid(form))
    np.testing.assert_array_equal(form.quantize(values), values)
    assert values.min() >= form.low and values.max() <= form.high
    np.testing.assert_array_equal(values / form.step, np.rint(values / form.step))


@pytest.mark.parametrize(
    "text",
    ["", "quantized_bits", "quantized_bits()", "quantized_bits(4)", "quantized_bits(4,0,1)", "quantized_bits(4.5,0)",
     "quantized_bits(1,0)", "quantized_bits(40,0)", "quantized_relu(4,-1)", "quantized_relu(4,0,alpha=2)", "ternary()",
     "ternary(alpha=0.3)", "ternary(alpha=1.0,threshold=0.7)", "binary(alpha=-1)", "float(3)", "__import__('os')",
     "quantized_bits(4,0,alpha='auto')", "quantized_bits(4,0,beta=1)"],
)  # fmt: skip
def test_what_is_no_format_is_refused(text):
    with pytest.raises(ValueError):
        parse(text)


def test_range_follows_the_bulk_not_the_tail():
    values = np.random.default_rng(0).normal(0, 1, 10_000)
    assert best_integer(values, 4, "quantized_bits").integer == 1
    assert best_integer(np.append(values, [100.0] * 10), 4, "quantized_bits").integer == 1
    assert best_integer(values / 64, 4, "quantized_bits").integer == -5
    assert best_integer(np.zeros(10), 4, "quantized_relu").integer == 0
