"""hls4ml's other backends and strategies: the same bits as QKeras, the same bytes twice, every type as asked for."""

import re
from dataclasses import replace

import pytest

from flow.errors import BadInput
from flow.firmware.settings import Target
from flow.formats import Binary, Fixed, PowerOfTwo, Relu, Ternary
from flow.topology import Activation, Dense, Merge, Topology
from tests.firmware.test_hls4ml_qkeras import example, gate, layer_names, side_by_side
from tests.networks import NETWORKS

pytest.importorskip("hls4ml")
pytest.importorskip("qkeras")

from flow.firmware import hls, hls4ml_qkeras, precision
from flow.firmware.gate import comparison

TARGET = Target("xcvu13p-flga2577-2-e", 5.0)
ONEAPI = replace(TARGET, backend="oneAPI", strategy="Resource")
CATAPULT = replace(TARGET, backend="Catapult")
TARGETS = {
    "Vitis, resource, stream": replace(TARGET, strategy="Resource", io_type="io_stream", fifo_depth=3),
    "Vivado, distributed arithmetic": replace(TARGET, backend="Vivado", strategy="distributed_arithmetic"),
    "oneAPI": ONEAPI,
    "oneAPI, stream": replace(ONEAPI, io_type="io_stream", fifo_depth=3),
    "Catapult": CATAPULT,
    "Catapult, resource, stream": replace(CATAPULT, strategy="Resource", io_type="io_stream"),
}


def exact(model, word, words, folder, target):
    """Write and simulate a project; every layer that it shows must be what QKeras gives."""
    hls.write(model, word, folder, "tiny", target)
    result = gate(model, word, words, folder)
    comparison.require(result)
    assert result.pairs[0].layers == layer_names(model)


@pytest.fixture(scope="module")
def residual():
    return example(NETWORKS["residual"], seed=3)


