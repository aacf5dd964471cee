"""Which designs are worth a synthesis: those likely to be the best inside the budget, and one that teaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erf, exp, pi, sqrt

from flow.metrics import Figure


@dataclass(frozen=True)
class Candidate:
    """A trained design: its metric (maximised), the figures that the budget limits, each with its error, and how
    unsure the cost model is of it (the relative error of its own prediction)."""

    digest: str
    metric: Figure
    predicted: Mapping[str, Figure]
    unsure: float = 0.0


def probability_inside(predicted: Mapping[str, Figure], limits: Mapping[str, float]) -> float:
    """Probability that all limits hold, the predictions being normal and independent of each other."""
    chance = 1.0
    for name, limit in limits.items():
        error = predicted[name].error or 0.0
        margin = limit - predicted[name].value
        chance *= 0.5 * (1.0 + erf(margin / error / sqrt(2.0))) if error > 0 else float(margin >= 0)
    return chance


def expected_improvement(metric: Figure, best: float) -> float:
    """E[max(metric - best, 0)] of a normal metric (Jones et al., J. Global Optim. 13 (1998) 455, eq. 15)."""
    sigma = max(metric.error or 0.0, 1e-9)
    z = (metric.value - best) / sigma
    return (metric.value - best) * 0.5 * (1.0 + erf(z / sqrt(2.0))) + sigma * exp(-z * z / 2.0) / sqrt(2.0 * pi)


def rank(candidates: Sequence[Candidate], limits: Mapping[str, float], best: float) -> list[Candidate]:
    """Candidates by the improvement over `best` that they promise inside the budget, the most promising first.

    Among those that promise nothing, the likeliest inside comes first. Ties go by digest, so that the
    order repeats.
    """

    def key(candidate: Candidate):
        chance = probability_inside(candidate.predicted, limits)
        return (-chance * expected_improvement(candidate.metric, best), -chance, candidate.digest)

    return sorted(candidates, key=key)


def choose(candidates: Sequence[Candidate], limits: Mapping[str, float], best: float, count: int) -> list[Candidate]:
    """The `count` candidates to build: the most promising ones, the last of three or more being the one that
    teaches the cost model most (the one that it is least sure of)."""
    ranked = rank(candidates, limits, best)
    if count < 3 or len(ranked) <= count:
        return ranked[:count]
    return [*ranked[: count - 1], max(ranked[count - 1 :], key=lambda c: (c.unsure, c.digest))]
