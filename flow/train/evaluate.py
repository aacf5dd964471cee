"""Physics figures from fixed-point logits, each with its statistical error.

Discriminants are differences of logits, never of probabilities: firmware has no softmax, and a
difference of fixed-point numbers is exact.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flow.metrics import Fidelity, Figure, figure


@dataclass(frozen=True)
class OperatingPoint:
    """Indices of signal and background classes, and the background efficiency the trigger can afford."""

    signal: tuple[int, ...]
    background: tuple[int, ...]
    background_efficiency: float


@dataclass(frozen=True)
class Threshold:
    """Accept where discriminant >= value. `background_efficiency` is what it really gives on the set it was set on."""

    value: float
    background_efficiency: float


BOOTSTRAPS = 50


@dataclass(frozen=True)
class Truth:
    """What is known of a sample's n events: class indices (n,), and bootstrap weights (BOOTSTRAPS, n)."""

    labels: np.ndarray
    weights: np.ndarray

    @cached_property
    def float_weights(self) -> np.ndarray:
        """The weights as float32, for products."""
        return self.weights.astype(np.float32)

    @staticmethod
    def of(labels: np.ndarray, events: np.ndarray, seed: int = 0) -> "Truth":
        """Weights are Poisson(1), one draw per event number: the jets of an event go together."""
        _, inverse = np.unique(events, return_inverse=True)
        draws = np.random.default_rng(seed).poisson(1.0, (BOOTSTRAPS, int(inverse.max()) + 1))
        return Truth(labels, draws.astype(np.uint8)[:, inverse])


def discriminant(logits: np.ndarray, point: OperatingPoint) -> np.ndarray:
    """Largest signal logit minus largest background logit: (n, classes) → (n,)."""
    return logits[:, list(point.signal)].max(axis=1) - logits[:, list(point.background)].max(axis=1)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> Figure:
    """Fraction right, with its binomial error. Of tied logits the first class counts, as in firmware."""
    right = float(np.mean(np.argmax(logits, axis=1) == labels))
    return figure("accuracy", right, Fidelity.MEASURED, error=float(np.sqrt(right * (1 - right) / len(labels))))


