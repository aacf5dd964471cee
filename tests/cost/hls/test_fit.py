"""The fit finds what made the records, says honestly how far off it is, and keeps its promises on real ones."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cost.hls.example import dense, resource

from flow.cost import hls, records
from flow.cost.hls import fit
from flow.cost.records import Row

FOLDER = os.environ.get("FLOW_SYNTH_RECORDS")
SHAPES = [(a, b) for a in (32, 64, 96, 128, 192) for b in (32, 64, 128)]


def made(noise: float, shapes=SHAPES, seed: int = 0) -> list[Row]:
    """Records of another tool's version, whose LUTs are 7 for each input bit and 3 for each output bit, scattered."""
    rng, rows = np.random.default_rng(seed), []
    for a, b in shapes:
        network = resource(a, b, reuse_factor=a * 2)
        lut = (7 * a * 16 + 3 * b * 16) * (1 + noise * rng.standard_normal())
        rows.append(Row(len(rows) + 2, network, {"csynth": {"lut": lut, "interval_cycles": 2.0 * a}}, source="made"))
    return rows


def test_the_fit_finds_what_made_the_records():
    model = fit.fit(made(0.0))
    subject = resource(160, 96, reuse_factor=320)
    found = hls.predict(model, [subject], "csynth")["lut"]
    assert found.value[0] == pytest.approx(7 * 160 * 16 + 3 * 96 * 16, rel=0.02)


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_held_out_records_are_inside_as_often_as_said(noise):
    rows = made(noise, SHAPES * 6, seed=3)
    held = fit.leave_one_architecture_out(rows)
    (_, y, _, low, high), *_ = [item for item in fit.grouped(held) if item[0][2] == "lut"]
    assert len(y) == len(rows)
    assert 0.58 < np.mean((low <= y) & (y <= high)) < 0.80


def test_the_architecture_that_is_predicted_was_left_out():
    """One architecture costs ten times as much: predicted without it, it is far off."""
    rows = made(0.0)
    odd = replace(rows[3], observed={"csynth": {"lut": 10 * rows[3].observed["csynth"]["lut"]}})
    held = fit.leave_one_architecture_out([*rows[:3], odd, *rows[4:]])
    found = next(item for item in held if fit.architecture(item.row.network) == fit.architecture(odd.network))
    assert found.predicted["lut"][0] < 0.2 * odd.observed["csynth"]["lut"]


def test_rows_that_say_nothing_are_left_out():
    rows = made(0.0)
    wrong = replace(rows[0], observed={"csynth": {"lut": 1e9}}, suspect="optimised away")
    assert fit.fit([*rows, wrong]).regressions == fit.fit(rows).regressions
    gave_up = Row(9, resource(16, 64, reuse_factor=2), {"csynth": {"lut": 1.0, "interval_cycles": 900.0}})
    assert "gave up" in fit.unusable(gave_up)
    assert fit.unusable(rows[0]) is None


def test_the_order_of_records_does_not_matter():
    rows = made(0.1)
    forth, back = fit.fit(rows), fit.fit(rows[::-1])
    subject = dense(64, 64), resource(64, 64, reuse_factor=128)
    for figure, row in hls.predict(forth, subject, "csynth").items():
        assert np.allclose(row.value, hls.predict(back, subject, "csynth")[figure].value, rtol=1e-6)


def test_ratios_between_stages_are_medians():
    pairs = [{"csynth": {"lut": 100.0, "dsp": 5.0}, "synth": {"lut": lut, "dsp": 5.0}} for lut in (40, 50, 60, 90, 20)]
    ratios = fit.fit(made(0.0), pairs).ratios
    assert ratios["synth"]["lut"].mean[0] == pytest.approx(0.5)
    assert ratios["synth"]["dsp"].mean[0] == pytest.approx(1.0)
    assert ratios["route"]["lut"].reports == 0


def smape(y, value) -> float:
    return float(np.mean(2 * np.abs(y - value) / np.maximum(np.abs(y) + np.abs(value), 1e-9)))


def r_squared(y, value) -> float:
    return float(1 - np.sum((y - value) ** 2) / np.sum((y - y.mean()) ** 2))


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="FLOW_SYNTH_RECORDS names no folder of records")
def test_architectures_that_were_left_out():
    rows, _ = records.read(Path(FOLDER) / "dense.csv")
    held = fit.leave_one_architecture_out(rows, records.pairs(Path(FOLDER) / "conv.csv"))
    found = {key[2]: values for key, *values in fit.grouped(held) if key[:2] == ("dend_1layer", "csynth")}
    y, value, low, high = found["lut"]
    assert smape(y, value) < 0.15
    assert r_squared(y, value) > 0.9
    assert r_squared(np.log(y), np.log(value)) > 0.9
    assert 0.58 < np.mean((low <= y) & (y <= high)) < 0.78
    for figure in ("dsp", "interval_cycles"):
        y, value, *_ = found[figure]
        assert np.mean(np.round(y) == np.round(value)) > 0.95
        assert smape(y, value) < 0.2
    y, value, *_ = found["latency_cycles"]
    assert np.mean((np.abs(y - value) <= 2) | (np.abs(y - value) <= 0.05 * y)) > 0.95
    whole = [values for key, *values in fit.grouped(held) if key[0] != "dend_1layer" and key[2] == "lut"]
    errors = np.concatenate([2 * np.abs(y - v) / (y + v) for y, v, *_ in whole])
    assert errors.mean() < 0.3
