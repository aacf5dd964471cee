"""C synthesis by Vitis HLS, with stand-ins."""

import pytest
from synth import vendor_projects, vendor_standins

from flow.errors import BadInput, ToolFailed, Trouble
from flow.firmware.project_files import scripts
from flow.firmware.project_files.facts import Facts
from flow.firmware.settings import Target
from flow.metrics import Implementation
from flow.synth import job, subject
from flow.synth.report import Stage, Status
from flow.synth.tools import vitis
from flow.synth.tools.tool import Limits


@pytest.fixture
def project(tmp_path):
    return vendor_projects.hls(tmp_path / "project")


@pytest.fixture
def synthesise(tmp_path, monkeypatch):
    def run(project, stage=Stage.CSYNTH, behaviour="success", version="2023.2", programs=("vitis-run", "vivado")):
        tools = vendor_standins.write(tmp_path / "tools", *programs, version=version, behaviour=behaviour)
        vendor_standins.on_path(monkeypatch, tools)
        work = tmp_path / "work"
        work.mkdir()
        read = subject.read(project, Implementation.HLS4ML)
        return job.run(vitis.TOOL, read, stage, vitis.find(), Limits(60.0), work)

    return run


def test_c_synthesis_needs_no_vivado(project, synthesise, tmp_path):
    report = synthesise(project, programs=("vitis-run",))
    assert report.tool == "vitis_hls" and report.clock_estimated_ns == 4.0 and report.latency_cycles[0] > 3
    assert list(report.by_layer) == ["fc0", "shared"] and report.wns_ns is None
    assert sum(row["lut"] for row in report.by_layer.values()) == report.lut
    assert len(vendor_standins.runs(tmp_path / "tools")) == 1


def test_the_older_form_of_the_tool(project, synthesise):
    report = synthesise(project, version="2021.1", programs=("vitis_hls",))
    assert report.tool == "vitis_hls" and report.tool_version == "2021.1"


def test_a_built_project_is_read_in_its_folder(tmp_path, synthesise):
    assert synthesise(vendor_projects.hls(tmp_path / "built", built=True)).lut > 100


def test_the_settings_are_those_of_the_project(project, synthesise, tmp_path):
    synthesise(project)
    common = (tmp_path / "work" / "synth" / "common.tcl").read_text()
    assert "set clock_uncertainty 27%\n" in common and "set maximum_size 4096\n" in common
    log = (tmp_path / "work" / "synth" / "csynth.log").read_text()
    assert "Running: set_clock_uncertainty 27% default" in log
    assert "Running: add_files -tb firmware/weights" in log and "Running: add_files -tb tb_data" in log


def test_what_is_not_there_is_not_added(project, synthesise, tmp_path):
    (project / "tagger_test.cpp").unlink()
    (project / "tb_data" / "tb_input_features.dat").unlink()
    (project / "firmware" / "weights" / "w2.txt").unlink()
    assert synthesise(project).lut > 100
    assert "-tb" not in (tmp_path / "work" / "synth" / "csynth.tcl").read_text()


def test_cosimulation_measures_the_cycles(project, synthesise, tmp_path):
    report = synthesise(project, Stage.COSIM)
    read = subject.read(project, Implementation.HLS4ML)
    synthesised = vitis.TOOL.read(tmp_path / "work", read, Stage.CSYNTH)
    assert report.kind == "cosim" and report.lut == synthesised.lut
    assert report.latency_cycles[0] == synthesised.latency_cycles[0] + 1


def test_a_cosimulation_that_fails_is_a_failure(project, synthesise):
    with pytest.raises(ToolFailed, match="co-simulation finished: FAIL") as failure:
        synthesise(project, Stage.COSIM, "failed_test")
    assert failure.value.trouble is Trouble.CRASH and failure.value.log.name == "cosim.log" and failure.value.line


def test_a_cosimulation_that_measured_nothing_gives_no_cycles(project, synthesise):
    report = synthesise(project, Stage.COSIM, "no_cycles")
    assert report.status is Status.INCOMPLETE and report.latency_cycles is None and report.interval_cycles is None


@pytest.mark.parametrize("version, name", [("2021.2", "tagger_export.rpt"), ("2024.1", "export_impl.rpt")])
def test_an_export_is_of_place_and_route(project, synthesise, version, name):
    report = synthesise(project, Stage.EXPORT, version=version, programs=("vitis_hls", "vivado"))
    assert report.path.endswith(name) and report.basis is Stage.ROUTE and report.clock_estimated_ns == 4.5


