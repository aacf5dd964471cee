"""Outputs behind the logits: within their accuracy, and the same integers in tables, C simulation, trace and RTL."""

from dataclasses import replace

import numpy as np
import pytest

from flow.errors import BadInput
from flow.firmware import outputs
from flow.firmware.settings import Backend, IoType, Output, Strategy, Target
from flow.topology import Conv, Reshape, Topology
from tests.networks import NETWORKS

PART = "xcvu13p-flga2577-2-e"
# Fractional bits of the logits, the end of their range, the accuracy asked for.
SIZES = [
    (4, 8, 2**-4),
    (4, 8, 2**-8),
    (8, 16, 2**-6),
    (8, 16, 2**-10),
    (0, 32, 2**-8),
    (-1, 32, 2**-5),
    (12, 64, 2**-8),
]
TABLES = [Output.SIGMOID, Output.TANH]


def grid(fraction, end):
    """Every word of a range, as logits."""
    return np.arange(-end * 2.0**fraction, end * 2.0**fraction) * 2.0**-fraction


def specify(output, n, fraction, end, accuracy):
    return outputs.specify(output, n, fraction, -float(end), end - 2.0**-fraction, accuracy)


@pytest.mark.parametrize("output", TABLES)
@pytest.mark.parametrize("fraction, end, accuracy", SIZES)
def test_tables_are_within_their_accuracy_for_every_word(output, fraction, end, accuracy):
    spec = specify(output, 1, fraction, end, accuracy)
    logits = grid(fraction, end)[:, None]
    values = spec.apply(logits)
    error = np.abs(values - outputs.reference(output, logits)).max()
    assert error <= spec.error <= accuracy
    assert error == pytest.approx(spec.error, abs=1e-9)  # what is stated is what occurs
    assert spec.low <= values.min() and values.max() <= spec.high
    assert np.all(values == np.rint(values * 2.0**spec.fraction) * 2.0**-spec.fraction)


@pytest.mark.parametrize("output", TABLES)
def test_a_table_has_no_entry_and_no_bit_too_many(output):
    bits = [specify(output, 1, 8, 16, 2.0**-k).bits for k in range(3, 11)]
    assert bits == sorted(bits) and bits[-1] > 20 * bits[0]
    spec = specify(output, 1, 8, 16, 2**-8)
    assert len(spec.entries) < 16 * 2 * 2**8 / 2 ** (spec.shift + 1)  # the range is cut where the function is flat
    assert spec.fraction == 10 if output is Output.SIGMOID else spec.fraction == 8


def softmax_logits(n, fraction, end, rows=20000):
    """Words spread widely, closely, all equal, one far above the rest, and in steps below the largest."""
    random = np.random.default_rng(n)
    spread = random.normal(0, random.exponential(2, (rows, 1)), (rows, n))
    above = np.full((n, n), -float(end)) + np.eye(n) * 2 * end
    tails = np.repeat(np.linspace(0, 12, 2000)[:, None], n, axis=1) * -1
    tails[:, 0] = 0
    values = np.concatenate([random.uniform(-end, end, (rows, n)), spread, above, np.zeros((1, n)), tails])
    return np.clip(np.rint(values * 2.0**fraction) * 2.0**-fraction, -end, end - 2.0**-fraction)


@pytest.mark.parametrize("n", [2, 5, 10])
@pytest.mark.parametrize("fraction, end, accuracy", SIZES)
def test_softmax_is_within_its_bound(n, fraction, end, accuracy):
    spec = specify(Output.SOFTMAX, n, fraction, end, accuracy)
    logits = softmax_logits(n, fraction, end)
    values = spec.apply(logits)
    error = np.abs(values - outputs.reference(Output.SOFTMAX, logits)).max()
    assert error <= spec.error <= accuracy
    assert error > spec.error / 3  # the bound is no guess
    assert values.min() >= 0 and values.max() <= spec.high


