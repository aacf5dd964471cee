"""Reports that were brought back from elsewhere."""

import json
import shutil
from dataclasses import replace

import pytest
from synth import vendor_projects, vendor_standins

from flow.errors import BadInput, Trouble
from flow.synth import cache
from flow.synth.bring import bring
from flow.synth.job import Job, execute, subject_of
from flow.synth.outcome import State
from flow.synth.report import Stage
from flow.synth.tools import TOOLS
from flow.synth.tools.tool import Limits

CASES = {
    "vitis": (vendor_projects.hls, Stage.CSYNTH, ("vitis-run", "vivado")),
    "vivado": (vendor_projects.rtl, Stage.ROUTE, ("vivado",)),
}


def job_of(project, tool, stage, root):
    return Job(project, tool, stage, Limits(60), root)


@pytest.fixture(params=CASES)
def farm(request, tmp_path, monkeypatch):
    """A job whose tool is only elsewhere, and the project's folder as it came back from there."""
    make, stage, tools = CASES[request.param]
    project = make(tmp_path / "here" / "abc123")
    elsewhere = tmp_path / "back" / "some" / "abc123"
    shutil.copytree(project, elsewhere)
    with monkeypatch.context() as there:
        vendor_standins.on_path(there, vendor_standins.write(tmp_path / "tools", *tools))
        ran = execute(job_of(elsewhere, request.param, stage, tmp_path / "their cache"))
    assert ran.state is State.DONE, ran.message
    sources = elsewhere / ("rtl" if request.param == "vivado" else "hls")
    shutil.copytree(ran.folder, sources if sources.is_dir() else elsewhere, dirs_exist_ok=True)
    vendor_standins.on_path(monkeypatch, tmp_path / "nothing")
    return job_of(project, request.param, stage, cache.root()), tmp_path / "back", ran.report


def copy_of(folder):
    return next(folder.rglob("abc123"))


def test_a_report_is_taken_in_and_then_found_without_the_tool(farm):
    job, back, report = farm
    assert execute(job).trouble is Trouble.MISSING
    (found,) = bring([job], back)
    assert found.imported and found.state is State.DONE and (found.folder / found.report.path).is_file()
    for name in ("lut", "ff", "dsp", "latency_cycles", "stage", "tool_version", "implementation"):
        assert getattr(found.report, name) == getattr(report, name), name
    again = execute(job)
    assert again.cached and again.imported and again.report == found.report


def test_it_is_the_same_entry_as_that_of_the_tool_itself(farm, tmp_path, monkeypatch):
    job, back, _ = farm
    bring([job], back)
    vendor_standins.on_path(monkeypatch, tmp_path / "tools")
    assert execute(job).cached


def test_other_sources_are_another_design(farm):
    job, back, _ = farm
    name = next(name for name in _sources(job) if name.endswith((".cpp", ".v")))
    copy = copy_of(back)
    for folder in (copy, copy / "rtl", copy / "hls"):
        if (folder / name).is_file():
            (folder / name).write_text("// edited\n")
    (found,) = bring([job], back)
    assert found.state is State.FAILED and name in found.message and "another design" in found.message
    assert execute(job).trouble is Trouble.MISSING


def _sources(job):

    return subject_of(job).files


def test_reports_alone_are_taken_by_the_folder_s_name(farm):
    job, back, report = farm
    copy = copy_of(back)
    for name in _sources(job):
        for folder in (copy, copy / "rtl", copy / "hls"):
            (folder / name).unlink(missing_ok=True)
    (found,) = bring([job], back)
    assert found.report.lut == report.lut and any("without its sources" in said for said in found.report.messages)


