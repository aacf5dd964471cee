"""Reports in files and folders: told from their content, put together by run, refused by name."""

import json
import os
from dataclasses import replace

import pytest
from synth.vendor_texts import EXPORT, HLS, SUMMARY, TEXTS, TIMING, UTILIZATION, XML

from flow.errors import BadInput
from flow.metrics import Fidelity
from flow.synth import parse as module
from flow.synth.parse import find, parse, reports
from flow.synth.report import Report, Stage, Status

OURS = Report("synth/stat.json", "yosys", "0.70", "rtl", Stage.SYNTH, "xcvu9p-flga2104-2-e", lut=12, ff=3)
# The report of the same run as `HLS`, whose version has no URAM.
SAME = (
    XML.replace("2019.2", "2018.3")
    .replace("xcku040-ffva1156-2-e", "xc7z020clg400-1")
    .replace("<URAM>0</URAM>\n", "")
    .replace("4.125", "5.250")
)
MODULE = HLS.replace("Report for 'tagger'", "Report for 'dense_1'").replace("|   2040|   3105|", "|   1500|   2400|")


@pytest.fixture
def project(tmp_path):
    """What hls4ml and its tools leave."""
    solution = tmp_path / "tagger_prj" / "solution1"
    for path, text in (
        (solution / "syn/report/csynth.xml", SAME),
        (solution / "syn/report/tagger_csynth.xml", SAME),
        (solution / "syn/report/tagger_csynth.rpt", HLS),
        (solution / "syn/report/dense_1_csynth.rpt", MODULE),
        (solution / ".autopilot/db/tagger.verbose.rpt", HLS.replace("3105", "9999")),
        (solution / "impl/report/verilog/tagger_export.rpt", EXPORT),
        (tmp_path / "vivado_synth.rpt", UTILIZATION),
        (tmp_path / "firmware/tagger.cpp", "int main() { return 0; }\n"),
        (tmp_path / "notes.txt", "LUT 12\n"),
        (tmp_path / "pom.xml", "<project><profile><id>a</id></profile></project>\n"),
        (tmp_path / "vivado_hls.log", "ERROR: [HLS 200-642] harmless\n"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", TEXTS)
def test_the_kind_is_told_from_the_content(name, tmp_path):
    path = tmp_path / "some.file"
    path.write_text(TEXTS[name])
    report = parse(path)
    assert report.path == str(path) and report.part


def test_our_own_report(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(OURS.to_json()))
    assert parse(path) == replace(OURS, path=str(path)) == find(tmp_path)[0]


def test_reports_of_earlier_versions_hold_one_interval():
    row = {**OURS.to_json(), "interval_cycles": 3}
    for name in ("design", "basis", "dynamic_power_w", "static_power_w"):
        del row[name]
    assert Report.from_json(row).interval_cycles == (3, 3)


def test_ranges_are_objects_and_were_lists():
    row = replace(OURS, latency_cycles=(14, 17), interval_cycles=(None, 3)).to_json()
    assert row["latency_cycles"] == {"min": 14, "max": 17} and row["interval_cycles"] == {"min": None, "max": 3}
    before = {**row, "latency_cycles": [14, 17], "interval_cycles": [None, 3]}
    assert Report.from_json(before) == Report.from_json(row)


def test_a_log_without_a_step_has_no_fidelity():
    with pytest.raises(BadInput, match="p: it says of no stage"):
        _ = Report("p", "vivado", None, "log", None, None).fidelity


@pytest.mark.parametrize(
    "value",
    [{"min": 1}, {"min": 2, "max": 1}, {"min": 1, "max": 2, "avg": 1}, [3], [4, 3], [-1, 3], True, "3", [None, "x"]],
)
def test_an_interval_that_is_none_is_refused(value):
    with pytest.raises(BadInput, match="file: field 'interval_cycles'"):
        Report.from_json({**OURS.to_json(), "interval_cycles": value}, "file")


def test_what_each_stage_is_worth():
    worth = {stage: Report("p", "t", None, "k", stage, "part").fidelity for stage in Stage}
    assert worth[Stage.CSYNTH] is Fidelity.CSYNTH and worth[Stage.SYNTH] is Fidelity.SYNTH
    assert worth[Stage.PLACE] is worth[Stage.ROUTE] is Fidelity.ROUTE


def test_all_reports_of_a_project(project):
    """One run of C synthesis, though four files speak of it; modules, logs, sources and hidden folders apart."""
    found = find(project)
    assert [(report.kind, report.stage) for report in found] == [
        ("hls export", Stage.EXPORT),
        ("csynth.xml", Stage.CSYNTH),
        ("vivado utilization", Stage.PLACE),
    ]
    first = found[1]
    assert first.lut == 3105 and first.latency_cycles == (14, 17) and first.by_layer["dense_1_U0"]["lut"] == 2400
    assert [report.path for report in found] == sorted(report.path for report in found)


def test_the_summary_of_vitis_hls_lends_its_layers(tmp_path):
    text = (
        XML.replace("DSP48E", "DSP").replace("2019.2", "2023.2").replace("xcku040-ffva1156-2-e", "xcvu13p-flga2577-2-e")
    )
    (tmp_path / "csynth.xml").write_text(text)
    (tmp_path / "csynth.rpt").write_text(SUMMARY)
    (report,) = find(tmp_path)
    assert report.clock_target_ns == 5.0 and report.latency_cycles == (14, 17) and "dense_1" in report.by_layer
    (tmp_path / "csynth.rpt").write_text(SUMMARY.replace("3105 (504%)", "3106 (504%)"))
    assert [report.lut for report in find(tmp_path)] == [3106, 3105]  # of two runs


def test_modules_without_their_top_are_all_there_is(tmp_path):
    (tmp_path / "dense_1_csynth.rpt").write_text(MODULE)
    assert find(tmp_path)[0].design == "dense_1"


def test_a_damaged_report_is_said_and_not_passed_over(project):
    damaged = project / "vivado_synth.rpt"
    damaged.write_text(UTILIZATION[:1200])
    with pytest.raises(BadInput, match=f"{damaged}, line"):
        find(project)
    problems: list[str] = []
    assert "vivado utilization" not in {report.kind for report in find(project, problems)}
    assert len(problems) == 1 and problems[0].startswith(str(damaged))


def test_links_back_do_not_end_in_circles(project):
    os.symlink(project, project / "tagger_prj" / "again")
    os.symlink(project / "nothing", project / "gone.rpt")
    os.mkfifo(project / "pipe.rpt")
    assert len(find(project)) == 3


def test_a_file_or_all_of_a_folder(project):
    place = project / "rtl" / "synth"
    place.mkdir(parents=True)
    (place / "report.json").write_text(json.dumps(OURS.to_json()))
    ours = replace(OURS, path=str(place / "report.json"))
    assert reports(project) == find(project) and ours in reports(project) and len(reports(project)) == 4
    assert reports(place / "report.json") == [ours]


def test_a_folder_without_reports(tmp_path):
    assert find(tmp_path) == []
    with pytest.raises(BadInput, match="holds no report; known: report.json"):
        reports(tmp_path)
    with pytest.raises(BadInput, match="is no folder"):
        find(tmp_path / "none")


@pytest.mark.parametrize(
    "content, said",
    [
        (b"{", "line 1: no JSON; known kinds: the report.json"),
        (b"[1, 2]", "no report; known kinds"),
        (b'{"lut": 3}', "missing"),
        (b"\x7fELF\x00\x00", "no report; known kinds"),
    ],
)
def test_another_file_is_refused_by_name(content, said, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=f"{path}.*{said}"):
        parse(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(BadInput, match="nothing.rpt: can't be read"):
        parse(tmp_path / "nothing.rpt")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_a_name_that_no_file_has(name, tmp_path):
    with pytest.raises(BadInput, match="can't be read"):
        parse(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.rpt")
    with pytest.raises(BadInput, match="pipe.rpt: is no file"):
        parse(tmp_path / "pipe.rpt")
    with pytest.raises(BadInput, match="is no file"):
        parse(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / "a.rpt").write_text(" \n")
    with pytest.raises(BadInput, match="a.rpt, line 1: it is empty"):
        parse(tmp_path / "a.rpt")
    assert find(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all folders")
def test_a_folder_without_permission(project):
    closed = project / "closed"
    closed.mkdir(mode=0)
    try:
        with pytest.raises(BadInput, match="closed: can't be read"):
            reports(project)
        problems: list[str] = []
        assert len(find(project, problems)) == 3 and "closed: can't be read" in problems[0]
    finally:
        closed.chmod(0o700)


def test_a_report_json_nested_beyond_reason(tmp_path):
    (tmp_path / "report.json").write_text('{"a": ' + "[" * 100_000)
    with pytest.raises(BadInput, match="no JSON"):
        parse(tmp_path / "report.json")


def test_a_file_larger_than_any_report(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LARGEST", 100)
    path = tmp_path / "timing.rpt"
    path.write_text(TIMING)
    with pytest.raises(BadInput, match="larger than any report"):
        parse(path)
    assert find(tmp_path) == []


def test_a_report_in_another_encoding(tmp_path):
    path = tmp_path / "timing.rpt"
    path.write_bytes(TIMING.replace("| Date ", "| Host         : Büro\n| Date ").encode("latin-1"))
    assert parse(path).wns_ns == 0.0 and parse(path).status is Status.OK
