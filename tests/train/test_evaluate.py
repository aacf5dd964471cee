"""Physics figures: ties, thresholds, errors."""

import numpy as np
import pytest

from flow.train.evaluate import (
    OperatingPoint,
    Truth,
    accuracy,
    auc_error,
    aucs,
    discriminant,
    evaluate,
    operating_point,
    resampled,
    set_threshold,
)

POINT = OperatingPoint((1,), (0,), 0.1)


def sample(n: int = 20_000, seed: int = 0, step: float = 0.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = rng.normal(0, 1, n) + 1.5 * labels
    if step:
        scores = np.round(scores / step) * step
    return scores, labels, np.arange(n) // 2


@pytest.mark.parametrize("step", [0.0, 0.25, 1.0, 4.0])
def test_threshold_is_the_lowest_inside_the_background_budget(step):
    scores, labels, _ = sample(step=step)
    threshold = set_threshold(scores, labels, POINT)
    background = scores[labels == 0]
    assert np.mean(background >= threshold.value) == pytest.approx(threshold.background_efficiency)
    assert threshold.background_efficiency <= 0.1
    lower = scores[scores < threshold.value].max()
    assert np.mean(background >= lower) > 0.1


def test_all_scores_equal_accepts_nothing():
    threshold = set_threshold(np.zeros(10), np.array([0, 1] * 5), POINT)
    assert threshold.value == np.inf and threshold.background_efficiency == 0.0


def test_efficiency_of_gaussians():
    scores, labels, events = sample(200_000)
    _, signal, background = operating_point(POINT, scores, Truth.of(labels, events))
    assert background.value == pytest.approx(0.1, abs=1e-4)
    assert signal.value == pytest.approx(0.5864, abs=4 * signal.error)  # 1 - Phi(1.2816 - 1.5)


def test_error_holds_the_threshold_s_own():
    """The spread over repeated samples is what one sample's bootstrap says, within its own precision."""
    values, errors = [], []
    for seed in range(60):
        scores, labels, events = sample(2000, seed)
        _, signal, _ = operating_point(POINT, scores, Truth.of(labels, events, seed))
        values.append(signal.value)
        errors.append(signal.error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)
    binomial = np.sqrt(0.59 * 0.41 / 1000)
    assert np.mean(errors) > 1.2 * binomial


def test_jets_of_an_event_go_together():
    """Twice the same jet in an event is no new information: the error must not shrink."""
    scores, labels, _ = sample(3000)
    twice = np.repeat(scores, 2), np.repeat(labels, 2)
    together = operating_point(POINT, twice[0], Truth.of(twice[1], np.repeat(np.arange(3000), 2)))[1]
    apart = operating_point(POINT, twice[0], Truth.of(twice[1], np.arange(6000)))[1]
    assert together.error > 1.2 * apart.error


def test_threshold_of_validation_is_used_on_test():
    scores, labels, events = sample(20_000, 1)
    other, other_labels, other_events = sample(20_000, 2)
    threshold, signal, background = operating_point(
        POINT, scores, Truth.of(labels, events), on=(other, Truth.of(other_labels, other_events))
    )
    assert signal.value == pytest.approx(np.mean(other[other_labels == 1] >= threshold.value))
    assert background.value == pytest.approx(np.mean(other[other_labels == 0] >= threshold.value))
    assert background.value != pytest.approx(0.1, abs=1e-12)


def test_auc_counts_ties_half_and_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 3000)
    logits = np.round(rng.normal(0, 1, (3000, 3)) + np.eye(3)[labels], 0)
    for c, area in enumerate(aucs(logits, labels)):
        score = logits[:, c] - np.delete(logits, c, axis=1).max(axis=1)
        assert area == pytest.approx(metrics.roc_auc_score(labels == c, score))
    assert 0 < auc_error(0.9, 100, 200) < 0.03


def test_discriminant_is_exact_and_accuracy_takes_the_first_of_ties():
    logits = np.array([[1.0, 1.0, 0.5], [0.25, 2.0, 4.0]])
    np.testing.assert_array_equal(discriminant(logits, OperatingPoint((1, 2), (0,), 0.1)), [0.0, 3.75])
    assert accuracy(logits, np.array([0, 2])).value == 1.0
    assert accuracy(logits, np.array([1, 2])).value == 0.5


def test_every_figure_has_an_error():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2000)
    logits = rng.normal(0, 1, (2000, 3)) + 2 * np.eye(3)[labels]
    point = OperatingPoint((1, 2), (0,), 0.05)
    figures = evaluate(logits, Truth.of(labels, np.arange(2000)), point, ("a", "b", "c"))
    assert set(figures) == {
        "accuracy",
        "auc_a",
        "auc_b",
        "auc_c",
        "mean_auc",
        "signal_efficiency",
        "background_efficiency",
    }
    assert all(figure.error is not None and figure.fidelity.value == "measured" for figure in figures.values())


@pytest.mark.parametrize("name", ["accuracy", "mean_auc", "signal_efficiency"])
def test_resamplings_scatter_as_the_figure_errs(name):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 6000)
    logits = rng.normal(0, 1, (6000, 3)) + 1.5 * np.eye(3)[labels]
    truth, point = Truth.of(labels, np.arange(6000)), OperatingPoint((1, 2), (0,), 0.05)
    value, many = resampled(name, logits, truth, point)
    figure = evaluate(logits, truth, point, ("a", "b", "c"))[name]
    assert value == pytest.approx(figure.value)
    # The figure's error of the mean area is the safe side.
    assert np.std(many, ddof=1) == pytest.approx(figure.error, rel=0.5 if name == "mean_auc" else 0.3)


@pytest.mark.parametrize("name", ["accuracy", "mean_auc"])
def test_a_difference_is_known_better_than_its_sides(name):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 6000)
    logits = rng.normal(0, 1, (6000, 3)) + 1.5 * np.eye(3)[labels]
    truth, point = Truth.of(labels, np.arange(6000)), OperatingPoint((1, 2), (0,), 0.05)
    mine = resampled(name, logits, truth, point)[1]
    other = resampled(name, logits + rng.normal(0, 0.1, logits.shape), truth, point)[1]
    assert np.std(mine - other) < 0.5 * np.std(mine)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="accuracy, mean_auc, signal_efficiency"):
        resampled("loss", np.zeros((3, 2)), Truth.of(np.zeros(3, int), np.arange(3)), OperatingPoint((0,), (1,), 0.1))
