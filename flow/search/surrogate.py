"""What training will make of designs, told from the trials so far: a Gaussian process (Rasmussen and Williams, 2006).

Covariance: a line in what is known of the design (log FIT, log of the epochs trained), a smooth function of the places
of its choices, and noise. Of a few length scales and noises, those with the largest marginal likelihood are taken
(algorithm 2.1 and equation 5.8).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LENGTHS = (0.5, 1.0, 2.0, 4.0)  # of the smooth part, in units of a typical distance between designs
NOISES = (0.03, 0.1, 0.3, 0.6)  # standard deviations, in units of the spread of what is predicted
MOST = 800  # trials that are looked at: the latest


@dataclass(frozen=True)
class Surrogate:
    """A fitted process: what it predicts from, and the solved system."""

    x: "np.ndarray"
    line: "np.ndarray"
    mean: float
    scale: float
    length: float
    solved: "np.ndarray"
    inverse: "np.ndarray"
    centre: "np.ndarray"
    spread: "np.ndarray"

    def predict(self, x: "np.ndarray", line: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
        """Mean and standard deviation (designs,) at places x (designs, parameters) and known numbers (designs, m)."""
        import numpy as np

        own = (line - self.centre) / self.spread
        k = _covariance(x, own, self.x, self.line, self.length)
        prior = 1.0 + np.einsum("ij,ij->i", own, own)
        variance = np.maximum(prior - np.einsum("ij,jk,ik->i", k, self.inverse, k), 1e-6)
        return self.mean + self.scale * (k @ self.solved), self.scale * np.sqrt(variance)


def fit(x: "np.ndarray", line: "np.ndarray", y: "np.ndarray") -> Surrogate:
    """The process for values y (trials,) at places x (trials, parameters), 0 to 1 each, and known numbers (trials,
    m)."""
    import numpy as np

    x, line, y = x[-MOST:], line[-MOST:], y[-MOST:]
    centre, spread = line.mean(axis=0), line.std(axis=0) + 1e-9
    mean, scale = float(y.mean()), float(y.std()) + 1e-9
    own, target = (line - centre) / spread, (y - mean) / scale
    unit = _unit(x)
    found: Sequence = ()
    for length in LENGTHS:
        k = _covariance(x, own, x, own, length * unit)
        for noise in NOISES:
            factor = np.linalg.cholesky(k + noise**2 * np.eye(len(x)))
            half = np.linalg.solve(factor, target)
            likelihood = -0.5 * half @ half - np.log(np.diag(factor)).sum()
            if not found or likelihood > found[0]:
                found = (likelihood, length * unit, factor)
    _, length, factor = found
    inverse = np.linalg.inv(factor)
    inverse = inverse.T @ inverse
    return Surrogate(x, own, mean, scale, length, inverse @ target, inverse, centre, spread)


def _unit(x: "np.ndarray") -> float:
    """A typical distance between two designs: that of two drawn evenly from as many parameters as differ at all."""
    import numpy as np

    varied = int((np.ptp(x, axis=0) > 0).sum()) if len(x) else 0
    return float(np.sqrt(max(varied, 1) / 6.0))


def _covariance(x, line, other_x, other_line, length: float) -> "np.ndarray":
    """Covariance (n, m) of two sets of designs without noise."""
    import numpy as np

    squares = (x**2).sum(1)[:, None] + (other_x**2).sum(1)[None] - 2.0 * x @ other_x.T
    return np.exp(-np.maximum(squares, 0.0) / (2.0 * length**2)) + line @ other_line.T
