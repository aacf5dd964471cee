import json
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Fidelity, Implementation
from flow.synth import job, subject
from flow.synth.report import Stage, Status
from flow.synth.tools import oneapi
from flow.synth.tools.tool import Limits

LISTS = (
    "cmake_minimum_required (VERSION 3.7.2)\nproject(tiny_jets CXX)\n"
    "set(USER_FPGA_FLAGS -Xsclock=5.0ns; ${USER_FPGA_FLAGS})\n"
)
SETTINGS = "Backend: oneAPI\nProjectName: tiny_jets\nPart: Agilex7\nClockPeriod: 5.0\n"
SOURCE = "// a layer\n// another\n// one more\n"

# What the stand-ins leave: figures that depend on the project's source and on the device that CMake was told.
REPORTS = r'''
import json
from pathlib import Path


def leave(source, device, target, name):
    """The compiler's reports in the folder of its project: 100 ALUTs for each line of the source."""
    lines = len(Path(source).read_text().splitlines())
    kernel = "".join(word.capitalize() for word in name.split("_"))
    folder = Path(f"{name}.{target}.prj/reports/resources/json")
    folder.mkdir(parents=True)
    parent = "estimatedResources"
    columns = ["", "ALUTs", "FFs", "RAMs", "DSPs", "MLABs"]
    counts = [100 * lines, 200 * lines, lines, 2 * lines, 3 if device == "Agilex7" else 4]
    rows = [
        {"name": "Estimated Resource Usage", "summary_type": parent, "columns": columns},
        {"name": kernel, "parent": parent, "data": counts},
        {"name": "Total", "parent": parent, "data": counts, "classes": ["summary-highlight"]},
    ]
    write(folder / "summary.ndjson", rows)
    block = {"name": f"{kernel}.B1", "id": 2, "af": "480.00", "ii": "1", "lt": f"{10 * lines}.000000", "type": "loop"}
    write(folder / "loop_attr.ndjson", [
        {"name": "loop_attributes", "id": 9, "nodes": [1]},
        {"name": kernel, "id": 1, "type": "kernel", "children": [2]},
        block,
    ])
    if target == "fpga":
        fitted = {"name": kernel, "type": "kernel", "alm": "10.5", "alut": str(90 * lines), "reg": "7", "dsp": "1",
                  "ram": "0", "mlab": "2"}
        write(folder / "quartus.ndjson", [{
            "quartusFitClockSummary": {"nodes": [{"type": "system", "clock fmax": "400.00"}]},
            "quartusFitResourceUsageSummary": {"nodes": [fitted]},
        }])


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
'''
CMAKE = f"""#!{sys.executable}
import os, signal, subprocess, sys, time
{REPORTS}
given = sys.argv[1:]
if "-S" in given:
    build = given[given.index("-B") + 1]
    os.makedirs(build)
    Path(build, "CMakeCache.txt").write_text("\\n".join(given))
    print("-- Configuring done")
    sys.exit()
build, target = given[given.index("--build") + 1], given[given.index("--target") + 1]
device = next(x for x in Path(build, "CMakeCache.txt").read_text().split("\\n") if "FPGA_DEVICE" in x).split("=")[1]
print(subprocess.run(["icpx", "--version"], capture_output=True, text=True).stdout)
source = os.path.abspath("src/firmware/tiny_jets.cpp")
os.chdir(build)
#BEFORE
leave(source, device, target, "tiny_jets")
#AFTER
"""
ICPX = "#!/bin/sh\necho 'Intel(R) oneAPI DPC++/C++ Compiler {version} ({version}.20240719)'\n"
QUARTUS = "#!/bin/sh\necho 'Quartus Prime Shell'\necho 'Version 23.4.0 Build 79 11/22/2023 SC Pro Edition'\n"
JSON = "tiny_jets.{}.prj/reports/resources/json"


