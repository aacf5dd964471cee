"""Fisher information against formulas, differences, and what small errors do to the outputs."""

import numpy as np
import pytest
from networks import NETWORKS
from sensitivity.spaces import events, space_of, weights_of

from flow.formats import Fixed
from flow.sensitivity import floating
from flow.sensitivity.cells import Cell, cells
from flow.sensitivity.fisher import Noise, fisher, fit, uniform_noise
from flow.sensitivity.outputs import divergence, log_softmax
from flow.topology import INPUT, Dense, Topology

ONE = Topology((Dense("out", 5, 3),))


def test_noise_of_the_paper_is_that_of_a_grid():
    """Uniform values, a grid over just their range: the mean squared error is (range / (2**b - 1))**2 / 12."""
    form = Fixed(6, 0)
    values = np.random.default_rng(0).uniform(form.low, form.high, 200_000)
    real = np.mean((form.quantize(values) - values) ** 2)
    assert real == pytest.approx(uniform_noise(values, 6), rel=0.02)


@pytest.mark.slow
def test_one_layer_by_formula():
    """Softmax regression: the gradient of an event's loss is (p - y) by x."""
    weights = weights_of(ONE)
    x, y = events(ONE, weights, 500)
    found = fisher(ONE, weights, x, y)
    miss = np.exp(log_softmax(floating.run(ONE, weights, x).logits)) - np.eye(3)[y]
    np.testing.assert_allclose(found.weights["out.kernel"], (x**2).T @ miss**2 / len(x), rtol=1e-4)
    np.testing.assert_allclose(found.weights["out.bias"], np.mean(miss**2, axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.values[INPUT], (miss @ weights["out"][0].T) ** 2, rtol=1e-3, atol=1e-6)
    assert found.means().values[INPUT].shape == (1, 5)


@pytest.mark.slow
def test_minibatches_give_the_same_where_the_loss_is_least():
    """Labels from the network's own probabilities: minibatch gradients are independent of each other with mean 0."""
    weights = weights_of(ONE)
    x, y = events(ONE, weights, 64_000)
    exact, batches = fisher(ONE, weights, x, y), fisher(ONE, weights, x, y, batch=32)
    trace, other = (np.sum(each.weights["out.kernel"]) for each in (exact, batches))
    assert other == pytest.approx(trace, rel=0.1)
    # The gradient of a value belongs to one event, whatever batch that is in.
    np.testing.assert_allclose(batches.values[INPUT], exact.values[INPUT], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "dense normalized", "tanh", "scale", "depthwise", "max pooling", "residual"])
def test_gradients_of_values_against_differences(name):
    topology = NETWORKS[name]
    weights = weights_of(topology)
    x, y = events(topology, weights, 6)
    found = fisher(topology, weights, x, y)
    run = floating.run(topology, weights, x)

    def loss(logits: np.ndarray) -> np.ndarray:
        return -log_softmax(logits)[np.arange(len(y)), y]

    for place, squares in found.values.items():
        values = run.values[place]
        assert squares.shape == values.shape
        rng = np.random.default_rng(3)
        for _ in range(4):
            where = tuple(rng.integers(size) for size in values.shape[1:])
            if np.any(values[(slice(None), *where)] == 0.0):
                continue  # at a kink
            step = np.zeros_like(values)
            step[(slice(None), *where)] = 1e-5
            above, below = (loss(floating.with_values(run, place, values + s * step)) for s in (1, -1))
            np.testing.assert_allclose(
                squares[(slice(None), *where)], ((above - below) / 2e-5) ** 2, rtol=5e-3, atol=1e-6
            )


@pytest.mark.slow
def test_fit_is_twice_the_divergence_of_small_errors():
    """KL(p‖p') = ½ δᵀFδ + ... for one weight that moves a little (labels from the network itself)."""
    topology = NETWORKS["dense"]
    weights = weights_of(topology)
    x, y = events(topology, weights, 20_000)
    found, run = fisher(topology, weights, x, y), floating.run(topology, weights, x)
    for layer, place in (("fc0", (1, 2)), ("fc1", (3, 1)), ("out", (0, 1))):
        kernel, bias = weights[layer]
        moved = kernel.copy()
        moved[place] += 0.05
        kl = divergence(run.logits, floating.with_weights(run, layer, moved, bias))
        assert found.weights[f"{layer}.kernel"][place] * 0.05**2 == pytest.approx(2.0 * kl, rel=0.15, abs=2e-6)


@pytest.mark.slow
def test_tables():
    """Finer is better; pruning costs what it takes away; saturation in sure events costs little."""
    topology = NETWORKS["dense"]
    weights = weights_of(topology)
    x, y = events(topology, weights, 2000)
    run, own = floating.run(topology, weights, x), fisher(topology, weights, x, y)
    found = fit(cells(space_of(topology)), own, run, False)
    for term, table in found.terms.items():
        assert (np.diff(table, axis=0) <= 1e-9).all(), term
    kernels = found.terms["fc0.kernel", "fc0.keep"]
    assert (np.diff(kernels[-1]) < 0).all()  # over keep fractions, in the finest format
    theta = weights["fc0"][0]
    gone = np.sort(np.abs(theta).ravel())[: theta.size - int(np.ceil(0.3 * theta.size - 1e-6))]
    away = np.abs(theta) <= gone.max()
    assert kernels[-1, 0] == pytest.approx(np.sum((own.weights["fc0.kernel"] * theta**2)[away]), rel=1e-4)
    cell = Cell("fc0", "kernel", ("k", "w"), (Fixed(8, 1),), (1.0,))
    by_formula = fit([cell], own, run, False, Noise.UNIFORM).terms["k", "w"].item()
    assert by_formula == pytest.approx(own.weights["fc0.kernel"].sum() * np.ptp(theta) ** 2 / 255**2 / 12)


@pytest.mark.slow
def test_pruning_by_fisher_information_hurts_less():
    topology = NETWORKS["dense"]
    weights = weights_of(topology)
    x, y = events(topology, weights, 2000)
    run, own = floating.run(topology, weights, x), fisher(topology, weights, x, y)
    places = cells(space_of(topology))
    magnitude, importance = (fit(places, own, run, by).terms["fc1.kernel", "fc1.keep"] for by in (False, True))
    assert (importance[-1, :2] < magnitude[-1, :2]).all()
