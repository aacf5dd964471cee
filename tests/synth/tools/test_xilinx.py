"""How the vendor's tools are found, and what a run of theirs came to, with stand-ins for all of them."""

import shutil
import subprocess
import threading
import time

import pytest
from synth import small_tcl, vendor_projects, vendor_standins

from flow import process
from flow.errors import BadInput, ToolFailed, Trouble
from flow.synth import job, subject
from flow.synth.report import Stage, Status
from flow.synth.tools import vitis, vivado, vivado_hls, xilinx
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.tool import Limits

TOOLS = {
    "vitis": (vitis.TOOL, ("vitis-run", "vivado"), "2023.2"),
    "vivado_hls": (vivado_hls.TOOL, ("vivado_hls", "vivado"), "2019.2"),
    "vivado": (vivado.TOOL, ("vivado",), "2023.2"),
}


@pytest.fixture
def synthesise(tmp_path, monkeypatch):
    """The report of a whole run on a tiny project; `behaviour` is that of all programs."""

    def run(name, behaviour="success", stage=None, limits=Limits(60.0), **project):
        tool, programs, version = TOOLS[name]
        tools = vendor_standins.write(tmp_path / "tools", *programs, version=version, behaviour=behaviour)
        vendor_standins.on_path(monkeypatch, tools)
        if name == "vivado":
            made = vendor_projects.rtl(tmp_path / "project", **project)
        else:
            backend = "vitis" if name == "vitis" else "vivado"
            made = vendor_projects.hls(tmp_path / "project", backend=backend, **project)
        work = tmp_path / "work"
        work.mkdir()
        read = subject.read(made, tool.implementation)
        return job.run(tool, read, stage or tool.usual, tool.find(), limits, work)

    return run


@pytest.mark.parametrize("name, stage", [(name, stage) for name, row in TOOLS.items() for stage in row[0].stages])
def test_every_stage_of_every_tool(name, stage, synthesise, tmp_path):
    tool, _, version = TOOLS[name]
    report = synthesise(name, stage=stage)
    assert report.stage is stage and report.status is Status.OK and report.implementation is tool.implementation
    assert (report.design, report.part, report.clock_target_ns) == ("tagger", vendor_projects.PART, 5.0)
    assert report.lut > 50 and report.ff > 50 and report.tool_version == version
    assert None not in (report.latency_cycles, report.interval_cycles)
    assert (tmp_path / "work" / report.path).is_file()
    kept = [path for pattern in tool.keep for path in (tmp_path / "work").glob(pattern)]
    assert tmp_path / "work" / report.path in kept and not any(path.suffix in (".dcp", ".v", ".dat") for path in kept)


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize(
    "behaviour, trouble, said",
    [
        ("licence", Trouble.LICENCE, "valid license was not found"),
        ("crash", Trouble.CRASH, "SIGSEGV: Abnormal program termination"),
        ("killed", Trouble.KILLED, "ended by SIGKILL"),
        ("error", Trouble.CRASH, "undeclared identifier"),
        ("bad_alloc", Trouble.MEMORY, "bad_alloc"),
        ("disk", Trouble.DISK, "No space left on device"),
        ("late", Trouble.CRASH, "exit status 1"),
        ("no_report", Trouble.REPORT, "left no "),
        ("truncated", Trouble.REPORT, "line "),
        ("other_design", Trouble.REPORT, "of design another, not tagger"),
        ("other_part", Trouble.REPORT, "of part xcku040-ffva1156-2-e, not xcvu13p-flga2577-2-e"),
        ("other_clock", Trouble.REPORT, "of clock 6.0, not 5.0"),
        ("other_version", Trouble.REPORT, "of version 2017.4, not 20"),
    ],
)
def test_what_goes_wrong_is_told_with_its_log(name, behaviour, trouble, said, synthesise):
    with pytest.raises(ToolFailed, match=said) as failure:
        synthesise(name, behaviour)
    error = failure.value
    assert error.trouble is trouble and error.log.is_file() and "\n" not in str(error)
    if trouble in (Trouble.LICENCE, Trouble.DISK, Trouble.MEMORY) or behaviour in ("crash", "error"):
        line = error.log.read_text().splitlines()[error.line - 1]
        assert line.strip() in str(error)


