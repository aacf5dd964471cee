"""Types by interval analysis: wide enough for every input, and not a bit wider."""

import itertools

import numpy as np
import pytest

from flow.errors import BadInput
from flow.firmware.precision import (
    Affine,
    HlsType,
    Offset,
    Quantize,
    activation_type,
    enclosing,
    fraction_bits,
    types,
    weight_type,
)
from flow.formats import Binary, Fixed, Relu, Ternary


@pytest.mark.parametrize(
    "low,high,fraction",
    [(-1, 0.5, 1), (-2, 1.75, 2), (0, 3, 0), (0, 4, 0), (-4, 4, 0), (-5, 0, 0), (-8, 7, 0), (16, 48, -4), (0, 0, 3)],
)
def test_enclosing_holds_its_ends_and_one_bit_less_does_not(low, high, fraction):
    form = enclosing(low, high, fraction)
    assert form.fraction == fraction and form.holds([low, high])
    if form.width > 1:
        assert not HlsType(form.width - 1, form.integer - 1, form.signed).holds([low, high])


def test_enclosing_is_exact_at_the_widest():
    assert enclosing(0, 2.0**53 - 1, 0).width == 53
    assert enclosing(0, 2.0**53, 0).width == 54
    assert enclosing(-(2.0**52), 0, 0).width == 53


def test_text_range_and_words():
    form = HlsType(4, 2, True, "RND_CONV", "SAT")
    assert str(form) == "ap_fixed<4,2,AP_RND_CONV,AP_SAT>"
    assert str(HlsType(3, 1, False)) == "ap_ufixed<3,1>"
    assert (form.low, form.high, form.step) == (-2.0, 1.75, 0.25)
    assert form.binary(-0.25) == "0b11.11" and form.binary(1.5) == "0b01.10"
    assert HlsType(3, 3).binary(-4) == "0b100"
    assert HlsType(2, -1).binary(0.125) == "0b01*2^-3"
    with pytest.raises(ValueError):
        form.integers([0.1])


@pytest.mark.parametrize(
    "values,bits", [([0.75, 3, 0], 2), ([16, 48], -4), ([0.0], None), ([-1.0], 0), ([2.0**-20], 20)]
)
def test_fraction_bits(values, bits):
    assert fraction_bits(np.array(values)) == bits


@pytest.mark.parametrize(
    "form", [Fixed(5, 1), Fixed(3, -2), Fixed(4, 5), Ternary(-3), Ternary(2), Binary(0), Binary(-2)]
)
def test_weight_types_hold_all_values_of_the_format(form):
    values = form.quantize(np.linspace(-70, 70, 4001))
    assert weight_type(form).holds(values)
    assert weight_type(form).width <= max(form.bits, 2)


def test_activation_types():
    assert str(activation_type(Relu(5, 1))) == "ap_ufixed<5,1,AP_RND_CONV,AP_SAT>"
    assert str(activation_type(Fixed(5, 1))) == "ap_fixed<5,2,AP_RND_CONV,AP_SAT>"
    with pytest.raises(BadInput, match="ternary.*no format for activations"):
        activation_type(Ternary(0))
    with pytest.raises(BadInput, match="no format for weights"):
        weight_type(Relu(4, 1))


def test_sums_reach_their_bounds():
    """All inputs of a tiny layer, one by one: the interval is tight and the type holds everything on the way."""
    word = Fixed(3, 0)
    kernel = np.array([[0.5, -0.25], [-0.75, 0.25]])
    bias = np.array([0.125, -1.0])
    offset, layer = types(
        (Offset("o", np.array([0.5, -0.25])), Affine("fc", kernel, bias, Fixed(3, 0), Fixed(4, 0))), word
    )
    grid = np.arange(word.low, word.high + word.step, word.step)
    inputs = np.array(list(itertools.product(grid, grid))) - [0.5, -0.25]
    sums = inputs @ kernel + bias
    assert np.array_equal(layer.low, sums.min(axis=0)) and np.array_equal(layer.high, sums.max(axis=0))
    assert layer.result.holds(sums) and layer.result.holds(inputs[..., None] * kernel)
    assert offset.result.holds(inputs)
    assert not HlsType(layer.result.width - 1, layer.result.integer).holds(
        np.concatenate([sums.ravel(), (inputs[..., None] * kernel).ravel()])
    )


def test_intervals_follow_saturation():
    stages = (Quantize("q", Relu(2, 0)), Affine("fc", np.array([[1.0], [1.0]]), np.zeros(1), Fixed(3, 1), Fixed(3, 1)))
    quantized, layer = types(stages, Fixed(8, 3))
    assert quantized.high.max() == 0.75 and layer.high[0] == 1.5 and not layer.result.signed


def test_zero_layer_and_too_wide_sums():
    silent = Affine("fc", np.zeros((2, 2)), np.zeros(2), Fixed(3, 0), Fixed(3, 0))
    assert types((Quantize("q", Fixed(4, 0)), silent), Fixed(4, 0))[1].result.width == 1
    wide = Affine("wide", np.full((2, 1), 1 - 2.0**-31), np.zeros(1), Fixed(32, 0), Fixed(32, 0))
    with pytest.raises(BadInput, match="layer wide: its sums need 6[0-9] bits; at most 53"):
        types((Quantize("q", Fixed(32, 0)), wide), Fixed(32, 0))
