"""Costs from formats alone, and a prediction that learns from reports."""

import dataclasses
import json

import numpy as np
import pytest
from designs import example_design
from networks import NETWORKS

from flow.cost import COSTS, costs, rtl
from flow.cost.calibration import Regression, fit
from flow.design import Design, LayerDesign
from flow.formats import Binary, Fixed, PowerOfTwo, Relu, StochasticTernary, Tanh, Ternary
from flow.topology import Activation, Conv, Dense, Merge, Pool, Reshape, Topology

TOPOLOGY = Topology((Dense("fc0", 16, 64, "relu"), Dense("fc1", 64, 32, "relu"), Dense("out", 32, 5, "linear")))
WORD = Fixed(13, 5)
KERNEL, RELU = Fixed(4, 0), Relu(4, 1)
PINNED = {
    "fixed": [5735.816, 3564.769, 10.017],
    "ternary": [7821.471, 5331.176, 10.452],
    "binary": [7083.942, 7980.071, 10.671],
}  # LUT, FF, cycles


def design(kernel=KERNEL, keep=1.0, activation=RELU) -> Design:
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


IMAGE = Topology(
    (
        Conv("conv", (6, 6, 2), 3, (3, 3), (1, 1), "same", "relu"),
        Pool("pool", (6, 6, 3), (2, 2), (2, 2)),
        Reshape("flat", (27,)),
        Dense("out", 27, 3, bias=False),
    ),
    (6, 6, 2),
)
IMAGE_DESIGN = Design(
    Fixed(8, 2), (("conv", LayerDesign(KERNEL, Fixed(6, 0), RELU, 0.5)), ("out", LayerDesign(KERNEL, None, None)))
)


def test_bits_and_ebops_of_a_convolution_by_hand():
    """Weights and biases are there once, products at each of the 36 positions."""
    found = costs(IMAGE, IMAGE_DESIGN)
    weights = (0.5 * 3 * 3 * 2 * 3 + 27 * 3) * 4
    assert found["bits"].value == weights + 3 * 6 + 36 * 2 * 8 + 36 * 3 * 4
    assert found["ebops"].value == 0.5 * 36 * 3 * 3 * 2 * 3 * 4 * 8 + 27 * 3 * 4 * 4


def test_adders_of_a_convolution_by_hand():
    """Of the 3 x 6 taps of a row, two lie on padding; likewise of a column."""
    inside = (16 / 18) ** 2
    assert rtl.adders(IMAGE["conv"], IMAGE_DESIGN) == pytest.approx(108 * 0.5 * 18 * inside * rtl.digits(KERNEL))
    assert rtl.adders(IMAGE["out"], IMAGE_DESIGN) == pytest.approx(3 * 27 * rtl.digits(KERNEL))


def test_pooling_belongs_to_the_layer_in_front():
    lut, ff = rtl.lut_rows(IMAGE, IMAGE_DESIGN, WORD), rtl.ff_rows(IMAGE, IMAGE_DESIGN, WORD)
    assert rtl.block_names(IMAGE) == ("input", "conv", "out")
    assert rtl.blocks(IMAGE) == {"conv": "conv", "pool": "conv", "flat": "conv", "out": "out"}
    assert lut[1, rtl.LUT_FEATURES.index("input")] == 27 * 3 * 4  # three comparisons of 4 bits for each maximum
    assert ff[1, rtl.FF_FEATURES.index("boundary")] == 108 * 4 + 27 * 4
    assert lut[2, rtl.LUT_FEATURES.index("input")] == 0


