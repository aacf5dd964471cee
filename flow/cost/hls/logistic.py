"""Bayesian logistic regression with a Gaussian approximation of the coefficients.

MacKay, "The evidence framework applied to classification networks", Neural Computation 4 (1992) 720: the
probability is moderated by how uncertain the coefficients are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Logistic:
    """k named features, mean (k,) and covariance (k, k) of their coefficients, and how many outcomes it has seen."""

    features: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    outcomes: int = 0

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Rows of features (n, k) → probabilities (n,)."""
        x = np.atleast_2d(x)
        logit = x @ np.asarray(self.mean)
        variance = np.einsum("ni,ij,nj->n", x, np.asarray(self.covariance), x)
        return _sigmoid(logit / np.sqrt(1 + np.pi * variance / 8))

    def updated(self, x: np.ndarray, happened: np.ndarray) -> "Logistic":
        """The state after rows of features (n, k) turned out as told (n,), 1 or 0: Laplace's approximation."""
        x, y = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(happened, dtype=float)
        if not len(y):
            return self
        centre, prior = np.asarray(self.mean), np.linalg.inv(np.asarray(self.covariance))
        mean, hessian = centre.copy(), prior
        for _ in range(100):
            p = _sigmoid(x @ mean)
            gradient = prior @ (mean - centre) + x.T @ (p - y)
            hessian = prior + (x * (p * (1 - p))[:, None]).T @ x
            step = np.linalg.solve(hessian, gradient)
            mean = mean - step * min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))
            if np.abs(step).max() < 1e-9:
                break
        covariance = np.linalg.inv(hessian)
        covariance = (covariance + covariance.T) / 2
        rows = tuple(map(tuple, covariance.tolist()))
        return Logistic(self.features, tuple(mean.tolist()), rows, self.outcomes + len(y))

    def to_json(self) -> dict:
        return {
            "features": list(self.features),
            "mean": list(self.mean),
            "covariance": [list(row) for row in self.covariance],
            "outcomes": self.outcomes,
        }

    @staticmethod
    def from_json(row: Mapping) -> "Logistic":
        covariance = tuple(map(tuple, row["covariance"]))
        return Logistic(tuple(row["features"]), tuple(row["mean"]), covariance, row["outcomes"])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))
