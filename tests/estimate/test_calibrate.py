"""Reports go into the calibration file once, whatever their order, and what they teach is said."""

import json
import subprocess
import sys

import pytest
from estimate.built import TARGET, TRACED, project, yosys_report
from loop.running import ROOT
from synth.vendor_texts import POWER, UTILIZATION, XML

from flow.cost import hls
from flow.errors import BadInput
from flow.estimate import knowledge
from flow.estimate.calibrate import calibrate
from flow.estimate.gather import gather
from flow.estimate.observation import Observation
from flow.metrics import Implementation

HEADER = "case,arch,weight_bits,weight_int,data_bits,data_int,reuse_factor,strategy,io_type,tool,tool_version,part,target_clk_ns"
COLUMNS = f"{HEADER},lat_min,lat_max,ii_min,ii_max,csynth_LUT,csynth_FF,csynth_DSP,csynth_BRAM18,notes"
CONFIG = """\
Backend: Vivado
ClockPeriod: 5
Part: xcku040-ffva1156-2-e
IOType: io_parallel
ProjectName: tagger
KerasModel: model.json
HLSConfig:
  Model:
    Precision: ap_fixed<16,6>
    ReuseFactor: 4
    Strategy: Resource
"""
KERAS = {
    "class_name": "Sequential",
    "config": {
        "name": "tagger",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "words", "batch_input_shape": [None, 16]}},
            {"class_name": "Dense", "config": {"name": "fc0", "units": 32, "activation": "relu", "use_bias": True}},
            {"class_name": "Dense", "config": {"name": "logits", "units": 5, "activation": "linear", "use_bias": True}},
        ],
    },
}


def records(path, *rows: str):
    path.write_text("\n".join((COLUMNS, *rows)) + "\n")
    return path


def row(case: str, lut: int, factor: int = 64, notes: str = "") -> str:
    told = f"{factor},{factor + 1},{factor},{factor},{lut},900,{2048 // factor},3" if lut else ",,,,,,,"
    return (
        f"{case},32-64,8,1,16,6,{factor},resource,io_parallel,Vivado HLS,2020.1,xcu250-figd2104-2L-e,5,{told},{notes}"
    )


def hls_project(folder, *texts: tuple[str, str]):
    folder.mkdir()
    (folder / "hls4ml_config.yml").write_text(CONFIG)
    (folder / "model.json").write_text(json.dumps(KERAS))
    for name, text in texts:
        (folder / name).write_text(text)
    return folder


def test_reports_count_once(tmp_path):
    project(tmp_path / "out", 0)
    project(tmp_path / "out", 1, 410)
    state = tmp_path / "calibration.json"
    first = calibrate([tmp_path / "out"], state)
    assert first["reports"] == {"known": 0, "new": 2, "again": 0, "now": 2} and first["left_out"] == []
    written = state.read_bytes()
    again = calibrate([tmp_path / "out", tmp_path / "out"], state)
    assert again["reports"] == {"known": 2, "new": 0, "again": 2, "now": 2}
    assert state.read_bytes() == written
    for change in again["changes"]:
        assert change["error_before"] == change["error_after"]


def test_the_order_of_the_reports_does_not_matter(tmp_path):
    places = [project(tmp_path / "out", seed, 250 + 40 * seed) for seed in range(4)]
    found = [item for place in places for item in gather(place)[0]]
    assert knowledge.models(found) == knowledge.models(found[::-1])


def test_predictions_move_to_the_reports(tmp_path):
    for seed in range(5):
        project(tmp_path / "out", seed, 600)
    done = calibrate([tmp_path / "out"], tmp_path / "calibration.json")
    (lut,) = (change for change in done["changes"] if change["figure"] == "lut")
    assert lut["implementation"] == "rtl" and lut["stage"] == "synth" and lut["reports"] == 5
    assert lut["error_after"] < lut["error_before"] * 0.7


def test_a_newer_report_takes_the_place_of_the_older(tmp_path):
    place = project(tmp_path / "out", 0, 320)
    state = tmp_path / "calibration.json"
    calibrate([place], state)
    (place / "rtl" / "synth" / "report.json").write_text(json.dumps(yosys_report(350).to_json()))
    done = calibrate([place], state)
    assert done["reports"] == {"known": 1, "new": 0, "again": 1, "now": 1}
    (kept,) = knowledge.load(state)
    assert kept.figures["lut"] == 350


