"""Intervals hold every value and every error, and no more than they must where that can be counted."""

import itertools

import numpy as np
import pytest
from designs import example_design
from networks import NETWORKS

from flow.design import Design, LayerDesign
from flow.formats import Fixed, Relu, Ternary, TruncatedRelu
from flow.sensitivity.intervals import Interval, bounds, errors, integer_bits, quantized_weights
from flow.topology import INPUT, Dense, Topology, Weighted
from flow.train import exact
from flow.train.initial import random_weights
from flow.train.ranges import FUNCTIONS

SMALL = Topology((Dense("fc0", 3, 2, "relu"), Dense("out", 2, 2)))


def small_design(word: Fixed = Fixed(3, 1)) -> Design:
    layer = LayerDesign(Fixed(4, 1), Fixed(4, 1), Relu(3, 1))
    return Design(word, (("fc0", layer), ("out", LayerDesign(Fixed(4, 1), Fixed(4, 1), None))))


def grid(form: Fixed) -> np.ndarray:
    return np.arange(form.low, form.high + form.step / 2, form.step)


def drawn(topology: Topology, seed: int) -> dict:
    """Weights with biases that are not zero."""
    rng = np.random.default_rng(seed)
    weights = random_weights(topology, seed)
    return {n: (k, None if b is None else rng.normal(0, 0.5, b.shape)) for n, (k, b) in weights.items()}


def walk(topology: Topology, values: np.ndarray, weights, activate) -> dict[str, np.ndarray]:
    """In front of activations ("<layer> sums") and behind them, by layer."""
    found = {INPUT: values}
    for layer in topology.layers:
        kernel, bias = weights(layer.name) if isinstance(layer, Weighted) else (None, None)
        sums = exact.apply(layer, *(found[name] for name in topology.sources[layer.name]), kernel=kernel, bias=bias)
        found[f"{layer.name} sums"] = sums
        found[layer.name] = activate(layer, sums)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_first_layer_is_exact(seed):
    """Against all inputs there are."""
    design, weights = small_design(), drawn(SMALL, seed)
    every = np.array(list(itertools.product(grid(design.input), repeat=3)))
    kernel, bias = quantized_weights(design, weights, "fc0")
    sums = every @ kernel + bias
    found = bounds(SMALL, design, weights)["fc0"]
    assert (found.low, found.high) == (sums.min(), sums.max())
    assert -(2.0**found.integer) <= sums.min() and sums.max() <= 2.0**found.integer - 2.0**-found.fraction
    narrower = 2.0 ** (found.integer - 1)
    assert sums.min() < -narrower or sums.max() > narrower - 2.0**-found.fraction
    assert (np.rint(sums * 2.0**found.fraction) == sums * 2.0**found.fraction).all()


@pytest.mark.parametrize("seed", range(3))
def test_accumulator_holds_every_partial_sum_and_no_bit_is_spare(seed):
    design, weights = small_design(Fixed(2, 1)), drawn(SMALL, seed)
    kernel, bias = quantized_weights(design, weights, "fc0")
    lowest = highest = 0.0
    for values in itertools.product(grid(design.input), repeat=3):
        terms = np.concatenate([np.array(values)[:, None] * kernel, bias[None]])
        for count in range(1, 5):
            for some in itertools.combinations(range(4), count):
                sums = terms[list(some)].sum(axis=0)
                lowest, highest = min(lowest, sums.min()), max(highest, sums.max())
    found = bounds(SMALL, design, weights)["fc0"]
    step = 2.0**-found.fraction
    words = 2.0 ** (found.accumulator - 1)
    assert -words <= lowest / step and highest / step <= words - 1
    assert lowest / step < -words / 2 or highest / step > words / 2 - 1


@pytest.mark.parametrize("name", NETWORKS)
def test_every_event_is_inside(name):
    topology = NETWORKS[name]
    rng = np.random.default_rng(1)
    x = rng.uniform(-1.5, 2.0, (300, *topology.input_shape))
    reach = Interval(x.min(axis=0, keepdims=True), x.max(axis=0, keepdims=True))
    for seed in range(4):
        design, weights = example_design(topology, seed), drawn(topology, seed)
        real = walk(topology, x, lambda n: weights[n], lambda layer, sums: _real(layer, sums))
        quantized = walk(
            topology,
            design.input.quantize(x),
            lambda n: quantized_weights(design, weights, n),
            lambda layer, sums: design[layer.name].activation.quantize(sums) if topology.quantized(layer) else sums,
        )
        found, known = errors(topology, design, weights, reach), bounds(topology, design, weights, reach)
        for layer in (INPUT, *(each.name for each in topology.layers)):
            values, error = found.values[layer], found.errors[layer]
            assert (real[layer] >= values.low - 1e-9).all() and (real[layer] <= values.high + 1e-9).all()
            wrong = quantized[layer] - real[layer]
            assert (wrong >= error.low - 1e-9).all() and (wrong <= error.high + 1e-9).all(), (layer, seed)
        for layer, bound in known.items():
            sums = quantized[f"{layer} sums"]
            assert bound.low <= sums.min() and sums.max() <= bound.high
            assert -(2.0**bound.integer) <= sums.min() and sums.max() < 2.0**bound.integer


def _real(layer, sums):
    return FUNCTIONS[getattr(layer, "activation", "linear")](sums)


@pytest.mark.parametrize("form", [TruncatedRelu(3, 1), Relu(3, 1), Ternary(0)])
def test_error_of_a_grid_is_no_wider_than_its_step(form):
    """Float weights on the grid already, inputs too: what is left is the activation's own error."""
    topology = Topology((Dense("fc0", 2, 1, "relu", bias=False), Dense("out", 1, 1, bias=False)))
    layer = LayerDesign(Fixed(4, 1), None, form)
    design = Design(Fixed(4, 1), (("fc0", layer), ("out", LayerDesign(Fixed(4, 1), None, None))))
    weights = {"fc0": (np.array([[0.25], [0.5]]), None), "out": (np.ones((1, 1)), None)}
    reach = Interval(np.zeros((1, 2)), np.full((1, 2), 0.75))
    found = errors(topology, design, weights, reach).errors["fc0"]
    if form.signed:
        assert found.low.item() <= -1.0 and found.high.item() >= 0.5
    else:
        rounded = (-form.step, 0.0) if form.kind == "truncated_relu" else (-form.step / 2, form.step / 2)
        # and the input's own rounding, half a step of it through both weights
        spread = 0.75 * design.input.step / 2
        assert found.low.item() == pytest.approx(rounded[0] - spread)
        assert found.high.item() == pytest.approx(rounded[1] + spread)


@pytest.mark.parametrize(
    "low, high, step, bits",
    [(-1.0, 0.75, 0.25, 0), (-1.25, 0.75, 0.25, 1), (0.0, 1.0, 0.25, 1), (-0.25, 0.0, 0.25, -2)],
)
def test_integer_bits(low, high, step, bits):
    assert integer_bits(low, high, step) == bits