@pytest.fixture(scope="module")
def projects(residual, tmp_path_factory):
    """One network for every target, by the target's name."""
    model, word, _ = residual
    folder = tmp_path_factory.mktemp("projects")
    for name, target in TARGETS.items():
        hls.write(model, word, folder / name, "tiny", target)
    return {name: folder / name for name in TARGETS}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_backends_and_strategies_are_bit_exact(residual, name, tmp_path):
    exact(*residual, tmp_path / "hls", TARGETS[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name,target",
    [
        ("global max", TARGETS["oneAPI, stream"]),  # unsigned values, and a start that has to be below them
        ("depthwise", ONEAPI),
        ("separable", replace(CATAPULT, io_type="io_stream")),
    ],
)
def test_layers_that_some_combination_has_not(name, target, tmp_path):
    exact(*example(NETWORKS[name], seed=4), tmp_path / "hls", target)


# One for each backend and io type, with every strategy among them.
EVERYWHERE = [*TARGETS.values(), replace(TARGET, io_type="io_stream", strategy="distributed_arithmetic")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_written_or_refused_on_every_backend(name, tmp_path):
    model, word, _ = example(NETWORKS[name])
    stages = hls4ml_qkeras.stages(model)
    for i, target in enumerate(EVERYWHERE):
        reasons = hls.unavailable(target, stages)
        if reasons:
            with pytest.raises(BadInput, match=re.escape("; ".join(reasons))):
                hls.write(model, word, tmp_path / str(i), "tiny", target)
        else:
            hls.write(model, word, tmp_path / str(i), "tiny", target)
            assert (tmp_path / str(i) / "csim.json").exists()
        kinds = {"depthwise", "separable", "average pooling", "global average"}
        assert not reasons or name in kinds, (name, reasons)  # nothing else is refused


KERNELS = [Binary(0), Binary(-2), Ternary(0), PowerOfTwo(4), Fixed(3, 0, signed=False), Fixed(4, 0, exponent=None)]
ACTIVATIONS = [Relu(1, 0), Relu(1, 1), Binary(-1), Ternary(-1), Fixed(3, 1, symmetric=True)]


@pytest.mark.slow
def test_weights_of_one_bit_in_oneapi(tmp_path):
    layers = [Dense(f"k{i}", 4, 2, inputs=("front",), bias=False) for i in range(len(KERNELS))]
    exact(*example(*side_by_side(layers, KERNELS, "kernel", 2), seed=5), tmp_path / "hls", ONEAPI)


@pytest.mark.slow
def test_activations_of_one_bit_in_catapult(tmp_path):
    layers = [
        Activation(f"a{i}", (4,), "relu" if isinstance(form, Relu) else "linear", ("front",))
        for i, form in enumerate(ACTIVATIONS)
    ]
    model, word, words = example(*side_by_side(layers, ACTIVATIONS, "activation", 4), seed=6)
    exact(model, word, words, tmp_path / "hls", CATAPULT)
    with pytest.raises(BadInput, match="layer a0: rounds to one bit.*; layer a1: .*; layer a2_sign: "):
        hls.write(model, word, tmp_path / "oneapi", "tiny", ONEAPI)


@pytest.mark.slow
def test_reuse_factors_of_single_layers(tmp_path):
    """Below the number of inputs, above it, and all that there are."""
    model, word, words = example(NETWORKS["dense"], seed=7)
    reuse = (("fc0", 8), ("fc1", 3), ("out", 15))
    target = replace(TARGET, backend="Vivado", strategy="Resource", reuse=reuse)
    exact(model, word, words, tmp_path / "hls", target)
    text = (tmp_path / "hls" / "firmware" / "parameters.h").read_text()
    dense = re.findall(r"dense_config \{.*?reuse_factor = (\d+);", text, re.DOTALL)
    assert dense == ["8", "3", "15"]


@pytest.mark.slow
def test_large_layers_that_share_multipliers_in_oneapi(tmp_path):
    """More than 2048 weights at a reuse factor that is no power of two: hls4ml pads their array with zeros."""
    topology = Topology((Dense("fc0", 4, 96, "relu"), Dense("fc1", 96, 32, "relu"), Dense("out", 32, 3)))
    target = replace(ONEAPI, reuse=(("fc1", 3), ("out", 4)))
    exact(*example(topology, seed=8), tmp_path / "hls", target)


def test_same_bytes_twice_and_no_place_named(residual, projects, tmp_path):
    model, word, _ = residual
    for name, target in TARGETS.items():
        again = tmp_path / "elsewhere" / name
        hls.write(model, word, again, "tiny", target)
        first, second = contents(projects[name]), contents(again)
        assert len(first) > 30 and first == second, name
        for path, content in second.items():
            for place in (tmp_path, projects[name].parent, precision.__file__.rsplit("/", 3)[0]):
                assert str(place).encode() not in content, (name, path)
            assert b"site-packages" not in content, (name, path)


@pytest.mark.parametrize("name", TARGETS)
def test_every_type_is_one_that_was_asked_for(residual, projects, name):
    model, word, words = residual
    found = precision.types(hls4ml_qkeras.stages(model), word, words.shape[1])
    asked = {precision.word_type(word)}
    for item in found.values():
        asked |= {form for form in (item.result, item.accum, item.weight, item.bias) if form is not None}
    # oneAPI's types have at least two bits
    least = 2 if name.startswith("oneAPI") else 1
    allowed = {(max(form.width, least), form.integer, form.signed, form.rounding, form.overflow) for form in asked}
    (path,) = projects[name].rglob("defines.h")
    written = re.findall(r"a([pc])_(u?)fixed<([^<>]*)>[^;]* (\w+);", path.read_text())
    assert len(written) >= 15
    for kind, unsigned, arguments, what in written:
        if what.endswith("_table_t"):  # hls4ml defines one for each activation; nothing reads those of linear and relu
            continue
        width, integer, *modes = arguments.split(",")
        signed = modes.pop(0) == "true" if kind == "c" else not unsigned
        rounding, overflow = (mode[3:] for mode in modes[:2]) if modes else ("TRN", "WRAP")
        assert (int(width), int(integer), signed, rounding, overflow) in allowed, what
    assert "auto" not in path.read_text()


def test_depths_of_fifos(projects):
    text = (projects["Vitis, resource, stream"] / "firmware" / "tiny.cpp").read_text()
    depths = re.findall(r"#pragma HLS STREAM variable=\w+ depth=(\d+)", text)
    assert len(depths) > 10 and set(depths) == {"3"}
    text = (projects["oneAPI, stream"] / "src" / "firmware" / "tiny.cpp").read_text()
    depths = re.findall(r"pipe<\w+, \w+, (\d+)>", text)
    assert len(depths) > 10 and set(depths) == {"3"}


def test_weights_are_in_headers_alone(projects):
    """Catapult's own way is text files that the simulation reads and synthesis does not."""
    folder = projects["Catapult"]
    assert not list((folder / "firmware" / "weights").glob("*.txt"))
    assert "load_weights" not in (folder / "firmware" / "tiny.cpp").read_text()
    for path in (folder / "firmware" / "weights").glob("*.h"):
        assert "extern" not in path.read_text() and "= {" in path.read_text()


def test_nothing_is_written_where_something_is_not_there(residual, tmp_path):
    model, word, _ = residual
    target = replace(TARGET, strategy="Resource", reuse=(("conv0", 7), ("conv9", 2)), fifo_depth=2)
    with pytest.raises(BadInput, match="fifo_depth 2.*conv9.*layer conv0: reuse factor 7 .* 6 and 9"):
        hls.write(model, word, tmp_path / "hls", "tiny", target)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("widths", [(6, 2), (2, 6)], ids=str)
@pytest.mark.parametrize("backend", ["oneAPI", "Catapult"])
def test_rows_of_different_length_are_joined_in_a_stream(backend, widths, tmp_path):
    left, right = widths
    topology = Topology(
        (
            Dense("left", 4, left, "relu", ("input",)),
            Dense("right", 4, right, "relu", ("input",)),
            Merge("both", (8,), "concatenate", ("left", "right")),
            Dense("out", 8, 3),
        )
    )
    target = replace(TARGET, backend=backend, strategy="Resource", io_type="io_stream")
    exact(*example(topology, seed=6), tmp_path / "hls", target)
