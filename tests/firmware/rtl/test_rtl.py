import json
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("alkaid")
pytest.importorskip("qkeras")

from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from weights import example_weights

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign
from flow.errors import BadInput, ToolFailed
from flow.firmware import rtl
from flow.firmware.settings import Target
from flow.formats import Binary, Fixed, HalfUpRelu, Relu, Ternary, TruncatedRelu
from flow.topology import Activation, Conv, Dense, Merge, Pool, Reshape, Topology
from flow.train import qkeras_model

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("logits", 6, 3, "linear")))
SCALING = InputScaling(("a", "b", "c", "d"), Fixed(8, 3), (0,) * 4, (0.25, -0.5, 1.0, 0.0))

FORMATS = {
    "fixed": (Fixed(6, 2), Fixed(4, 0), Fixed(5, 0), Relu(4, 1), Fixed(4, 0)),
    "wide input": (Fixed(12, 4), Fixed(4, 1), Fixed(6, 1), Relu(6, 2), Fixed(3, -1)),
    "negative integers": (Fixed(4, -1), Fixed(3, -2), Fixed(4, -1), Relu(3, 0), Fixed(4, -2)),
    "large integers": (Fixed(4, 4), Fixed(3, 2), Fixed(4, 3), Relu(2, 5), Fixed(4, 2)),
    "ternary": (Fixed(5, 2), Ternary(-1), Fixed(5, 0), Relu(3, 1), Ternary(-2)),
    "binary": (Fixed(5, 2), Binary(-1), Fixed(5, 0), Relu(3, 2), Binary(0)),
    "one-bit activations": (Fixed(5, 2), Fixed(4, 0), Fixed(5, 0), Relu(1, 0), Fixed(4, 0)),
}


def build(name="fixed", seed=0, keep=1.0, change=None):
    """A model of random weights; `change(weights)` may edit them."""
    grid, kernel, bias, activation, last = FORMATS[name]
    generator = np.random.default_rng(seed)
    weights = {}
    for layer in TOPOLOGY.layers:
        values = generator.normal(0, 0.6, (layer.n_in, layer.n_out))
        values[np.abs(values) < np.quantile(np.abs(values), 1 - keep)] = 0.0
        weights[layer.name] = (values, generator.normal(0, 0.3, layer.n_out))
    if change is not None:
        change(weights)
    layers = (("fc0", LayerDesign(kernel, bias, activation)), ("logits", LayerDesign(last, bias, None)))
    return qkeras_model.build(TOPOLOGY, Design(grid, layers), SCALING, weights)


def vectors(n=1500, seed=1):
    """Random words, every corner of the range, and words on all ties of a coarser grid."""
    word, generator = SCALING.word, np.random.default_rng(seed)
    random = word.quantize(generator.normal(0, 3, (n, 4)))
    corners = np.array(np.meshgrid(*[[word.low, word.high, 0.0]] * 4)).reshape(4, -1).T
    ties = generator.integers(-64, 64, (n, 4)) * 0.125 + 0.0625
    return np.concatenate([random, corners, word.quantize(ties)])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project of one model, simulated once, with the model's exact answer."""
    folder = tmp_path_factory.mktemp("rtl") / "project"
    model = build()
    traced = rtl.trace(model, SCALING.word)
    rtl.write(traced, folder, "tagger", Target("xcvu9p-flga2104-2-e", 5.0))
    words = vectors()
    return folder, traced, words, qkeras_model.reference(model, words)


@pytest.mark.parametrize("keep", [1.0, 0.4])
@pytest.mark.parametrize("name", FORMATS)
def test_the_trace_is_exact_in_every_layer(name, keep):
    model = build(name, keep=keep)
    words = vectors()
    expected = qkeras_model.reference(model, words)
    got = rtl.trace(model, SCALING.word).run(words)
    assert list(got) == list(expected)
    for layer, values in expected.items():
        np.testing.assert_array_equal(got[layer], values, err_msg=layer)


