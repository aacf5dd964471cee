"""The arithmetic of layers against Keras' own on whole numbers, where both are exact; and the width of sums."""

import itertools

import numpy as np
import pytest

from flow.topology import Activation, Reshape
from flow.train import exact
from flow.train.exact import Span

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(5)
CASES = [
    ((7,), (3,), (1,)),
    ((8,), (2,), (3,)),
    ((9,), (4,), (2,)),
    ((5, 6), (3, 2), (1, 1)),
    ((7, 8), (3, 3), (2, 2)),
    ((6, 5), (1, 4), (2, 1)),
    ((4, 4), (4, 4), (4, 4)),
]


def whole(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape).astype(np.float64)


def by_keras(function, values: np.ndarray, *arrays: np.ndarray, **options) -> np.ndarray:
    converted = [np.asarray(array, dtype=np.float32) for array in (values, *arrays)]
    return np.asarray(function(*converted, **options), dtype=np.float64)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sides, window, strides", CASES)
def test_convolutions(sides, window, strides, padding):
    values, kernel, bias = whole(3, *sides, 2), whole(*window, 2, 4), whole(4)
    expected = by_keras(keras.ops.conv, values, kernel, strides=strides, padding=padding) + bias
    np.testing.assert_array_equal(exact.conv(values, kernel, bias, strides, padding), expected)
    without = exact.conv(values, kernel, None, strides, padding)
    np.testing.assert_array_equal(without, expected - bias)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("sides, window, strides", [case for case in CASES if len(set(case[2])) == 1])
def test_depthwise_convolutions(sides, window, strides, padding):
    values, kernel, bias = whole(3, *sides, 5), whole(*window, 5, 1), whole(5)
    expected = by_keras(keras.ops.depthwise_conv, values, kernel, strides=strides, padding=padding) + bias
    np.testing.assert_array_equal(exact.depthwise(values, kernel, bias, strides, padding), expected)


@pytest.mark.parametrize("sides, window, strides", CASES)
def test_poolings(sides, window, strides):
    values = whole(3, *sides, 2) - 20  # below zero: nothing that is padded may win
    largest = by_keras(keras.ops.max_pool, values, pool_size=window, strides=strides)
    np.testing.assert_array_equal(exact.max_pool(values, window, strides), largest)
    mean = by_keras(keras.ops.average_pool, values, pool_size=window, strides=strides, padding="valid")
    np.testing.assert_allclose(exact.average_pool(values, window, strides), mean, rtol=1e-6)


def test_merges_scales_and_shapes():
    a, b = whole(2, 3, 2), whole(2, 3, 2)
    np.testing.assert_array_equal(exact.add(a, b, a), a + b + a)
    assert exact.concatenate(a, b).shape == (2, 3, 4)
    np.testing.assert_array_equal(exact.concatenate(a, b)[..., 2:], b)
    np.testing.assert_array_equal(
        exact.scale(a, np.array([2.0, -1.0]), np.array([1.0, 0.0]))[..., 0], 2 * a[..., 0] + 1
    )
    np.testing.assert_array_equal(exact.apply(Reshape("flat", (6,)), a), a.reshape(2, 6))
    assert exact.apply(Activation("grid", (3, 2), "linear"), a) is a
    np.testing.assert_array_equal(exact.dense(a, np.eye(2), None), a)


def test_no_events_have_the_shape_of_some():
    none = np.zeros((0, 6, 6, 2))
    assert exact.conv(none, whole(3, 3, 2, 4), whole(4), (2, 2), "same").shape == (0, 3, 3, 4)
    assert exact.depthwise(none, whole(3, 3, 2, 1), None, (1, 1), "valid").shape == (0, 4, 4, 2)
    assert exact.max_pool(none, (2, 2), (2, 2)).shape == (0, 3, 3, 2)


@pytest.mark.parametrize(
    "values, step",
    [([0.75, -3.0], 0.25), ([8.0, 24.0], 8.0), ([0.0], 1.0), ([], 1.0), ([2.0**-40, 1.0], 2.0**-40), ([-6.0], 2.0)],
)
def test_grid_step_is_the_coarsest_grid(values, step):
    assert exact.grid_step(np.array(values)) == step


def test_spans_hold_every_sum_and_are_reached():
    """All corners of a small sum: the span's bound is attained, its step too, and its bits are enough."""
    data, kernel, bias = Span(0.25, 1.75), np.array([[1.5, -0.5], [0.75, 2.0]]), np.array([0.125, -1.0])
    span = data.times(kernel, bias)
    ends = np.array(list(itertools.product([-1.75, -0.25, 0.0, 1.75], repeat=2)))
    sums = exact.dense(ends, kernel, bias)
    assert np.abs(sums).max() == span.bound
    np.testing.assert_array_equal(sums / span.step, np.rint(sums / span.step))
    assert 2.0 ** (span.bits - 1) * span.step > span.bound
    assert 2.0 ** (span.bits - 2) * span.step <= span.bound
    assert data.times(kernel, None).bound < span.bound


def test_spans_of_merges_and_means():
    a, b = Span(0.5, 4.0), Span(0.125, 1.0)
    assert exact.added(a, b) == Span(0.125, 5.0)
    assert exact.joined(a, b) == Span(0.125, 4.0)
    assert a.divided(4) == Span(0.125, 4.0)
    assert Span(1.0, 2.0**52).bits == 54
    assert Span(1.0, 2.0**52 - 1).bits == 53
    assert Span(1.0, 0.0).bits == 1