def test_stages_of_one_project_are_kept_apart(tmp_path):
    folder = hls_project(
        tmp_path / "tagger", ("csynth.xml", XML), ("utilization.rpt", UTILIZATION), ("power.rpt", POWER)
    )
    found, left = gather(tmp_path)
    assert left == []
    stages = {item.stage: item for item in found}
    assert stages["csynth"].figures["lut"] == 3105 and stages["csynth"].figures["latency_cycles"] == 17
    assert stages["csynth"].tool == "Vivado HLS" and stages["csynth"].tool_version == "2019.2"
    assert {item.implementation for item in found} == {Implementation.HLS4ML}
    network = knowledge.network_of(stages["csynth"])
    assert [(layer.n_in, layer.n_out, layer.reuse_factor) for layer in network.layers][:1] == [(16, 32, 4)]
    assert folder.name in stages["csynth"].source and str(tmp_path) not in json.dumps(stages["csynth"].to_json())


def test_records_join_and_failures_count(tmp_path):
    path = records(
        tmp_path / "mine.csv", row("a", 4000), row("b", 0, 1, "synth_failed"), row("c", 5000, 32, "optimised away")
    )
    found, left = gather(path)
    assert [item.finished for item in found] == [True, False]
    assert left == [f"{path}, line 4: the tool optimised the design away: left out"]
    before, after = knowledge.models([]), knowledge.models(found)
    network = knowledge.network_of(found[1])
    assert hls.finishes(after.hls, [network])[0] < hls.finishes(before.hls, [network])[0]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    place, state = project(tmp_path / "out", 0), tmp_path / "calibration.json"
    calibrate([place], state)
    kept = state.read_bytes()
    (place / "rtl" / "synth" / "report.json").write_text(json.dumps(yosys_report(999).to_json()))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError):
        calibrate([place], state)
    assert state.read_bytes() == kept and [p.name for p in tmp_path.iterdir() if p.is_file()] == ["calibration.json"]


@pytest.mark.parametrize(
    "content, said",
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "an object is expected"),
        ('{"format": "flow calibration 0", "observations": []}', "has to be 'flow calibration 1'"),
        ('{"format": "flow calibration 1", "observations": [{}]}', r"observations\[0\]: no observation"),
    ],
)
def test_another_file_is_not_overwritten(content, said, tmp_path):
    state = tmp_path / "calibration.json"
    state.write_text(content)
    with pytest.raises(BadInput, match=said):
        calibrate([project(tmp_path / "out")], state)
    assert state.read_text() == content


@pytest.mark.parametrize("value", [-1, float("nan"), "12", True, 1e300])
def test_nonsense_in_the_file_is_named(value):
    figures = {"lut": value}
    network = {"topology": {}, "design": {}, "word": ""}
    item = Observation(Implementation.RTL, "yosys", "0.70", "synth", TARGET["part"], 5.0, network, figures=figures)
    with pytest.raises(BadInput, match="here: no observation"):
        Observation.from_json(item.to_json(), "here")


def test_damaged_projects_and_reports_are_named_and_left_out(tmp_path):
    project(tmp_path / "out", 0)
    broken = project(tmp_path / "out", 1)
    (broken / "topology.json").write_text("[]")
    torn = project(tmp_path / "out", 2)
    (torn / "rtl" / "synth" / "report.json").write_text('{"tool": "yos')
    found, left = gather(tmp_path)
    assert len(found) == 1 and len(left) == 2
    assert any(str(broken / "topology.json") in line for line in left)
    assert any("report.json" in line and torn.name in line for line in left)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        gather(tmp_path / "nothing")


def test_a_report_of_vivado_does_not_move_what_yosys_will_say(tmp_path):
    place = project(tmp_path / "out", 0, None)
    (place / "rtl" / "synth" / "utilization.rpt").write_text(UTILIZATION.replace(": Fully Placed", ": Synthesized"))
    (item,) = gather(place)[0]
    assert (item.implementation, item.tool, item.stage) == (Implementation.RTL, "vivado", "synth")
    before, after = knowledge.models([]).rtl, knowledge.models([item]).rtl
    assert list(after.others) == ["vivado synth"]
    assert (after.lut, after.ff, after.traced_lut) == (before.lut, before.ff, before.traced_lut)


@pytest.mark.parametrize("cell, tool", [("DSP48E", "Vivado HLS"), ("DSP", "Vitis HLS")])
def test_a_report_in_a_built_project_counts_for_the_compiler_that_wrote_it(cell, tool, tmp_path):
    place = project(tmp_path / "out", 0, None)
    (place / "hls" / "csynth.xml").write_text(XML.replace("DSP48E>", f"{cell}>"))
    (item,) = gather(place)[0]
    assert (item.implementation, item.tool, item.stage) == (Implementation.HLS4ML, tool, "csynth")
    before, after = knowledge.models([]), knowledge.models([item])
    moved = {key for key, row in after.hls.regressions.items() if row != before.hls.regressions.get(key)}
    assert {(key.tool, key.stage) for key in moved} == {(tool, "csynth")}
    assert {(key.version, key.family) for key in moved} == {("", ""), (item.tool_version, "ultrascale+")}
    assert after.rtl == before.rtl


