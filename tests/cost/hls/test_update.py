"""Reports move the coefficients of their own tool, version, family and stage, and shrink the errors there."""

from dataclasses import replace

import numpy as np
import pytest
from cost.hls.example import SIZES, dense, resource

from flow.cost import hls

STAGE = "synth"
FACTOR = 1.6  # what the tool of these tests reports, times the prior's prediction


def network(width: int, **more) -> hls.Network:
    return dense(16, width, 32, 5, tool=hls.Tool.VITIS_HLS, tool_version="2024.1", part="xcvu9p", **more)


def report(subject: hls.Network, factor: float = FACTOR, stage: str = STAGE) -> hls.Observation:
    found = hls.predict(hls.prior(), [subject], stage)
    return hls.Observation(subject, stage, {name: factor * float(row.value[0]) for name, row in found.items()})


@pytest.fixture(scope="module")
def learned() -> hls.HlsModel:
    return hls.updated(hls.prior(), [report(network(width)) for width in (24, 32, 48, 64, 80, 96)])


def error(model, subject, stage=STAGE, figure="lut") -> tuple[float, float]:
    """The prediction, and half its interval relative to it."""
    row = hls.predict(model, [subject], stage)[figure]
    return float(row.value[0]), float((row.high[0] - row.value[0]) / row.value[0])


@pytest.mark.parametrize("figure", ["lut", "ff"])
def test_predictions_follow_the_reports_and_get_surer(learned, figure):
    subject = network(56)
    before, wide = error(hls.prior(), subject, figure=figure)
    after, narrow = error(learned, subject, figure=figure)
    assert after == pytest.approx(FACTOR * before, rel=0.05)
    assert narrow < 0.6 * wide


def test_other_stages_and_tools_stay(learned):
    subject = network(56)
    assert error(learned, subject, "csynth") == error(hls.prior(), subject, "csynth")
    other = replace(subject, tool=hls.Tool.VIVADO_HLS, tool_version="2020.1")
    assert error(learned, other) == error(hls.prior(), other)


def test_another_version_learns_too_but_is_less_sure(learned):
    subject = network(56)
    value, own = error(learned, subject)
    other, wider = error(learned, replace(subject, tool_version="2025.1"))
    assert other == pytest.approx(value, rel=0.1)
    assert wider > own
    assert wider < error(hls.prior(), subject)[1]


def test_reasons_go_where_reports_are(learned):
    subject = network(56)
    assert any("times a ratio" in reason for reason in hls.reasons(hls.predict(hls.prior(), [subject], STAGE))[0])
    assert not any("times a ratio" in reason for reason in hls.reasons(hls.predict(learned, [subject], STAGE))[0])


def test_reports_that_agree_narrow_the_interval_around_them():
    subject, widths = resource(128, 128, reuse_factor=512, tool_version="2020.1"), (64, 96, 160, 192)
    others = [resource(128, width, reuse_factor=512) for width in widths]
    model = hls.updated(hls.prior(), [report(other, 1.0, "csynth") for other in others])
    before, after = error(hls.prior(), subject, "csynth"), error(model, subject, "csynth")
    assert after[0] == pytest.approx(before[0], rel=0.005)


def test_a_report_by_layer_says_which_layer_it_was():
    subject = network(64)
    layers = hls.predict_by_layer(hls.prior(), subject, STAGE)
    moved = {name: dict(row) for name, row in layers.items()}
    moved["fc1"]["lut"] *= 3
    total = sum(row["lut"] for row in moved.values())
    by_total = hls.updated(hls.prior(), [hls.Observation(subject, STAGE, {"lut": total})])
    by_layer = hls.updated(hls.prior(), [hls.Observation(subject, STAGE, {"lut": total}, moved)])
    assert error(by_layer, subject)[0] != error(by_total, subject)[0]
    assert np.isfinite(error(by_layer, subject)).all()


@pytest.mark.parametrize("figures", [{}, {"lut": None}, {"power_w": 3.0}, {"uram": 4.0}])
def test_figures_that_are_not_told_or_not_fitted_change_nothing(figures):
    subject = network(64)
    model = hls.updated(hls.prior(), [hls.Observation(subject, STAGE, figures)])
    assert error(model, subject)[0] == error(hls.prior(), subject)[0]


def test_zeros_are_learned_from():
    subject = dense(*SIZES, tool_version="2020.1")
    model = hls.updated(hls.prior(), [hls.Observation(subject, "csynth", {"dsp": 0.0})] * 8)
    before, after = (hls.predict(m, [subject], "csynth")["dsp"].value[0] for m in (hls.prior(), model))
    assert after < 0.5 * before


def test_the_prior_is_left_as_it_is(learned):
    assert hls.prior().regressions != learned.regressions
    assert all("2024.1" not in key.version for key in hls.prior().regressions)


def test_what_was_learned_is_json(learned):
    assert hls.HlsModel.from_json(learned.to_json()) == learned