@pytest.mark.parametrize("name", TOOLS)
def test_an_error_in_a_log_that_goes_on_is_none(name, synthesise, tmp_path):
    report = synthesise(name, "harmless")
    assert report.status is Status.OK
    assert any("ERROR" in path.read_text() for path in (tmp_path / "work" / "synth").glob("*.log"))


@pytest.mark.parametrize("name", TOOLS)
def test_limits_end_a_run_and_what_it_started(name, synthesise):
    with pytest.raises(ToolFailed, match="longer than 0.4 s") as failure:
        synthesise(name, "hang", limits=Limits(0.4))
    assert failure.value.trouble is Trouble.TIMEOUT


def test_memory_is_limited(synthesise):
    with pytest.raises(ToolFailed, match="more than 0.1 GB") as failure:
        synthesise("vivado", "memory", limits=Limits(60.0, memory_gb=0.1))
    assert failure.value.trouble is Trouble.MEMORY


def test_the_time_limit_is_of_all_programs_together(tmp_path):
    with pytest.raises(ToolFailed, match="Vivado took longer than 10 s"):
        late = Deadline(Limits(10.0), time.monotonic() - 11.0)
        xilinx.call_tool("Vivado", ["/bin/sleep", "5"], tmp_path, tmp_path / "log", late)


def test_figures_follow_the_project(synthesise, tmp_path):
    small = synthesise("vivado", lines=40)
    shutil.rmtree(tmp_path / "work")
    shutil.rmtree(tmp_path / "project")
    assert synthesise("vivado", lines=80).lut > small.lut


@pytest.mark.parametrize("name", ("vitis", "vivado_hls"))
def test_more_weights_are_more_logic(name, synthesise, tmp_path):
    small = synthesise(name, weights=8)
    shutil.rmtree(tmp_path / "work")
    shutil.rmtree(tmp_path / "project")
    assert synthesise(name, weights=80).lut > small.lut


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, stage, reports",
    [("vitis", Stage.COSIM, "*_prj/**/*.*"), ("vivado_hls", Stage.EXPORT, "*_prj/**/*.*"),
     ("vivado", Stage.ROUTE, "vivado/route_*.rpt")],
)  # fmt: skip
def test_a_report_that_is_cut_off_anywhere_gives_no_other_figure(name, stage, reports, synthesise, tmp_path):
    tool, work = TOOLS[name][0], tmp_path / "work"
    whole = vars(synthesise(name, stage=stage))
    of = subject.read(tmp_path / "project", tool.implementation)
    refused = 0
    for path in [path for path in work.glob(reports) if path.suffix in (".rpt", ".xml")]:
        text = path.read_text()
        for lines in range(text.count("\n")):
            path.write_text("".join(text.splitlines(True)[:lines]))
            try:
                cut = vars(tool.read(work, of, stage))
            except ToolFailed as error:
                assert error.trouble is Trouble.REPORT
                refused += 1
                continue
            other = {
                key for key in whole if cut[key] not in (whole[key], None, {}) and key not in ("messages", "status")
            }
            assert not other, f"{path.name}, {lines} lines"
        path.write_text(text)
    assert refused > 50


@pytest.mark.parametrize(
    "body, said, trouble",
    [
        ("exit 3", "with exit status 3", Trouble.CRASH),
        ("exit 163", "with exit status 163", Trouble.CRASH),
        ("exit 139", "by SIGSEGV", Trouble.CRASH),
        ("kill -SEGV $$", "by SIGSEGV", Trouble.CRASH),
        ("exit 143", "by SIGTERM", Trouble.KILLED),
        ("kill -KILL $$", "by SIGKILL", Trouble.KILLED),
    ],
)
def test_how_a_program_ended_is_told_in_words(body, said, trouble, tmp_path):
    with pytest.raises(ToolFailed, match=f"ended {said}") as failure:
        xilinx.call_tool("Vivado", ["/bin/sh", "-c", body], tmp_path, tmp_path / "log", Deadline.of(Limits(60.0)))
    assert failure.value.trouble is trouble


# what is left, told from logs and reports


