"""What is built: the promising, and one that teaches."""

import pytest

from flow.metrics import Fidelity, figure
from flow.search.choose import Candidate, choose, expected_improvement, probability_inside, rank

LIMITS = {"lut": 1000.0}


def candidate(name: str, metric: float, lut: float, error: float = 50.0, unsure: float = 0.1) -> Candidate:
    return Candidate(
        name,
        figure("accuracy", metric, Fidelity.MEASURED, error=0.005),
        {"lut": figure("lut", lut, Fidelity.TRACED, error=error)},
        unsure,
    )


def test_probability_of_limits():
    assert probability_inside(candidate("a", 0.7, 1000).predicted, LIMITS) == pytest.approx(0.5)
    assert probability_inside(candidate("a", 0.7, 950).predicted, LIMITS) == pytest.approx(0.8413, abs=1e-3)
    assert probability_inside(candidate("a", 0.7, 1000, 0.0).predicted, LIMITS) == 1.0
    assert probability_inside(candidate("a", 0.7, 1001, 0.0).predicted, LIMITS) == 0.0


def test_expected_improvement():
    assert expected_improvement(figure("accuracy", 0.7, Fidelity.MEASURED, error=0.01), 0.7) == pytest.approx(
        0.00399, abs=1e-5
    )
    assert expected_improvement(figure("accuracy", 0.8, Fidelity.MEASURED, error=1e-6), 0.7) == pytest.approx(0.1)


def test_better_inside_comes_first_and_outside_last():
    rows = [candidate("outside", 0.79, 2000), candidate("good", 0.76, 900), candidate("weak", 0.72, 500)]
    assert [c.digest for c in rank(rows, LIMITS, 0.70)] == ["good", "weak", "outside"]


def test_nothing_promising_takes_the_likeliest_inside():
    rows = [candidate("far", 0.79, 9000), candidate("near", 0.70, 1100)]
    assert rank(rows, LIMITS, 0.9)[0].digest == "near"


def test_the_last_of_three_teaches():
    rows = [candidate(n, 0.75 - 0.01 * i, 900) for i, n in enumerate("abcd")] + [
        candidate("unsure", 0.60, 900, 50, 0.4)
    ]
    assert [c.digest for c in choose(rows, LIMITS, 0.7, 3)] == ["a", "b", "unsure"]
    assert len(choose(rows, LIMITS, 0.7, 2)) == 2
    assert len(choose(rows[:2], LIMITS, 0.7, 3)) == 2