def test_references_of_hand():
    logits = np.array([[0.0, 2.0, 2.0], [-1.0, -1.0, -1.0]])
    assert outputs.reference(Output.ARGMAX, logits).tolist() == [[1.0], [0.0]]
    assert outputs.reference(Output.SOFTMAX, logits)[1].tolist() == [1 / 3] * 3
    assert outputs.reference(Output.SIGMOID, np.array([[0.0, -800.0]])).tolist() == [[0.5, 0.0]]
    assert outputs.reference(Output.SOFTMAX, np.array([[800.0, -800.0]])).tolist() == [[1.0, 0.0]]
    assert np.array_equal(outputs.reference(Output.LOGITS, logits), logits)


@pytest.mark.slow
def test_what_no_table_gives_is_refused_with_what_fits():
    with pytest.raises(
        BadInput, match=r"softmax: an accuracy of 1e-06 .* smallest power of two that fits is 0\.000\d+"
    ):
        specify(Output.SOFTMAX, 5, 16, 8, 1e-6)
    with pytest.raises(BadInput, match="sigmoid: an accuracy of 1e-09 can't be had"):
        specify(Output.SIGMOID, 5, 30, 8, 1e-9)


def test_shapes_and_names_that_have_no_output():
    with pytest.raises(BadInput, match=r"output argmax: the logits have the shape \(2, 3\)"):
        outputs.check(Output.ARGMAX, (2, 3), ())
    with pytest.raises(BadInput, match="output softmax: there is only one logit"):
        outputs.check(Output.SOFTMAX, (1,), ())
    with pytest.raises(BadInput, match="output tanh: a layer has that name"):
        outputs.check(Output.TANH, (3,), ("fc", "Tanh"))
    outputs.check(Output.SIGMOID, (1,), ("fc",))


def test_backends_without_the_layer_are_named():
    assert outputs.unavailable(Target(PART, 5.0, Backend.ONEAPI)) is None
    for backend in Backend:
        found = outputs.unavailable(Target(PART, 5.0, backend, output=Output.ARGMAX))
        assert (found is None) == (backend in outputs.BACKENDS)
    assert "argmax is not available in backend oneAPI" in outputs.unavailable(
        Target(PART, 5.0, Backend.ONEAPI, output=Output.ARGMAX)
    )


RANGES = [(4, 8, 2**-6), (8, 4, 2**-6), (0, 16, 2**-5), (-1, 32, 2**-4), (12, 64, 2**-5)]


@pytest.mark.parametrize("output", [Output.ARGMAX, *TABLES, Output.SOFTMAX])
@pytest.mark.parametrize("fraction, end, accuracy", RANGES)
def test_traced_logic_is_the_tables_arithmetic(output, fraction, end, accuracy):
    pytest.importorskip("alkaid")
    from alkaid.trace import FVArray, HWConfig, trace

    from flow.firmware.outputs.traced import follow

    n, ones = 5, np.ones((1, 5))
    spec = specify(output, n, fraction, end, accuracy)
    logits = softmax_logits(n, fraction, end, 2000)
    logits = np.concatenate([logits, np.repeat(logits[:50, :1], n, axis=1)])
    low, high = -float(end), end - 2.0**-fraction
    for ends in ((low, high), (low * 2, high * 2 + 2.0**-fraction)):  # the tracer may think of a wider range
        symbols = FVArray.from_lhs(
            ends[0] * ones, ends[1] * ones, 2.0**-fraction * ones, HWConfig(1, 1, -1), solver_options={}
        )
        comb = trace(symbols, follow(spec, symbols))
        np.testing.assert_array_equal(comb.predict(logits, n_threads=1), spec.apply(logits))


def test_traced_logits_of_different_ranges_and_constants():
    pytest.importorskip("alkaid")
    from alkaid.trace import trace

    from flow.firmware.blocks import symbols
    from flow.firmware.outputs.traced import follow

    low, high = np.array([-2.0, 0.5, -4.0, 0.0, -8.0]), np.array([1.75, 0.5, 3.75, 3.75, -0.25])
    symbols = symbols(list(zip(low, high, [0.25] * 5)), (1, 5))
    random = np.random.default_rng(0)
    logits = np.clip(np.rint(random.uniform(-8, 4, (2000, 5)) * 4) / 4, low, high)
    for output in (Output.ARGMAX, *TABLES, Output.SOFTMAX):
        spec = specify(output, 5, 2, 8, 2**-5)
        comb = trace(symbols, follow(spec, symbols))
        np.testing.assert_array_equal(comb.predict(logits, n_threads=1), spec.apply(logits))