def aucs(logits: np.ndarray, labels: np.ndarray) -> list[float]:
    """Area under the ROC curve of each class against the rest; ties count half (Mann–Whitney)."""
    from scipy.stats import rankdata

    areas = []
    for c, score in enumerate(_one_against_rest(logits)):
        positive = labels == c
        n_pos, n_neg = int(positive.sum()), int((~positive).sum())
        ranks = rankdata(score)
        areas.append(float((ranks[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)))
    return areas


def _one_against_rest(logits: np.ndarray) -> list[np.ndarray]:
    """Each class's discriminant (n,): its logit minus the largest other one."""
    return [logits[:, c] - np.delete(logits, c, axis=1).max(axis=1) for c in range(logits.shape[1])]


def auc_error(area: float, n_positive: int, n_negative: int) -> float:
    """Standard error of an area: Hanley and McNeil, Radiology 143 (1982) 29, eq. 1."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n_positive - 1) * (q1 - area**2) + (n_negative - 1) * (q2 - area**2)
    return float(np.sqrt(max(variance, 0.0) / (n_positive * n_negative)))


def set_threshold(scores: np.ndarray, labels: np.ndarray, point: OperatingPoint) -> Threshold:
    """The lowest threshold whose background efficiency does not exceed the point's.

    All events of one score are accepted or rejected together (fixed-point scores tie often, and a
    trigger can't toss coins), so the efficiency reached may be below the one asked for.
    """
    values, position = np.unique(scores, return_inverse=True)
    accepted = _accepted(position, np.isin(labels, point.background), _ONCE, len(values))
    first = int(_first(accepted, point)[0])
    return Threshold(float(np.append(values, np.inf)[first]), float(accepted[0, first]))


def operating_point(
    point: OperatingPoint, scores: np.ndarray, truth: Truth, on: tuple[np.ndarray, Truth] | None = None
) -> tuple[Threshold, Figure, Figure]:
    """Threshold set on one sample; signal and background efficiency on it, or on another one (`on`).

    The errors are bootstrapped over events, the threshold being set anew on every resampling, so that
    they include the threshold's own.
    """
    other = on or (scores, truth)
    signal, rest = _efficiencies(point, scores, truth, _ONCE, other, _ONCE)
    spread = np.std(_efficiencies(point, scores, truth, truth.weights, other, other[1].weights), axis=1, ddof=1)
    return (
        set_threshold(scores, truth.labels, point),
        figure("signal_efficiency", float(signal[0]), Fidelity.MEASURED, error=float(spread[0])),
        figure("background_efficiency", float(rest[0]), Fidelity.MEASURED, error=float(spread[1])),
    )


def _efficiencies(
    point: OperatingPoint,
    scores: np.ndarray,
    truth: Truth,
    weights: np.ndarray,
    on: tuple[np.ndarray, Truth],
    on_weights: np.ndarray,
) -> list[np.ndarray]:
    """Signal and background efficiency on `on`, each (resamplings,), of thresholds set on the first sample."""
    values, position = np.unique(scores, return_inverse=True)
    on_scores, on_truth = on
    on_position = np.searchsorted(values, on_scores, side="right")  # number of grid scores not above
    first = _first(_accepted(position, np.isin(truth.labels, point.background), weights, len(values)), point)
    rows = np.arange(len(first))
    found = []
    for classes in (point.signal, point.background):
        chosen = np.isin(on_truth.labels, classes)
        found.append(_accepted(on_position, chosen, on_weights, len(values) + 1)[rows, first + 1])
    return found


def evaluate(
    logits: np.ndarray,
    truth: Truth,
    point: OperatingPoint,
    classes: tuple[str, ...],
    validation: tuple[np.ndarray, Truth] | None = None,
) -> dict[str, Figure]:
    """All physics figures of logits (n, classes).

    `validation` = (logits, truth) sets the threshold where the first two are the test sample; without it
    the threshold is set on the sample itself.
    """
    labels = truth.labels
    figures = {"accuracy": accuracy(logits, labels)}
    areas = aucs(logits, labels)
    for c, (name, area) in enumerate(zip(classes, areas)):
        n = int((labels == c).sum())
        error = auc_error(area, n, len(labels) - n)
        figures[f"auc_{name}"] = Figure(f"auc_{name}", area, "", Fidelity.MEASURED, error)
    figures["mean_auc"] = mean_auc(areas, labels)
    own = (discriminant(logits, point), truth)
    if validation is None:
        _, signal, background = operating_point(point, *own)
    else:
        _, signal, background = operating_point(point, discriminant(validation[0], point), validation[1], on=own)
    return figures | {"signal_efficiency": signal, "background_efficiency": background}


def resampled(name: str, logits: np.ndarray, truth: Truth, point: OperatingPoint) -> tuple[float, np.ndarray]:
    """One of the figures that a task can maximise, and its values under the truth's resamplings (BOOTSTRAPS,).

    The resamplings are the same for all networks: the spread of the difference of two of them is the error of their
    difference, which is less than the errors of both where they err on the same events.
    """
    weights = truth.float_weights
    match name:
        case "accuracy":
            right = np.argmax(logits, axis=1) == truth.labels
            return float(right.mean()), weights @ right.astype(np.float32) / weights.sum(axis=1)
        case "mean_auc":
            areas = [
                _resampled_auc(score, truth.labels == c, weights) for c, score in enumerate(_one_against_rest(logits))
            ]
            return float(np.mean([area for area, _ in areas])), np.mean([values for _, values in areas], axis=0)
        case "signal_efficiency":
            scores = discriminant(logits, point)
            once, many = (_efficiencies(point, scores, truth, w, (scores, truth), w)[0] for w in (_ONCE, truth.weights))
            return float(once[0]), many
    raise ValueError(f"{name!r} is no metric; known: accuracy, mean_auc, signal_efficiency")


def _resampled_auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """An area and, to first order in the weights, its resamplings: DeLong et al., Biometrics 44 (1988) 837, eq. 3."""
    from scipy.stats import rankdata

    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)
    above = np.empty(len(score))  # of a positive the share of negatives below it, of a negative that of positives above
    above[positive] = (ranks[positive] - rankdata(score[positive])) / n_neg
    above[~positive] = 1.0 - (ranks[~positive] - rankdata(score[~positive])) / n_pos
    area = float(above[positive].mean())
    parts = [weights[:, side] @ (above[side] - area) / weights[:, side].sum(axis=1) for side in (positive, ~positive)]
    return area, area + parts[0] + parts[1]


def mean_auc(areas: list[float], labels: np.ndarray) -> Figure:
    """The mean of the classes' areas, in their order. They share their events: the mean of the errors is the safe side."""
    errors = []
    for c, area in enumerate(areas):
        n = int((labels == c).sum())
        errors.append(auc_error(area, n, len(labels) - n))
    return figure("mean_auc", float(np.mean(areas)), Fidelity.MEASURED, error=float(np.mean(errors)))


_ONCE = np.ones((1, 1), dtype=np.uint8)  # every event counts once: no resampling


def _accepted(position: np.ndarray, chosen: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    """Fraction of the `chosen` events at or above each of n grid positions, and 0 beyond, by resampling.

    `position` and `chosen` (events,), `weights` (resamplings, events) or (1, 1) → (resamplings, n + 1).
    """
    order = np.argsort(position[chosen], kind="stable")
    weights = np.broadcast_to(weights, (len(weights), len(position)))[:, chosen][:, order]
    below = np.zeros((len(weights), len(order) + 1), dtype=np.int64)
    np.cumsum(weights, axis=1, out=below[:, 1:])
    starts = np.searchsorted(position[chosen][order], np.arange(n + 1), side="left")
    total = below[:, -1:]
    return (total - below[:, starts]) / np.maximum(total, 1)


def _first(accepted: np.ndarray, point: OperatingPoint) -> np.ndarray:
    """The lowest grid position inside the background budget, by resampling."""
    return np.argmax(accepted <= point.background_efficiency, axis=1)
