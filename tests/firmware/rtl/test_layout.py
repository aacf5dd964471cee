"""The files around the network: names, description, PORTS.md, Vivado's script, and that nothing is left half written."""

import json
import re
import shutil
import subprocess

import pytest

from flow.errors import BadInput
from flow.firmware.rtl import codegen, layout, naming, ports, vivado
from flow.firmware.settings import Language

pytest.importorskip("alkaid")

MODULE = "module net (input clk, input [7:0] model_inp, output reg [3:0] model_out);\nendmodule\n"
DESCRIPTION = {
    "top": "net",
    "language": "verilog",
    "part": "xcvu9p-flga2104-2L-e",
    "clock_ns": 2.5,
    "latency_cycles": 5,
    "interval_cycles": 1,
    "inputs": [
        {"low_bit": 4 * i, "bits": 4, "signed": True, "integer": 1, "fraction": 2} for i in range(2)
    ],
    "outputs": [{"low_bit": 0, "bits": 4, "signed": False, "integer": 5, "fraction": -1}],
}  # fmt: skip


def written(folder, **changes):
    layout.write(folder, DESCRIPTION | changes, {Language.VERILOG: {"net": MODULE}})
    return folder


def test_the_description_tells_wrapper_and_files(tmp_path):
    written(tmp_path)
    read = json.loads((tmp_path / "rtl.json").read_text())
    assert read == DESCRIPTION | {"wrapper": "net_valid", "files": {"verilog": ["src/net.v", "src/net_valid.v"]}}
    assert "create_clock -period 2.5 " in (tmp_path / "src" / "net.xdc").read_text()


def test_what_an_earlier_project_left_is_gone_and_a_tools_files_stay(tmp_path):
    layout.write(
        tmp_path,
        DESCRIPTION | {"language": "vhdl"},
        {Language.VERILOG: {"old": "", "net": MODULE}, Language.VHDL: {"old": "", "net": ""}},
    )
    (tmp_path / "sim").mkdir()
    written(tmp_path)
    assert not (tmp_path / "vhdl").exists() and not (tmp_path / "src" / "old.v").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"src", "sim", "rtl.json", "PORTS.md", "build_vivado.tcl"}


def test_a_folder_that_can_not_be_written_keeps_the_earlier_project(tmp_path, monkeypatch):
    written(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(vivado, "script", lambda *arguments: b"not text")
    with pytest.raises(TypeError):
        written(tmp_path, clock_ns=5.0)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_part_that_a_script_would_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"part 'x\[exec ls\]': letters, digits"):
        written(tmp_path, part="x[exec ls]")
    assert not any(tmp_path.iterdir())


def test_ports_tell_every_element_and_the_handshake(tmp_path):
    text = (written(tmp_path) / "PORTS.md").read_text()
    assert "| j = 0 ... 1 | 4j and the 3 above | `fixed<4,2>` | 2^-2 | -2 ... 1.75 |" in text
    assert "| 0 | 3:0 | `ufixed<4,5>` | 2^1 | 0 ... 30 |" in text
    assert "Latency: 5 cycles" in text and "a word every cycle" in text and "in_ready" not in text
    rows = wave(text)
    assert rows["`out_valid`"] == [int(cycle in (5, 7)) for cycle in rows["cycle"]]


def test_ports_of_an_interval_tell_when_it_is_ready(tmp_path):
    text = (written(tmp_path, interval_cycles=4, start="go") / "PORTS.md").read_text()
    assert "| `in_ready` | out | 1 |" in text and "`go` is high for the one cycle in which a word is taken" in text
    rows = wave(text)
    assert [cycle for cycle, valid in zip(rows["cycle"], rows["`in_valid`"]) if valid] == [0, 4]
    assert [cycle for cycle, valid in zip(rows["cycle"], rows["`out_valid`"]) if valid] == [5, 9]
    ready = {cycle: bit for cycle, bit in zip(rows["cycle"], rows["`in_ready`"])}
    assert (
        ready[0] == ready[4] == 1 and ready[1] == ready[5] == 0 and all(ready[cycle] for cycle in ready if cycle >= 8)
    )


def wave(text):
    """The handshake's table: its rows by name, numbers where they are."""
    lines = [line for line in text.splitlines() if re.match(r"\| (cycle|`(in|out)_(valid|ready)`) +\| [\d ]", line)]
    rows = {}
    for line in lines:
        name, *values = (cell.strip() for cell in line.strip("|").split("|"))
        if all(re.fullmatch(r"\d+", value) for value in values):
            rows[name] = [int(value) for value in values]
    return rows