BRANCHES = {
    "values pass other blocks": Topology(
        (
            Dense("fc0", 4, 6, "relu"),
            Dense("fc1", 6, 6, "relu"),
            Dense("fc2", 6, 6, "linear"),
            Merge("sum", (6,), "add", ("fc2", "fc0", "fc1")),
            Activation("rectified", (6,), "relu", ("sum",)),
            Dense("side", 4, 3, "relu", ("input",)),
            Merge("both", (15,), "concatenate", ("rectified", "side", "sum")),
            Dense("out", 15, 3),
        )
    ),
    "a pooled layer is read too": Topology(
        (
            Conv("conv", (4, 4, 1), 2, (3, 3), (1, 1), "same", "relu"),
            Pool("pool", (4, 4, 2), (2, 2), (2, 2)),
            Reshape("few", (8,)),
            Reshape("many", (32,), ("conv",)),
            Dense("coarse", 8, 4, "relu", ("few",)),
            Dense("fine", 32, 4, "relu", ("many",)),
            Merge("sum", (4,), "add", ("coarse", "fine")),
            Dense("out", 4, 3),
        ),
        (4, 4, 1),
    ),
}


KERNELS = (Fixed(3, -1), Fixed(4, 0), Ternary(-3), Binary(-2))  # fine enough for some weights to be kept


SLOW = (
    "conv2d same", "conv2d valid", "conv2d stride 2", "conv2d normalized", "separable", "global max", "max pooling",
    "average pooling", "residual", "a pooled layer is read too",
)  # fmt: skip


def example(topology, **options):
    """A model of any network with random formats and weights, and words that reach its ends."""
    scaling, design = example_scaling(topology), example_design(topology, kernels=KERNELS, **options)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology))
    return model, scaling.word, example_words(topology, scaling, 300)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in (*NETWORKS, *BRANCHES)],
)
def test_every_network_is_traced_exactly_in_every_layer(name):
    model, word, words = example((NETWORKS | BRANCHES)[name])
    expected = qkeras_model.reference(model, words)
    got = rtl.trace(model, word).run(words)
    assert list(got) == list(expected)
    for layer, values in expected.items():
        np.testing.assert_array_equal(got[layer], values, err_msg=layer)


@pytest.mark.parametrize("kind", [TruncatedRelu, pytest.param(HalfUpRelu, marks=pytest.mark.slow)])
def test_roundings_of_hardware_are_traced_exactly(kind):
    model, word, words = example(NETWORKS["residual"], activations={"relu": (kind(3, 0), kind(4, 1))})
    expected = qkeras_model.reference(model, words)
    assert rtl.first_difference(rtl.trace(model, word).run(words), expected) is None


def test_a_block_has_the_layers_without_weights_behind_it_and_passes_on_what_is_read_later():
    model, word, _ = example(BRANCHES["values pass other blocks"])
    blocks = {block.name: block for block in rtl.trace(model, word).blocks}
    assert [*blocks] == ["input", "fc0", "fc1", "fc2", "side", "out"]
    assert blocks["fc2"].layers == ("fc2", "sum", "rectified") and blocks["side"].layers[0] == "side"
    assert dict(blocks["fc1"].carried) == {"input_grid": 4, "fc0_relu": 6, "fc1_relu": 6}
    assert blocks["fc1"].widths == {"fc1_relu": 6}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*BRANCHES, "conv1d same, stride 2", "max pooling", "global average", "residual", "concatenate", "scale"]
)
def test_the_simulated_verilog_of_graphs_is_exact(name, tmp_path):
    model, word, words = example((NETWORKS | BRANCHES)[name])
    expected = qkeras_model.reference(model, words)
    traced = rtl.trace(model, word)
    rtl.write(traced, tmp_path, "tagger", Target("xcvu9p", 4.0))
    np.testing.assert_array_equal(rtl.simulate(tmp_path, words), expected["out"])
    got = rtl.simulate_blocks(tmp_path, words)
    assert set(got) == {layer for block in traced.blocks for layer in block.widths}
    assert rtl.first_difference(got, expected) is None


@pytest.mark.slow
def test_the_simulated_verilog_is_exact(project):
    folder, _, words, expected = project
    np.testing.assert_array_equal(rtl.simulate(folder, words), expected["logits"])