@pytest.mark.parametrize(
    "said, trouble",
    [
        ("ERROR: [Common 17-345] A valid license was not found for feature 'HLS'.", Trouble.LICENCE),
        ("ERROR: [Common 17-70] No space left on device", Trouble.DISK),
        ("ERROR: [HLS 200-70] broken" + "\x1b[0m" + "x" * 1000, Trouble.REPORT),
        ("all well", Trouble.REPORT),
    ],
)
def test_a_missing_report_is_told_with_why(said, trouble, tmp_path):
    log = tmp_path / "tool.log"
    log.write_text(f"first\r\n{said}\r\n")
    with pytest.raises(ToolFailed, match="Vitis HLS left no a.rpt") as failure:
        xilinx.report(tmp_path, "a.rpt", log, "Vitis HLS")
    error = failure.value
    assert error.trouble is trouble and error.line == (None if said == "all well" else 2)
    assert str(error).isprintable() and len(error.message) < 400


def test_a_folder_that_does_not_say_what_ran_there_is_not_read(tmp_path):
    of = subject.read(vendor_projects.rtl(tmp_path), vivado.TOOL.implementation)
    with pytest.raises(ToolFailed, match="versions.json does not say which vivado ran"):
        vivado.TOOL.read(tmp_path, of, Stage.SYNTH)


def test_two_runs_at_once_do_not_meet(tmp_path, monkeypatch):
    tools = vendor_standins.write(tmp_path / "tools", "vivado", seconds=0.3)
    both = threading.Barrier(2)
    vendor_standins.on_path(monkeypatch, tools)

    def one(number):
        project = vendor_projects.rtl(tmp_path / f"project{number}", lines=40 + number)
        work = tmp_path / f"work{number}"
        work.mkdir()
        read, found = subject.read(project, vivado.TOOL.implementation), vivado.find()
        both.wait(300)
        return job.run(vivado.TOOL, read, Stage.SYNTH, found, Limits(60.0), work)

    found = process.in_parallel([lambda n=n: one(n) for n in range(2)], 2)
    assert len({run["cwd"] for run in vendor_standins.runs(tools)}) == 2
    assert found[0].lut < found[1].lut


def test_the_environment_tells_a_stand_in_what_to_do(synthesise, monkeypatch):
    monkeypatch.setattr(vendor_standins, "on_path", lambda _, folder: monkeypatch.setenv("PATH", str(folder)))
    monkeypatch.setenv("STANDIN_BEHAVIOUR", "licence")
    with pytest.raises(ToolFailed) as failure:
        synthesise("vivado")
    assert failure.value.trouble is Trouble.LICENCE


# finding them


def find(monkeypatch, folder, tool):
    vendor_standins.on_path(monkeypatch, folder)
    return tool.find()


def test_vitis_is_found_in_both_forms(tmp_path, monkeypatch):
    old = vendor_standins.write(tmp_path / "old", "vitis_hls", version="2020.2")
    found = find(monkeypatch, old, vitis.TOOL)
    assert found.command == (str(old / "vitis_hls"), "-f") and found.version == "2020.2"
    new = vendor_standins.write(tmp_path / "new", "vitis-run", version="2025.1")
    found = find(monkeypatch, new, vitis.TOOL)
    assert found.command == (str(new / "vitis-run"), "--mode", "hls", "--tcl") and found.version == "2025.1"
    # a vitis-run that reads no Tcl yet, beside a vitis_hls that does
    both = vendor_standins.write(tmp_path / "both", "vitis-run", "vitis_hls", version="2023.1")
    assert find(monkeypatch, both, vitis.TOOL).path == str(both / "vitis_hls")
    monkeypatch.setenv("FLOW_VITIS", str(new / "vitis-run"))
    assert vitis.TOOL.find().version == "2025.1"


@pytest.mark.parametrize(
    "name, program, version, known",
    [
        ("vitis", "vitis_hls", "2020.1", "2020.2 and later"),
        ("vivado_hls", "vivado_hls", "2017.4", "2018.2 to 2020.1"),
        ("vivado_hls", "vivado_hls", "2020.2", "2018.2 to 2020.1"),
        ("vivado", "vivado", "2018.1", "2018.2 and later"),
    ],
)
def test_another_release_is_missing(name, program, version, known, tmp_path, monkeypatch):
    folder = vendor_standins.write(tmp_path, program, version=version)
    with pytest.raises(ToolFailed, match=rf"{program} is of {version} \(known to work: {known}\)") as failure:
        find(monkeypatch, folder, TOOLS[name][0])
    assert failure.value.trouble is Trouble.MISSING