def test_power_on_a_part_that_is_not_known_harms_nothing(tmp_path):
    folder = hls_project(tmp_path / "tagger", ("utilization.rpt", UTILIZATION), ("power.rpt", POWER))
    (folder / "hls4ml_config.yml").write_text(CONFIG.replace("xcku040-ffva1156-2-e", "xcnothing"))
    found, left = gather(tmp_path)
    assert left == [] and any("dynamic_power_w" in item.figures for item in found)
    assert knowledge.models(found).power == knowledge.models([]).power
    assert knowledge.models(found).hls != knowledge.models([]).hls


@pytest.mark.slow
def test_two_calibrations_at_once_both_count(tmp_path):
    state = tmp_path / "calibration.json"
    places = [project(tmp_path / name, seed) for seed, name in enumerate(("one", "other"))]
    command = [sys.executable, "-m", "flow.cli", "calibrate", "--state", str(state)]
    with knowledge.held(state):
        running = [subprocess.Popen([*command, str(place)], cwd=ROOT, stdout=subprocess.DEVNULL) for place in places]
        with pytest.raises(subprocess.TimeoutExpired):
            running[0].wait(3)
    assert [process.wait(300) for process in running] == [0, 0]
    assert len(knowledge.load(state)) == 2


@pytest.mark.parametrize(
    "traced", ["5", '{"counts": 5}', '{"counts": {"fc0": {}}}', '{"counts": {"fc0": 5}}', "[" * 100_000]
)
def test_damaged_counts_are_named_and_left_out(traced, tmp_path):
    place = project(tmp_path / "out", 0)
    (place / "rtl" / "rtl.json").write_text(f'{{"traced": {traced}}}')
    found, (line,) = gather(tmp_path)
    assert found == [] and str(place / "rtl" / "rtl.json") in line


NETWORK = {"layers": [{"kind": "dense", "n_in": 16, "n_out": 5, "weight_bits": 6, "data_bits": 8}]}


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"tool": 5}, "texts"),
        ({"clock_ns": 0}, "clock_ns 0"),
        ({"clock_ns": "5"}, "clock_ns '5'"),
        ({"finished": "no"}, "true or false"),
        ({"network": {}}, "network"),
        ({"network": {"layers": []}}, "without layers"),
        ({"network": {"layers": [NETWORK["layers"][0] | {"n_in": 0}]}}, "n_in is 0"),
        ({"network": {"layers": [NETWORK["layers"][0] | {"reuse_factor": "x"}]}}, "reuse_factor is 'x'"),
        ({"network": {"layers": [NETWORK["layers"][0] | {"n_in": 10**6, "n_out": 10**6}]}}, "weights, more than"),
        ({"implementation": "rtl"}, "network"),
        ({"implementation": "rtl", "network": {"topology": {}, "design": {}, "word": ""}}, "network"),
    ],
)
def test_entries_that_no_model_can_read_are_named(fields, said, tmp_path):
    entry = {
        "implementation": "hls4ml",
        "tool": "Vitis HLS",
        "tool_version": None,
        "stage": "csynth",
        "part": None,
        "clock_ns": 5.0,
        "network": NETWORK,
        "figures": {"lut": 500},
    }
    state = tmp_path / "calibration.json"
    state.write_text(json.dumps({"format": knowledge.FORMAT, "observations": [entry]}))
    assert len(knowledge.load(state)) == 1
    state.write_text(json.dumps({"format": knowledge.FORMAT, "observations": [entry | fields]}))
    with pytest.raises(BadInput, match=r"observations\[0\]: ") as error:
        knowledge.load(state)
    assert said in str(error.value)


def test_a_design_traced_later_is_the_same_design(tmp_path):
    place, state = project(tmp_path / "out", 0), tmp_path / "calibration.json"
    (place / "rtl" / "rtl.json").write_text("{}")
    calibrate([place], state)
    (place / "rtl" / "rtl.json").write_text(json.dumps({"traced": TRACED}))
    assert calibrate([place], state)["reports"] == {"known": 1, "new": 0, "again": 1, "now": 1}
    (kept,) = knowledge.load(state)
    assert kept.network["traced"] == TRACED
