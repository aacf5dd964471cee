"""Several reports of one run as one, and those of two runs refused."""

from dataclasses import replace

import pytest
from synth.run_texts import COSIM
from synth.vendor_texts import HIERARCHY, HLS, POWER, SUMMARY, TIMING, UTILIZATION, XML

from flow.errors import BadInput
from flow.synth import vendor
from flow.synth.parse import merged, same_part
from flow.synth.report import Report, Stage, Status


def parse(text: str, path: str) -> Report:
    return vendor.parse(text, path)


ROUTED = parse(UTILIZATION.replace("Fully Placed", "Routed"), "utilization.rpt")
LAYERS = parse(HIERARCHY.replace("Fully Placed", "Routed"), "hierarchy.rpt")
SLACK = parse(TIMING.replace("xcvu13p-flga2577-2-e", "xcvu13p-flga2577"), "timing.rpt")
WATTS = parse(POWER, "power.rpt")


def test_what_vivado_wrote_of_one_design():
    report = merged([ROUTED, LAYERS, SLACK, WATTS])
    assert (report.path, report.kind, report.stage) == ("utilization.rpt", "vivado utilization", Stage.ROUTE)
    assert (report.lut, report.bram_18k, report.uram, report.carry) == (3000, 63, 2, 44)
    assert (report.wns_ns, report.power_w, report.clock_target_ns) == (0.0, 3.25, 5.0)
    assert report.part == "xcvu13p-flga2577-2-e" and report.status is Status.OK
    assert report.messages[-1] == "confidence level: Medium"


def test_the_hierarchy_lends_its_layers_where_it_agrees():
    flat = replace(ROUTED, uram=0)
    assert merged([flat, LAYERS]).by_layer == LAYERS.by_layer
    assert merged([LAYERS, flat]).by_layer == LAYERS.by_layer


def test_the_flat_count_stands_where_the_hierarchy_counts_otherwise():
    flat = replace(ROUTED, uram=0, lut=2990)
    for reports in ([flat, LAYERS], [LAYERS, flat]):
        report = merged(reports)
        assert report.lut == 2990 and report.by_layer == {}
        assert "lut by hierarchy: 3000; layers left out" in report.messages


def test_one_report_is_itself_and_none_is_refused():
    assert merged([ROUTED]) == ROUTED
    with pytest.raises(BadInput, match="no report"):
        merged([])


def test_c_synthesis_in_two_files():
    xml = parse(XML.replace("DSP48E", "DSP").replace("2019.2", "2023.2"), "csynth.xml")
    xml = replace(xml, part="xcvu13p-flga2577-2-e")
    report = merged([xml, parse(SUMMARY, "csynth.rpt")])
    assert report.latency_cycles == (14, 17) and report.clock_target_ns == 5.0 and report.by_layer
    with pytest.raises(
        BadInput, match=r"^csynth.rpt: latency_cycles is \(None, 18\), while csynth.xml says \(14, 17\)"
    ):
        merged([xml, replace(parse(SUMMARY, "csynth.rpt"), latency_cycles=(None, 18))])


def test_the_status_is_the_worst():
    assert merged([ROUTED, replace(SLACK, status=Status.INCOMPLETE)]).status is Status.INCOMPLETE
    both = [replace(ROUTED, status=Status.FAILED), replace(SLACK, status=Status.INCOMPLETE)]
    assert merged(both).status is merged(both[::-1]).status is Status.FAILED


@pytest.mark.parametrize(
    "change, said",
    [
        ({"part": "xcku115-flvb2104-2-e"}, "part"),
        ({"part": "xcvu13p-flga2577-1-e"}, "part"),
        ({"design": "other"}, "design"),
        ({"stage": Stage.SYNTH}, "stage is 'synth'"),
        ({"tool_version": "2020.1"}, "tool_version"),
        ({"clock_target_ns": 4.0}, "clock_target_ns"),
        ({"wns_ns": -0.1}, "wns_ns"),
    ],
)
def test_reports_of_two_runs_are_refused_by_both_names(change, said):
    other = replace(SLACK, path="other.rpt", **change)
    with pytest.raises(BadInput, match=rf"^other.rpt: {said}.* while .*: not of one run$"):
        merged([ROUTED, WATTS, SLACK, other])


def test_another_stage_is_not_of_the_same_run():
    with pytest.raises(BadInput, match="not of one run"):
        merged([parse(HLS, "csynth.rpt"), parse(COSIM, "cosim.rpt")])


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("xc7z020-clg400-1", "7z020clg400-1", True),
        ("xc7z020clg400-1", "XC7Z020-CLG400-1", True),
        ("xcvu9p-flgb2104-2-i", "xcvu9p-flgb2104", True),
        ("xcvu9p-flgb2104-2-i", "xcvu9pflgb2104-2", True),
        ("xcu250-figd2104-2L-e", "xcu250figd2104-2L", True),
        ("xcvu9p", "xcvu9p-flgb2104-2-i", True),
        ("xcu250-figd2104-2L-e", "xcu250-figd2104-2-e", False),
        ("xcvu9p-flgb2104-2-i", "xcvu9p-flga2104-2-i", False),
        ("xcku11", "xcku115-flvb2104-2-e", False),
        ("xc7z020-clg400-1", "xc7z020-clg484-1", False),
        ("xc7z020-clg400-1", "xc7z020-clg400-2", False),
        ("", "xc7z020-clg400-1", False),
    ],
)
def test_names_of_one_part(one, other, same):
    assert same_part(one, other) is same_part(other, one) is same
