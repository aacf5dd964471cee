"""Reports of oneAPI: the compiler's estimate and its blocks, and what Quartus fitted."""

import json

import pytest
from synth.run_texts import ACL_QUARTUS, ONEAPI_LOOPS, ONEAPI_QUARTUS, ONEAPI_SUMMARY

from flow.errors import BadInput
from flow.metrics import Fidelity
from flow.synth import vendor
from flow.synth.parse import find
from flow.synth.report import Report, Stage, Status


def parse(text: str) -> Report:
    return vendor.parse(text, "report")


def counts(report: Report) -> tuple:
    return report.lut, report.ff, report.dsp, report.m20k, report.mlab


def test_the_estimate_by_kernel():
    report = parse(ONEAPI_SUMMARY)
    assert (report.tool, report.stage, report.fidelity) == ("oneapi", Stage.CSYNTH, Fidelity.CSYNTH)
    assert counts(report) == (3000, 1540, 1, 7, 7) and report.status is Status.OK
    assert report.bram_18k is None and report.uram is None  # blocks of 20 kbit are no blocks of 18
    assert report.messages == ("30 fractional DSPs besides, 2 in a block",)
    assert set(report.by_layer) == {"dense", "dense 2", "shared"}  # the compiler cuts names of templates
    assert report.by_layer["dense 2"] == {"lut": 1500, "ff": 700, "m20k": 2, "dsp": 0, "mlab": 4}
    for name in ("lut", "ff", "dsp", "m20k", "mlab"):
        assert sum(row[name] for row in report.by_layer.values()) == getattr(report, name)


def test_kernels_that_do_not_add_up_are_left_out():
    report = parse(ONEAPI_SUMMARY.replace("[1500, 700,", "[1400, 700,"))
    assert report.by_layer == {} and report.lut == 3000


def test_the_worst_block():
    report = parse(ONEAPI_LOOPS)
    assert (report.latency_cycles, report.interval_cycles, report.fmax_mhz) == ((None, 176), (None, 2), 400.0)
    assert report.status is Status.OK and "not of the whole design" in report.messages[0]


@pytest.mark.parametrize("key, value", [("lt", "176.000000"), ("ii", "2")])
def test_a_block_of_unknown_cycles_leaves_the_worst_unknown(key, value):
    report = parse(ONEAPI_LOOPS.replace(f'"{key}": "{value}"', f'"{key}": "n/a"'))
    figure = report.latency_cycles if key == "lt" else report.interval_cycles
    assert figure is None and report.status is Status.INCOMPLETE


def test_what_quartus_fitted():
    report = parse(ONEAPI_QUARTUS)
    assert (report.tool, report.stage, report.fidelity) == ("quartus", Stage.ROUTE, Fidelity.ROUTE)
    assert counts(report) == (1801, 900, 4, 11, 3) and (report.alm, report.fmax_mhz) == (900.5, 412.5)
    assert report.design == "Tagger" and report.bram_18k is None and report.by_layer == {}


def test_several_kernels_are_added():
    whole = json.loads(ONEAPI_QUARTUS)
    nodes = whole["quartusFitResourceUsageSummary"]["nodes"]
    nodes.append({**nodes[1], "name": "Other", "alut": "100"})
    report = parse(json.dumps(whole))
    assert report.lut == 1901 and report.design is None and set(report.by_layer) == {"Tagger", "Other"}


def test_quartus_was_not_run():
    whole = json.loads(ONEAPI_QUARTUS)
    whole["quartusFitClockSummary"]["nodes"][0]["clock fmax"] = "TBD"
    for name in ("alm", "alut", "reg", "dsp", "ram", "mlab"):
        for node in whole["quartusFitResourceUsageSummary"]["nodes"]:
            node[name] = "TBD"
    report = parse(json.dumps(whole))
    assert counts(report) == (None,) * 5 and report.fmax_mhz is None and report.status is Status.INCOMPLETE


def test_the_plain_summary_sets_off_thousands():
    report = parse(ACL_QUARTUS)
    assert (report.lut, report.ff, report.dsp, report.m20k) == (1801, 12900, 4, 11)
    assert (report.alm, report.fmax_mhz, report.mlab) == (1900.0, 412.5, None)
    assert (report.kind, report.stage) == ("oneAPI acl_quartus_report.txt", Stage.ROUTE)


@pytest.mark.parametrize(
    "text, old, new, said",
    [
        (ONEAPI_SUMMARY, "3000", "3000.5", "line 8: ALUTs is '3000.5', no count"),
        (ONEAPI_SUMMARY, "3000", '"30OO"', "line 8: ALUTs is '30OO', no count"),
        (ONEAPI_SUMMARY, "3000", "-3000", "line 8: ALUTs is '-3000', no count"),
        (ONEAPI_SUMMARY, "3000", "true", "line 8: ALUTs is 'True', no count"),
        (ONEAPI_SUMMARY, "3000", "NaN", "line 8: no JSON"),
        (ONEAPI_SUMMARY, "[3000, ", "[", "line 8: the row has 5 figures under 6 columns"),
        (ONEAPI_SUMMARY, "ALUTs ", "Gates ", "line 3: the table of estimated resources lacks ALUTs"),
        (ONEAPI_SUMMARY, '"Total"', '"Tot"', "it ends without a row Total"),
        (ONEAPI_LOOPS, '"17.000000"', '"1,7"', "line 5: lt is '1,7', no number"),
        (ONEAPI_LOOPS, '"176.000000"', '"176.5"', "line 3: lt is 176.5, no whole number of cycles"),
        (ONEAPI_LOOPS, '"176.000000"', '"-3"', "line 3: lt is -3, less than 0"),
        (ONEAPI_QUARTUS, '"1801"', '"1,801"', "line 1: alut is '1,801', no count"),
        (ONEAPI_QUARTUS, '"1801"', '{"a": 1}', "line 1: alut is "),
        (ONEAPI_QUARTUS, '"nodes": [{"name": "Clock"', '"knots": [{"name": "Clock"', "has no list of nodes"),
        (ONEAPI_QUARTUS, '"alut": "1801"', '"alut": "1801", "alut": "1"', "a key stands twice"),
        (ACL_QUARTUS, "12,900", "12,90", "line 2: 'Registers: 12,90' has no count"),
        (ACL_QUARTUS, "12,900", "1290 0", "has no count"),
    ],
)
def test_a_damaged_report_is_refused(text, old, new, said):
    with pytest.raises(BadInput, match=said):
        parse(text.replace(old, new, 1))


def test_one_report_a_stage_of_a_folder(tmp_path):
    for name, text in (
        ("summary.ndjson", ONEAPI_SUMMARY),
        ("loop_attr.ndjson", ONEAPI_LOOPS),
        ("quartus.ndjson", ONEAPI_QUARTUS),
        ("area.ndjson", '{"name": "area", "total": [1, 2]}\n'),
    ):
        (tmp_path / name).write_text(text)
    routed, estimated = find(tmp_path)
    assert estimated.stage is Stage.CSYNTH and counts(estimated) == (3000, 1540, 1, 7, 7)
    assert (estimated.latency_cycles, estimated.fmax_mhz) == ((None, 176), 400.0)
    assert routed.stage is Stage.ROUTE and routed.lut == 1801
