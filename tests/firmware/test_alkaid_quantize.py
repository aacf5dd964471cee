"""Activations as hardware against the formats' own arithmetic, on all values of a word."""

import numpy as np
import pytest

pytest.importorskip("alkaid")

from alkaid.trace import FVArray, HWConfig, trace

from flow.errors import BadInput
from flow.firmware.alkaid_quantize import SUPPORTED, quantize
from flow.formats import (
    ACTIVATIONS_OF,
    INPUTS,
    Binary,
    Fixed,
    HalfUpBits,
    HalfUpRelu,
    PowerOfTwo,
    Relu,
    ReluPowerOfTwo,
    Sigmoid,
    StochasticTernary,
    Tanh,
    Ternary,
    TruncatedBits,
    TruncatedRelu,
)

SHAPES = ((4, 1), (2, 0), (3, 0), (6, 5), (4, 5), (12, 3), (5, 2))
RELU_SHAPES = ((1, 0), (1, 2), (4, 1), (5, 0), (3, 4), (8, 3))
FORMS = (
    *(kind(*shape) for kind in (Fixed, TruncatedBits, HalfUpBits) for shape in (*SHAPES, (3, -2))),
    *(kind(*shape) for kind in (Relu, TruncatedRelu, HalfUpRelu) for shape in RELU_SHAPES),
    *(kind(3, -2) for kind in (TruncatedRelu, HalfUpRelu)),
    *(Fixed(bits, integer, symmetric=True) for bits, integer in SHAPES),
    *(Fixed(bits, integer, signed=False) for bits, integer in RELU_SHAPES),
    Fixed(4, 1, exponent=-2), Fixed(4, 1, exponent=3), Relu(4, 1, upper=1.5),
    *(kind(bits) for kind in (Tanh, Sigmoid) for bits in (2, 3, 4, 6, 9)),
    *(kind(exponent) for kind in (Binary, Ternary, StochasticTernary) for exponent in (-3, -1, 0, 2)),
)  # fmt: skip


def symbols(low, high, step):
    one = np.ones((1, 1))
    return FVArray.from_lhs(low * one, high * one, step * one, HWConfig(1, 1, -1), solver_options={})


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_quantizing_is_exact_on_every_value(form):
    values = np.arange(-(2**9), 2**9).reshape(-1, 1) * 2.0**-5  # all of a 10-bit word: every tie, every overflow
    inputs = symbols(values.min(), values.max(), 2.0**-5)
    comb = trace(inputs, quantize(inputs, form))
    np.testing.assert_array_equal(comb.predict(values, n_threads=1), form.quantize(values))


def test_every_kind_that_an_activation_can_have_is_tried_or_refused():
    allowed = {kind for kinds in ACTIVATIONS_OF.values() for kind in kinds} | set(INPUTS)
    assert allowed - set(SUPPORTED) == {"quantized_relu_po2"}
    assert allowed - {"quantized_relu_po2"} <= {form.kind for form in FORMS}


SUM_FORMS = [
    Fixed(3, 1), Relu(1, 0), Relu(2, 1), Relu(4, 1), Relu(3, 3), Relu(6, 1), Relu(2, 4), Tanh(3), Sigmoid(3),
    TruncatedBits(3, 1), HalfUpBits(3, 1), TruncatedRelu(3, 1), HalfUpRelu(3, 1), TruncatedRelu(2, 4), HalfUpRelu(2, 4),
    HalfUpRelu(2, -1), Ternary(0), Binary(-1), Fixed(3, 1, symmetric=True), Fixed(3, 1, signed=False),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_quantizing_is_exact_for_sums_of_random_range_and_for_constants(seed):
    generator = np.random.default_rng(seed)
    for _ in range(20):
        signed, integer, fraction = generator.integers([0, -1, 0], [2, 5, 6])
        step, top = 2.0**-fraction, 2.0**integer
        values = np.arange(-signed * top, top, step).reshape(-1, 1)
        shift = generator.integers(-40, 40) * 2.0 ** -generator.integers(0, 5)
        if len(values) == 0 or generator.random() < 0.1:
            values = np.array([[shift]])
        low, high = values.min(), values.max()
        shift = 0.0 if low == high else shift
        inputs = symbols(low, high, step)
        for form in SUM_FORMS:
            outputs = np.asarray(quantize(inputs + shift, form)).ravel()[0]
            expected = form.quantize(values + shift)
            if low == high:
                assert outputs.low == outputs.high == expected.item()
                continue
            if outputs.low == outputs.high:
                assert (expected == outputs.low).all()
                continue
            comb = trace(inputs, outputs)
            np.testing.assert_array_equal(
                comb.predict(values, n_threads=1), expected, err_msg=f"{form} {low} {high} {step} {shift}"
            )


@pytest.mark.parametrize(
    "form", [*SUM_FORMS, Relu(2, 0), TruncatedRelu(2, 1), TruncatedBits(2, 2), Fixed(2, 2)], ids=str
)
def test_quantizing_is_exact_for_a_value_times_a_power_of_two_and_a_constant(form):
    """A unit with one weight that is left: alkaid carries such a factor beside the value."""
    for low, high, step in (
        (0, 1.5, 0.5),
        (0, 1.75, 0.25),
        (-2, 1.75, 0.25),
        (0, 3, 1),
        (-4, 3.5, 0.5),
        (0, 15 / 16, 1 / 16),
    ):
        values = np.arange(low, high + step / 2, step).reshape(-1, 1)
        for weight in (0.125, 0.5, 1, 2, 4, 8, -0.25, -1, -4, 3):
            for constant in (0, 0.25, -0.5, 1, -1.25):
                inputs = symbols(low, high, step)
                comb = trace(inputs, quantize(inputs * float(weight) + float(constant), form))
                np.testing.assert_array_equal(
                    comb.predict(values, n_threads=1),
                    form.quantize(values * weight + constant),
                    err_msg=f"{low} {high} {step} * {weight} + {constant}",
                )


@pytest.mark.parametrize("form", [PowerOfTwo(4), ReluPowerOfTwo(4), Ternary(None), Fixed(4, 1, exponent=None)], ids=str)
def test_formats_that_no_activation_has_here_are_refused_by_name(form):
    with pytest.raises(BadInput, match=form.kind):
        quantize(symbols(-1.0, 1.0, 0.5), form)