def test_latency_is_that_of_the_longest_branch():
    """A layer beside a deeper one adds nothing; a layer behind both does."""
    deep = Dense("deep", 16, 4, "relu", ("input",))
    shallow = Dense("shallow", 2, 4, "relu", ("first",))
    layers = (Dense("first", 16, 2, "relu", ("input",)), shallow, deep, Merge("sum", (4,), "add", ("deep", "shallow")))
    found = []
    for topology in (
        Topology((*layers, Dense("out", 4, 3, "linear", ("sum",)))),
        Topology((*layers[:2], Dense("out", 4, 3, "linear", ("shallow",)))),
    ):
        found.append(rtl.latency_rows(topology, example_design(topology, kernels=(KERNEL,)))[0])
    (levels, activations, _), (alone, alone_activations, _) = found
    assert levels == alone + 1 and activations == alone_activations == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_its_costs(name):
    topology = NETWORKS[name]
    few, many = (
        example_design(topology, kernels=(k,), keep=keep) for k, keep in ((Ternary(-1), 0.5), (Fixed(6, 0), 1.0))
    )
    cheap, dear = (costs(topology, d) | rtl.predict(rtl.prior(), topology, d, WORD, 5.0) for d in (few, many))
    for figure in ("bits", "ebops", "lut", "ff"):
        assert 0 < cheap[figure].value < dear[figure].value, figure
    assert cheap["latency_cycles"].value > 0
    layers = rtl.predict_by_layer(rtl.prior(), topology, many, WORD)
    assert tuple(layers) == rtl.block_names(topology)
    assert sum(row["lut"] for row in layers.values()) == pytest.approx(dear["lut"].value)
    assert all(row["lut"] > 0 and row["ff"] > 0 for row in layers.values())
    rows = {block: {"lut": 2 * row["lut"], "ff": row["ff"]} for block, row in layers.items()}
    report = rtl.Reported(many, 2 * dear["lut"].value, dear["ff"].value, 9.0, rows, dear["lut"].value, 100.0)
    after = rtl.predict(rtl.calibrated(rtl.prior(), topology, WORD, [report]), topology, many, WORD, 5.0)["lut"]
    assert dear["lut"].value < after.value < 2.2 * dear["lut"].value


def test_an_activation_on_its_own_costs_what_it_costs_behind_a_layer():
    """Rounding and clipping take their look-up tables from the width of what comes in."""
    inside = Topology((Dense("fc", 4, 6, "tanh"), Dense("out", 6, 3)))
    apart = Topology((Dense("fc", 4, 6), Activation("act", (6,), "tanh"), Dense("out", 6, 3)))
    designs = [example_design(t, kernels=(KERNEL,), activations={"tanh": (Tanh(4),)}) for t in (inside, apart)]
    rows = [rtl.lut_rows(t, d, WORD)[1] for t, d in zip((inside, apart), designs, strict=True)]
    column = rtl.LUT_FEATURES.index("activation")
    assert rows[0][column] == pytest.approx(rows[1][column], rel=0.2) and rows[0][column] > 0
    assert not any(row[rtl.LUT_FEATURES.index("output")] for row in rows)


def test_predictions_of_dense_networks_stay():
    """The prior's coefficients are fitted on these rows; whoever changes them has to fit anew."""
    found = {}
    for name, kernel, keep in (("fixed", KERNEL, 0.2), ("ternary", Ternary(-1), 1.0), ("binary", Binary(-2), 1.0)):
        figures = rtl.predict(rtl.prior(), TOPOLOGY, design(kernel, keep), WORD, 5.0)
        found[name] = [round(figures[key].value, 3) for key in ("lut", "ff", "latency_cycles")]
    assert found == PINNED


@pytest.mark.parametrize("kernel", [PowerOfTwo(4, -1), StochasticTernary(-1), Fixed(4, 0, signed=False)])
def test_other_kernels_are_priced_as_what_they_resemble(kernel):
    figures = rtl.predict(rtl.prior(), TOPOLOGY, design(kernel), WORD, 5.0)
    least, most = (rtl.predict(rtl.prior(), TOPOLOGY, design(k), WORD, 5.0) for k in (Ternary(-1), Fixed(5, 0)))
    assert least["lut"].value <= figures["lut"].value < most["lut"].value


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
