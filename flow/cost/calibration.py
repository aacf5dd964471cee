"""Bayesian linear regression with relative noise: predictions that say how sure they are, and learn from reports.

y = x·β + ε with β ~ N(mean, covariance), and a report scatters around its prediction by `noise` times it. How large the
noise is, is learned too: the prior of β and noise² is normal-inverse-gamma, whose updates are conjugate and whose
predictions follow Student's t (Murphy, Machine Learning: A Probabilistic Perspective, section 7.6.3).
"""

from dataclasses import dataclass

import numpy as np

ONE_SIGMA = 0.8413447460685429  # the quantile at one standard deviation of a normal distribution


@dataclass(frozen=True)
class Regression:
    """The state of one regression: k named features, their mean (k,) and covariance (k, k), the relative noise, how many
    degrees of freedom its estimate has, and how many reports it has seen."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    noise: float
    degrees: float = 8.0
    reports: int = 0

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of features (n, k) → predictions (n,), not below 0, and squares of their errors (n,).

        A prediction ± its error holds 68 % of the reports.
        """
        value, error = self.totals(np.atleast_2d(x)[:, None])
        return value, error**2

    def totals(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sums over the rows of each of n designs, features (n, rows, k) → values (n,) and errors (n,).

        Rows share their coefficients, their noise is their own.
        """
        rows, whole = np.maximum(x @ np.asarray(self.mean), 0.0), x.sum(axis=1)
        variance = np.einsum("ni,ij,nj->n", whole, np.asarray(self.covariance), whole)
        return rows.sum(axis=1), np.sqrt(variance + self.noise**2 * (rows**2).sum(axis=1)) * self._tails()

    def updated(self, x: np.ndarray, y: np.ndarray) -> "Regression":
        """The regression after rows of features (n, k) were reported to cost y (n,).

        A row scatters by the noise times what it is expected to cost, by one unit at least. What is expected is first
        the larger of report and prediction, so that a report far from its prediction moves the coefficients without
        being taken for exact; then what the moved coefficients say.
        """
        x, y = np.atleast_2d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
        first = self._given(x, y, np.maximum(self.predict(x)[0], y))
        return self._given(x, y, first.predict(x)[0])

    def _given(self, x: np.ndarray, y: np.ndarray, expected: np.ndarray) -> "Regression":
        scale, mean = np.maximum(expected, 1.0 / self.noise), np.asarray(self.mean)
        x, y = x / scale[:, None], y / scale
        prior = np.linalg.inv(np.asarray(self.covariance) / self.noise**2)
        posterior = np.linalg.inv(prior + x.T @ x)
        moved = posterior @ (prior @ mean + x.T @ y)
        degrees = self.degrees + len(y)
        surprise = ((y - x @ moved) ** 2).sum() + (moved - mean) @ prior @ (moved - mean)
        noise = np.sqrt((self.degrees * self.noise**2 + surprise) / degrees)
        covariance = noise**2 * (posterior + posterior.T) / 2
        return Regression(
            self.features,
            tuple(moved.tolist()),
            tuple(map(tuple, covariance.tolist())),
            float(noise),
            degrees,
            self.reports + len(y),
        )

    def widened(self, factor: float) -> "Regression":
        """The same predictions for what it was not fitted on: coefficients and noise `factor` times as unsure."""
        covariance = tuple(map(tuple, (np.asarray(self.covariance) * factor**2).tolist()))
        return Regression(self.features, self.mean, covariance, self.noise * factor, self.degrees, self.reports)

    def to_json(self) -> dict:
        return {
            "features": list(self.features),
            "mean": list(self.mean),
            "covariance": [list(row) for row in self.covariance],
            "noise": self.noise,
            "degrees": self.degrees,
            "reports": self.reports,
        }

    @staticmethod
    def from_json(row: dict) -> "Regression":
        covariance = tuple(map(tuple, row["covariance"]))
        mean, features = tuple(row["mean"]), tuple(row["features"])
        return Regression(features, mean, covariance, row["noise"], row["degrees"], row["reports"])

    def _tails(self) -> float:
        """Half the 68 % interval of Student's t, in its scale: 1 for many degrees of freedom, more for few."""
        from scipy.special import stdtrit  # light commands import this module, and none of SciPy

        return float(stdtrit(self.degrees, ONE_SIGMA))
