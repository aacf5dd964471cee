"""Formats: their names come back, their values are QKeras' own."""

import numpy as np
import pytest
from tests_support import EVERY, FORMATS, grid, kernel

from flow.formats import (
    ACTIVATIONS_OF,
    BIASES,
    INPUTS,
    KERNELS,
    KINDS,
    WIDTHLESS,
    Fixed,
    HalfUpBits,
    PowerOfTwo,
    Relu,
    Ternary,
    TruncatedBits,
    best_integer,
    of_width,
    parse,
)

QKERAS = [
    form for form in EVERY if form.kind not in ("truncated_bits", "half_up_bits", "truncated_relu", "half_up_relu")
]
CONSTANT = [form for form in EVERY if not form.auto]


def test_every_kind_is_tested_and_has_its_place():
    assert FORMATS.keys() == KINDS.keys()
    placed = {*INPUTS, *KERNELS, *BIASES, *(kind for kinds in ACTIVATIONS_OF.values() for kind in kinds)}
    assert placed == KINDS.keys()


@pytest.mark.parametrize("form", EVERY, ids=str)
def test_name_comes_back(form):
    assert parse(str(form)) == form
    assert type(parse(str(form))) is type(form)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (Fixed(6, 0), "quantized_bits(6,0,0,alpha=1)"),
        (Fixed(6, 1, exponent=-1), "quantized_bits(6,2,0,alpha=0.5)"),
        (Fixed(6, 0, signed=False), "quantized_bits(6,0,0,keep_negative=0,alpha=1)"),
        (Fixed(6, 0, exponent=None), "quantized_bits(6,0,1,alpha='auto_po2')"),
        (Relu(6, 2), "quantized_relu(6,2)"),
        (Ternary(-1), "ternary(alpha=0.5,threshold=0.25)"),
        (Ternary(None), "ternary(alpha='auto_po2')"),
        (PowerOfTwo(4), "quantized_po2(4)"),
        (PowerOfTwo(4, 0), "quantized_po2(4,1.0)"),
    ],
)
def test_names_are_canonical(form, name):
    assert str(form) == name


@pytest.mark.parametrize("form", QKERAS, ids=str)
def test_values_are_those_of_qkeras(form):
    from flow.train.qkeras_quantizers import quantized, quantizer_of

    values = kernel(form)
    own, theirs = form.quantize(values), np.asarray(quantizer_of(form)(values), dtype=np.float64)
    np.testing.assert_array_equal(own, quantized(quantizer_of(form), values))
    # QKeras' straight-through sum leaves float32 dust of the size of the values.
    np.testing.assert_allclose(theirs, own, rtol=0, atol=0) if form.auto else None
    assert (np.abs(theirs - own) <= 2.0**-22 * np.maximum(np.abs(values), np.abs(own))).all()


@pytest.mark.parametrize("form", CONSTANT, ids=str)
def test_values_lie_on_the_grid_and_in_the_range(form):
    values = form.quantize(grid(form))
    assert values.min() >= form.low and values.max() <= form.high
    np.testing.assert_array_equal(values / form.step, np.rint(values / form.step))
    assert form.width == form.signed + form.integer + form.fraction
    assert form.high < 2.0**form.integer and form.step == 2.0**-form.fraction


# A sigmoid is no rounding alone, and in front of a scale QKeras rounds unscaled values.
STAYING = [f for f in CONSTANT if f.kind != "quantized_sigmoid" and not (isinstance(f, Fixed) and f.exponent)]


@pytest.mark.parametrize("form", STAYING, ids=str)
def test_quantized_values_stay(form):
    values = form.quantize(grid(form))
    np.testing.assert_array_equal(form.quantize(values), values)


