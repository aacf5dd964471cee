"""Vivado on RTL projects, with a stand-in."""

import json

import pytest
from synth import vendor_projects, vendor_standins

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth import job, subject
from flow.synth.report import Stage
from flow.synth.tools import vivado
from flow.synth.tools.tool import Limits


@pytest.fixture
def project(tmp_path):
    return vendor_projects.rtl(tmp_path / "project")


@pytest.fixture
def synthesise(tmp_path, monkeypatch):
    def run(project, stage=Stage.SYNTH, behaviour="success", version="2023.2"):
        tools = vendor_standins.write(tmp_path / "tools", "vivado", version=version, behaviour=behaviour)
        vendor_standins.on_path(monkeypatch, tools)
        work = tmp_path / "work"
        work.mkdir()
        read = subject.read(project, Implementation.RTL)
        return job.run(vivado.TOOL, read, stage, vivado.find(), Limits(60.0), work)

    return run


def test_a_report_has_timing_power_layers_and_cycles(project, synthesise, tmp_path):
    report = synthesise(project, Stage.ROUTE)
    assert report.wns_ns == 0.125 and report.power_w > 2.5 and report.latency_cycles == (2, 2)
    assert report.path == "vivado/route_utilization.rpt" and list(report.by_layer) == ["fc0", "shared"]
    assert sum(row["lut"] for row in report.by_layer.values()) == report.lut
    names = {path.name for path in (tmp_path / "work" / "vivado").glob("*.rpt")}
    kinds = ("utilization", "hierarchy", "timing", "power")
    assert {f"{stage}_{kind}.rpt" for stage in ("synth", "place", "route") for kind in kinds} <= names


def test_it_goes_no_further_than_asked(project, synthesise, tmp_path):
    synthesise(project, Stage.PLACE)
    assert not list((tmp_path / "work" / "vivado").glob("route_*"))


def test_a_missed_clock_is_a_figure(project, synthesise):
    report = synthesise(project, Stage.ROUTE, "slow")
    assert report.wns_ns == -0.25 and "timing not met" in report.messages


@pytest.mark.parametrize("version", ("2019.1", "2024.1"))
def test_parts_of_the_7_series_are_spelled_otherwise(tmp_path, synthesise, version):
    project = vendor_projects.rtl(tmp_path / "seven", part="xc7z020-clg400-1", clock_ns=3.33)
    report = synthesise(project, Stage.ROUTE, version=version)
    assert report.part == "xc7z020-clg400-1" and report.tool_version == version


def test_vhdl_is_read_in_its_order(tmp_path, synthesise):
    project = vendor_projects.rtl(tmp_path / "vhdl", language="vhdl")
    report = synthesise(project)
    script = (tmp_path / "work" / vivado.SCRIPT).read_text()
    assert "    vhdl/fc0_s0.vhd\n    vhdl/tagger.vhd\n} {\n    read_vhdl -vhdl2008" in script
    assert report.lut > 100 and not any(".v\n" in line for line in script.splitlines(True))


def test_memories_go_along(project, synthesise, tmp_path):
    source = project / "rtl" / "src" / "fc0_s0.v"
    source.write_text(source.read_text().replace("endmodule", 'initial $readmemh("w.mem", m);\nendmodule'))
    (project / "rtl" / "src" / "w.mem").write_text("0a\n")
    assert synthesise(project).lut > 250
    assert 'read_mem "$root/src/w.mem"' in (tmp_path / "work" / vivado.SCRIPT).read_text()


def test_a_memory_that_is_not_there_is_no_small_design(project, synthesise):
    source = project / "rtl" / "src" / "fc0_s0.v"
    source.write_text(source.read_text().replace("endmodule", 'initial $readmemh("w.mem", m);\nendmodule'))
    with pytest.raises(ToolFailed, match="contents of a memory: .*'w.mem'") as failure:
        synthesise(project)
    assert failure.value.trouble is Trouble.CRASH
    assert "8-4445" in failure.value.log.read_text().splitlines()[failure.value.line - 1]


def test_a_black_box_is_no_small_design(project, synthesise):
    with pytest.raises(ToolFailed, match="synth_utilization.rpt, line .*: ip_core is a black box"):
        synthesise(project, behaviour="black_box")


def test_a_project_without_constraints_gets_the_clock(project, synthesise):
    (project / "rtl" / "src" / "tagger.xdc").unlink()
    assert synthesise(project).clock_target_ns == 5.0


def test_another_constraint_than_the_project_says_is_refused(project, synthesise):
    (project / "rtl" / "src" / "tagger.xdc").write_text("create_clock -period 4 -name clk [get_ports clk]\n")
    with pytest.raises(ToolFailed, match="of clock 4.0, not 5.0"):
        synthesise(project)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"language": "cobol"}, "language 'cobol'"),
        ({"language": "vhdl"}, "no source in vhdl"),
        ({"files": {"verilog": ["../../other.v"]}}, "'../../other.v' is not among"),
        ({"top": "a]b"}, r"top 'a\]b' is no name"),
        ({"part": "x; exec ls"}, "part 'x; exec ls'"),
    ],
)
def test_names_that_no_script_can_hold_are_refused(project, change, said):
    path = project / "rtl" / "rtl.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadInput, match=said):
        vivado.render(subject.read(project, Implementation.RTL), Stage.SYNTH)


def test_a_stage_of_other_tools_is_refused(project):
    with pytest.raises(BadInput, match="csynth: Vivado has synth, place, route"):
        vivado.render(subject.read(project, Implementation.RTL), Stage.CSYNTH)


def test_a_description_without_a_list_of_files_is_read_by_name(project, synthesise):
    path = project / "rtl" / "rtl.json"
    row = json.loads(path.read_text())
    del row["files"], row["wrapper"], row["language"]
    path.write_text(json.dumps(row))
    assert synthesise(project).lut > 100
