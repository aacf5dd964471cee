"""Types by interval analysis: wide enough for every input, and not a bit wider."""

import itertools

import numpy as np
import pytest

from flow.errors import BadInput
from flow.firmware.hls.quantizers import activation_type, quantizer_stages
from flow.firmware.precision import (
    HlsType,
    Linear,
    Quantize,
    enclosing,
    fraction_bits,
    narrowest,
    types,
    weight_type,
)
from flow.formats import (
    Binary,
    Fixed,
    HalfUpBits,
    HalfUpRelu,
    PowerOfTwo,
    Relu,
    ReluPowerOfTwo,
    Sigmoid,
    Tanh,
    Ternary,
    TruncatedBits,
    TruncatedRelu,
)
from flow.topology import INPUT, Conv, Dense, Merge, Pool, Reshape, Scale


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


WEIGHT_FORMS = [
    Fixed(5, 1),
    Fixed(3, -2),
    Fixed(4, 5),
    Fixed(4, 0, symmetric=True),
    Fixed(4, 1, signed=False),
    Fixed(4, 1, exponent=-3),
    Ternary(-3),
    Ternary(2),
    Binary(0),
    Binary(-2),
]


@pytest.mark.parametrize("form", WEIGHT_FORMS, ids=str)
def test_weight_types_hold_all_values_of_the_format(form):
    values = form.quantize(np.linspace(-70, 70, 4001))
    found = weight_type(form, values[:1])
    assert found.holds(values) and found.width == max(form.bits, 2)


@pytest.mark.parametrize("form", [Fixed(4, 0, exponent=None), Ternary(None), Binary(None), PowerOfTwo(4)], ids=str)
def test_weights_with_scales_of_their_own_get_the_narrowest_type(form):
    values = form.quantize(np.random.default_rng(0).normal(0, [0.1, 1, 5], (40, 3)))
    found = weight_type(form, values)
    assert found.holds(values) and found == narrowest(values)
    assert not HlsType(found.width - 1, found.integer - 1, found.signed).holds(values)
    assert not HlsType(found.width - 1, found.integer, found.signed).holds(values)


ACTIVATIONS = [
    (Relu(5, 1), "ap_ufixed<5,1,AP_RND_CONV,AP_SAT>"),
    (Relu(1, 0), "ap_ufixed<1,0,AP_RND_CONV,AP_SAT>"),
    (Relu(4, 2, upper=3.0), "ap_ufixed<4,2,AP_RND_CONV,AP_SAT>"),
    (Fixed(5, 1), "ap_fixed<5,2,AP_RND_CONV,AP_SAT>"),
    (Fixed(5, 1, symmetric=True), "ap_fixed<5,2,AP_RND_CONV,AP_SAT_SYM>"),
    (Fixed(5, 1, signed=False), "ap_ufixed<5,1,AP_RND_CONV,AP_SAT>"),
    (Fixed(4, 0, exponent=-2), "ap_fixed<4,1,AP_RND_CONV,AP_SAT>"),
    (Tanh(4), "ap_fixed<4,1,AP_RND_CONV,AP_SAT>"),
    (Sigmoid(4), "ap_ufixed<4,0,AP_RND_CONV,AP_SAT>"),
    (TruncatedBits(4, 1), "ap_fixed<4,2,AP_TRN,AP_SAT>"),
    (HalfUpBits(4, -1), "ap_fixed<4,0,AP_RND,AP_SAT>"),
    (TruncatedRelu(4, 1), "ap_ufixed<4,1,AP_TRN,AP_SAT>"),
    (HalfUpRelu(4, -1), "ap_ufixed<4,-1,AP_RND,AP_SAT>"),
    (Ternary(-1), "ap_fixed<2,1,AP_RND_INF,AP_SAT_SYM>"),
]


@pytest.mark.parametrize("form,text", ACTIVATIONS, ids=lambda value: str(value))
def test_activation_types(form, text):
    assert str(activation_type(form)) == text


@pytest.mark.parametrize("form", [form for form, _ in ACTIVATIONS] + [Binary(-1), Binary(2)], ids=str)
def test_stages_of_a_quantizer_give_what_the_format_gives(form):
    """Run on a grid with ties, and beyond both ends; what comes out lies in the types."""
    word = Fixed(12, 4)
    values = np.arange(word.low, word.high + word.step, word.step)
    stages = quantizer_stages("q", form, (1,), (INPUT,))
    outputs = {INPUT: values}
    for stage in stages:
        read = outputs[stage.inputs[0]]
        outputs[stage.name] = stage.type.quantize(read) if isinstance(stage, Quantize) else affine(stage, read)
    assert stages[-1].name == "q" and np.array_equal(outputs["q"], form.quantize(values))
    for name, item in types(stages, word, 1).items():
        assert item.result.holds(outputs[name])
        assert item.low[0] == outputs[name].min() and item.high[0] == outputs[name].max()


def affine(stage, values):
    assert isinstance(stage.layer, Scale)
    return values * stage.kernel[0] + stage.bias[0]


@pytest.mark.parametrize("form", [ReluPowerOfTwo(4), PowerOfTwo(4), Ternary(None), Fixed(4, 0, exponent=None)], ids=str)
def test_activations_without_stages_are_refused(form):
    with pytest.raises(BadInput, match=r"layer q: an activation in .* is not supported"):
        quantizer_stages("q", form, (1,), (INPUT,))


