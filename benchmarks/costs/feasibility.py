"""How well the probability that a synthesis ends is told."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flow.cost import hls
from flow.cost.hls import fit
from flow.cost.records import Row

BINS = (0.0, 0.02, 0.1, 0.3, 0.7, 0.9, 0.98, 1.0)  # of predicted probabilities


def feasibility_scores(rows: Sequence[Row]) -> dict:
    """ROC AUC, Brier score and calibration of the probability that a synthesis ends, by architectures left out."""
    rows = [row for row in rows if not row.finished or (row.observed and not fit.unusable(row))]
    groups = np.array([fit.architecture(row.network) for row in rows])
    ended = np.array([row.finished for row in rows])
    probability = np.zeros(len(rows))
    for group in np.unique(groups):
        inside = groups == group
        others = fit.fit_feasibility([row for row, out in zip(rows, inside) if not out])
        model = replace(hls.prior(), feasibility=others)
        probability[inside] = hls.finishes(model, [row.network for row, out in zip(rows, inside) if out])
    by_source = {}
    for source in sorted({row.source for row in rows}):
        of_source = np.array([row.source == source for row in rows])
        by_source[source] = _probability_scores(ended[of_source], probability[of_source])
    return {"all": _probability_scores(ended, probability), "by_source": by_source}


def _probability_scores(ended: np.ndarray, probability: np.ndarray) -> dict:
    bins = np.clip(np.digitize(probability, BINS[1:-1]), 0, len(BINS) - 2)
    table = [
        {"from": BINS[i], "to": BINS[i + 1], "n": int(inside.sum()), "predicted": float(probability[inside].mean())}
        | {"ended": float(ended[inside].mean())}
        for i in range(len(BINS) - 1)
        if (inside := bins == i).any()
    ]
    rate = ended.mean()
    return {
        "n": len(ended),
        "ended": int(ended.sum()),
        "roc_auc": roc_auc(ended, probability),
        "brier": float(np.mean((probability - ended) ** 2)),
        "brier_of_rate": float(rate * (1 - rate)),  # of saying the mean to all
        "calibration": table,
    }


def roc_auc(happened: np.ndarray, score: np.ndarray) -> float | None:
    """The probability that one that happened has the higher score, ties half (Mann-Whitney)."""
    from scipy.stats import rankdata

    n, m = int(happened.sum()), int((~happened).sum())
    if not n or not m:
        return None
    return float((rankdata(score)[happened].sum() - n * (n + 1) / 2) / (n * m))
