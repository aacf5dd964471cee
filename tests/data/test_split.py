import numpy as np
import pytest

from flow.data.split import split
from flow.errors import BadInput

THREE = {"train": 0.6, "validation": 0.2, "test": 0.2}


@pytest.fixture
def events():
    """Events of one to five jets, with ids all over the range, in no order."""
    rng = np.random.default_rng(0)
    return rng.permutation(np.repeat(rng.integers(-(2**62), 2**62, 4000), rng.integers(1, 6, 4000)))


def test_no_event_is_on_two_sides_and_no_jet_is_lost(events):
    parts = split(events, THREE, 1)
    assert list(parts) == list(THREE)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(len(events)))
    sides = [set(events[rows]) for rows in parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_fractions_come_out(events):
    for name, rows in split(events, THREE, 1).items():
        assert abs(len(rows) - THREE[name] * len(events)) <= 5
        assert np.all(np.diff(rows) > 0)


def test_it_is_exact_for_single_jets():
    parts = split(np.arange(1000), THREE, 4)
    assert [len(rows) for rows in parts.values()] == [600, 200, 200]


def test_the_seed_decides(events):
    first, again, other = (split(events, THREE, seed)["test"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.intersect1d(first, other)) < 0.3 * len(first)


def test_the_order_of_the_rows_does_not_matter(events):
    order = np.random.default_rng(5).permutation(len(events))
    assert set(events[split(events, THREE, 1)["test"]]) == set(events[order][split(events[order], THREE, 1)["test"]])


def test_the_result_is_fixed_for_good():
    np.testing.assert_array_equal(split(np.arange(12), {"train": 0.75, "test": 0.25}, 7)["test"], FIXED)


FIXED = [0, 10, 11]


def test_a_part_of_nothing_is_allowed(events):
    assert len(split(events, {"train": 1.0, "test": 0.0}, 1)["test"]) == 0


@pytest.mark.parametrize(
    ("fractions", "words"),
    [
        ({"train": 0.5, "test": 0.4}, "sum to 0.9"),
        ({"train": 1.5, "test": -0.5}, "'train' is 1.5"),
        ({"train": float("nan")}, "'train' is nan"),
        ({}, "sum to 0"),
    ],
)
def test_bad_fractions(fractions, words):
    with pytest.raises(BadInput, match=words):
        split(np.arange(10), fractions, 1)


def test_too_few_events():
    with pytest.raises(BadInput, match="1 events are too few for a part"):
        split(np.zeros(50, int), THREE, 1)
