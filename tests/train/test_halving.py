"""Who is cut at a rung: those behind beyond the noise, never more than the factor allows."""

import numpy as np
import pytest

from flow.train.halving import cut
from flow.train.schedule import Halving, Pruning

TWO = Halving(2, 2.0)


def spread(values, error: float, shared: float = 0.0) -> list[np.ndarray]:
    """Resampled values that scatter by `error` each, and together by `shared`."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, 50)
    return [value + error * rng.normal(0, 1, 50) + shared * common for value in values]


def test_noise_cuts_nobody():
    values = [0.70, 0.71, 0.72, 0.73]
    assert cut(values, spread(values, 0.02), [0.0] * 4, TWO) == set()


def test_noise_that_all_share_hides_nothing():
    values = [0.70, 0.71, 0.72, 0.73]
    assert cut(values, spread(values, 0.001, shared=0.05), [0.0] * 4, TWO) == {0, 1}


def test_the_worst_half_goes_at_most():
    values = [0.1, 0.2, 0.3, 0.9]
    assert cut(values, spread(values, 0.01), [0.0] * 4, TWO) == {0, 1}
    assert cut(values, spread(values, 0.01), [0.0] * 4, Halving(4, 2.0)) == {0, 1, 2}


def test_a_cheaper_design_is_never_cut_by_a_dearer_one():
    values = [0.5, 0.9]
    assert cut(values, spread(values, 0.01), [1.0, 2.0], TWO) == set()
    assert cut(values, spread(values, 0.01), [2.0, 2.0], TWO) == {0}


def test_errors_count_on_both_sides():
    values = [0.50, 0.53]
    resampled = spread(values, 0.01)
    assert cut(values, resampled, [0.0, 0.0], Halving(2, 1.5)) == {0}
    assert cut(values, [resampled[0], 0.53 + 3 * (resampled[1] - 0.53)], [0.0, 0.0], Halving(2, 1.5)) == set()


def test_twins_stay():
    assert cut([0.5, 0.5], [np.full(50, 0.5)] * 2, [0.0, 0.0], TWO) == set()


@pytest.mark.parametrize("epochs, first, expected", [(12, 3, (3, 6)), (10, 2, (2, 4, 8)), (4, 4, ()), (1, 1, ())])
def test_rungs(epochs, first, expected):
    assert TWO.rungs(epochs, first) == expected


def test_pruning_is_complete_when_it_says_so():
    pruning = Pruning(until=0.5)
    shares = [pruning.share(epoch, 8) for epoch in range(8)]
    assert pruning.last_epoch(8) == 4 and shares == sorted(shares)
    assert 0 < shares[0] < 1 and shares[3:] == [1.0] * 5