def linear(layer, kernel, bias):
    kernel, bias = np.asarray(kernel, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    return Linear(layer, kernel, bias, narrowest(kernel), narrowest(bias))


def test_sums_reach_their_bounds():
    """All inputs of a tiny layer, one by one: the interval is tight and the type holds everything on the way."""
    word = Fixed(3, 0)
    kernel, bias = np.array([[0.5, -0.25], [-0.75, 0.25]]), np.array([0.125, -1.0])
    stages = (
        linear(Scale("o", (2,), inputs=(INPUT,)), np.ones(2), [-0.5, 0.25]),
        linear(Dense("fc", 2, 2, inputs=("o",)), kernel, bias),
    )
    found = types(stages, word, 2)
    inputs = np.array(list(itertools.product(grid(word), repeat=2))) - [0.5, -0.25]
    sums = inputs @ kernel + bias
    layer = found["fc"]
    assert np.array_equal(layer.low, sums.min(axis=0)) and np.array_equal(layer.high, sums.max(axis=0))
    everything = np.concatenate([sums.ravel(), (inputs[..., None] * kernel).ravel()])
    assert layer.accum.holds(everything) and found["o"].result.holds(inputs)
    assert not HlsType(layer.accum.width - 1, layer.accum.integer - 1).holds(everything)


def grid(word):
    return np.arange(word.low, word.high + word.step, word.step)


def every_input(word, n):
    return np.array(list(itertools.product(grid(word), repeat=n)))


@pytest.mark.parametrize("padding,stride", [("valid", 1), ("same", 1), ("same", 2)])
def test_intervals_of_a_convolution_are_tight(padding, stride):
    """Three steps of one channel, every input; padded zeros narrow the intervals at the edges."""
    word, window = Fixed(2, 0), np.array([0.75, -0.5])
    conv = Conv("conv", (3, 1), 1, (2,), (stride,), padding, inputs=("steps",))
    stages = (Reshape("steps", (3, 1), (INPUT,)), linear(conv, window.reshape(2, 1, 1), [0.25]))
    values = every_input(word, 3)
    padded = np.pad(values, [(0, 0), (0, 1 if (padding, stride) != ("valid", 1) else 0)])
    starts = range(0, padded.shape[1] - 1, stride)
    sums = np.stack([padded[:, start : start + 2] @ window + 0.25 for start in starts], axis=1)
    found = types(stages, word, 3)["conv"]
    assert found.low.shape == conv.shape == (len(starts), 1)
    assert np.array_equal(found.low[:, 0], sums.min(axis=0)) and np.array_equal(found.high[:, 0], sums.max(axis=0))
    assert found.result.holds(sums)


def test_a_depthwise_convolution_keeps_channels_apart():
    conv = Conv("conv", (2, 2, 2), 2, (2, 2), (1, 1), inputs=("image",), depthwise=True)
    kernel = np.stack([np.full((2, 2), 0.5), np.full((2, 2), -2.0)], axis=-1)[..., None]
    stages = (Reshape("image", (2, 2, 2), (INPUT,)), linear(conv, kernel, [0.0, 1.0]))
    found = types(stages, Fixed(3, 0), 8)["conv"]
    assert found.low.tolist() == [[[-2.0, -5.0]]] and found.high.tolist() == [[[1.5, 9.0]]]


def test_pooling_merging_and_reshaping():
    left, right = HlsType(3, 1, True, "RND_CONV", "SAT"), HlsType(2, 0, False, "RND_CONV", "SAT")
    stages = (
        Quantize("left", (4,), (INPUT,), left),
        Quantize("right", (4,), (INPUT,), right),
        Merge("sum", (4,), "add", ("left", "right")),
        Merge("both", (8,), "concatenate", ("sum", "right")),
        Reshape("steps", (4, 2), ("both",)),
        Pool("largest", (4, 2), (2,), (2,), "max", inputs=("steps",)),
        Pool("mean", (4, 2), (4,), (4,), "average", True, ("steps",)),
    )
    found = types(stages, Fixed(6, 2), 4)
    assert (found["sum"].low[0], found["sum"].high[0]) == (-1.0, 1.5)
    assert str(found["sum"].result) == str(found["both"].result) == "ap_fixed<4,2>"
    assert found["both"].low.tolist() == [-1.0] * 4 + [0.0] * 4
    assert found["steps"].result == found["both"].result and found["steps"].low.shape == (4, 2)
    assert found["largest"].high.tolist() == [[1.5, 1.5], [0.75, 0.75]] and found["largest"].low[1, 0] == 0.0
    assert found["mean"].low.tolist() == [-0.5, -0.5] and found["mean"].high.tolist() == [1.125, 1.125]
    assert str(found["mean"].accum) == "ap_fixed<8,4>" and found["mean"].result.fraction == 4


def test_intervals_follow_saturation():
    stages = (
        *quantizer_stages("q", Relu(2, 0), (2,), (INPUT,)),
        linear(Dense("fc", 2, 1, inputs=("q",)), [[1.0], [1.0]], [0.0]),
    )
    found = types(stages, Fixed(8, 3), 2)
    assert found["q"].high.max() == 0.75 and found["fc"].high[0] == 1.5 and not found["fc"].result.signed


def test_zero_layer_and_too_wide_sums():
    silent = linear(Dense("fc", 2, 2, inputs=(INPUT,)), np.zeros((2, 2)), np.zeros(2))
    assert types((silent,), Fixed(4, 0), 2)["fc"].result.width == 1
    wide = linear(Dense("wide", 2, 1, inputs=(INPUT,)), np.full((2, 1), 1 - 2.0**-31), np.zeros(1))
    with pytest.raises(BadInput, match="layer wide: its sums need 6[0-9] bits; at most 53"):
        types((wide,), Fixed(32, 0), 2)
