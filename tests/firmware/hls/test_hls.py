"""hls4ml projects of tiny networks: bit-exact against QKeras, the same bytes twice, and edits that must be caught."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign
from flow.errors import BadInput, Mismatch, ToolFailed
from flow.firmware.settings import Target
from flow.formats import Binary, Fixed, Relu, Ternary
from flow.topology import Dense, Topology

pytest.importorskip("hls4ml")
pytest.importorskip("qkeras")

from flow.firmware import hls, hls4ml_qkeras
from flow.firmware.gate import comparison
from flow.train import qkeras_model

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("logits", 6, 3, "linear")))
WORD = Fixed(10, 3)
SCALING = InputScaling(("a", "b", "c", "d"), WORD, (0,) * 4, (0.5, -1.25, 0.0, 3.0))
TARGET = Target("xcvu13p-flga2577-2-e", 5.0)
PLAIN = Design(
    Fixed(6, 1),
    (
        ("fc0", LayerDesign(Fixed(5, 0), Fixed(5, 0), Relu(4, 1))),
        ("logits", LayerDesign(Fixed(4, -1), Fixed(5, 1), None)),
    ),
)


def tiny(design=PLAIN, scaling=SCALING, seed=0):
    """A QKeras model with random weights, and the vectors that it is held against."""
    random = np.random.default_rng(seed)
    weights = {
        x.name: (random.normal(0, 0.6, (x.n_in, x.n_out)), random.normal(0, 0.4, x.n_out)) for x in TOPOLOGY.layers
    }
    model = qkeras_model.build(TOPOLOGY, design, scaling, weights)
    kernel = qkeras_model.quantized_weights(model.get_layer("fc0"))[0]
    real = random.normal(scaling.offsets, 1.2, (1500, 4))
    return model, comparison.vectors(scaling, real, 1500, seed, grid=design.input, kernel=kernel)


def gate(model, folder, words, word=WORD):
    types = hls4ml_qkeras.result_types(model, word)
    return comparison.compare(qkeras_model.reference(model, words), [comparison.csim_side(folder)], words, types)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The plain model, its vectors, and its project with the simulation compiled."""
    model, words = tiny()
    folder = tmp_path_factory.mktemp("plain") / "hls"
    hls.write(model, WORD, folder, "tiny", TARGET)
    return model, words, folder


@pytest.mark.slow
def test_plain_network_is_bit_exact(project):
    model, words, folder = project
    result = gate(model, folder, words)
    comparison.require(result)
    assert result.pairs[0].layers == ("input_offset", "input_grid", "fc0", "fc0_relu", "logits")
    assert result.pairs[0].layer_vectors == 1000
    only = hls.simulate(folder, words[:7], layers=False)
    assert list(only) == ["logits"] and only["logits"].shape == (7, 3)


def layers(kernel0, kernel1, bias, activation, grid):
    return Design(grid, (("fc0", LayerDesign(kernel0, bias, activation)), ("logits", LayerDesign(kernel1, bias, None))))


@pytest.mark.slow
@pytest.mark.parametrize(
    "design,options",
    [
        (layers(Binary(1), Ternary(2), Fixed(3, 1), Relu(1, 0), Fixed(4, 0)), {}),
        (layers(Fixed(8, 0), Fixed(6, 2), Fixed(2, -2), Relu(6, 4), Fixed(10, 3)), {"io_type": "io_stream"}),
        (
            layers(Fixed(6, 0), Ternary(-1), Fixed(6, 0), Relu(5, 1), Fixed(7, 1)),
            {"strategy": "Resource", "reuse_factor": 2},
        ),
        (layers(Fixed(6, 0), Fixed(6, 0), Fixed(6, 0), Relu(5, 1), Fixed(7, 1)), {"backend": "Vivado"}),
    ],
)
def test_formats_are_bit_exact(tmp_path, design, options):
    model, words = tiny(design, seed=3)
    hls.write(model, WORD, tmp_path / "hls", "tiny", replace(TARGET, **options))
    comparison.require(gate(model, tmp_path / "hls", words))


@pytest.mark.slow
def test_offsets_of_zero_and_words_with_negative_fraction(tmp_path):
    scaling = InputScaling(("a", "b", "c", "d"), Fixed(4, 5), (0,) * 4, (0.0,) * 4)
    model, words = tiny(layers(Fixed(4, 0), Fixed(4, 0), Fixed(4, 0), Relu(4, 4), Fixed(3, 4)), scaling)
    hls.write(model, scaling.word, tmp_path / "hls", "tiny", TARGET)
    comparison.require(gate(model, tmp_path / "hls", words, scaling.word))


def test_same_bytes_twice(project, tmp_path):
    _, _, folder = project
    model, _ = tiny()
    hls.write(model, WORD, tmp_path / "elsewhere" / "again", "tiny", TARGET)
    files = [
        p.relative_to(tmp_path / "elsewhere" / "again")
        for p in (tmp_path / "elsewhere" / "again").rglob("*")
        if p.is_file()
    ]
    assert len(files) > 30
    for path in files:
        content = (tmp_path / "elsewhere" / "again" / path).read_bytes()
        assert content == (folder / path).read_bytes(), path
        assert str(tmp_path).encode() not in content, path


