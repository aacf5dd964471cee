"""The parsers of vendor reports, on small reports written for this; damaged and real ones are test_damaged_reports'."""

import json
import re

import pytest
from synth.run_texts import ALL
from synth.vendor_texts import (
    EXPORT,
    HIERARCHY,
    HLS,
    IMPLEMENTED,
    LATER,
    POWER,
    SEVEN,
    SUMMARY,
    TIMING,
    UTILIZATION,
    XML,
)

from flow.errors import BadInput
from flow.metrics import Fidelity
from flow.synth import vendor
from flow.synth.report import Report, Stage, Status


def parse(text: str) -> Report:
    return vendor.parse(text, "report")


def counts(report: Report) -> tuple:
    return report.lut, report.ff, report.dsp, report.bram_18k, report.uram


def test_csynth_xml():
    report = parse(XML)
    assert counts(report) == (3105, 2040, 31, 7, 0)
    assert (report.tool, report.tool_version, report.kind) == ("vivado_hls", "2019.2", "csynth.xml")
    assert (report.part, report.design) == ("xcku040-ffva1156-2-e", "tagger")
    assert (report.clock_target_ns, report.clock_estimated_ns, report.messages) == (5.0, 4.125, ())
    assert report.latency_cycles == (14, 17) and report.interval_cycles == (3, 4)
    assert report.stage is Stage.CSYNTH and report.fidelity is Fidelity.CSYNTH and report.wns_ns is None


def test_csynth_xml_of_vitis_hls_names_its_multipliers_otherwise():
    report = parse(XML.replace("DSP48E", "DSP"))
    assert report.tool == "vitis_hls" and report.dsp == 31


def test_no_uram_is_unknown_and_not_zero():
    assert parse(XML.replace("<URAM>0</URAM>\n", "")).uram is None


def test_undefined_latency_is_none():
    report = parse(re.sub(r"(-caseLatency|Interval-m..)>\d+<", r"\1>undef<", XML))
    assert report.latency_cycles is None and report.interval_cycles is None and report.lut == 3105
    assert report.messages == ("the latency is undefined: the bounds of a loop are not known",)


def test_one_end_of_a_latency_may_be_known():
    assert parse(XML.replace("<Worst-caseLatency>17<", "<Worst-caseLatency>?<")).latency_cycles == (14, None)


@pytest.mark.parametrize("declared", ['<!DOCTYPE a [<!ENTITY b "c">]>', "<!doctype a>"])
def test_entities_are_not_expanded(declared):
    with pytest.raises(BadInput, match="report, line 2: a document type is not allowed"):
        parse("<?xml version='1.0'?>\n" + declared + "\n" + XML)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("<LUT>3105<", "<LUT>3e3<", " 35: <AreaEstimates/Resources/LUT> is '3e3', no count"),
        ("<FF>2040<", "<FF>-2040<", " 34: .*'-2040'"),
        ("<DSP48E>31</DSP48E>\n<FF>2040", "<FF>2040", "Resources/DSP> is missing"),
        ("<BRAM_18K>7<", "<BRAM_18K><", " 32: <AreaEstimates/Resources/BRAM_18K> is missing or empty"),
        ("<Part>xcku040-ffva1156-2-e</Part>\n", "", "UserAssignments/Part> is missing"),
        ("<EstimatedClockPeriod>4.125", "<EstimatedClockPeriod>fast", " 15: .*'fast', no time"),
        ("</FF>", "", "no XML"),
    ],
)
def test_a_damaged_csynth_xml_is_named_with_its_line(old, new, said):
    with pytest.raises(BadInput, match=f"report, line.*{said}"):
        parse(XML.replace(old, new, 1))


def test_csynth_rpt_of_vivado_hls():
    report = parse(HLS)
    assert counts(report) == (3105, 2040, 31, 7, None)
    assert (report.tool, report.tool_version, report.kind) == ("vivado_hls", "2018.3", "csynth.rpt")
    assert (report.part, report.design, report.stage) == ("xc7z020clg400-1", "tagger", Stage.CSYNTH)
    assert report.latency_cycles == (14, 17) and report.interval_cycles == (3, 4)
    assert report.messages == ("the estimated clock, 5.25 ns, misses its target, 5 ns",)
    assert report.by_layer == {
        "dense_1_U0": {"lut": 2400, "ff": 1500, "dsp": 30, "bram_18k": 5},
        "relu_2_U0": {"lut": 600, "ff": 500, "dsp": 1, "bram_18k": 0},
        "shared": {"lut": 105, "ff": 40, "dsp": 0, "bram_18k": 2},
    }


