"""Co-simulation reports: whether the RTL passed, and in how many cycles."""

import pytest
from synth.run_texts import COSIM, COSIM_LATER

from flow.errors import BadInput
from flow.synth import vendor
from flow.synth.report import Report, Stage, Status

_VERILOG = "|   Verilog|      Pass|       14|       15|       17|        3|        3|        4|"
_NA = "|   Verilog|      Pass|       NA|       NA|       NA|       NA|       NA|       NA|"
_VHDL = "|      VHDL|        NA|       NA|       NA|       NA|       NA|       NA|       NA|"


def parse(text: str) -> Report:
    return vendor.parse(text, "report")


@pytest.mark.parametrize("text, tool", [(COSIM, None), (COSIM_LATER, "vitis_hls")])
def test_a_simulation_that_passed(text, tool):
    report = parse(text)
    assert (report.kind, report.stage, report.status) == ("cosim", Stage.COSIM, Status.OK)
    assert (report.latency_cycles, report.interval_cycles) == ((14, 17), (3, 4))
    assert report.messages == ("Verilog: pass",)
    assert (report.tool, report.tool_version, report.part, report.lut) == (tool, None, None, None)


def test_one_transaction_has_no_interval():
    report = parse(COSIM.replace("|        3|        3|        4|", "|       NA|       NA|       NA|"))
    assert report.latency_cycles == (14, 17) and report.interval_cycles is None and report.status is Status.OK


def test_a_pass_without_figures_is_incomplete():
    report = parse(COSIM.replace(_VERILOG, _NA))
    assert report.latency_cycles is None and report.status is Status.INCOMPLETE
    assert report.messages == ("Verilog: pass", "it gives no latency")


@pytest.mark.parametrize("word", ["Fail", "FAIL"])
def test_a_failure_without_figures(word):
    report = parse(COSIM.replace(_VERILOG, _NA.replace("Pass", word)))
    assert report.status is Status.FAILED and report.latency_cycles is None
    assert report.messages[0] == "Verilog: fail"


def test_no_language_was_simulated():
    report = parse(COSIM.replace(_VERILOG, _NA.replace("Pass", "  NA")))
    assert report.status is Status.INCOMPLETE and report.messages == ("no language was simulated",)


def test_two_languages_are_one_range_and_a_failed_one_is_not_in_it():
    both = COSIM.replace(_VHDL, _VERILOG.replace("Verilog", "   VHDL").replace("       17", "       19"))
    report = parse(both)
    assert report.latency_cycles == (14, 19) and report.messages == ("VHDL: pass", "Verilog: pass")
    failed = parse(both.replace("VHDL|      Pass", "VHDL|      Fail"))
    assert failed.status is Status.FAILED and failed.latency_cycles == (14, 17)
    assert failed.messages == ("VHDL: fail", "Verilog: pass")


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("|      Pass|", "|    Maybe|", "line 11: the status 'Maybe' is not known"),
        ("   Verilog|", "    Python|", "line 11: 'Python' is no language"),
        ("       14|", "       1x|", "line 11: the latency is '1x', no count"),
        ("       14|", "       16|", "line 11: the latency is 15 on average, between 16 and 17"),
        ("      Pass|", "        NA|", "line 11: Verilog has figures though it was not simulated"),
        ("   min   |   avg   |   max   |   min", "   max   |   avg   |   min   |   min", "not the columns"),
        ("|      VHDL|", "|   Verilog|", "a language twice"),
        ("|        4|\n", "|        4\n", "line 11: the row of a table is cut off"),
    ],
)
def test_a_damaged_table_is_refused(old, new, said):
    with pytest.raises(BadInput, match=said):
        parse(COSIM.replace(old, new, 1))