def copied(project, tmp_path):
    model, words, folder = project
    shutil.copytree(folder, tmp_path / "hls", ignore=shutil.ignore_patterns("csim-*", "*.log"))
    return model, words, tmp_path / "hls"


def edit(path, pattern, replacement):
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1, f"{pattern} is not in {path}"
    path.write_text(text)


def caught(model, folder, words, layer):
    result = gate(model, folder, words)
    assert not result.equal and result.pairs[0].first.layer == layer
    with pytest.raises(Mismatch, match=f"qkeras=csim fails .* layer {layer}, .*0b"):
        comparison.require(result)


def weights_of(folder, layer):
    """The weights' header of a layer, as the top function names it."""
    text = (folder / "firmware" / "tiny.cpp").read_text()
    name = re.search(rf"nnet::dense<.*, (w\d+), b\d+\); // {layer}\n", text).group(1)
    return folder / "firmware" / "weights" / f"{name}.h"


@pytest.mark.slow
@pytest.mark.parametrize("layer,step", [("fc0", 2.0**-4), ("logits", 2.0**-4)])
def test_one_bit_of_one_weight_is_caught(project, tmp_path, layer, step):
    model, words, folder = copied(project, tmp_path)

    def flip(match):
        word = round(float(match.group(2)) / step) ^ 1
        return f"{match.group(1)}{word * step!r},"

    edit(weights_of(folder, layer), r"(= \{)([-0-9.]+),", flip)
    caught(model, folder, words, layer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern,replacement,layer",
    [
        (r"(layer3_t.*|ap_fixed<6,2,)AP_RND_CONV(,AP_SAT,0> layer3_t)", r"\1AP_RND\2", "input_grid"),
        (r"AP_RND_CONV(,AP_SAT,0> layer5_t)", r"AP_TRN\1", "fc0_relu"),
        (r"AP_SAT(,0> layer5_t)", r"AP_WRAP\1", "fc0_relu"),
    ],
)
def test_another_rounding_or_overflow_is_caught(project, tmp_path, pattern, replacement, layer):
    model, words, folder = copied(project, tmp_path)
    edit(folder / "firmware" / "defines.h", pattern, replacement)
    caught(model, folder, words, layer)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["fc0", "logits"])
@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_one_bit_less_in_an_accumulator_is_caught(project, tmp_path, layer, end):
    model, words, folder = copied(project, tmp_path)
    if (layer, end) == ("logits", "highest"):
        pytest.skip("no input reaches the far end of a second layer's interval")

    def shorter(match):
        width, integer = int(match.group(1)), int(match.group(2))
        return f"ap_fixed<{width - 1},{integer - (end == 'highest')}> {layer}_accum_t"

    edit(folder / "firmware" / "defines.h", rf"ap_fixed<(\d+),(-?\d+)> {layer}_accum_t", shorter)
    caught(model, folder, words, layer)


@pytest.mark.slow
def test_program_is_kept_while_the_sources_stay(project, tmp_path):
    _, words, folder = copied(project, tmp_path)
    program = hls.compile_sources(folder)
    made = program.stat().st_mtime_ns
    hls.simulate(folder, words[:3], layers=True)
    assert hls.compile_sources(folder) == program and program.stat().st_mtime_ns == made
    edit(folder / "firmware" / "defines.h", "#endif", "// another comment\n#endif")
    assert hls.compile_sources(folder) != program and not program.exists()


@pytest.mark.slow
def test_compiler_that_fails_or_is_missing(project, tmp_path, monkeypatch):
    _, words, folder = copied(project, tmp_path)
    edit(folder / "firmware" / "tiny.cpp", "nnet::dense<", "nnet::no_such_layer<")
    with pytest.raises(ToolFailed, match="error: .*no_such_layer.*csim.log, line") as failure:
        hls.simulate(folder, words, layers=False)
    assert "no_such_layer" in failure.value.log.read_text().splitlines()[failure.value.line - 1]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="g.. was not found.*package g"):
        hls.simulate(folder, words, layers=False)


@pytest.mark.slow
def test_crashing_simulation_is_a_failed_tool(project, tmp_path):
    _, words, folder = copied(project, tmp_path)
    edit(folder / "firmware" / "tiny.cpp", r"(\) \{\n)", r"\1    __builtin_abort();\n")
    with pytest.raises(ToolFailed, match="ended with status -6"):
        hls.simulate(folder, words, layers=False)


def test_bad_arguments(project, tmp_path):
    model, words, folder = project
    with pytest.raises(BadInput, match="shape"):
        hls.simulate(folder, words[:, :2], layers=False)
    with pytest.raises(BadInput, match="csim.json"):
        hls.simulate(tmp_path, words, layers=False)
    with pytest.raises(BadInput, match="exists"):
        hls.write(model, WORD, tmp_path, "tiny", TARGET)
    for options, message in (
        ({"backend": "Quartus"}, "Vitis, Vivado"),
        ({"strategy": "fast"}, "Latency"),
        ({"io_type": "io"}, "io_stream"),
        ({"reuse_factor": 0}, "reuse factor 0"),
    ):
        with pytest.raises(BadInput, match=message):
            hls.write(model, WORD, tmp_path / "x", "tiny", replace(TARGET, **options))
    with pytest.raises(BadInput, match="project '2x'"):
        hls.write(model, WORD, tmp_path / "x", "2x", TARGET)