def test_csynth_rpt_of_vitis_hls_with_unknown_latency():
    report = parse(LATER)
    assert (report.tool, report.tool_version) == ("vitis_hls", "2022.1") and counts(report) == (3105, 2040, 31, 7, None)
    assert (report.clock_target_ns, report.clock_estimated_ns) == (5.0, 5.25)
    assert report.latency_cycles is None and report.interval_cycles is None


def test_what_stands_around_a_csynth_report_is_not_read():
    """A log with the report in it, and a simulation's other latency behind."""
    around = (
        "C SIMULATION RESULT:\nINFO: [SIM 1] CSim done\n"
        + HLS
        + "\nCO-SIMULATION RESULT:\n|Verilog| Pass| 99| 99| 99|\n"
    )
    assert parse(around) == parse(HLS)


def test_a_module_without_instances():
    start, end = HLS.index("    +-----------+---------+---------+"), HLS.index("    * DSP48")
    assert parse(HLS[:start] + "    N/A\n\n" + HLS[end:]).by_layer == {}


@pytest.mark.parametrize("text", [HLS, LATER])
def test_instances_that_do_not_add_up_are_left_out(text):
    report = parse(re.sub(r"    \|relu_2_U0 .*\n", "", text))
    assert report.by_layer == {} and report.lut == 3105
    assert "the instances do not add up to their total of lut: left out" in report.messages


def test_a_slow_clock_in_microseconds():
    assert parse(HLS.replace("|   5.00|     5.250|", "|1.5 us|     5.250|")).clock_target_ns == 1500.0


def test_the_summary_of_vitis_hls():
    """Counts stand before their share of the device, 0 is a hyphen, instances of one module are added."""
    report = parse(SUMMARY)
    assert counts(report) == (3105, 2040, 31, 7, 0)
    assert (report.tool, report.tool_version, report.design) == ("vitis_hls", "2023.2", "tagger")
    assert report.latency_cycles == (None, 17) and report.interval_cycles == (None, 4)
    assert report.clock_target_ns is None and report.clock_estimated_ns is None
    assert report.messages == ("issue: Timing, slack -0.07 ns",)
    assert report.by_layer["dense_1"] == {"lut": 2400, "ff": 1500, "dsp": 30, "bram_18k": 0, "uram": 0}
    assert set(report.by_layer) == {"dense_1", "relu_2", "shared"}
    for name in ("lut", "ff", "dsp", "bram_18k"):
        assert sum(row[name] for row in report.by_layer.values()) == getattr(report, name)


def test_instances_of_more_than_the_whole_are_left_out():
    report = parse(SUMMARY.replace("600 (30%)", "900 (30%)"))
    assert report.by_layer == {} and report.lut == 3105 and "more than the whole" in report.messages[-1]


def test_an_export_of_place_and_route():
    report = parse(EXPORT)
    assert counts(report) == (3000, 1900, 31, 63, None) and report.srl == 12  # 31.5 tiles are 63 blocks
    assert (report.stage, report.basis, report.fidelity) == (Stage.EXPORT, Stage.ROUTE, Fidelity.ROUTE)
    assert (report.clock_target_ns, report.clock_estimated_ns) == (5.0, 5.1)
    assert report.messages == ("timing not met",) and report.tool_version == "2020.1"


def test_an_export_of_logic_synthesis():
    text = EXPORT.replace("Post-Implementation", "Post-Synthesis").replace("Timing not met", "Timing met")
    report = parse(re.sub(r"CP achieved post-imp.*\n", "", text))
    assert (report.basis, report.fidelity, report.clock_estimated_ns) == (Stage.SYNTH, Fidelity.SYNTH, 3.1)
    assert report.messages == ()


