"""The equivalence gate on real projects: what passes, what is named, what is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from designs import example_design, example_scaling
from networks import NETWORKS
from weights import example_weights

from flow.cli import main
from flow.errors import BadInput, Mismatch
from flow.firmware import bundle, gate, project
from flow.firmware.gate import command, comparison, reading
from flow.firmware.settings import Output, Target
from flow.formats import Fixed
from flow.train import qkeras_model

TOPOLOGY = NETWORKS["dense"]
SCALING = example_scaling(TOPOLOGY)
DESIGN = example_design(TOPOLOGY, 4, kernels=(Fixed(4, 0),))
TARGET = Target("xcvu13p-flga2577-2-e", 5.0)


def build(folder: Path, target: Target = TARGET) -> Path:
    model = qkeras_model.build(TOPOLOGY, DESIGN, SCALING, example_weights(TOPOLOGY, 1))
    words = comparison.vectors(SCALING, np.zeros((1, 4)), 80, 2, DESIGN.input)
    logits = qkeras_model.reference(model, words)[TOPOLOGY.output]
    return project.build(
        model, DESIGN, SCALING, TOPOLOGY, "tiny", target, folder, {"seed": 1}, words=words, logits=logits
    )


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A project whose simulations are compiled: what a test doesn't change isn't compiled again in its copy."""
    built = build(tmp_path_factory.mktemp("projects"))
    record = gate.verify(built, random=200)
    return built, record


