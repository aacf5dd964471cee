"""The counts of a traced network's operations, by hand and against what Yosys makes of them."""

import pytest

pytest.importorskip("alkaid")

import numpy as np
from designs import example_design, example_scaling
from networks import NETWORKS
from weights import example_weights

from flow.cost import rtl as cost
from flow.firmware.pipeline import CUTOFF_FRACTION, plan
from flow.firmware.settings import Target
from flow.formats import Fixed, Relu, TruncatedRelu

WORD = Fixed(6, 2)
CLOCK_NS = 5.0


def staged(compute, n: int = 2, clock_ns: float = CLOCK_NS):
    """One block that computes something of n words, in stages."""
    from alkaid.trace import FVArray, HWConfig
    from alkaid.trace import trace as to_comb

    low, high, step = (np.full(n, value) for value in (WORD.low, WORD.high, WORD.step))
    words = FVArray.from_lhs(low, high, step, HWConfig(1, 1, -1), solver_options={})
    comb = to_comb(list(words), list(np.ravel(compute(words))))
    live = tuple(range(comb.shape[1]))
    return plan([("block", comb, live)], n, WORD, CUTOFF_FRACTION * clock_ns)


def counted(compute, **options) -> dict[str, float]:
    return cost.summed(cost.count(staged(compute, **options)))


def test_an_adder_takes_the_bits_in_which_its_operands_overlap():
    """Words have 6 bits, their sum 7; the carry out of signed operands takes a look-up table, too."""
    row = counted(lambda x: x[0] + x[1])
    assert row["overlapping"] == 7 and row["subtracted"] == row["carrying"] == 0
    shifted = counted(lambda x: x[0] + x[1] * 4.0)
    assert shifted["overlapping"] == 7  # of 9 bits: the two lowest of the first word pass by


def test_bits_that_are_only_subtracted_are_inverted():
    assert counted(lambda x: x[0] * 4.0 - x[1])["subtracted"] == 2
    assert counted(lambda x: x[0] - x[1] * 4.0)["subtracted"] == 0


def test_a_constant_is_counted_apart():
    row = counted(lambda x: x + 0.25)
    assert row["overlapping"] == 0 and row["constants"] == 2 * 7


def test_a_rectifier_is_gates_where_registers_take_its_result():
    from flow.firmware.alkaid_quantize import quantize

    alone = counted(lambda x: x.relu())
    assert alone["gates"] == 2 * 5
    assert counted(lambda x: x[0].relu() + x[1].relu())["gates"] == 0
    clipped = counted(lambda x: quantize(x, TruncatedRelu(3, 1)))
    assert clipped["choices"] > 0


def test_registers_of_bits_that_nothing_reads_are_left_out():
    from flow.firmware.alkaid_quantize import quantize

    assert counted(lambda x: x)["registers"] == 2 * (6 + 6)  # at both ports
    cut = counted(lambda x: quantize(x, TruncatedRelu(4, 2)))  # 3 fractional bits become 2
    assert cut["registers"] == 2 * (5 + 4)


def test_registers_between_stages_are_counted():
    deep, shallow = (counted(lambda x: x @ np.ones((8, 1)), n=8, clock_ns=clock) for clock in (1.5, 20.0))
    assert deep["registers"] > shallow["registers"] == 8 * 6 + 9
    assert deep["overlapping"] == shallow["overlapping"]


def traced(name: str, seed: int = 0, **options):
    from flow.firmware import rtl
    from flow.train import qkeras_model

    topology, scaling = NETWORKS[name], example_scaling(NETWORKS[name])
    design = example_design(topology, seed, **options)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology, seed))
    return rtl.trace(model, scaling.word)


def stages(found, clock_ns: float):
    rows = [(block.name, block.comb, block.live) for block in found.blocks]
    return plan(rows, found.n_in, found.word, CUTOFF_FRACTION * clock_ns)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_counts_of_every_network(name):
    """By block they are no more registers than the program has bits, and nearly as many."""
    pytest.importorskip("qkeras")
    from flow.firmware import rtl

    found = traced(name, kernels=(Fixed(5, 0), Fixed(4, 0)))
    for clock_ns in (5.0, 2.5):
        counts, summary = cost.count(stages(found, clock_ns)), rtl.summarise(found, Target("xcvu9p", clock_ns))
        assert set(counts) == {block.name for block in found.blocks}
        assert all(value >= 0 for row in counts.values() for value in row.values())
        for block, bits in summary.register_bits_by_block.items():
            assert 0.4 * bits <= counts[block]["registers"] <= bits, block
        assert cost.summed(counts)["overlapping"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("activation", [Relu(4, 1), TruncatedRelu(4, 1)])
def test_predictions_from_counts_agree_with_yosys(tmp_path, activation):
    pytest.importorskip("qkeras")
    from flow.firmware import rtl
    from flow.synth.job import synthesise

    found = traced("dense", 3, kernels=(Fixed(5, 0),), activations={"relu": (activation,)})
    rtl.write(found, tmp_path, "little", Target("xcvu9p-flga2104-2L-e", CLOCK_NS))
    report = synthesise(tmp_path)
    counts = cost.count(stages(found, CLOCK_NS))
    figures = cost.predict_traced(cost.prior(), counts, report.latency_cycles[1], CLOCK_NS)
    assert figures["lut"].value == pytest.approx(report.lut, rel=0.1)
    assert figures["ff"].value == pytest.approx(report.ff, rel=0.08)  # of so few, those of the input count most
    by_layer = cost.predict_traced_by_layer(cost.prior(), counts)
    for block, row in by_layer.items():
        assert row["lut"] == pytest.approx(report.by_layer[block]["lut"], rel=0.25, abs=15), block