def project(folder, lists=LISTS, settings=SETTINGS, source=SOURCE):
    hls = folder / "hls"
    (hls / "src" / "firmware").mkdir(parents=True)
    (hls / "CMakeLists.txt").write_text(lists)
    (hls / "hls4ml_config.yml").write_text(settings)
    (hls / "src" / "firmware" / "tiny_jets.cpp").write_text(source)
    return folder


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Stand-ins for icpx and Quartus on the PATH, and a function that puts CMake there."""
    there = tmp_path / "bin"
    program(there / "icpx", ICPX.format(version="2024.2.1"))
    program(there / "quartus_sh", QUARTUS)
    monkeypatch.setenv("PATH", f"{there}{os.pathsep}/usr/bin{os.pathsep}/bin")
    for name in ("FLOW_ONEAPI", "FLOW_CMAKE", "QUARTUS_ROOTDIR_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)

    def cmake(before="", after=""):
        program(there / "cmake", CMAKE.replace("#BEFORE", before).replace("#AFTER", after))
        return there

    cmake()
    return cmake


def synthesise(folder, stage=Stage.CSYNTH, timeout_s=60.0):
    work = folder / "work"
    work.mkdir()
    read = subject.read(folder, Implementation.HLS4ML)
    return job.run(oneapi.TOOL, read, stage, oneapi.find(), Limits(timeout_s), work)


def test_c_synthesis_tells_what_the_project_takes(tmp_path, tools):
    report = synthesise(project(tmp_path / "p"))
    assert (report.lut, report.ff, report.m20k, report.dsp, report.mlab) == (300, 600, 3, 6, 3)
    assert report.bram_18k is None and report.latency_cycles == (None, 30) and report.interval_cycles == (None, 1)
    assert (report.stage, report.fidelity, report.status) == (Stage.CSYNTH, Fidelity.CSYNTH, Status.OK)
    assert (report.tool, report.tool_version) == ("oneapi", "2024.2.1, Quartus 23.4.0")
    assert (report.part, report.design, report.clock_target_ns) == ("Agilex7", "tiny_jets", 5.0)
    assert report.clock_estimated_ns == pytest.approx(1e3 / 480, abs=1e-6)
    assert report.implementation is Implementation.HLS4ML
    assert report.path == f"{oneapi.BUILD}/{JSON.format('report')}/summary.ndjson"
    assert (tmp_path / "p" / "work" / report.path).is_file()


def test_another_project_and_another_device_have_other_figures(tmp_path, tools):
    settings = SETTINGS.replace("Agilex7", "10AS066N3F40E2SG")
    report = synthesise(project(tmp_path / "p", settings=settings, source="// alone\n"))
    assert (report.lut, report.mlab, report.part) == (100, 4, "10AS066N3F40E2SG")


def test_the_whole_way_gives_the_figures_of_quartus_and_the_cycles_of_c_synthesis(tmp_path, tools):
    report = synthesise(project(tmp_path / "p"), Stage.ROUTE)
    assert (report.lut, report.ff, report.dsp, report.m20k, report.mlab, report.alm) == (270, 7, 1, 0, 2, 10.5)
    assert (report.stage, report.fidelity, report.tool) == (Stage.ROUTE, Fidelity.ROUTE, "quartus")
    assert report.clock_estimated_ns == 2.5 and report.wns_ns is None
    assert report.latency_cycles == (None, 30) and "the cycles are those of C synthesis" in report.messages


def test_the_named_compiler_is_the_one_that_cmake_finds(tmp_path, tools, monkeypatch):
    """The lists call icpx by its name, so its folder must come first on the PATH."""
    other = program(tmp_path / "other" / "icpx", ICPX.format(version="2025.0.4"))
    monkeypatch.setenv("FLOW_ONEAPI", str(other))
    assert synthesise(project(tmp_path / "p")).tool_version.startswith("2025.0.4")
    assert "2025.0.4" in (tmp_path / "p" / "work" / oneapi.LOG).read_text()


def test_a_clock_that_the_lists_do_not_give_is_asked_for(tmp_path, tools):
    lists = LISTS.replace("-Xsclock=5.0ns; ", "")
    synthesise(project(tmp_path / "p", lists))
    assert "-DUSER_FPGA_FLAGS=-Xsclock=5ns" in (tmp_path / "p" / "work" / oneapi.BUILD / "CMakeCache.txt").read_text()


SAID = "print('aoc: Compiling for FPGA.'); print({!r}, flush=True); sys.exit(1)"


@pytest.mark.parametrize(
    "before, after, message, trouble, line",
    [
        (SAID.format("tiny_jets.cpp:3:1: error: unknown type name"), "", "status 1: .*unknown type", Trouble.CRASH, 5),
        (SAID.format("Error: Failed to get license for quartus_pro"), "", "status 1: .*license", Trouble.LICENCE, 5),
        (SAID.format("fatal error: No space left on device"), "", "status 1: .*No space", Trouble.DISK, 5),
        (SAID.format("LLVM ERROR: out of memory"), "", "status 1: .*memory", Trouble.MEMORY, 5),
        ("os.kill(os.getpid(), signal.SIGKILL)", "", "ended by SIGKILL", Trouble.KILLED, None),
        ("time.sleep(60)", "", "oneAPI took longer than 1 s", Trouble.TIMEOUT, None),
        ("sys.exit()", "", "oneAPI left no .*loop_attr.ndjson", Trouble.REPORT, None),
        ("", "os.remove(f'{J}/summary.ndjson')", "oneAPI left no .*summary.ndjson", Trouble.REPORT, None),
        (
            "",
            "p = Path(J, 'summary.ndjson'); p.write_text(p.read_text()[:-9])",
            "summary.ndjson, line 3",
            Trouble.REPORT,
            None,
        ),
        ("", "Path(J, 'loop_attr.ndjson').write_text('')", "loop_attr.ndjson", Trouble.REPORT, None),
    ],
)
def test_what_goes_wrong_is_told_with_log_and_line(tmp_path, tools, before, after, message, trouble, line):
    tools(before, f"J = {JSON.format('report')!r}\n{after}")
    with pytest.raises(ToolFailed, match=message) as failure:
        synthesise(project(tmp_path / "p"), timeout_s=1.0 if trouble is Trouble.TIMEOUT else 60.0)
    error = failure.value
    assert error.trouble is trouble and error.log == tmp_path / "p" / "work" / oneapi.LOG
    assert error.line == line


def test_a_failure_of_quartus_is_told_from_its_own_log(tmp_path, tools):
    said = (
        "Info: Running Quartus\nError (184036): Cannot place the following 204 DSP cells\nError (23035): Tcl error:\n"
    )
    tools(
        f"os.mkdir('tiny_jets.fpga.prj'); Path('tiny_jets.fpga.prj/quartus_sh_compile.log').write_text({said!r})\n"
        "print('Error: Compiler Error, not able to generate hardware', flush=True); sys.exit(1)"
    )
    with pytest.raises(ToolFailed, match=r"Error \(184036\): Cannot place .*quartus_sh_compile.log, line 2"):
        synthesise(project(tmp_path / "p"), Stage.ROUTE)


def test_a_report_of_another_design_is_refused(tmp_path, tools):
    tools(after="p = Path('tiny_jets.fpga.prj/reports/resources/json/quartus.ndjson')\n"
          "p.write_text(p.read_text().replace('TinyJets', 'Other'))")  # fmt: skip
    with pytest.raises(ToolFailed, match="it is of design Other, not tiny_jets") as failure:
        synthesise(project(tmp_path / "p"), Stage.ROUTE)
    assert failure.value.trouble is Trouble.REPORT


def test_a_route_that_quartus_did_not_run_has_no_figures(tmp_path, tools):
    """The compiler writes TBD where Quartus has not come yet."""
    tools(after="p = Path('tiny_jets.fpga.prj/reports/resources/json/quartus.ndjson')\n"
          "p.write_text(p.read_text().replace('270', 'TBD').replace('400.00', 'TBD'))")  # fmt: skip
    report = synthesise(project(tmp_path / "p"), Stage.ROUTE)
    assert report.status is Status.INCOMPLETE and report.lut is None and report.clock_estimated_ns is None


@pytest.mark.parametrize(
    "change, message",
    [
        ({"settings": SETTINGS.replace("oneAPI", "Quartus")}, "built for quartus; oneAPI reads .* oneapi"),
        ({"settings": SETTINGS.replace("Agilex7", '"a$(touch x)"')}, r"the part 'a\$\(touch x\)' is no name"),
        ({"settings": SETTINGS.replace("tiny_jets", "../tiny")}, "the top '../tiny' is no name"),
        ({"settings": SETTINGS.replace("5.0", "0")}, "a clock period of 0 ns"),
        ({"settings": SETTINGS.replace("5.0", ".nan")}, "a clock period of nan ns"),
        ({"lists": LISTS.replace("5.0ns", "4.0ns")}, "CMakeLists.txt: .*Xsclock=4.0ns.* clock period, 5 ns"),
        ({"lists": LISTS.replace("5.0ns", "100MHz")}, "not the project's clock period"),
        ({"lists": LISTS.replace("5.0ns", "${CLOCK}")}, "not the project's clock period"),
    ],
)
def test_a_project_that_can_not_be_run_is_refused_before(tmp_path, change, message):
    made = project(tmp_path / "p", **change)
    with pytest.raises(BadInput, match=message):
        oneapi.render(subject.read(made, Implementation.HLS4ML), Stage.CSYNTH)


@pytest.mark.parametrize("given", ["5ns", "5.0 ns", "5000ps", "200MHz", "200", "0.005us", "0.2GHz"])
def test_a_clock_is_read_in_any_unit(tmp_path, given):
    read = subject.read(project(tmp_path / "p", LISTS.replace("5.0ns", given)), Implementation.HLS4ML)
    assert oneapi.render(read, Stage.CSYNTH)[oneapi.OPTIONS] == "-DFPGA_DEVICE=Agilex7\n--target report\n"


def test_missing_lists_and_unknown_stages_are_refused(tmp_path):
    folder = project(tmp_path / "p")
    read = subject.read(folder, Implementation.HLS4ML)
    with pytest.raises(BadInput, match="stage cosim: oneAPI has csynth, route"):
        oneapi.render(read, Stage.COSIM)
    (folder / "hls" / "CMakeLists.txt").unlink()
    with pytest.raises(BadInput, match="CMakeLists.txt is missing"):
        oneapi.render(subject.read(folder, Implementation.HLS4ML), Stage.CSYNTH)


def test_what_is_not_here_is_said_with_what_to_set(tmp_path, tools, monkeypatch):
    there = tools()
    (there / "quartus_sh").unlink()
    assert oneapi.find().version == "2024.2.1"
    with pytest.raises(ToolFailed, match="no Quartus, which route needs") as failure:
        synthesise(project(tmp_path / "p"), Stage.ROUTE)
    assert failure.value.trouble is Trouble.MISSING
    (there / "icpx").unlink()
    with pytest.raises(ToolFailed, match="no icpx on the PATH; source oneAPI's setvars.sh") as failure:
        oneapi.find()
    assert failure.value.trouble is Trouble.MISSING
    monkeypatch.setenv("FLOW_ONEAPI", "/nowhere/icpx")
    with pytest.raises(BadInput, match="FLOW_ONEAPI names '/nowhere/icpx'"):
        oneapi.find()
    monkeypatch.setenv("FLOW_ONEAPI", "true")
    with pytest.raises(BadInput, match="asks for a program that is called icpx"):
        oneapi.find()


@pytest.mark.parametrize(
    "said, message",
    [
        (ICPX.format(version="2025.2.0"), "is of 2025.2.0; known to work: 2022.0 to 2025.0"),
        ("#!/bin/sh\n", "its version"),
    ],
)
def test_a_compiler_without_fpga_is_none(tmp_path, tools, said, message):
    program(tools() / "icpx", said)
    with pytest.raises(ToolFailed, match=message) as failure:
        oneapi.find()
    assert failure.value.trouble is Trouble.MISSING


def test_the_quartus_that_the_compiler_would_take_is_the_one_that_is_told(tmp_path, tools, monkeypatch):
    program(tmp_path / "q" / "bin" / "quartus_sh", QUARTUS.replace("23.4.0", "24.1.0"))
    monkeypatch.setenv("QUARTUS_ROOTDIR_OVERRIDE", str(tmp_path / "q"))
    assert oneapi.find().version == "2024.2.1, Quartus 24.1.0"


COMPILER = f"""#!{sys.executable}
import os, subprocess, sys
{REPORTS}
given = sys.argv[1:]
if given == ["--version"]:
    print("Intel(R) oneAPI DPC++/C++ Compiler 2024.2.1 (2024.2.1.20240711)")
    sys.exit()