@pytest.mark.slow
def test_every_block_of_the_simulated_verilog_is_exact(project):
    folder, traced, words, expected = project
    got = rtl.simulate_blocks(folder, words)
    assert list(got) == [block.layers[-1] for block in traced.blocks] == ["input_grid", "fc0_relu", "logits"]
    assert not np.isnan(got["logits"]).any()
    assert rtl.first_difference(got, expected) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "fixed"])
def test_the_simulated_verilog_is_exact_in_other_formats(name, tmp_path):
    model = build(name, keep=0.6, seed=3)
    words = vectors()
    rtl.write(rtl.trace(model, SCALING.word), tmp_path, "tagger", Target("xcvu9p", 2.5))
    np.testing.assert_array_equal(rtl.simulate(tmp_path, words), qkeras_model.reference(model, words)["logits"])


@pytest.mark.slow
def test_a_simulation_is_used_again_while_the_sources_are_the_same(project):
    folder, _, words, _ = project
    rtl.simulate(folder, words[:3])
    binary = next((folder / "sim").glob("top-*/Vsim"))
    before = binary.stat().st_mtime_ns
    assert rtl.simulate(folder, words[:0]).shape == (0, 3)
    assert rtl.simulate(folder, words[:1]).shape == (1, 3)
    assert binary.stat().st_mtime_ns == before


def test_latency_is_what_the_verilog_has(project):
    folder, _, _, _ = project
    description = json.loads((folder / "rtl.json").read_text())
    top = (folder / "src" / "tagger.v").read_text()
    stages = {int(stage) for stage in re.findall(r"_inst_\w+_s(\d+) ", top)}
    assert description["latency_cycles"] == len(stages) + 1 and description["interval_cycles"] == 1
    assert description["inputs"][1] == {"low_bit": 8, "bits": 8, "signed": True, "integer": 3, "fraction": 4}


@pytest.mark.parametrize("seed", range(3))
def test_the_lowest_bit_of_one_weight_changes_its_layer_first(project, seed):
    _, _, words, expected = project
    generator = np.random.default_rng(seed)

    def flip(weights):
        kernel = weights["fc0"][0]
        row, column = generator.integers(kernel.shape[0]), generator.integers(kernel.shape[1])
        value = Fixed(4, 0).quantize(kernel[row, column])
        kernel[row, column] = value + (0.125 if value <= 0 else -0.125)

    got = rtl.trace(build(change=flip), SCALING.word).run(words)
    assert rtl.first_difference(got, expected) == "fc0"


def test_another_rounding_is_seen_in_the_layer_that_rounds(project, monkeypatch):
    from flow.firmware import alkaid_qkeras

    def half_up(values, form):
        return values.quantize(int(form.signed), form.integer, form.fraction, "SAT", "RND")

    monkeypatch.setattr(alkaid_qkeras, "quantize", half_up)
    _, _, words, expected = project
    assert rtl.first_difference(rtl.trace(build(), SCALING.word).run(words), expected) == "input_grid"


@pytest.mark.slow
@pytest.mark.parametrize(
    "block, layer", [("fc0", "fc0_relu"), pytest.param("logits", "logits", marks=pytest.mark.slow)]
)
def test_an_edit_of_one_operator_is_found_in_its_block(project, tmp_path, block, layer):
    folder, _, words, expected = project
    shutil.copytree(folder, tmp_path / "project", ignore=shutil.ignore_patterns("sim"))
    for path in sorted((tmp_path / "project" / "src").glob(f"{block}_s*.v")):
        text = path.read_text()
        edited = re.sub(r"(shift_adder #\([^)]*),([01])\)", lambda m: f"{m[1]},{1 - int(m[2])})", text, count=1)
        if edited != text:
            path.write_text(edited)
            break
    assert rtl.first_difference(rtl.simulate_blocks(tmp_path / "project", words), expected) == layer


def test_the_same_model_gives_the_same_bytes(project, tmp_path):
    folder, _, _, _ = project
    rtl.trace(build(seed=9), SCALING.word)  # what was traced before does not matter
    summary = rtl.write(rtl.trace(build(), SCALING.word), tmp_path, "tagger", Target("xcvu9p-flga2104-2-e", 5.0))
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) > 5
    for file in files:
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file
    assert summary.lut_estimate == pytest.approx(sum(summary.lut_by_block.values()))
    assert set(summary.lut_by_block) == {"input", "fc0", "logits"}