@pytest.mark.parametrize("what", ["design", "part", "nothing", "truncated"])
def test_reports_of_something_else_are_refused(farm, what):
    job, back, report = farm
    copy = copy_of(back)
    reports = [path for path in copy.rglob("*") if path.suffix in (".rpt", ".xml")]
    for path in reports:
        text = path.read_text()
        if what == "nothing":
            path.unlink()
        elif what == "truncated":
            path.write_text(text[: len(text) // 2])
        elif what == "design":
            path.write_text(text.replace("tagger", "another"))
        else:
            path.write_text(text.replace(vendor_projects.PART, "xcku040-ffva1156-2-e"))
    (found,) = bring([job], back)
    assert found.state is State.FAILED and found.message and found.report is None
    assert execute(job).trouble is Trouble.MISSING


def test_folders_without_any_of_the_designs_are_bad_input(farm, tmp_path):
    job, back, _ = farm
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no folder of these designs .abc123"):
        bring([job], tmp_path / "empty")
    with pytest.raises(BadInput, match="no such folder"):
        bring([job], tmp_path / "none")
    other = replace(job, project=job.project.parent / "def456")
    shutil.copytree(job.project, other.project)
    for path in (*other.project.rglob("*.cpp"), *other.project.rglob("fc0*.v")):
        path.write_text(path.read_text() + "// another\n")
    done, lacking = bring([job, other], back)
    assert done.state is State.DONE and lacking.trouble is Trouble.MISSING and "def456" in lacking.message


def test_a_copy_is_known_by_its_metadata_too(farm):
    job, back, report = farm
    copy = copy_of(back)
    renamed = copy.rename(copy.with_name("as I call it"))
    (renamed / "metadata.json").write_text(json.dumps({"design": "abc123"}))
    (found,) = bring([job], back)
    assert found.report.lut == report.lut


def test_figures_of_the_other_implementation_or_another_tool_are_not_taken(farm, tmp_path):
    """Neither what lies in the other side's folder, nor what this program has put beside the sources."""
    job, back, report = farm
    copy = copy_of(back)
    tool = TOOLS[job.tool]
    side, other = ("rtl", "hls") if job.tool == "vivado" else ("hls", "rtl")
    whole = tmp_path / "whole" / "abc123"
    base = copy / side if (copy / side).is_dir() else copy
    shutil.copytree(base, whole / other)
    (found,) = bring([job], tmp_path / "whole")
    assert found.report is None and f"no {side}/ in it" in found.message
    ours = tmp_path / "ours" / "abc123" / side / "synth" / "nextpnr"
    ours.mkdir(parents=True)
    row = replace(report, tool="nextpnr", tool_version="odd 1", path="x").to_json()
    (ours / "report.json").write_text(json.dumps(row))
    (found,) = bring([job], tmp_path / "ours")
    assert found.report is None and f"no report of {tool.name}" in found.message


def test_what_the_metadata_says_goes_before_the_folder_s_name(farm):
    job, back, _ = farm
    (copy_of(back) / "metadata.json").write_text(json.dumps({"design": "def456"}))
    with pytest.raises(BadInput, match="holds no folder of these designs"):
        bring([job], back)


def test_two_copies_that_differ_are_refused(farm):
    job, back, _ = farm
    first = copy_of(back)
    second = back / "again" / "abc123"
    shutil.copytree(first, second)
    (same,) = bring([job], back)
    assert same.state is State.DONE
    changed = [p for p in second.rglob("*") if p.suffix in (".rpt", ".xml")]
    for path in changed:
        text = path.read_text()
        path.write_text(text.replace(str(same.report.lut), str(same.report.lut + 1)))
    (found,) = bring([job], back)
    assert found.report is None and str(second) in found.message and "differ" in found.message


def test_the_tool_s_own_run_stays_and_again_runs_it(farm, tmp_path, monkeypatch):
    job, back, report = farm
    (imported,) = bring([job], back)
    vendor_standins.on_path(monkeypatch, tmp_path / "tools")
    again = execute(replace(job, again=True))
    assert not again.cached and not again.imported and again.report.lut == report.lut
    copy = copy_of(back)
    for name in subject_of(job).files:
        for folder in (copy, copy / "rtl", copy / "hls"):
            (folder / name).unlink(missing_ok=True)
    (kept,) = bring([job], back)
    assert kept.cached and not kept.imported


def test_a_failure_elsewhere_is_kept_until_a_report_comes(farm, tmp_path, monkeypatch):
    """The log tells it, where the sources show that the run was of this design; the loop need not wait for it."""
    job, back, report = farm
    failing = tmp_path / "failing" / "abc123"
    shutil.copytree(job.project, failing)
    with monkeypatch.context() as there:
        tools = vendor_standins.write(tmp_path / "broken", *CASES[job.tool][2], behaviour="error")
        vendor_standins.on_path(there, tools)
        ran = execute(job_of(failing, job.tool, job.stage, tmp_path / "another cache"))
    assert ran.trouble is Trouble.CRASH
    side = failing / ("rtl" if job.tool == "vivado" else "hls")
    shutil.copytree(ran.folder, side if side.is_dir() else failing, dirs_exist_ok=True)
    (found,) = bring([job], tmp_path / "failing")
    assert found.imported and found.trouble is Trouble.CRASH and found.error.log.is_file() and found.error.line
    assert execute(job).trouble is Trouble.CRASH and execute(job).cached
    (mended,) = bring([job], back)
    assert mended.state is State.DONE and execute(job).report.lut == report.lut


def test_a_cosimulation_is_taken_with_the_resources_of_c_synthesis(tmp_path, monkeypatch):
    project = vendor_projects.hls(tmp_path / "here" / "abc123", built=True)
    copy = tmp_path / "back" / "abc123"
    shutil.copytree(project, copy)
    with monkeypatch.context() as there:
        vendor_standins.on_path(there, vendor_standins.write(tmp_path / "tools", "vitis-run", "vivado"))
        ran = execute(job_of(copy, "vitis", Stage.COSIM, tmp_path / "their cache"))
    shutil.copytree(ran.folder, copy / "hls", dirs_exist_ok=True)
    vendor_standins.on_path(monkeypatch, tmp_path / "nothing")
    (found,) = bring([job_of(project, "vitis", Stage.COSIM, cache.root())], tmp_path / "back")
    for name in ("lut", "ff", "latency_cycles", "interval_cycles", "stage"):
        assert getattr(found.report, name) == getattr(ran.report, name), name
