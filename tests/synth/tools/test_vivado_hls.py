"""C synthesis by Vivado HLS, with stand-ins."""

import pytest
from synth import vendor_projects, vendor_standins

from flow.errors import BadInput
from flow.metrics import Implementation
from flow.synth import job, subject
from flow.synth.report import Stage
from flow.synth.tools import vivado_hls
from flow.synth.tools.tool import Limits


@pytest.fixture
def project(tmp_path):
    return vendor_projects.hls(tmp_path / "project", backend="vivado", part="xc7z020-clg400-1", clock_ns=3.33)


@pytest.mark.parametrize("version", ("2018.3", "2020.1"))
def test_c_synthesis_and_what_vivado_makes_of_it(project, version, tmp_path, monkeypatch):
    tools = vendor_standins.write(tmp_path / "tools", "vivado_hls", "vivado", version=version)
    vendor_standins.on_path(monkeypatch, tools)
    read = subject.read(project, Implementation.HLS4ML)
    found = {}
    for stage in (Stage.CSYNTH, Stage.SYNTH):
        work = tmp_path / stage.value
        work.mkdir()
        found[stage] = job.run(vivado_hls.TOOL, read, stage, vivado_hls.find(), Limits(60.0), work)
    synthesised, netlist = found[Stage.CSYNTH], found[Stage.SYNTH]
    assert synthesised.tool == "vivado_hls" and list(synthesised.by_layer) == ["fc0", "shared"]
    assert synthesised.clock_target_ns == netlist.clock_target_ns == 3.33
    assert netlist.tool == "vivado" and netlist.part == "xc7z020-clg400-1"
    assert netlist.latency_cycles == synthesised.latency_cycles


def test_a_project_for_vitis_is_refused(tmp_path):
    project = vendor_projects.hls(tmp_path, backend="vitis")
    with pytest.raises(BadInput, match="built for vitis; Vivado HLS reads projects built for vivado"):
        vivado_hls.TOOL.render(subject.read(project, Implementation.HLS4ML), Stage.CSYNTH)