device = next((x.split("=")[1] for x in given if x.startswith("-Xstarget=")), None)
own = ("-X", "-fsycl", "-fintelfpga", "-qactypes", "-fconstexpr-steps", "-reuse-exe")
status = subprocess.run(["g++", *(x for x in given if not x.startswith(own))]).returncode
if device is not None and "-c" not in given:
    assert any(x.startswith("-Xsclock=") for x in given)
    name, target = given[given.index("-o") + 1].split("/")[-1].split(".")
    leave(os.path.join(os.environ["HERE"], "src/firmware/tiny_jets.cpp"), device, target, name)
sys.exit(status)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("g++") is None, reason="needs cmake and g++")
def test_the_lists_that_hls4ml_writes_run_through_the_real_cmake(tmp_path, monkeypatch):
    """Its template, filled in as its writer does, with a compiler in the place of icpx."""
    template = Path(find_spec("hls4ml").submodule_search_locations[0]) / "templates" / "oneapi" / "CMakeLists.txt"
    lists = template.read_text().replace("myproject", "tiny_jets").replace("mystamp", "csim")
    lists = re.sub(
        r"(?m)^(set\(USER_FPGA_FLAGS -Wno.*)$", r"\1\nset(USER_FPGA_FLAGS -Xsclock=5.0ns; ${USER_FPGA_FLAGS})", lists
    )
    folder = project(tmp_path / "p", lists)
    (folder / "hls" / "src" / "tiny_jets_test.cpp").write_text("int main() { return 0; }\n")
    (folder / "hls" / "src" / "tiny_jets_bridge.cpp").write_text("// for Python\n")
    program(tmp_path / "bin" / "icpx", COMPILER)
    monkeypatch.setenv("FLOW_ONEAPI", str(tmp_path / "bin" / "icpx"))
    monkeypatch.setenv("HERE", str(tmp_path / "p" / "work"))
    report = synthesise(folder)
    assert (report.lut, report.mlab, report.part) == (300, 3, "Agilex7")
    rows = (tmp_path / "p" / "work" / report.path).read_text().splitlines()
    assert json.loads(rows[-1])["name"] == "Total"
