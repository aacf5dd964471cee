"""What strategies ask is measured once, kept, and answered alike from disk."""

import numpy as np
import pytest
from networks import NETWORKS
from sensitivity.spaces import choose, events, space_of, weights_of

from flow.search.problem import Measure
from flow.sensitivity.knowledge import Sensitivity
from flow.store import Store
from flow.train.designs import Sample
from flow.train.evaluate import Truth
from flow.train.parameters import from_weights
from flow.train.schedule import Importance

DENSE = NETWORKS["dense"]
SPACE = space_of(DENSE)


def sample() -> Sample:
    x, y = events(DENSE, weights_of(DENSE), 600)
    return Sample(x, Truth(y, np.zeros((1, len(y)), np.float32)))


def about(seed: int = 0, **more) -> Sensitivity:
    return Sensitivity(SPACE, from_weights(DENSE, weights_of(DENSE, seed)), sample(), origin=f"float {seed}", **more)


@pytest.mark.parametrize("measure", [Measure.KL, Measure.OUTPUT])
def test_measured_once_and_kept(tmp_path, measure):
    store, asked = Store(tmp_path), []

    def keep(name, inputs, compute):
        return store.step(name, inputs, lambda: asked.append(name) or compute())

    first = about(keep=keep)
    found = first.damages(measure)
    assert first.damages(measure) is found
    again = about(keep=keep).damages(measure)
    assert asked == [f"sensitivity-{measure.value}"]
    assert set(again.terms) == set(found.terms)
    for term, table in found.terms.items():
        np.testing.assert_array_equal(again.terms[term], table)
    about(1, keep=keep).damages(measure)
    assert len(asked) == 2  # another network


def test_coarse_designs_have_larger_bounds():
    known = about()
    bounds = [known.error_bound(choose(SPACE, place)) for place in (0, 1, -1)]
    assert bounds == sorted(bounds, reverse=True)
    assert known.hopeless(choose(SPACE, -1)) == ""


def test_hopeless_says_why(monkeypatch):
    monkeypatch.setattr("flow.sensitivity.knowledge.HOPELESS", 0.1)
    assert "times the margin" in about().hopeless(choose(SPACE, 0))


def test_only_fit_is_measured_at_trials():
    with pytest.raises(ValueError, match="at the float network alone"):
        about().damages(Measure.KL, at=3)


@pytest.mark.slow
def test_fit_and_hessian_repeat_and_fit_follows_a_trial():
    trial = from_weights(DENSE, weights_of(DENSE, 5))
    known = about(parameters_of=lambda number: (f"trial {number}", trial))
    other = about(5)
    for measure in (Measure.FIT, Measure.HESSIAN):
        for term, table in about().damages(measure).terms.items():
            np.testing.assert_array_equal(table, known.damages(measure).terms[term])
    for term, table in other.damages(Measure.FIT).terms.items():
        np.testing.assert_array_equal(table, known.damages(Measure.FIT, at=3).terms[term])


@pytest.mark.slow
def test_pruning_by_fisher_information_changes_kernels_alone():
    plain, other = about().damages(Measure.KL), about(importance=Importance.FISHER).damages(Measure.KL)
    differ = {term for term, table in plain.terms.items() if not np.allclose(table, other.terms[term])}
    assert differ and all(len(term) == 2 for term in differ)