def test_vivado_routes_what_c_synthesis_wrote(project, synthesise, tmp_path):
    report = synthesise(project, Stage.ROUTE)
    assert report.tool == "vivado" and report.wns_ns == 0.125 and report.power_w > 2.5
    assert [run["name"] for run in vendor_standins.runs(tmp_path / "tools")] == ["vitis-run", "vivado", "vivado"]
    assert (tmp_path / "work" / "synth" / "constraints.xdc").read_text().endswith("[get_ports ap_clk]\n")


def test_the_projects_own_constraints_are_used(project, synthesise):
    (project / "constraints.xdc").write_text("create_clock -period 4 -name ap_clk [get_ports ap_clk]\n")
    with pytest.raises(ToolFailed, match="of clock 4.0, not 5.0"):
        synthesise(project, Stage.SYNTH)


def test_vivado_must_be_there_and_of_the_same_release(project, synthesise, tmp_path, monkeypatch):
    with pytest.raises(ToolFailed, match="no vivado on the PATH") as failure:
        synthesise(project, Stage.SYNTH, programs=("vitis-run",))
    assert failure.value.trouble is Trouble.MISSING and not vendor_standins.runs(tmp_path / "tools")
    (tmp_path / "work").rename(tmp_path / "before")
    other = vendor_standins.write(tmp_path / "other", "vivado", version="2022.1")
    monkeypatch.setenv("FLOW_VIVADO", str(other / "vivado"))
    with pytest.raises(ToolFailed, match="of 2023.2 and .*vivado of 2022.1; name .* FLOW_VIVADO"):
        read = subject.read(project, Implementation.HLS4ML)
        vitis.TOOL.run(tmp_path, read, Stage.SYNTH, vitis.find(), Limits(60.0))


@pytest.mark.parametrize("backend", ("vivado", "vivadoaccelerator"))
def test_projects_of_another_backend_are_refused(tmp_path, backend):
    project = vendor_projects.hls(tmp_path, backend=backend)
    with pytest.raises(BadInput, match=f"built for {backend}; Vitis HLS reads projects built for vitis"):
        vitis.TOOL.render(subject.read(project, Implementation.HLS4ML), Stage.CSYNTH)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("set clock_uncertainty 27%", "set clock_uncertainty [exec ls]", r"clock_uncertainty is '\[exec ls\]'"),
        ("set clock_uncertainty 27%", "", "sets no clock_uncertainty"),
        ('set part "xcvu13p-flga2577-2-e"', 'set part "$env(HOME)"', "part .* is no name"),
    ],
)
def test_settings_that_would_run_are_refused(project, old, new, said):
    path = project / "project.tcl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BadInput, match=f"project.tcl.*{said}"):
        vitis.TOOL.render(subject.read(project, Implementation.HLS4ML), Stage.CSYNTH)


def test_the_scripts_are_those_of_a_built_project_but_for_the_settings(project):
    (project / "firmware" / "weights" / "w2.txt").unlink()
    target = Target(vendor_projects.PART, vendor_projects.CLOCK_NS)
    facts = Facts("t", "tagger", "0", target, 3, 1, "", "", (2,), 2, 1, (), ("src/tagger.v",))
    built = scripts.hls(facts)
    (project / "constraints.xdc").write_text(built["constraints.xdc"])
    read = subject.read(project, Implementation.HLS4ML)
    made = vitis.TOOL.render(read, Stage.COSIM) | vitis.TOOL.render(read, Stage.ROUTE)
    for name in ("csynth", "cosim", "vsynth", "impl"):
        assert made[f"synth/{name}.tcl"] == built[f"tcl/{name}.tcl"]


def test_a_project_without_its_source_is_refused(project):
    (project / "firmware" / "tagger.cpp").unlink()
    with pytest.raises(BadInput, match="firmware/tagger.cpp is missing"):
        vitis.TOOL.render(subject.read(project, Implementation.HLS4ML), Stage.CSYNTH)


def test_the_same_project_renders_to_the_same_text(project):
    read = subject.read(project, Implementation.HLS4ML)
    for stage in vitis.TOOL.stages:
        assert vitis.TOOL.render(read, stage) == vitis.TOOL.render(read, stage)
        assert str(project) not in "".join(vitis.TOOL.render(read, stage).values())
