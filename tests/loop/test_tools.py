"""The loop closes on the reports of the tool that the task names: where that is installed, and where it is not."""

import json
import re
import shutil
from pathlib import Path

import pytest
from loop.running import ROOT, copy_without, flow, one_line, result, tools_in
from loop.test_faults import set_key
from synth import vendor_standins

from flow.synth.job import Job, execute
from flow.synth.outcome import State
from flow.synth.report import Stage
from flow.synth.tools.tool import Limits

pytestmark = pytest.mark.slow

TOOLS = {
    "vitis": (("vitis-run", "vivado"), Stage.CSYNTH, "hls", "hls4ml", "csynth"),
    "vivado": (("vivado",), Stage.ROUTE, "rtl", "rtl", "route"),
}


@pytest.fixture(params=TOOLS)
def tool(request) -> str:
    return request.param


@pytest.fixture
def task(tmp_path, tool) -> Path:
    """models/tiny, whose loop the tool closes in two small rounds."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "jet_tagger").symlink_to(ROOT / "models" / "jet_tagger")
    folder = tmp_path / "models" / "tiny"
    shutil.copytree(ROOT / "models" / "tiny", folder)
    set_key(folder, "target.tool", tool)
    set_key(folder, "budget.lut", 10**6)
    set_key(folder, "budget.latency", "10 us")
    set_key(folder, "search.trials", 8)
    return folder


@pytest.fixture
def out(tmp_path, undisturbed) -> Path:
    """Float network and uniform designs are trained."""
    return copy_without(undisturbed, tmp_path / "out" / "tiny", "trials", "final", "synth", projects=False)


@pytest.fixture
def installed(tmp_path, tool) -> dict[str, str]:
    """The environment of a machine that has the tool."""
    names = TOOLS[tool][0]
    folder = vendor_standins.write(tmp_path / "tools", *names)
    variables = {"vitis-run": "FLOW_VITIS", "vivado": "FLOW_VIVADO"}
    return {variables[name]: str(folder / name) for name in names}


def check(out: Path, tool: str) -> None:
    """The chosen design's figures are the tool's, and the model learned from them."""
    _, _, folder, implementation, fidelity = TOOLS[tool]
    found = result(out)
    figures = found["chosen"]["figures"]
    for name in ("lut", "ff", "dsp", "latency_ns"):
        assert (figures[name]["implementation"], figures[name]["fidelity"]) == (implementation, fidelity), name
        assert figures[name]["tool"].startswith({"vitis": "vitis_hls", "vivado": "vivado"}[tool])
    assert ("wns_ns" in figures) is (tool == "vivado")
    report = json.loads((out / found["chosen"]["digest"] / folder / "synth" / tool / "report.json").read_text())
    assert report["lut"] == figures["lut"]["value"] and report["implementation"] == implementation
    assert any(row["before"] != row["after"] for turn in found["rounds"] for row in turn["calibration"].values())
    page = (out / "index.html").read_text()
    assert tool in page and "yosys" not in page.split("versions")[0].lower()


def test_the_tool_s_reports_close_the_loop(task, out, tool, installed):
    done = flow("run", task, "--out", out, **installed)
    assert done.returncode == 0, done.stderr[-3000:]
    check(out, tool)
    again = flow("run", task, "--out", out, "--json", **installed)
    assert again.returncode == 0 and json.loads(again.stdout)["unchanged"] is True
    assert tools_in(out) == []


def test_reports_from_elsewhere_close_the_loop(task, out, tool, tmp_path, monkeypatch):
    """Each round waits for what the tool says of its designs elsewhere, and goes on with what is brought back."""
    vendor_standins.on_path(monkeypatch, tmp_path / "nothing")
    waited = 0
    while (done := flow("run", task, "--out", out)).returncode != 0:
        line = one_line(done, 4)
        assert "--import" in line and waited < 2
        folders = [Path(path) for path in re.findall(rf"{re.escape(str(out))}/[0-9a-f]+", line)]
        assert folders and all(path.is_dir() for path in folders)
        with monkeypatch.context() as there:
            brought_back(folders, tool, tmp_path / f"back{waited}", tmp_path / "tools", there)
        taken = flow("synth", task, "--out", out, "--import", tmp_path / f"back{waited}", "--json")
        assert taken.returncode == 0, taken.stderr[-3000:]
        rows = [json.loads(line) for line in taken.stdout.splitlines()]
        done = {Path(row["project"]).name for row in rows if row["state"] == "done"}
        assert done >= {path.name for path in folders} and all(row["imported"] for row in rows if row["report"])
        waited += 1
    assert waited == 2
    check(out, tool)


def brought_back(folders, tool: str, back: Path, tools: Path, monkeypatch) -> None:
    """What another machine makes of copies of the projects, with a cache of its own."""
    programs, stage, sources, *_ = TOOLS[tool]
    vendor_standins.on_path(monkeypatch, vendor_standins.write(tools, *programs))
    for folder in folders:
        copy = back / folder.name
        shutil.copytree(folder, copy)
        ran = execute(Job(copy, tool, stage, Limits(120), back / "cache"))
        assert ran.state is State.DONE, ran.message
        shutil.copytree(ran.folder, copy / sources, dirs_exist_ok=True)
