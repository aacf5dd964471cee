"""The targets of a project's Makefile, with stand-ins for the vendors' tools that run the scripts they are given."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("hls4ml")
pytest.importorskip("alkaid")

import standins
from projects import PART, TARGET, build
from standins import LAUNCHER, commands_of, make, tools_of

from flow.firmware.settings import Backend, IoType, Language, Strategy

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or shutil.which("tclsh") is None, reason="needs make and tclsh"
)

TARGETS = {
    Backend.VITIS: TARGET,
    Backend.VIVADO: replace(TARGET, backend=Backend.VIVADO, io_type=IoType.STREAM, language=Language.VHDL),
    Backend.CATAPULT: replace(TARGET, backend=Backend.CATAPULT),
    Backend.ONEAPI: replace(TARGET, backend=Backend.ONEAPI, strategy=Strategy.RESOURCE),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    return {backend: build(folder / backend, target) for backend, target in TARGETS.items()}


@pytest.fixture
def tools(tmp_path):
    standins.write(tmp_path / "tools")
    return tmp_path / "tools"


@pytest.fixture
def copy(built, tmp_path):
    def copied(backend: Backend) -> Path:
        return Path(shutil.copytree(built[backend], tmp_path / backend))

    return copied


def _launched(record: list[str]) -> bool:
    """Whether the launcher was told to start every tool, and nothing else was."""
    calls = [line.split() for line in record if not line.startswith("tcl ")]
    asked = [call[2] for call in calls if call[0] == LAUNCHER and not call[2].startswith(("./", "obj/"))]
    return asked == [call[0] for call in calls if call[0] not in (LAUNCHER, "program")]


@pytest.mark.parametrize("backend", (Backend.VITIS, Backend.VIVADO))
def test_all_steps_of_the_xilinx_tools(backend, copy, tools):
    project = copy(backend)
    hls = {Backend.VITIS: "vitis-run", Backend.VIVADO: "vivado_hls"}[backend]
    done, record = make(project, tools, "csynth", "cosim", "export", "vsynth", "impl", "vivado", "yosys")
    assert done.returncode == 0, done.stderr
    assert tools_of(record) == [hls] * 3 + ["vivado"] * 3 + ["yosys"] and _launched(record)
    text = "\n".join(record)
    assert f"tcl set_part {PART}" in text and "tcl create_clock -period 5.0 -name default" in text
    for command in ("csynth_design", "cosim_design", "export_design", "route_design"):
        assert command in commands_of(record)
    read = [line for line in record if line.startswith("tcl add_files") and "/rtl/" in line]
    assert read and all(line.endswith(".vhd" if backend == Backend.VIVADO else ".v") for line in read)
    # Vivado gets the Verilog of C synthesis, and the clock of what it is given
    assert any(line.startswith("tcl add_files") and line.endswith("syn/verilog/tiny_jets.v") for line in record)
    assert "-name ap_clk" in (project / "hls/constraints.xdc").read_text()
    assert "-name clk" in (project / "rtl/src/tiny_jets.xdc").read_text()


def test_nothing_runs_twice_and_what_changed_runs_again(copy, tools):
    project = copy(Backend.VITIS)
    everything = ("csynth", "cosim", "export", "vsynth", "impl", "vivado", "yosys")
    assert tools_of(make(project, tools, *everything)[1])
    done, record = make(project, tools, *everything)
    assert done.returncode == 0 and tools_of(record) == []
    for changed, again in (
        ("hls/firmware/weights/w4.h", ["vitis-run"] * 3 + ["vivado"] * 2),
        ("hls/tiny_jets_test.cpp", ["vitis-run"]),
        ("hls/tcl/impl.tcl", ["vivado"]),
        ("rtl/src/tiny_jets.v", ["vivado", "yosys"]),
        ("rtl/yosys.ys", ["yosys"]),
    ):
        _touch(project, changed)
        assert tools_of(make(project, tools, *everything)[1]) == again, changed
    make(project, tools, "clean")
    done, record = make(project, tools, "verify-digests")
    assert done.returncode == 0 and not list(project.rglob("*.done"))


@pytest.mark.parametrize("backend", TARGETS)
def test_the_simulation_is_stale_where_any_source_changed(backend, copy, tools):
    project = copy(backend)
    folder = project / ("hls/src" if backend == Backend.ONEAPI else "hls")
    inside = [path for path in sorted((folder / "firmware").rglob("*")) if path.is_file()]
    deepest = max(inside, key=lambda path: len(path.parts))
    for changed in (inside[0], deepest, inside[-1], project / "Makefile"):
        (project / "hls/csim").write_text("")
        for path in project.rglob("*"):
            os.utime(path, ns=(10**18,) * 2)
        assert make(project, tools, "-q", "hls/csim")[0].returncode == 0
        os.utime(changed)
        assert make(project, tools, "-q", "hls/csim")[0].returncode == 1, changed


def _touch(project: Path, name: str) -> None:
    """Make a file newer than all that was made from it, and all others as much older."""
    for path in project.rglob("*"):
        made = path.stat().st_mtime_ns - 10**12
        os.utime(path, ns=(made, made))
    os.utime(project / name)


def test_steps_that_share_a_solution_wait_for_each_other(copy, tools):
    done, record = make(copy(Backend.VITIS), tools, "-j4", "export", "vsynth", "cosim", "sim")
    assert done.returncode == 0, done.stderr
    commands = commands_of(record)
    assert commands.index("csynth_design") < commands.index("cosim_design") < commands.index("export_design")


@pytest.mark.parametrize("broken", ("csynth_design", "cosim_design", "route_design"))
def test_a_failing_tool_stops_make_with_its_log(broken, copy, tools):
    project = copy(Backend.VITIS)
    step, place = {
        "csynth_design": ("csynth", "logs"),
        "cosim_design": ("cosim", "logs"),
        "route_design": ("impl",) * 2,
    }[broken]
    done, _ = make(project, tools, step, broken=broken)
    assert done.returncode != 0 and f"see hls/{place}/{step}.log" in done.stderr
    assert f"ERROR: {broken} is broken" in (project / f"hls/{place}/{step}.log").read_text()
    done, record = make(project, tools, step)
    assert done.returncode == 0 and broken in commands_of(record)


def test_catapult(copy, tools):
    project = copy(Backend.CATAPULT)
    done, record = make(project, tools, "-j3", "csynth", "cosim", "vsynth", "impl")
    assert done.returncode == 0, done.stderr
    assert sorted(tools_of(record)) == ["catapult"] * 2 + ["vivado"] * 2
    scverify = [line for line in record if "INVOKE_ARGS" in line]
    assert scverify and all("tb_data/inputs.txt" in line and "firmware/weights" not in line for line in scverify)
    assert sum("Verify_rtl_v_msim.mk" in line for line in record) == 1  # in cosim alone
    assert any(line.startswith("tcl add_files") and line.endswith("concat_rtl.v") for line in record)


def test_oneapi(copy, tools):
    project = copy(Backend.ONEAPI)
    done, record = make(project, tools, "emulate", "csynth", "cosim", "export", "impl", "sim")
    assert done.returncode == 0, done.stderr
    assert tools_of(record) == ["cmake"] * 10 + ["verilator"] and _launched(record)
    runs = [line for line in record if line.startswith("program ")]
    assert len(runs) == 2 and all(line.endswith("../../tb_data/outputs.txt") for line in runs)
    for step in ("emulate", "cosim"):
        assert (project / "hls/build" / step / "../../tb_data/outputs.txt").exists()


def test_the_simulator_is_chosen_and_its_verdict_read(copy, tools):
    project = copy(Backend.VIVADO)
    done, record = make(project, tools, "sim")
    assert done.returncode == 0 and "1 vectors, 0 differ" in done.stdout and tools_of(record) == ["verilator"]
    files = record[1].split()
    assert all((project / "rtl/sim_verilator" / name).exists() for name in files if name.startswith("../"))
    assert (project / "rtl/sim_verilator/inputs.hex").exists()
    done, record = make(project, tools, "sim", "SIM=xsim")
    assert done.returncode == 0 and tools_of(record) == ["xvlog", "xelab", "xsim"] and _launched(record)
    # that a simulator ends well says nothing: the bench has to say so
    for simulator in ("iverilog", "ghdl"):
        done, record = make(project, tools, "sim", f"SIM={simulator}")
        assert done.returncode != 0 and f"see rtl/sim_{simulator}/sim.log" in done.stderr and _launched(record)
    read = [name for name in record[1].split() if name.startswith("../")]
    assert read and all(name.endswith(".vhd") and (project / "rtl/tb" / name).exists() for name in read)
    done, _ = make(project, tools, "sim", "SIM=modelsim")
    assert done.returncode != 0 and "SIM=modelsim is not known; known: verilator, iverilog, xsim, ghdl" in done.stderr


def test_help_tells_every_target(built, tools):
    for project in built.values():
        text = (project / "Makefile").read_text()
        names = text.split(".PHONY: ")[1].splitlines()[0].split()
        told, _ = make(project, tools)
        assert [name for name in names if name != "help" and f"make {name} " not in told.stdout] == []