@pytest.fixture
def copy(compiled, tmp_path):
    return Path(shutil.copytree(compiled[0], tmp_path / "copy"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, path
    path.write_text(text.replace(old, new, 1))


@pytest.mark.slow
def test_a_built_project_is_equal_on_every_side(compiled):
    built, record = compiled
    comparison.require(record)
    assert [pair.name for pair in record.pairs] == [
        "qkeras=csim", "qkeras=traced", "qkeras=rtl", "qkeras=vectors/logits.txt",
    ]  # fmt: skip
    assert all(pair.largest == pair.allowed == 0.0 for pair in record.pairs) and record.not_run == ()
    for pair in record.pairs[:2]:
        assert {"fc0", "fc0_relu", "fc1", "fc1_relu", "out"} <= set(pair.layers) and pair.layer_vectors > 0
    row = json.loads((built / gate.RECORD).read_text())
    assert row == json.loads(json.dumps(record.to_json())) and row["equal"] is True
    counts = row["vectors"]
    assert counts["random"] == 200 and counts["corners"] and counts["deep_corners"]
    assert sum(counts.values()) == 2 * counts["total"] and record.pairs[2].vectors == counts["total"]
    assert row["changed"] == [] and row["versions"]["hls4ml"] and row["versions"]["g++"] and row["seed"] == 1
    assert row["coverage"]["fc0_relu"]["elements"] == 6 and row["coverage"]["fc0_relu"]["below"] == 6
    assert project.is_complete(built)


@pytest.mark.slow
def test_the_same_project_gives_the_same_record(compiled, copy):
    assert gate.verify(copy, random=200).to_json() == compiled[1].to_json()
    other = gate.verify(copy, random=200, seed=2, sides=("traced",))
    assert other.equal and [side.side for side in other.not_run] == ["csim", "rtl"]
    assert all(side.reason == "left out as asked" for side in other.not_run)


@pytest.mark.slow
def test_an_edited_source_that_computes_the_same_passes_with_a_warning(copy, capsys):
    source = copy / "hls" / "firmware" / "tiny.cpp"
    source.write_text(source.read_text() + "\n// edited\n")
    (copy / "README.md").unlink()
    assert main(["verify", str(copy), "--random", "50", "--sides", "csim"]) == 0
    said = capsys.readouterr()
    assert f"flow: warning: {source} differs from what was built" in said.err
    assert f"{copy / 'README.md'} is missing" in said.err
    assert "equal; exact" in said.out and "qkeras = csim: no difference" in said.out
    assert len(json.loads((copy / gate.RECORD).read_text())["changed"]) == 2


def changed_weight(copy: Path) -> None:
    """One weight of the first layer in the HLS sources, by one step."""
    header = next(path for path in (copy / "hls" / "firmware" / "weights").glob("w*.h"))
    head, numbers = header.read_text().split("{", 1)
    first = float(numbers.split(",")[0])
    header.write_text(head + "{" + numbers.replace(numbers.split(",")[0], str(first + 0.125), 1))


@pytest.mark.slow
def test_a_changed_weight_is_found_where_it_acts(copy, capsys):
    changed_weight(copy)
    assert main(["verify", str(copy), "--random", "50", "--sides", "csim", "--json"]) == 5
    said = capsys.readouterr()
    first = json.loads(said.out)["pairs"][0]["first"]
    weights = sorted(path.name for path in (copy / "hls" / "firmware" / "weights").glob("w*.h"))
    assert first["layer"] in {"fc0", "fc1", "out"} and first["layer"] + " " in said.err.replace(",", " "), weights
    assert first["expected_binary"].startswith("0b") and first["expected_binary"] != first["found_binary"]
    assert said.err.strip().splitlines()[-1].startswith(f"flow: {copy}: qkeras=csim fails for ")


@pytest.mark.slow
def test_changed_verilog_is_found(copy):
    stage = max((copy / "rtl" / "src").glob("out_s*.v"))
    text, changes = re.subn(r"(assign model_out\[[0-9:]+\] = )", r"\1~", stage.read_text(), count=1)
    stage.write_text(text)
    assert changes == 1
    record = gate.verify(copy, random=50, sides=("rtl",))
    with pytest.raises(Mismatch, match=r"qkeras=rtl fails for \d+ of \d+ vectors: vector \d+, layer out, "):
        comparison.require(record)
    assert not json.loads((copy / gate.RECORD).read_text())["equal"]


@pytest.mark.slow
def test_a_tolerance_is_a_choice_and_is_recorded(copy, capsys):
    """The last layer's bias in the model, up by one step: every side's outputs are off by as much."""
    model = qkeras_model.load(copy / "model.keras")
    kernel, bias = model.get_layer("out").get_weights()
    step = DESIGN["out"].bias.step
    model.get_layer("out").set_weights([kernel, DESIGN["out"].bias.quantize(bias - step).astype(np.float32)])
    moved = qkeras_model.quantized_weights(model.get_layer("out"))[1] - DESIGN["out"].bias.quantize(bias)
    assert np.abs(moved).max() == step
    qkeras_model.save(model, copy / "model.keras")
    arguments = ["verify", str(copy), "--random", "20", "--sides", "csim"]
    assert main(arguments) == 5
    capsys.readouterr()
    assert main([*arguments, "--tolerance", str(step / 2)]) == 5
    assert f"within {step / 2:g}" in capsys.readouterr().err
    assert main([*arguments, "--tolerance", str(step)]) == 0
    said = capsys.readouterr().out
    assert f"outputs may differ by {step:g}, as chosen" in said and f"(largest {step:g})" in said
    assert json.loads((copy / gate.RECORD).read_text())["tolerance"] == step


@pytest.mark.slow
def test_wrong_expectations_in_the_project_are_found(copy):
    path = copy / "vectors" / "logits.txt"
    first, rest = path.read_text().split(" ", 1)
    path.write_text(f"{int(first) + 1} {rest}")
    with pytest.raises(Mismatch, match="qkeras=vectors/logits.txt fails for 1 of "):
        comparison.require(gate.verify(copy, random=0, sides=("traced",)))


@pytest.mark.slow
def test_more_events_are_verified(copy, tmp_path):
    np.save(tmp_path / "events.npy", np.random.default_rng(0).integers(-128, 128, (77, 4)).astype(np.int16))
    record = gate.verify(copy, events=tmp_path / "events.npy", random=0, sides=("traced",))
    own = len(np.loadtxt(copy / "vectors" / "inputs.txt"))
    assert record.equal and record.facts["vectors"]["events"] == own + 77


@pytest.mark.slow
@pytest.mark.parametrize("name,side", [("hls/csim.json", "csim"), ("rtl/rtl.json", "rtl")])
def test_damaged_descriptions_are_one_line(copy, capsys, name, side):
    (copy / name).write_text("{}")
    assert main(["verify", str(copy), "--random", "0", "--sides", side]) == 2
    said = capsys.readouterr().err.splitlines()
    assert f"{copy / name} differs from what was built" in said[0] and f"flow: {copy / name}: " in said[-1]


def described(folder: Path) -> Path:
    """What a project says of itself, without its model and sources: enough to be refused."""
    (folder / "vectors").mkdir(parents=True)
    (folder / "design.json").write_text(json.dumps(DESIGN.to_json()))
    (folder / "scaling.json").write_text(json.dumps(SCALING.to_json()))
    files = project.digests(folder)
    (folder / "metadata.json").write_text(
        json.dumps({"task": "tiny", "target": TARGET.to_json(), "files": {**files, "rtl/gone.v": "0"}})
    )
    (folder / "SHA256SUMS").write_text(project.sums(folder, {**files, "rtl/gone.v": "0"}))
    return folder


def test_what_a_project_says_is_read_and_compared_with_its_build(tmp_path):
    folder = described(tmp_path / "p")
    found = reading.read(folder)
    assert (found.design, found.scaling, found.target) == (DESIGN, SCALING, TARGET)
    assert found.changed == (f"{folder / 'rtl/gone.v'} is missing: it was there when the project was built",)
    edit(folder / "design.json", "{", "{ ")
    assert f"{folder / 'design.json'} differs from what was built" in reading.read(folder).changed


def test_an_edit_of_the_metadata_is_named(tmp_path):
    folder = described(tmp_path / "p")
    edit(folder / "metadata.json", '"clock_ns": 5.0', '"clock_ns": 1.0')
    assert f"{folder / 'metadata.json'} differs from what was built" in reading.read(folder).changed
    edit(folder / "metadata.json", '"rtl/gone.v": "0"', '"rtl/gone.v": "1"')
    said = f"{folder / 'SHA256SUMS'} and metadata.json do not tell the same of rtl/gone.v"
    assert said in reading.read(folder).changed
    (folder / "SHA256SUMS").write_text("")
    assert any("SHA256SUMS has no digest of metadata.json" in line for line in reading.read(folder).changed)
    (folder / "SHA256SUMS").unlink()
    assert (
        f"{folder / 'SHA256SUMS'} is missing: it was there when the project was built" in reading.read(folder).changed
    )


def test_files_that_were_added_where_sources_are_are_named(tmp_path):
    folder = described(tmp_path / "p")
    added = ("rtl/src/zzz.v", "hls/standin/ap_fixed.h", "hls/firmware/nnet_utils/more.h", "hls/more.cpp")
    for name in (*added, "hls/csim.log", "hls/csim-1/a.o", "rtl/sim/top/Vsim", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    named = [line for line in reading.read(folder).changed if line.endswith("is not of the build")]
    assert named == [f"{folder / name} is not of the build" for name in sorted(added)]


FILES = '"files": {"x": "0"}'
BUILT = '{"task": "t", "files": {"x": "0"}, "target": {"part": "p", "clock_ns": 5'


@pytest.mark.parametrize(
    "text,message",
    [
        ("[1]", "metadata.json: an object with the keys task, target, files, ... is needed, not [1]"),
        ("[" * 100_000, "metadata.json can't be read: "),
        ('{"task": "t", "files": {}}', "metadata.json: files {}: an object with the digest of each file"),
        ('{"task": "t", "files": {"a\\u0000b": "0"}}', r"files: 'a\x00b' is no file of the project"),
        ('{"task": "t", "files": {"\\ud800": "0"}}', r"files: '\ud800' is no file of the project"),
        ('{"task": {}, ' + FILES + "}", "metadata.json: task {}: the name of a task"),
        ('{"task": "t", "target": null, ' + FILES + "}", "metadata.json: target None: an object with the keys part,"),
        (BUILT + ', "reuse": {"fc0": "2"}}}', "metadata.json: reuse factor '2' of layer fc0"),
    ],
)
def test_metadata_that_say_nothing_are_one_line(tmp_path, capsys, text, message):
    folder = described(tmp_path / "p")
    (folder / "metadata.json").write_text(text)
    assert main(["verify", str(folder)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_every_path_is_verified_and_every_problem_told(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "a"), str(tmp_path), str(tmp_path / "b")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in said] == [str(tmp_path / "a"), str(tmp_path), str(tmp_path / "b")]
    assert "a project that `flow convert` built, or a bundle, is needed" in said[1]


def test_the_status_is_that_of_the_first_problem(tmp_path, capsys, monkeypatch):
    def fails(path, options):
        raise Mismatch("one bit") if path.name == "x" else BadInput("no project")

    monkeypatch.setattr(command, "_one", fails)
    assert main(["verify", "x", "y"]) == 5
    assert capsys.readouterr().err == "flow: x: one bit\nflow: y: no project\n"


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--tolerance", "0"], "--tolerance: "),
        (["--random", "1000"], "--random: "),
        (["--seed", "1"], "--seed: "),
        (["--events", "x.npy"], "--events: "),
        (["--sides", "traced"], "side 'traced' is not known; known: emulator, csim, rtl"),
        (["--sides", ""], "no side to compare; choose some of emulator, csim, rtl"),
        (["--tolerance", "nan"], "tolerance nan: 0 or more"),
    ],
)
def test_options_that_a_bundle_has_not_are_refused(tmp_path, capsys, arguments, message):
    (tmp_path / "bundle.zip").touch()
    assert main(["verify", str(tmp_path / "bundle.zip"), *arguments]) == 2
    assert f"flow: {message}" in capsys.readouterr().err


def test_the_sides_of_a_bundle_are_chosen(tmp_path, monkeypatch):
    asked = []

    def verified(path, sides):
        asked.append(sides)
        return comparison.Equivalence((), not_run=(comparison.NotRun("rtl", "no Verilator"),))

    monkeypatch.setattr(bundle, "verify", verified)
    (tmp_path / "bundle.zip").touch()
    assert main(["verify", str(tmp_path / "bundle.zip"), "--sides", "rtl"]) == 2 and asked == [("rtl",)]


def test_a_folder_in_the_records_place_is_said_before_work_starts(tmp_path, capsys):
    folder = described(tmp_path / "p")
    (folder / gate.RECORD).mkdir()
    assert main(["verify", str(folder)]) == 2
    assert f"flow: {folder / gate.RECORD} is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name,text,message",
    [
        ("metadata.json", None, "no project, it has no metadata.json"),
        ("metadata.json", "{", "metadata.json can't be read: "),
        ("metadata.json", "[]", "metadata.json: an object"),
        ("metadata.json", '{"task": "t", "files": {"x": "0"}}', "metadata.json: 'target' is missing"),
        ("metadata.json", '{"task": "t", "files": {"../x": "0"}, "target": {}}', "'../x' is no file of the project"),
        ("metadata.json", '{"task": "t", "files": {"x": "0"}, "target": {"part": "p", "clock_ns": 5, "backend": "Quartus"}}',
         "metadata.json: backend 'Quartus' is not supported"),
        ("design.json", None, "design.json is missing"),
        ("scaling.json", '{"features": []}', "scaling.json: 'word' is missing"),
    ],
)  # fmt: skip
def test_what_is_no_project_is_said_in_one_line(tmp_path, capsys, name, text, message):
    folder = described(tmp_path / "p")
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    assert main(["verify", str(folder)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--tolerance", "-1"], "tolerance -1.0: 0 or more"),
        (["--tolerance", "nan"], "tolerance nan: 0 or more"),
        (["--random", "-1"], "-1 random vectors: 0 or more"),
        (["--random", str(10**23)], " random vectors: 10,000,000 at most"),
        (["--seed", "-1"], "seed -1: 0 or more"),
        (["--sides", ""], "no side to compare; choose some of csim, traced, rtl"),
        (["--sides", "csim,hardware"], "side 'hardware' is not known; known: csim, traced, rtl"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, capsys, arguments, message):
    assert main(["verify", str(described(tmp_path / "p")), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_missing_programs_are_said_before_work_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = described(tmp_path / "p")
    assert main(["verify", str(folder)]) == 2
    assert "flow: g++ was not found: it compiles the C simulation; install it" in capsys.readouterr().err
    assert not (folder / gate.RECORD).exists()


@pytest.mark.parametrize(
    "text,message",
    [
        ("1 2 3 4\n1 2 3\n", r"line 2: 3 values; 4 are needed"),
        ("1 2 3 4\n\n1 2 3 4\n", r"line 2: 0 values; 4 are needed"),
        ("1 2 3 4\n1 2 0.5 4\n", r"line 2: '0.5' is no integer word of ap_fixed<8,4>"),
        ("1 2 x 4\n", r"line 1: 'x' is no integer word"),
        ("1 2 3 4\n1 2 3 128\n", r"line 2, value 4: 128 is no word of ap_fixed<8,4>: -128 to 127 are"),
        ("1 2 3 -99999999999999999999\n", r"line 1, value 4: -9999999\d+ is no word"),
        ("", "no events in it"),
    ],
)
def test_events_off_the_grid_are_named(tmp_path, text, message):
    path = tmp_path / "events.txt"
    path.write_text(text)
    with pytest.raises(BadInput, match=f"events.txt.*{message}"):
        reading.words_of(path, SCALING)


@pytest.mark.parametrize(
    "array,message",
    [
        (np.zeros((3, 4)), r"an array of float64 of shape \(3, 4\); integer words"),
        (np.zeros(4, int), r"of shape \(4,\)"),
        (np.zeros((2, 5), int), "row 1: 5 values; 4 are needed"),
        (np.full((2, 4), 200, np.uint8), "row 1, value 1: 200 is no word of ap_fixed<8,4>"),
        (np.array([[{}]], dtype=object), "no array of numbers"),
    ],
)
def test_arrays_off_the_grid_are_named(tmp_path, array, message):
    np.save(tmp_path / "events.npy", array, allow_pickle=True)
    with pytest.raises(BadInput, match=message):
        reading.words_of(tmp_path / "events.npy", SCALING)
    with pytest.raises(BadInput, match="can't be read: No such file"):
        reading.words_of(tmp_path / "nothing.npy", SCALING)


def test_files_that_only_look_like_arrays_are_named(tmp_path):
    path = tmp_path / "events.npy"
    np.savez(tmp_path / "events.npz", np.zeros((3, 4), int))
    header = {"descr": "<i8", "fortran_order": False, "shape": (10**12, 4)}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
    for content in (path.read_bytes(), (tmp_path / "events.npz").read_bytes(), b"1 2 3 4\n", b"\x80\x04]\x94.", b""):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="events.npy: no array of numbers") as caught:
            reading.words_of(path, SCALING)
        assert "pickle" not in str(caught.value)


def test_events_are_read_as_values(tmp_path):
    words = np.array([[-128, 127, 0, 1], [5, -6, 7, -8]])
    np.savetxt(tmp_path / "a.txt", words, fmt="%d")
    np.save(tmp_path / "a.npy", words)
    for name in ("a.txt", "a.npy"):
        np.testing.assert_array_equal(reading.words_of(tmp_path / name, SCALING), words * SCALING.word.step)


@pytest.mark.slow
def test_outputs_of_tables_are_held_to_their_accuracy_and_sides_to_one_another(tmp_path):
    target = Target("xcvu13p-flga2577-2-e", 5.0, output=Output.SOFTMAX, accuracy=2.0**-6)
    built = build(tmp_path, target)
    record = gate.verify(built, random=50, sides=("csim", "traced"))
    comparison.require(record)
    found = {pair.name: pair for pair in record.pairs}
    assert [*found] == [
        "qkeras=csim", "qkeras=traced", "traced=csim", "qkeras=vectors/outputs.txt", "traced=vectors/outputs.txt",
    ]  # fmt: skip
    for name, pair in found.items():
        assert pair.layers[-1] == "softmax" and pair.allowed == (2.0**-6 if name.startswith("qkeras") else 0.0)
        assert (pair.largest > 0) == name.startswith("qkeras")
    assert (
        found["qkeras=csim"].layers[-2] == "out" and "within 0.015625 of the float64 function" in record.facts["rule"]
    )
    path = built / "vectors" / "outputs.txt"
    first, rest = path.read_text().split(" ", 1)
    path.write_text(f"{int(first) + 1} {rest}")  # still within the accuracy
    with pytest.raises(Mismatch, match="traced=vectors/outputs.txt fails for 1 of "):
        comparison.require(gate.verify(built, random=0, sides=("traced",)))


@pytest.mark.slow
def test_an_index_takes_no_tolerance(tmp_path):
    built = build(tmp_path, Target("xcvu13p-flga2577-2-e", 5.0, output=Output.ARGMAX))
    record = gate.verify(built, random=50, sides=("traced",))
    comparison.require(record)
    assert record.facts["vectors"]["deep_corners"] > record.facts["coverage"]["fc0_relu"]["elements"]
    assert record.pairs[0].layers[-2:] == ("out", "argmax") and record.pairs[0].largest == 0.0
    with pytest.raises(BadInput, match=r"tolerance: the output of this project is an index \(argmax\)"):
        gate.verify(built, tolerance=0.5)
