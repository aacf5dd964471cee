"""Fake quantizers: forward and gradient are QKeras' own to the last bit, alone and in a mixed population."""

import numpy as np
import pytest
from tests_support import EVERY, FORMATS, grid, kernel

from flow.formats import (
    ACTIVATIONS_OF,
    BIASES,
    INPUTS,
    KERNELS,
    Binary,
    Fixed,
    PowerOfTwo,
    Relu,
    StochasticBinary,
    StochasticTernary,
    Ternary,
)
from flow.train import backend

backend.start()

import tensorflow as tf

from flow.train.qkeras_quantizers import quantizer_of
from flow.train.quantizers import (
    Family,
    Formats,
    families,
    quantize_activation,
    quantize_input,
    quantize_kernel,
)

WEIGHTS = [form for kind in KERNELS for form in FORMATS[kind]]
ACTIVATIONS = {
    function: [form for kind in kinds for form in FORMATS[kind] if not form.auto]
    for function, kinds in ACTIVATIONS_OF.items()
}
GRIDS = [form for kind in INPUTS for form in FORMATS[kind] if not form.auto]
MODES = pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "compiled"]
)


def with_gradient(function, x: np.ndarray, compiled: bool, weights=None) -> tuple[np.ndarray, np.ndarray]:
    """Values (members, ...) of a function of x (members, ...), and the gradient of their weighted sum."""
    weights = tf.constant(weights_of(x) if weights is None else weights)

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = function(x)
            total = tf.reduce_sum(values * weights)
        return values, tape.gradient(total, x)

    values, gradient = (tf.function(run, jit_compile=True) if compiled else run)(tf.constant(x))
    return np.asarray(values), np.asarray(gradient)


def weights_of(x: np.ndarray) -> np.ndarray:
    """What the gradient of a straight line is in `with_gradient`."""
    return np.random.default_rng(1).normal(size=x.shape).astype(np.float32)


def by_qkeras(forms):
    """A function of x (members, ...) that gives each member to the quantizer of its format."""
    quantizers = [quantizer_of(form) for form in forms]
    return lambda x: tf.stack([tf.convert_to_tensor(q(x[i])) for i, q in enumerate(quantizers)])


def own(function, forms, rank: int):
    """One of the functions under test, for members with these formats."""
    f, present = Formats.of(forms, rank), families(forms)
    return lambda x, *more: function(x, f, present, *more)


def stacked(parts) -> np.ndarray:
    """Arrays (n, ...) of several lengths as one (members, largest n, ...); shorter ones are repeated."""
    size = max(len(part) for part in parts)
    return np.stack([np.resize(part, (size, *part.shape[1:])) for part in parts])


def equal(found, wanted) -> None:
    for mine, theirs in zip(found, wanted):
        np.testing.assert_array_equal(mine, theirs)


@MODES
@pytest.mark.parametrize("kind", KERNELS)
def test_kernels_are_those_of_qkeras(kind, compiled):
    x = stacked([kernel(form) for form in FORMATS[kind]])
    found = with_gradient(own(quantize_kernel, FORMATS[kind], 2), x, compiled)
    equal(found, with_gradient(by_qkeras(FORMATS[kind]), x, compiled))


@pytest.mark.parametrize("kind", BIASES)
def test_biases_are_those_of_qkeras(kind):
    forms = [form for form in FORMATS[kind] if not form.auto]
    x = stacked([grid(form) for form in forms])
    found = with_gradient(own(quantize_kernel, forms, 1), x, False)
    equal(found, with_gradient(by_qkeras(forms), x, False))


def test_levels_in_the_place_of_a_rectifier_see_the_sum_itself():
    """Beside rectifiers in one graph: negative sums give -1 and have a gradient, which a rectifier's have not."""
    forms = [Relu(4, 2), Binary(0), Ternary(0), None]
    x = np.broadcast_to(np.array([-3.0, -0.25, 0.25, 3.0], np.float32)[:, None], (4, 4, 1))
    apply = own(quantize_activation, forms, 2)
    values, gradient = with_gradient(lambda x: apply(x, "relu"), np.array(x), True, np.ones_like(x))
    assert values[..., 0].tolist() == [[0, 0, 0.25, 3], [-1, -1, 1, 1], [-1, 0, 0, 1], [0, 0, 0.25, 3]]
    assert gradient[..., 0].tolist() == [[0, 0, 1, 1], [1] * 4, [1] * 4, [0, 0, 1, 1]]


SHAPES = [(7,), (5, 4), (3, 5, 4), (3, 3, 4, 5), (3, 3, 4, 1)]


