"""Bayesian linear regression with relative noise: predictions that say how sure they are, and learn from reports.

y = x·β, β ~ N(mean, covariance), and a report scatters around its prediction by `noise` times it.
Conjugate updates (Bishop, Pattern Recognition and Machine Learning, section 3.3).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Regression:
    """The state of one regression: k named features, their mean (k,) and covariance (k, k), the relative noise,
    and how many reports it has seen."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    noise: float
    reports: int = 0

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of features (n, k) → predictions (n,), not below 0, and their variances (n,)."""
        x = np.atleast_2d(x)
        value = np.maximum(x @ np.asarray(self.mean), 0.0)
        variance = np.einsum("ni,ij,nj->n", x, np.asarray(self.covariance), x) + (self.noise * value) ** 2
        return value, variance

    def total(self, x: np.ndarray) -> tuple[float, float]:
        """The sum over a design's rows (n, k), and its standard deviation: rows share β, their noise is their own."""
        x = np.atleast_2d(x)
        value, _ = self.predict(x)
        whole = x.sum(axis=0)
        variance = whole @ np.asarray(self.covariance) @ whole + ((self.noise * value) ** 2).sum()
        return float(value.sum()), float(np.sqrt(variance))

    def updated(self, x: np.ndarray, y: np.ndarray) -> "Regression":
        """The regression after rows of features (n, k) were reported to cost y (n,).

        The scatter of a row is the noise times the larger of report and prediction, so that a report far
        from what was expected moves the coefficients without being taken for exact.
        """
        x, y = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
        predicted, _ = self.predict(x)
        scatter = np.maximum(self.noise * np.maximum(predicted, y), 1.0)
        prior = np.linalg.inv(np.asarray(self.covariance))
        weighted = x / scatter[:, None] ** 2
        covariance = np.linalg.inv(prior + weighted.T @ x)
        mean = covariance @ (prior @ np.asarray(self.mean) + weighted.T @ y)
        covariance = (covariance + covariance.T) / 2
        return Regression(
            self.features,
            tuple(mean.tolist()),
            tuple(map(tuple, covariance.tolist())),
            self.noise,
            self.reports + len(y),
        )

    def to_json(self) -> dict:
        return {
            "features": list(self.features),
            "mean": list(self.mean),
            "covariance": [list(row) for row in self.covariance],
            "noise": self.noise,
            "reports": self.reports,
        }

    @staticmethod
    def from_json(row: dict) -> "Regression":
        covariance = tuple(map(tuple, row["covariance"]))
        return Regression(tuple(row["features"]), tuple(row["mean"]), covariance, row["noise"], row["reports"])


def fit(features: tuple[str, ...], x: np.ndarray, y: np.ndarray, loosen: float) -> Regression:
    """A prior from rows x (n, k) and costs y (n,): weighted least squares, relative errors, no negative coefficient.

    The covariance is the fit's own, widened by `loosen` times each coefficient: another network, other
    weights, another tool may differ by that much from what was fitted.
    """
    from scipy.optimize import nnls

    scale = np.maximum(y, 10.0)
    mean, _ = nnls(x / scale[:, None], y / scale)
    residual = (x @ mean - y) / scale
    noise = float(np.sqrt(np.mean(residual**2)))
    ridge = np.diag(1e-9 + (x / scale[:, None]).std(axis=0) ** 2 * 1e-6)
    covariance = np.linalg.inv((x / scale[:, None]).T @ (x / scale[:, None]) / noise**2 + ridge)
    wide = np.diag((loosen * np.maximum(mean, mean[mean > 0].min(initial=1.0) * 0.1)) ** 2)
    return Regression(features, tuple(mean.tolist()), tuple(map(tuple, (covariance + wide).tolist())), noise)