def example(topology, output, accuracy=2**-8):
    """A model, its target, the format of its words, words, and what must come out."""
    pytest.importorskip("qkeras")
    from flow.firmware import hls4ml_qkeras
    from flow.train import qkeras_model
    from tests.designs import example_design, example_scaling, example_words
    from tests.weights import example_weights

    scaling = example_scaling(topology)
    model = qkeras_model.build(topology, example_design(topology), scaling, example_weights(topology))
    words = example_words(topology, scaling, 300)
    target = Target(PART, 5.0, output=output, accuracy=accuracy)
    spec = hls4ml_qkeras.output_spec(model, scaling.word, target)
    *_, logits = qkeras_model.reference(model, words).values()
    return model, target, scaling.word, words, spec.apply(logits)


@pytest.mark.parametrize("output", [Output.ARGMAX, *TABLES, Output.SOFTMAX])
def test_the_output_is_the_last_stage_block_and_type(output):
    from flow.firmware import blocks, hls4ml_qkeras

    model, target, word, words, expected = example(NETWORKS["dense"], output)
    plain = hls4ml_qkeras.result_types(model, word)
    found = hls4ml_qkeras.result_types(model, word, target)
    assert list(found) == [*plain, str(output)] and found[str(output)].holds(expected)
    assert [stage.name for stage in hls4ml_qkeras.stages(model, target)][-1] == output
    if output is Output.ARGMAX:
        assert str(found["argmax"]) == "ap_ufixed<2,2>"  # three logits
    traced = blocks.trace(model, word, target)
    assert traced.blocks[-1].name == traced.layers[-1] == output and traced.n_out == expected.shape[1]
    np.testing.assert_array_equal(traced.run(words)[str(output)], expected)


# Its logits come as a stream of four parts.
IN_PARTS = Topology(
    (Conv("conv", (4, 4, 2), 3, (2, 2), (2, 2), "valid", "linear"), Reshape("logits", (12,))), (4, 4, 2)
)


def test_backends_without_the_output_are_refused_before_anything_is_written(tmp_path):
    from flow.firmware import hls

    model, target, word, *_ = example(NETWORKS["dense"], Output.ARGMAX)
    target = replace(target, backend=Backend.ONEAPI, strategy=Strategy.RESOURCE)
    with pytest.raises(BadInput, match="output argmax is not available in backend oneAPI; it is in Vitis, "):
        hls.write(model, word, tmp_path / "hls", "tiny", target)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "output, backend, io_type, topology",
    [
        (Output.TANH, Backend.VITIS, IoType.PARALLEL, NETWORKS["dense"]),
        (Output.SOFTMAX, Backend.VITIS, IoType.STREAM, NETWORKS["dense"]),
        (Output.ARGMAX, Backend.CATAPULT, IoType.PARALLEL, NETWORKS["dense"]),
        (Output.SIGMOID, Backend.CATAPULT, IoType.STREAM, IN_PARTS),
    ],
)
def test_the_c_simulation_gives_the_tables_integers(output, backend, io_type, topology, tmp_path):
    from flow.firmware import hls

    model, target, word, words, expected = example(topology, output)
    hls.write(model, word, tmp_path / "hls", "tiny", replace(target, backend=backend, io_type=io_type))
    np.testing.assert_array_equal(hls.simulate(tmp_path / "hls", words, layers=False)[str(output)], expected)


@pytest.mark.slow
def test_the_simulated_verilog_gives_the_tables_integers(tmp_path):
    from flow.firmware import blocks, rtl

    model, target, word, words, expected = example(NETWORKS["dense"], Output.SOFTMAX)
    rtl.write(blocks.trace(model, word, target), tmp_path / "rtl", "tiny", target)
    np.testing.assert_array_equal(rtl.simulate(tmp_path / "rtl", words), expected)
