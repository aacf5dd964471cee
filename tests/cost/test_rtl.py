"""LUT, FF and latency of RTL from formats alone: one design, many of them, layer by layer, and after reports."""

import dataclasses
import json

import numpy as np
import pytest
from designs import example_design
from networks import NETWORKS

from flow.cost import costs, rtl
from flow.cost.rtl import features
from flow.cost.rtl.columns import population
from flow.cost.rtl.features import (
    LATENCY_FEATURES,
    expected_adders,
    ff_features,
    latency_features,
    lut_features,
    used,
)
from flow.design import Design, LayerDesign, value_formats
from flow.firmware import pipeline
from flow.formats import (
    Binary,
    Fixed,
    HalfUpRelu,
    PowerOfTwo,
    Relu,
    StochasticTernary,
    Tanh,
    Ternary,
    TruncatedRelu,
)
from flow.topology import INPUT, Activation, Conv, Dense, Merge, Pool, Reshape, Topology

TOPOLOGY = Topology((Dense("fc0", 16, 64, "relu"), Dense("fc1", 64, 32, "relu"), Dense("out", 32, 5, "linear")))
WORD = Fixed(13, 5)
KERNEL, RELU = Fixed(4, 0), Relu(4, 1)
CLOCK_NS = 5.0
PINNED = {
    "fixed": [4899.288, 3496.287, 9.586],
    "ternary": [8561.753, 5021.031, 10.533],
    "binary": [5501.093, 5278.973, 15.174],
}  # LUT, FF, cycles


def design(kernel=KERNEL, keep=1.0, activation=RELU) -> Design:
    return Design(
        Fixed(8, 2),
        tuple(
            (l.name, LayerDesign(kernel, Fixed(6, 0), activation if l.activation == "relu" else None, keep))
            for l in TOPOLOGY.layers
        ),
    )


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


def of(topology: Topology, *designs: Design):
    return population(topology, designs, WORD)


def column(rows: np.ndarray, names: tuple[str, ...], name: str) -> np.ndarray:
    """One feature of the first design, by block."""
    return rows[0, :, names.index(name)]


def test_expected_adders_of_unshared_sums_by_hand():
    """One sum of 27 terms, of which half are pruned: adders are the terms' digits less one."""
    topology = Topology((Dense("out", 27, 1),))
    columns = of(topology, Design(Fixed(8, 2), (("out", LayerDesign(Ternary(-1), Fixed(6, 0), None, 0.5)),)))
    kernel = columns.kernels["out"]
    assert kernel.digits[0] == kernel.nonzero[0] == pytest.approx(0.5)
    assert expected_adders(topology["out"], kernel)[0] == pytest.approx((13.5 - 1) * 1.038 * 27**-0.087 * 0.5**-0.153)


def test_padded_zeros_are_not_added():
    """Of the 3 x 6 taps of a row, two lie on padding; likewise of a column."""
    full = Conv("conv", (8, 8, 2), 3, (3, 3), (1, 1), "valid", "relu")
    kernel = of(IMAGE, IMAGE_DESIGN).kernels["conv"]
    padded = dataclasses.replace(full, input_shape=(6, 6, 2), padding="same")
    assert padded.shape == full.shape
    terms = kernel.digits[0] * 18 * np.array([1.0, (16 / 18) ** 2])
    sums = (terms - 1) * np.array([1.0, (16 / 18) ** 2]) ** -0.087
    ratio = expected_adders(padded, kernel)[0] / expected_adders(full, kernel)[0]
    assert ratio == pytest.approx(sums[1] / sums[0], rel=0.01)


def test_sums_that_have_more_in_common_share_more():
    one, many = Dense("a", 32, 1), Dense("b", 32, 32)
    kernel = of(TOPOLOGY, design()).kernels["fc1"]
    assert expected_adders(many, kernel)[0] < 0.75 * 32 * expected_adders(one, kernel)[0]


def test_pooling_belongs_to_the_layer_in_front():
    columns = of(IMAGE, IMAGE_DESIGN)
    lut, ff = lut_features(columns), ff_features(columns, CLOCK_NS)
    assert rtl.block_names(IMAGE) == ("input", "conv", "out")
    assert rtl.blocks(IMAGE) == {"conv": "conv", "pool": "conv", "flat": "conv", "out": "out"}
    # three comparisons of 4 bits for each maximum, and as many choices
    np.testing.assert_array_equal(column(lut, rtl.LUT_FEATURES, "pairs"), [0, 2 * 27 * 3 * 4, 0])
    np.testing.assert_allclose(column(ff, rtl.FF_FEATURES, "activation"), [0, 108 * 4, 0], rtol=0.01)


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
        columns = of(topology, example_design(topology, kernels=(KERNEL,), activations={"relu": (RELU,)}))
        found.append(dict(zip(LATENCY_FEATURES, latency_features(columns, CLOCK_NS)[0, 0])))
    both, alone = found
    assert both["pairs"] > 0 == alone["pairs"]
    assert both["activations"] == alone["activations"] and both["constants"] == alone["constants"]


