"""Costs from formats alone, and a prediction that learns from reports."""

import dataclasses
import json

import numpy as np
import pytest

from flow.cost import COSTS, costs, rtl
from flow.cost.calibration import Regression, fit
from flow.design import Design, LayerDesign
from flow.formats import Binary, Fixed, Relu, Ternary
from flow.topology import Dense, Topology

TOPOLOGY = Topology((Dense("fc0", 16, 64, "relu"), Dense("fc1", 64, 32, "relu"), Dense("out", 32, 5, "linear")))
WORD = Fixed(13, 5)


def design(kernel=Fixed(4, 0), keep=1.0, activation=Relu(4, 1)) -> Design:
    return Design(
        Fixed(8, 2),
        tuple(
            (l.name, LayerDesign(kernel, Fixed(6, 0), activation if l.activation == "relu" else None, keep))
            for l in TOPOLOGY.layers
        ),
    )


def test_bits_and_ebops_by_hand():
    found = costs(TOPOLOGY, design(keep=0.5))
    weights = 0.5 * (16 * 64 + 64 * 32 + 32 * 5) * 4
    assert found["bits"].value == weights + (64 + 32 + 5) * 6 + 16 * 8 + (64 + 32) * 4
    assert found["ebops"].value == 0.5 * (16 * 64 * 4 * 8 + 64 * 32 * 4 * 4 + 32 * 5 * 4 * 4)
    assert set(found) == set(COSTS) and all(f.fidelity.value == "model" and f.unit is not None for f in found.values())


@pytest.mark.parametrize(
    "cheaper, dearer",
    [
        (design(Fixed(3, 0)), design(Fixed(5, 0))),
        (design(keep=0.3), design(keep=0.9)),
        (design(activation=Relu(2, 1)), design(activation=Relu(6, 1))),
        (design(Ternary(-1)), design(Fixed(6, 0))),
        (design(Binary(-1), keep=0.5), design(Binary(-1))),
    ],
)
def test_less_costs_less(cheaper, dearer):
    few, many = (rtl.predict(rtl.prior(), TOPOLOGY, d, WORD, 5.0) for d in (cheaper, dearer))
    assert few["lut"].value < many["lut"].value and few["ff"].value <= many["ff"].value
    assert all(f.error is not None and f.fidelity.value == "model" for f in many.values())


def test_layers_add_up_to_the_whole():
    whole = rtl.predict(rtl.prior(), TOPOLOGY, design(), WORD, 5.0)
    layers = rtl.predict_by_layer(rtl.prior(), TOPOLOGY, design(), WORD)
    assert sum(row["lut"] for row in layers.values()) == pytest.approx(whole["lut"].value)
    assert set(layers) == {"input", *TOPOLOGY.names}


def reported(d: Design, factor: float) -> rtl.Reported:
    """What a tool would say if the truth were `factor` times the prior's prediction, layer by layer."""
    layers = rtl.predict_by_layer(rtl.prior(), TOPOLOGY, d, WORD)
    lut = {name: row["lut"] * factor for name, row in layers.items()}
    rows = {name: {"lut": lut[name], "ff": layers[name]["ff"]} for name in layers}
    total = sum(lut.values())
    return rtl.Reported(d, total, sum(r["ff"] for r in rows.values()), 12.0, rows, total / 1.1, 5000.0)


def test_reports_move_the_prediction_and_make_it_surer():
    before = rtl.prior()
    d = design()
    after = rtl.calibrated(before, TOPOLOGY, WORD, [reported(d, 1.5)])
    first, then = (rtl.predict(m, TOPOLOGY, d, WORD, 5.0)["lut"] for m in (before, after))
    truth = 1.5 * first.value
    assert abs(then.value - truth) < abs(first.value - truth)
    assert then.error / then.value < first.error / first.value
    assert after.lut.reports == 4 and before.lut.reports == 0


def test_a_report_of_one_kind_says_little_of_another():
    after = rtl.calibrated(rtl.prior(), TOPOLOGY, WORD, [reported(design(Fixed(4, 0)), 2.0)] * 3)
    for kernel, least, most in ((Fixed(4, 0), 1.6, 2.1), (Ternary(-1), 0.9, 1.5)):
        ratio = [rtl.predict(m, TOPOLOGY, design(kernel), WORD, 5.0)["lut"].value for m in (rtl.prior(), after)]
        assert least < ratio[1] / ratio[0] < most, kernel


def test_reports_without_layers_count_by_their_totals():
    row = dataclasses.replace(reported(design(), 1.5), by_layer={})
    after = rtl.calibrated(rtl.prior(), TOPOLOGY, WORD, [row])
    assert (
        rtl.predict(after, TOPOLOGY, design(), WORD, 5.0)["lut"].value
        > rtl.predict(rtl.prior(), TOPOLOGY, design(), WORD, 5.0)["lut"].value
    )


def test_the_state_is_readable_json():
    state = rtl.prior()
    assert rtl.CostModel.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_regression_finds_what_made_the_data():
    rng = np.random.default_rng(0)
    x = rng.uniform(10, 100, (300, 3))
    truth = np.array([1.0, 2.5, 0.3])
    y = (x @ truth) * rng.normal(1, 0.05, 300)
    state = fit(("a", "b", "c"), x, y, 0.05)
    np.testing.assert_allclose(state.mean, truth, rtol=0.05)
    assert state.noise == pytest.approx(0.05, rel=0.2)
    inside = [abs(v - t) < s for v, t, s in zip(x @ truth, y, np.sqrt(state.predict(x)[1]))]
    assert 0.55 < np.mean(inside) < 0.9


def test_updates_in_turn_equal_one_update():
    """Conjugate updates of linear rows do not depend on how they are dealt, but for the rows' own scatter."""
    state = Regression(("a", "b"), (1.0, 1.0), ((0.25, 0.0), (0.0, 0.25)), 0.1)
    x, y = np.array([[100.0, 10.0], [20.0, 80.0]]), np.array([150.0, 120.0])
    once = state.updated(x, y)
    turn = state.updated(x[:1], y[:1]).updated(x[1:], y[1:])
    np.testing.assert_allclose(once.mean, turn.mean, rtol=0.1)