@pytest.mark.parametrize("name", TOOLS)
def test_a_missing_or_silent_program_says_what_to_set(name, tmp_path, monkeypatch):
    tool, programs, _ = TOOLS[name]
    with pytest.raises(ToolFailed, match=f"{programs[0]}.* on the PATH; source .* FLOW_{name.upper()}") as failure:
        find(monkeypatch, tmp_path, tool)
    assert failure.value.trouble is Trouble.MISSING
    vendor_standins.write(tmp_path, programs[0], version=None)
    with pytest.raises(ToolFailed, match="does not say its version .*known to work") as failure:
        tool.find()
    assert failure.value.trouble is Trouble.MISSING
    monkeypatch.setenv(f"FLOW_{name.upper()}", str(tmp_path / "none"))
    with pytest.raises(BadInput, match=f"FLOW_{name.upper()} names"):
        tool.find()


def test_a_program_that_never_answers_is_given_up(tmp_path, monkeypatch):
    path = tmp_path / "vivado"
    path.write_text("#!/bin/sh\nsleep 60 &\necho $! > child\nwait\n")
    path.chmod(0o755)
    monkeypatch.setattr(xilinx, "_ASKED_S", 0.2)
    with pytest.raises(ToolFailed, match="vivado does not say its version") as failure:
        find(monkeypatch, tmp_path, vivado.TOOL)
    assert failure.value.trouble is Trouble.MISSING


def test_a_program_on_a_relative_path_is_found_from_everywhere(tmp_path, monkeypatch):
    vendor_standins.write(tmp_path / "here", "vivado")
    monkeypatch.chdir(tmp_path)
    assert find(monkeypatch, "here", vivado.TOOL).path == str(tmp_path / "here" / "vivado")


def test_a_program_that_was_replaced_is_asked_again(tmp_path, monkeypatch):
    vendor_standins.write(tmp_path, "vivado", version="2022.1")
    assert find(monkeypatch, tmp_path, vivado.TOOL).version == "2022.1"
    vendor_standins.write(tmp_path, "vivado", version="2024.2")
    assert vivado.TOOL.find().version == "2024.2" and not vendor_standins.runs(tmp_path)


def test_a_first_failure_that_passes(synthesise, tmp_path, monkeypatch):
    with pytest.raises(ToolFailed):
        synthesise("vivado", "licence")
    tools = vendor_standins.write(tmp_path / "tools2", "vivado", behaviour="licence", fails=1)
    vendor_standins.on_path(monkeypatch, tools)
    read = subject.read(tmp_path / "project", vivado.TOOL.implementation)
    for attempt, expected in enumerate(("licence", None)):
        work = tmp_path / f"work{attempt}"
        work.mkdir()
        try:
            job.run(vivado.TOOL, read, Stage.SYNTH, vivado.TOOL.find(), Limits(60.0), work)
            assert expected is None
        except ToolFailed as error:
            assert error.trouble.value == expected
    assert [run["end"] is not None for run in vendor_standins.runs(tools)] == [True, True]


# the stand-ins' Tcl

SCRIPT = r"""
proc run {script} {
    if {[catch {uplevel #0 $script} message]} {
        puts "ERROR: $message"
    }
    return done
}
set name "a b"; set out {}
foreach given {top=x until=synth} {
    if {![regexp {^(top|until)=(.+)$} $given whole key value]} { error "no $given" }
    puts "$key is ${value} \[of $name\]"
    set $key $value
}
if {[lsearch -exact {synth place} $until] < 0} { puts no } elseif {5.0 == 5} { puts "as it was" } else { puts other }
if {$top eq "x" && [llength {1 2}] == 2} { puts [file join a [file dirname b/c.tcl] ..] }
puts [run { set inner 3
    error "broken at $inner" }]
puts [lsort {c a b}]
catch { nothing_known } said
puts $said
"""


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh")
def test_the_small_tcl_does_as_the_real_one(tmp_path):
    path = tmp_path / "script.tcl"
    path.write_text(SCRIPT)
    real = subprocess.run(["tclsh", str(path)], capture_output=True, text=True, check=True, timeout=300).stdout
    said = []
    small_tcl.Tcl({}, said.append).source(str(path))
    assert said == real.splitlines() and "ERROR: broken at 3" in said