def test_a_faster_clock_takes_more_cycles_and_registers():
    slow, fast = (rtl.predict(rtl.prior(), TOPOLOGY, design(), WORD, clock) for clock in (8.0, 2.5))
    assert slow["latency_cycles"].value < fast["latency_cycles"].value
    assert slow["ff"].value < fast["ff"].value
    assert slow["lut"].value == fast["lut"].value


def test_stages_are_those_of_the_firmware():
    for name in ("CUTOFF_FRACTION", "ADDER_NS", "ADDER_NS_PER_BIT"):
        assert getattr(features, name) == getattr(pipeline, name)


def test_results_that_nobody_reads_cost_nothing():
    """Of 8 hidden values, a last layer of one output with a quarter of its weights reads 2."""
    topology = Topology((Dense("fc0", 6, 8, "relu"), Dense("out", 8, 1)))
    parts = [LayerDesign(KERNEL, Fixed(6, 0), RELU), LayerDesign(KERNEL, Fixed(6, 0), None, 0.25)]
    columns = of(topology, Design(Fixed(8, 2), tuple(zip(("fc0", "out"), parts))))
    shares = used(columns)
    assert shares["fc0"][0] == pytest.approx(0.25) and shares["out"][0] == 1.0
    assert column(lut_features(columns), rtl.LUT_FEATURES, "clipping")[1] == pytest.approx(0.25 * 8 * 4)


@pytest.mark.parametrize(
    "activation, dearer",
    [(Relu(4, 1), {"rounding"}), (HalfUpRelu(4, 1), {"constants"}), (TruncatedRelu(4, 1), set())],
)
def test_how_an_activation_rounds_is_priced(activation, dearer):
    """Half to even takes an adder, half up adds a constant, truncation takes nothing."""
    found, bare = (
        dict(zip(rtl.LUT_FEATURES, lut_features(of(TOPOLOGY, design(activation=a)))[0, 1]))
        for a in (activation, TruncatedRelu(4, 1))
    )
    assert {name for name in found if found[name] > bare[name]} == dearer


@pytest.mark.parametrize("name", NETWORKS)
def test_columns_hold_the_formats_of_each_design(name):
    """What quantizers put out is as wide as the design says; sums are at most as wide as they could ever get."""
    topology = NETWORKS[name]
    designs = [example_design(topology, seed) for seed in range(5)]
    columns = of(topology, *designs)
    for i, one in enumerate(designs):
        for layer, form in value_formats(topology, one).items():
            values = columns.values[layer]
            if layer == INPUT or topology.quantized(topology[layer]):
                assert (values.bits[i], values.integer[i], values.fraction[i]) == (
                    form.width,
                    form.integer,
                    form.fraction,
                )
            elif not isinstance(topology[layer], Pool):
                assert values.bits[i] <= form.width + 1, layer


@pytest.mark.parametrize("name", NETWORKS)
def test_many_designs_are_predicted_as_each_by_itself(name):
    topology, kernels = NETWORKS[name], (Binary(-1), Ternary(0), Fixed(3, 0), Fixed(6, 1), PowerOfTwo(4, -1))
    designs = [example_design(topology, seed, kernels=kernels, keep=(0.25, 0.6, 1.0)[seed % 3]) for seed in range(24)]
    many = rtl.predict_many(rtl.prior(), topology, designs, WORD, CLOCK_NS)
    for i, one in enumerate(designs):
        for key, figure in rtl.predict(rtl.prior(), topology, one, WORD, CLOCK_NS).items():
            assert figure.value == pytest.approx(many[key].value[i], rel=1e-9), key
            assert figure.error == pytest.approx(many[key].high[i] - many[key].value[i], rel=1e-9), key
    for one in many.values():
        assert one.value.shape == (24,) and (one.low <= one.value).all() and (one.value <= one.high).all()


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
    report = rtl.Reported(many, 2 * dear["lut"].value, dear["ff"].value, 9.0, rows)
    after = rtl.predict(rtl.calibrated(rtl.prior(), topology, WORD, [report]), topology, many, WORD, 5.0)["lut"]
    assert dear["lut"].value < after.value < 2.2 * dear["lut"].value


def test_no_design_is_no_prediction():
    many = rtl.predict_many(rtl.prior(), NETWORKS["residual"], [], WORD, CLOCK_NS)
    assert all(one.value.shape == one.low.shape == one.high.shape == (0,) for one in many.values())


def test_an_activation_on_its_own_costs_what_it_costs_behind_a_layer():
    """Rounding and clipping take their look-up tables from the width of what comes in."""
    inside = Topology((Dense("fc", 4, 6, "tanh"), Dense("out", 6, 3)))
    apart = Topology((Dense("fc", 4, 6), Activation("act", (6,), "tanh"), Dense("out", 6, 3)))
    designs = [example_design(t, kernels=(KERNEL,), activations={"tanh": (Tanh(4),)}) for t in (inside, apart)]
    rows = [lut_features(of(t, d))[0, 1] for t, d in zip((inside, apart), designs, strict=True)]
    for name in ("rounding", "clipping"):
        feature = rtl.LUT_FEATURES.index(name)
        assert rows[0][feature] == pytest.approx(rows[1][feature], rel=0.2) and rows[0][feature] > 0


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
    return rtl.Reported(d, total, sum(r["ff"] for r in rows.values()), 12.0, rows)