def test_an_export_of_later_versions():
    report = parse(IMPLEMENTED)
    assert counts(report) == (3000, 1900, 31, 63, 2) and report.srl == 12 and report.tool_version == "2024.2"
    assert (report.stage, report.basis) == (Stage.EXPORT, Stage.ROUTE) and report.messages == ("timing not met",)
    assert (report.clock_target_ns, report.clock_estimated_ns) == (5.0, 5.1)


def test_an_export_lacks_the_clock_of_its_stage():
    with pytest.raises(BadInput, match="CP achieved post-implementation"):
        parse(re.sub(r"CP achieved post-imp.*\n", "", EXPORT))


def test_utilization_counts_tiles_of_36_kbit():
    report = parse(UTILIZATION)
    assert counts(report) == (3000, 1900, 31, 63, 2) and (report.srl, report.carry) == (10, 44)
    assert (report.stage, report.fidelity) == (Stage.PLACE, Fidelity.ROUTE)
    assert (report.tool, report.tool_version, report.design) == ("vivado", "2022.2", "tagger")


def test_utilization_of_the_7_series():
    report = parse(SEVEN)
    assert counts(report) == (3000, 1900, 31, 63, None)
    assert (report.part, report.stage, report.fidelity) == ("7z020clg400-1", Stage.SYNTH, Fidelity.SYNTH)


@pytest.mark.parametrize(
    "state, stage",
    [
        ("Synthesized", Stage.SYNTH),
        ("Optimized", Stage.SYNTH),
        ("Unplaced", Stage.SYNTH),
        ("Physopt postPlace", Stage.PLACE),
        ("Routed", Stage.ROUTE),
        ("Physopt postRoute", Stage.ROUTE),
    ],
)
def test_design_states(state, stage):
    report = parse(UTILIZATION.replace("Fully Placed", state))
    assert report.stage is stage and report.status is Status.OK


def test_a_design_routed_in_part_is_incomplete():
    assert parse(UTILIZATION.replace("Fully Placed", "Partially Routed")).status is Status.INCOMPLETE


def test_an_unknown_design_state_is_refused():
    with pytest.raises(BadInput, match="report, line 8: the design state 'Melted' is not known"):
        parse(UTILIZATION.replace("Fully Placed", "Melted"))


@pytest.mark.parametrize("tiles", ["31.25", "-1", "many"])
def test_tiles_come_in_halves(tiles):
    with pytest.raises(BadInput, match=f"report, line 40: .*{tiles}"):
        parse(UTILIZATION.replace("| 31.5 |", f"| {tiles} |"))


def test_utilization_by_hierarchy():
    report = parse(HIERARCHY)
    assert counts(report) == (3000, 1900, 31, 63, 0) and report.srl == 10
    assert report.by_layer["dense_1"] == {"lut": 2300, "ff": 1000, "dsp": 30, "bram_18k": 62, "uram": 0, "srl": 10}
    assert report.by_layer["shared"] == {"lut": 100, "ff": 400, "dsp": 0, "bram_18k": 0, "uram": 0, "srl": 0}
    assert set(report.by_layer) == {"dense_1", "relu_2", "shared"}


def test_utilization_of_versal():
    text = UTILIZATION.replace("CLB Registers  ", "Registers      ").replace("| DSPs           |", "| DSP Slices     |")
    text = text.replace("CLB LUTs* ", "CLB LUTs  ").replace("RAMB36/FIFO*", "RAMB36E5    ")
    text = re.sub(r"\| CARRY8.*\n", "", text)
    report = parse(text)
    assert counts(report) == (3000, 1900, 31, 63, 2) and report.carry is None and report.status is Status.OK


def test_the_first_instance_is_the_top_of_the_others():
    with pytest.raises(BadInput, match=r"report, line \d+: '\(tagger\)' is not the top instance"):
        parse(re.sub(r"\| tagger  .*\n", "", HIERARCHY))


def test_utilization_by_hierarchy_with_shares():
    """As `report_utilization -hierarchical -hierarchical_percentages` writes it."""
    text = re.sub(r"(?<=\| ) *(\d+) (?=\|)", lambda match: f"{match.group(1)}(<0.01%) ", HIERARCHY)
    assert "3000(<0.01%)" in text and parse(text) == parse(HIERARCHY)