def test_runs_of_elements_that_do_not_begin_at_bit_0_are_told_with_their_offset():
    first = {"low_bit": 0, "bits": 3, "signed": False, "integer": 3, "fraction": 0}
    rest = [{"low_bit": 3 + i, "bits": 1, "signed": False, "integer": 1, "fraction": 0} for i in range(4)]
    text = ports._elements([first, *rest])
    assert "| j = 1 ... 4 | j + 2 |" in text and "| 0 | 2:0 |" in text


VIVADO = """
proc unknown {args} { puts [join $args " "] }
set argv [lrange $argv 0 end]
source build_vivado.tcl
"""


def told(folder, *arguments):
    """The commands that the script gives to Vivado, and the exit status."""
    (folder / "stand_in.tcl").write_text(VIVADO)
    command = ["tclsh", "stand_in.tcl", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.splitlines(), done


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not on PATH")
def test_the_script_reads_what_is_there_and_reports_after_each_step(tmp_path):
    lines, done = told(written(tmp_path))
    assert done.returncode == 0, done.stderr
    root = str(tmp_path.resolve())
    assert lines[:3] == [
        f"read_verilog {root}/src/net.v",
        f"read_verilog {root}/src/net_valid.v",
        f"read_xdc -mode out_of_context {root}/src/net.xdc",
    ]
    assert "synth_design -top net -part xcvu9p-flga2104-2L-e -mode out_of_context -flatten_hierarchy rebuilt" in lines
    for step in ("synth", "place", "route"):
        for name in ("utilization", "hierarchy", "timing", "power"):
            assert any(line.endswith(f"{root}/vivado/{step}_{name}.rpt") for line in lines), (step, name)
    assert [line for line in lines if line.endswith("_design")] == [
        "opt_design", "place_design", "phys_opt_design", "route_design",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not on PATH")
def test_the_script_takes_parameters_and_refuses_others(tmp_path):
    written(tmp_path)
    lines, done = told(tmp_path, "top=net_valid", "part=xcu250", "clock_ns=4", "until=synth", "out=elsewhere")
    assert done.returncode == 0, done.stderr
    assert "synth_design -top net_valid -part xcu250 -mode out_of_context -flatten_hierarchy rebuilt" in lines
    assert not any("place_design" in line for line in lines)
    constraint = tmp_path / "elsewhere" / "clock.xdc"
    assert constraint.read_text() == "create_clock -period 4 -name clk [get_ports clk]\n"
    assert f"read_xdc -mode out_of_context {constraint.resolve()}" in lines
    for argument in ("speed=3", "until=bitstream"):
        _, done = told(tmp_path, argument)
        assert done.returncode != 0 and f"{argument} is not known; known: " in done.stderr


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not on PATH")
def test_a_vhdl_project_is_read_in_the_order_of_compilation(tmp_path):
    layout.write(
        tmp_path,
        DESCRIPTION | {"language": "vhdl"},
        {Language.VERILOG: {"net": MODULE}, Language.VHDL: {"z_operator": "", "a_stage": "", "net": ""}},
    )
    lines, done = told(tmp_path)
    assert done.returncode == 0, done.stderr
    read = [line.rsplit("/", 1)[1] for line in lines if line.startswith("read_vhdl -vhdl2008 ")]
    assert read == ["z_operator.vhd", "a_stage.vhd", "net.vhd", "net_valid.vhd"]
    assert not any(line.startswith("read_verilog") for line in lines)


@pytest.mark.parametrize(
    "top, modules, language, message",
    [
        ("2 nets", (), "verilog", "'2 nets' can't be the name of a Verilog module"),
        ("nét", (), "verilog", "can't be the name of a Verilog module"),
        ("module", (), "verilog", "words of the language not"),
        ("net", ("table",), "verilog", "'table' can't be the name of a Verilog module: .* rename the layer"),
        ("fc0_s1", ("fc0_s1",), "verilog", "'fc0_s1' is the name of a stage"),
        ("fc0", ("fc0_valid",), "verilog", "'fc0_valid' is the name of a stage"),
        ("shift_adder", (), "verilog", "'shift_adder' is the name of one of alkaid's modules"),
        ("signal", (), "vhdl", "'signal' can't be the name of a VHDL entity"),
        ("net", ("a__b_s0",), "vhdl", "'a__b_s0' can't be the name of a VHDL entity"),
        ("net", ("fc0_s1", "FC0_s1"), "vhdl", "'fc0_s1' and 'FC0_s1' are the same name in VHDL"),
    ],
)
def test_names_that_can_not_be_are_refused(top, modules, language, message):
    operators = codegen.operators(Language.VERILOG)
    with pytest.raises(BadInput, match=message):
        naming.check(top, modules, operators, Language(language))


def test_names_that_only_vhdl_does_not_have_are_fine_in_verilog():
    naming.check("signal_", ("a__b_s0", "A__b_s0"), codegen.operators(Language.VERILOG), Language.VERILOG)