def test_a_shorter_clock_gives_more_stages(project):
    _, traced, _, _ = project
    slow, fast = (rtl._plan(traced, Target("xcvu9p", clock)) for clock in (10.0, 2.5))
    assert slow.n_stages < fast.n_stages
    assert slow.stage_delay_ns <= 9.2 and fast.stage_delay_ns <= 2.3
    assert len(rtl.pipeline(traced, Target("xcvu9p", 5.0)).logic) == len(
        rtl._plan(traced, Target("xcvu9p", 5.0)).modules
    )


def test_neurons_that_nothing_reads_are_not_built(tmp_path):
    def cut(weights):
        weights["logits"][0][2] = 0.0

    model = build(change=cut)
    traced = rtl.trace(model, SCALING.word)
    assert 2 not in traced.blocks[1].live
    words = vectors(100)
    expected = qkeras_model.reference(model, words)
    assert rtl.first_difference(traced.run(words), expected) is None
    rtl.write(traced, tmp_path, "tagger", Target("xcvu9p", 5.0))
    assert [
        row["element"] for row in json.loads((tmp_path / "rtl.json").read_text())["blocks"]["fc0"]["outputs"]
    ].count(2) == 0


def test_logits_that_depend_on_nothing_are_constants():
    def cut(weights):
        weights["logits"][0][:] = 0.0

    model, words = build(change=cut), vectors(100)
    traced = rtl.trace(model, SCALING.word)
    assert [block.live for block in traced.blocks] == [(), (), (0, 1, 2)]
    assert rtl.first_difference(traced.run(words), qkeras_model.reference(model, words)) is None


@pytest.mark.slow
def test_a_constant_logit_is_built(tmp_path):
    def cut(weights):
        weights["logits"][0][:, 1] = 0.0

    model = build(change=cut)
    words = vectors(100)
    traced = rtl.trace(model, SCALING.word)
    np.testing.assert_array_equal(traced.run(words)["logits"], qkeras_model.reference(model, words)["logits"])
    rtl.write(traced, tmp_path, "tagger", Target("xcvu9p", 5.0))
    np.testing.assert_array_equal(rtl.simulate(tmp_path, words), qkeras_model.reference(model, words)["logits"])


def test_bad_input_is_refused(project, tmp_path):
    folder, traced, words, _ = project
    for call in (traced.run, lambda rows: rtl.simulate(folder, rows)):
        with pytest.raises(BadInput, match="grid"):
            call(words[:3] + 0.01)
        with pytest.raises(BadInput, match="shape"):
            call(words[:3, :2])
    with pytest.raises(BadInput, match="rtl.json is missing"):
        rtl.simulate(tmp_path, words)
    with pytest.raises(BadInput, match="can't be the name"):
        rtl.write(traced, tmp_path, "2 nets", Target("xcvu9p", 5.0))
    with pytest.raises(BadInput, match="name of a stage"):
        rtl.write(traced, tmp_path, "input_s0", Target("xcvu9p", 5.0))


def test_broken_verilog_names_log_and_line(project, tmp_path):
    folder, _, words, _ = project
    shutil.copytree(folder, tmp_path / "project", ignore=shutil.ignore_patterns("sim"))
    path = tmp_path / "project" / "src" / "input_s0.v"
    path.write_text(path.read_text().replace("endmodule", "endmodul"))
    with pytest.raises(ToolFailed, match="verilator.log, line") as failure:
        rtl.simulate(tmp_path / "project", words)
    assert "%Error" in failure.value.log.read_text().splitlines()[failure.value.line - 1]


@pytest.mark.slow
def test_a_feature_that_nothing_reads_keeps_its_port(tmp_path):
    """Pruning can cut a feature off; the port stays, and the logits stay exact."""

    def cut(weights):
        weights["fc0"][0][2] = 0.0

    model = build(change=cut)
    words = SCALING.words(np.random.default_rng(5).normal(0, 3, (500, 4)))
    rtl.write(rtl.trace(model, SCALING.word), tmp_path, "cut", Target("xcvu9p-flga2104-2L-e", 5.0))
    np.testing.assert_array_equal(rtl.simulate(tmp_path, words), qkeras_model.reference(model, words)["logits"])