@pytest.mark.parametrize("factor", [1.15, 1.5])
def test_reports_move_the_prediction(factor):
    before, d = rtl.prior(), design()
    after = rtl.calibrated(before, TOPOLOGY, WORD, [reported(d, factor)])
    first, then = (rtl.predict(m, TOPOLOGY, d, WORD, CLOCK_NS)["lut"] for m in (before, after))
    truth = factor * first.value
    assert abs(then.value - truth) < 0.5 * abs(first.value - truth)
    assert after.lut.reports == 4 and before.lut.reports == 0


def test_reports_that_were_expected_make_it_surer():
    before, d = rtl.prior(), design()
    after = rtl.calibrated(before, TOPOLOGY, WORD, [reported(d, 1.05)] * 3)
    first, then = (rtl.predict(m, TOPOLOGY, d, WORD, CLOCK_NS)["lut"] for m in (before, after))
    assert then.error / then.value < 0.8 * first.error / first.value


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


def test_errors_by_layer_are_those_of_the_whole():
    """Blocks share coefficients: their errors add up to no less than that of the whole, and each is smaller."""
    whole = rtl.predict(rtl.prior(), TOPOLOGY, design(), WORD, CLOCK_NS)
    layers = rtl.predict_by_layer(rtl.prior(), TOPOLOGY, design(), WORD, CLOCK_NS)
    for name in ("lut", "ff"):
        errors = [row[f"{name}_error"] for row in layers.values()]
        assert max(errors) < whole[name].error <= sum(errors)


COUNTED = {
    name: dict.fromkeys((*rtl.TRACED_LUT_FEATURES, *rtl.TRACED_FF_FEATURES), amount)
    for name, amount in (("a", 100.0), ("b", 50.0))
}


def test_a_traced_design_costs_what_its_blocks_do():
    figures = rtl.predict_traced(rtl.prior(), COUNTED, 9, CLOCK_NS)
    by_layer = rtl.predict_traced_by_layer(rtl.prior(), COUNTED)
    for name in ("lut", "ff"):
        assert figures[name].value == pytest.approx(sum(row[name] for row in by_layer.values()))
        assert 0 < figures[name].error < 0.1 * figures[name].value
    assert figures["latency_cycles"].value == 9 and figures["latency_cycles"].error == 0
    assert figures["latency_ns"].value == 45 and figures["lut"].fidelity.value == "traced"


def test_reports_of_traced_designs_correct_what_counts_say():
    before = rtl.predict_traced(rtl.prior(), COUNTED, 9, CLOCK_NS)
    report = dataclasses.replace(reported(design(), 1.0), lut=1.1 * before["lut"].value, ff=None, counts=COUNTED)
    model = rtl.calibrated(rtl.prior(), TOPOLOGY, WORD, [report] * 3)
    after = rtl.predict_traced(model, COUNTED, 9, CLOCK_NS)
    assert 1.02 * before["lut"].value < after["lut"].value < 1.11 * before["lut"].value
    assert after["ff"] == before["ff"] and model.ff == rtl.prior().ff  # the reports don't say


def vivado(d: Design, factor: float, stage: str = "route") -> rtl.Reported:
    return dataclasses.replace(reported(d, factor), latency_cycles=None, by_layer={}, tool="vivado", stage=stage)


def test_each_tool_and_stage_is_calibrated_by_its_own_reports():
    before, d = rtl.prior(), design()

    def lut(model, *tool: str):
        return rtl.predict(model, TOPOLOGY, d, WORD, CLOCK_NS, *tool)["lut"]

    known, unseen = lut(before), lut(before, "vivado", "route")
    assert unseen.value == known.value and unseen.error > 2 * known.error
    after = rtl.calibrated(before, TOPOLOGY, WORD, [vivado(d, 0.6)] * 3)
    assert lut(after) == known
    assert lut(after, "vivado", "route").value < 0.8 * known.value
    assert lut(after, "vivado", "route").error < unseen.error
    assert lut(after, "vivado", "synth") == unseen
    assert after.of("vivado", "route").latency_cycles == before.latency_cycles
    again = rtl.calibrated(after, TOPOLOGY, WORD, [reported(d, 1.5)])
    assert again.of("vivado", "route") == after.of("vivado", "route") and lut(again) != known


def test_the_state_is_readable_json():
    for state in (rtl.prior(), rtl.calibrated(rtl.prior(), TOPOLOGY, WORD, [vivado(design(), 0.6)])):
        assert rtl.CostModel.from_json(json.loads(json.dumps(state.to_json()))) == state