def test_hardware_rounds_as_it_is_told():
    values = [-0.75, -0.5, -0.26, -0.25, -0.24, 0.0, 0.24, 0.25, 0.49, 0.75, 9.0, -9.0]
    steps = 2.0 * TruncatedBits(4, 2).quantize(values)
    np.testing.assert_array_equal(steps, [-2, -1, -1, -1, -1, 0, 0, 0, 0, 1, 7, -8])
    steps = 2.0 * HalfUpBits(4, 2).quantize(values)
    np.testing.assert_array_equal(steps, [-1, -1, -1, 0, 0, 0, 0, 1, 1, 2, 7, -8])
    below = np.nextafter(0.25, 0)  # floor(x + 0.5) would round this one up
    assert HalfUpBits(4, 2).quantize(below) == 0.0


@pytest.mark.parametrize(
    "text",
    ["", "quantized_bits", "quantized_bits()", "quantized_bits(4)", "quantized_bits(4,0,2)", "quantized_bits(4.5,0)",
     "quantized_bits(1,0)", "quantized_bits(40,0)", "quantized_relu(4,-1)", "quantized_relu(4,0,alpha=2)", "ternary()",
     "ternary(alpha=0.3)", "ternary(alpha=1.0,threshold=0.7)", "binary(alpha=-1)", "float(3)", "__import__('os')",
     "quantized_bits(4,0,alpha='auto')", "quantized_bits(4,0,beta=1)", "quantized_bits(4,0,0,keep_negative=0,alpha='auto_po2')",
     "ternary(alpha='auto_po2',threshold=0.5)", "binary(alpha=1.0,threshold=0.5)", "quantized_bits(nan,0)",
     "quantized_bits('auto_po2',0)", "quantized_po2(4,0.7)", "quantized_po2(9)", "quantized_po2(2,0.0001)",
     "quantized_relu(4,0,relu_upper_bound=0)", "quantized_tanh(1)", "quantized_tanh(4,1)", "truncated_bits(4)",
     "quantized_bits(4,0,0,0)", "quantized_bits(4,0,alpha=inf)", "quantized_linear(4,0)", "quantized_bits(4,0,4=1)",
     "quantized_bits(4,0,alpha=1,alpha=1)", "stochastic_ternary(alpha=2.0,threshold=1.0)"],
)  # fmt: skip
def test_what_is_no_format_is_refused(text):
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert "\n" not in str(refused.value)


def test_range_follows_the_bulk_not_the_tail():
    values = np.random.default_rng(0).normal(0, 1, 10_000)
    assert best_integer(values, 4, "quantized_bits").integer == 1
    assert best_integer(np.append(values, [100.0] * 10), 4, "quantized_bits").integer == 1
    assert best_integer(values / 64, 4, "quantized_bits").integer == -5
    assert best_integer(np.zeros(10), 4, "quantized_relu").integer == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-3, 1.0, 50.0])
def test_every_kind_finds_a_range(kind, size):
    values = np.random.default_rng(0).normal(0, size, 1000)
    form = best_integer(values, 4, kind)
    assert form.kind == kind and (kind in WIDTHLESS or form.bits == 4)
    bounded = ("quantized_tanh", "quantized_sigmoid", "quantized_po2", "quantized_relu_po2")  # from below or above
    if kind not in bounded and (size >= 1.0 or form.signed):
        values = values if form.signed else np.maximum(values, 0)
        assert np.abs(values - form.quantize(values)).mean() < size


def test_powers_of_two_find_their_largest():
    values = np.random.default_rng(0).normal(0, 0.05, 1000)
    form = best_integer(values, 4, "quantized_po2")
    assert form.high == np.abs(form.quantize(values)).max() < PowerOfTwo(4).high


def test_hardware_kinds_have_the_range_of_their_cousins():
    values = np.random.default_rng(0).normal(0, 2, 1000)
    for kind, cousin in {"half_up_relu": "quantized_relu", "truncated_bits": "quantized_bits"}.items():
        assert best_integer(values, 5, kind).integer == best_integer(values, 5, cousin).integer


@pytest.mark.parametrize("kind", KINDS)
def test_a_width_alone_makes_a_format(kind):
    assert of_width(kind, 4).kind == kind
