"""Populations that train on workers give what they give here."""

import json

import pytest
from loop.running import TINY, flow, steps, tools_in, trained

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


def test_training_on_a_dask_worker(tmp_path, undisturbed):
    out = tmp_path / "tiny"
    done = flow("train", TINY, "--out", out, "--jobs", "dask", "--at-once", "1")
    assert done.returncode == 0, done.stderr[-3000:]
    names = trained(out)
    assert {name.split("-")[0] for name in names} == {"float", "baselines"} and set(names) <= set(steps(undisturbed))
    for name in names:
        here, there = (json.loads((run / "steps" / name / "result.json").read_text()) for run in (undisturbed, out))
        assert here.pop("seconds") > 0 and there.pop("seconds") > 0 and here == there
    assert tools_in(out) == []