def test_a_report_that_lacks_a_section_is_incomplete():
    report = parse(UTILIZATION.replace("2. BLOCKRAM\n\n", "2. BLOCKRAM\n9. Primitives\n\n", 1))
    assert report.status is Status.INCOMPLETE and report.messages == ("cut off before its section 9. Primitives",)
    assert report.lut == 3000


def test_power_without_clocks_is_incomplete():
    report = parse(POWER[: POWER.index("2.2 Clock")])
    assert report.power_w == 3.25 and report.clock_target_ns is None and report.status is Status.INCOMPLETE


def test_a_slack_of_zero_is_a_number():
    report = parse(TIMING)
    assert report.wns_ns == 0.0 and report.status is Status.OK and report.messages == ()
    assert report.clock_target_ns == 5.0 and report.stage is Stage.ROUTE and report.lut is None


def test_timing_that_is_not_met():
    text = TIMING.replace("      0.000        0.000    ", "     -0.141      -14.730    ", 1)
    report = parse(text.replace("All user specified timing constraints are met", "Timing constraints are not met"))
    assert report.wns_ns == -0.141 and report.messages == ("timing not met",)


@pytest.mark.parametrize("net, stage", [("estimated", Stage.PLACE), ("unplaced", Stage.SYNTH)])
def test_paths_show_how_far_the_design_was(net, stage):
    assert parse(TIMING.replace("routed)", f"{net})")).stage is stage


def test_timing_of_an_unknown_stage_is_refused():
    with pytest.raises(BadInput, match="ends without a design state or a path"):
        parse(TIMING.replace("routed)", ")"))


def test_a_stage_in_the_head_counts_before_the_paths():
    assert parse(TIMING.replace("| Device ", "| Design State : Synthesized\n| Device ")).stage is Stage.SYNTH


def test_a_design_without_constraints_has_no_slack():
    text = TIMING.replace("      0.000  ", "        inf  ", 1)
    report = parse(
        text.replace("All user specified timing constraints are met", "There are no user specified timing constraints")
    )
    assert report.wns_ns is None and report.status is Status.INCOMPLETE


def test_several_clocks_have_no_one_period():
    more = "ap_clk  {0.000 2.500}        5.000           200.000\n"
    report = parse(TIMING.replace(more.strip(), more + "  fast  {0.000 1.250}        2.500           400.000"))
    assert report.clock_target_ns is None and report.messages == ("2 clocks",)


def test_a_list_of_paths_has_no_worst_slack():
    """As `report_timing` writes it."""
    report = parse(TIMING.replace("Timing Summary Report", "Timing Report"))
    assert report.wns_ns is None and report.messages == ("1 paths listed, their least slack 0 ns; no summary",)


def test_power():
    report = parse(POWER)
    assert (report.power_w, report.dynamic_power_w, report.static_power_w) == (3.25, 0.75, 2.5)
    assert report.stage is Stage.ROUTE and report.clock_target_ns == 5.0
    assert report.messages == ("confidence level: Medium",) and report.status is Status.OK


def test_power_of_a_chip_too_hot():
    report = parse(POWER.replace("| 3.250        |", "| 95.342 (Junction temp exceeded!) |"))
    assert report.power_w == 95.342 and report.messages[0] == "Junction temp exceeded!"


def test_little_power_is_no_number():
    report = parse(POWER.replace("| 0.750        |", "| <0.001       |"))
    assert report.dynamic_power_w is None and report.power_w == 3.25 and report.status is Status.INCOMPLETE
    assert report.messages[0] == "Dynamic (W): <0.001"


@pytest.mark.parametrize("name", ALL)
def test_a_report_goes_to_json_and_back(name):
    report = parse(ALL[name])
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.mark.parametrize(
    "text, said",
    [
        ("INFO: [HLS 200-10] Running\nERROR: [HLS 200-70] no\n", "a log of an HLS tool without its heading"),
        ('{"name":"area", "nodes":[1]}\n', "another report of oneAPI"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(text, said):
    with pytest.raises(BadInput, match=f"report: {said}, which is not read; known kinds"):
        parse(text)
