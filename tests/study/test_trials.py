"""What strategies see of trials."""

from dataclasses import replace

import pytest
from study.examples import LIMITS, OBJECTIVES, trial

from flow.metrics import Fidelity, figure
from flow.study import State, pasts


def test_values_stand_in_the_order_of_the_objectives():
    (past,) = pasts([trial(2)], OBJECTIVES, LIMITS)
    assert past.values == (0.72, 102.0, 48.0)
    assert (past.number, past.parent, past.batch, past.by, past.epochs) == (2, 1, 0, "random", 12)
    assert past.excess == {"lut": pytest.approx(102 / 104 - 1)} and past.inside and not past.reported


def test_reported_costs_count_and_are_marked():
    one, other = trial(2), trial(3)
    one = replace(one, figures={**one.figures, "lut": figure("lut", 208.0, Fidelity.SYNTH)})
    first, second = pasts([one, other], OBJECTIVES, LIMITS, {one.design.digest})
    assert first.values == (0.72, 208.0, 48.0) and first.excess == {"lut": 1.0} and first.reported
    assert second.values == (0.73, 103.0, 47.0) and not second.reported


def test_failed_trials_have_no_values_and_proposed_ones_are_not_seen():
    failed = trial(1, State.FAILED)
    nothing = replace(trial(2), figures={})
    odd = replace(trial(3), figures=trial(3).figures | {"lut": figure("lut", float("nan"), Fidelity.MODEL)})
    found = pasts([failed, nothing, odd, trial(4, State.PROPOSED)], OBJECTIVES, LIMITS)
    assert [(past.number, past.values) for past in found] == [(1, ()), (2, ()), (3, ())]


def test_a_trial_as_json_says_everything():
    row = trial(3).to_json()
    assert (row["parent"], row["by"], row["seed"], row["batch"], row["seconds"], row["epochs"]) == (
        2, "random", 3, 0, 1.5, 12,
    )  # fmt: skip
    assert row["digest"] == trial(3).design.digest and row["figures"]["lut"]["unit"] == "LUT"