@MODES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scales_from_the_values_are_those_of_qkeras(shape, compiled):
    """One axis: a factor for each channel; (3, 3, 4, 1): a depthwise kernel, which QKeras gives one scale."""
    forms = [form for form in WEIGHTS if form.auto] * 2
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(len(forms), *shape)) * np.exp2(rng.uniform(-6, 3, shape[-1]))).astype(np.float32)
    x[: len(forms) // 2, ..., 0] = 0.0
    found = with_gradient(own(quantize_kernel, forms, len(shape)), x, compiled)
    equal(found, with_gradient(by_qkeras(forms), x, compiled))
    np.testing.assert_array_equal(found[1], weights_of(x))
    for form, values, quantized in zip(forms, x, found[0]):
        np.testing.assert_allclose(form.quantize(values), quantized, rtol=1e-6, atol=0)


@MODES
@pytest.mark.parametrize("function", ACTIVATIONS)
def test_activations_are_those_of_qkeras(function, compiled):
    forms = ACTIVATIONS[function]
    x = stacked([grid(form)[:, None] for form in forms])
    apply = own(quantize_activation, forms, 2)
    found = with_gradient(lambda x: apply(x, function), x, compiled)
    equal(found, with_gradient(by_qkeras(forms), x, compiled))


@MODES
def test_inputs_are_those_of_qkeras(compiled):
    x = stacked([grid(form)[:, None] for form in GRIDS])
    found = with_gradient(own(quantize_input, GRIDS, 2), x, compiled)
    equal(found, with_gradient(by_qkeras(GRIDS), x, compiled))


@pytest.mark.parametrize("function", ACTIVATIONS_OF)
def test_float_members_get_the_plain_function(function):
    import keras

    x = np.linspace(-4, 4, 101, dtype=np.float32)[None]
    apply = own(quantize_activation, [None], 2)
    found = with_gradient(lambda x: apply(x, function), x[None], True)
    equal([part[0] for part in found], with_gradient(keras.activations.get(function), x, True))
    np.testing.assert_array_equal(own(quantize_kernel, [None], 2)(x[None]), x[None])
    np.testing.assert_array_equal(own(quantize_input, [None], 2)(x[None]), x[None])


@MODES
def test_a_mixed_population_equals_each_family_alone(compiled):
    forms = [None, *WEIGHTS]
    x = np.random.default_rng(0).normal(size=(len(forms), 3, 3, 2, 4)).astype(np.float32)
    found = with_gradient(own(quantize_kernel, forms, 4), x, compiled)
    for family in families(forms):
        chosen = [i for i, form in enumerate(forms) if families([form]) == {family}]
        alone = own(quantize_kernel, [forms[i] for i in chosen], 4)
        equal([part[chosen] for part in found], with_gradient(alone, x[chosen], compiled, weights_of(x)[chosen]))


@MODES
@pytest.mark.parametrize("function", ACTIVATIONS)
def test_mixed_activations_equal_each_family_alone(function, compiled):
    forms = [None, *ACTIVATIONS[function]]
    x = np.random.default_rng(0).normal(0, 2, size=(len(forms), 40, 3)).astype(np.float32)

    def applied(chosen):
        apply = own(quantize_activation, [forms[i] for i in chosen], 2)
        return with_gradient(lambda x: apply(x, function), x[chosen], compiled, weights_of(x)[chosen])

    found = applied(list(range(len(forms))))
    for family in families(forms):
        chosen = [i for i, form in enumerate(forms) if families([form]) == {family}]
        equal([part[chosen] for part in found], applied(chosen))


@pytest.mark.parametrize(
    ("bad", "compiled"),
    [(np.nan, False), (-np.inf, False), *(pytest.param(bad, True, marks=pytest.mark.slow) for bad in (np.nan, np.inf))],
)
def test_a_member_gone_wrong_leaves_the_others_alone(bad, compiled):
    forms = [None, *WEIGHTS]
    x = np.random.default_rng(0).normal(size=(len(forms), 4, 3)).astype(np.float32)
    whole = with_gradient(own(quantize_kernel, forms, 2), x, compiled)
    hit = np.arange(len(forms)) % 3 == 0
    x[hit] = bad
    found = with_gradient(own(quantize_kernel, forms, 2), x, compiled)
    np.testing.assert_array_equal(found[0][~hit], whole[0][~hit])
    np.testing.assert_array_equal(found[1], whole[1])


@MODES
@pytest.mark.parametrize("function", ACTIVATIONS_OF)
def test_activations_gone_wrong_leave_the_others_alone(function, compiled):
    forms = [None, *ACTIVATIONS[function]]
    x = np.random.default_rng(0).normal(0, 2, size=(len(forms), 40, 3)).astype(np.float32)
    apply = own(quantize_activation, forms, 2)
    whole = with_gradient(lambda x: apply(x, function), x, compiled)
    x[1], x[2] = np.nan, np.inf
    found = with_gradient(lambda x: apply(x, function), x, compiled)
    others = ~np.isin(np.arange(len(forms)), (1, 2))
    equal([part[others] for part in found], [part[others] for part in whole])


def test_a_member_gone_wrong_is_seen():
    forms = [Fixed(4, 0), Ternary(0), PowerOfTwo(4)]
    values = own(quantize_kernel, forms, 1)(tf.fill([3, 2], np.float32(np.nan)))
    assert np.isnan(values).all()
    values = own(quantize_activation, [Relu(4, 0)], 2)(tf.fill([1, 1, 1], np.float32(np.nan)), "relu")
    assert np.isnan(values).all()


DRAWN = [StochasticTernary(None), StochasticBinary(None), StochasticBinary(0)]


@pytest.mark.slow
@pytest.mark.parametrize("form", DRAWN, ids=str)
@pytest.mark.parametrize("shape", [(6, 4), (5,)], ids=str)
def test_draws_are_distributed_as_those_of_qkeras(form, shape):
    x = np.random.default_rng(0).normal(0, 0.3, size=shape).astype(np.float32)
    n, m = 2000, 500
    quantize = tf.function(own(quantize_kernel, [form] * n, len(shape)), jit_compile=True)
    seeds = tf.constant(np.stack([np.arange(n), np.full(n, 7)], axis=1), tf.int32)
    mine = np.asarray(quantize(tf.broadcast_to(x, (n, *shape)), seeds), np.float64)
    quantizer = quantizer_of(form)
    np.random.seed(0)
    theirs = np.stack([np.asarray(quantizer(tf.constant(x), training=True), np.float64) for _ in range(m)])
    axes = tuple(range(len(shape)))  # of all draws, and all of a channel's values
    scale = np.abs(theirs).max(axis=axes)
    np.testing.assert_allclose(np.abs(mine).max(axis=axes), scale, rtol=1e-6)
    for level in (-1, 0, 1):
        shares = [(np.rint(draws / scale) == level).mean(axis=0) for draws in (mine, theirs)]
        pooled = (n * shares[0] + m * shares[1]) / (n + m)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        assert (np.abs(shares[0] - shares[1]) <= 4 * error + 1e-12).all()


def test_a_constant_scale_draws_around_it():
    """QKeras draws for scales from the values only."""
    x = tf.broadcast_to(tf.constant(np.linspace(-1, 1, 9), tf.float32)[:, None], (2000, 9, 1))
    seeds = tf.constant(np.stack([np.arange(2000), np.zeros(2000)], axis=1), tf.int32)
    quantize = tf.function(own(quantize_kernel, [StochasticTernary(-1)] * 2000, 2), jit_compile=True)
    values = np.asarray(quantize(x, seeds))
    assert set(np.unique(np.round(values, 6))) == {-0.5, 0.0, 0.5}
    means = values.mean(axis=0)[:, 0]
    assert (np.diff(means) > 0).all() and abs(means[4]) < 0.05


@pytest.mark.slow
def test_a_members_draws_do_not_depend_on_the_others():
    forms = [StochasticBinary(0), Fixed(4, 0), StochasticTernary(None), StochasticBinary(0)]
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 6, 5)), tf.float32)
    seeds = tf.constant([[1, 2], [3, 4], [5, 6], [1, 2]], tf.int32)
    together = np.asarray(tf.function(own(quantize_kernel, forms, 2), jit_compile=True)(x, seeds))
    for i, form in enumerate(forms):
        alone = tf.function(own(quantize_kernel, [form], 2), jit_compile=True)(x[i : i + 1], seeds[i : i + 1])
        np.testing.assert_array_equal(together[i], np.asarray(alone)[0])
    again = np.asarray(own(quantize_kernel, forms, 2)(x, seeds + 1))
    assert (again[0] != together[0]).any() and (again[1] == together[1]).all()


def test_draws_have_the_gradient_of_a_straight_line():
    x = np.random.default_rng(0).normal(size=(1, 6, 5)).astype(np.float32)
    apply = own(quantize_kernel, [StochasticTernary(None)], 2)
    gradient = with_gradient(lambda x: apply(x, tf.constant([[1, 2]])), x, True)[1]
    np.testing.assert_array_equal(gradient, weights_of(x))


def test_graphs_hold_only_what_occurs():
    assert families([Fixed(4, 0), Fixed(6, 1, signed=False), None]) == {Family.FLOAT, Family.EVEN}
    assert families([Ternary(0), Ternary(None), Binary(0)]) == {Family.TERNARY, Family.TERNARY_AUTO, Family.BINARY}
    assert len(families(EVERY)) == len(Family) - 1


def test_formats_out_of_place_are_refused():
    x = tf.zeros((1, 2, 2))
    with pytest.raises(ValueError, match="TANH"):
        own(quantize_activation, [FORMATS["quantized_tanh"][0]], 2)(x, "relu")
    with pytest.raises(ValueError, match="FIXED_AUTO"):
        own(quantize_activation, [Fixed(4, 0, exponent=None)], 2)(x, "linear")
