"""No wrong number from any report: cut off, edited, in other encodings, joined. On written ones and on real ones."""

import csv
import os
import re
from pathlib import Path

import pytest
from synth.run_texts import ALL, LOGS
from synth.vendor_texts import EXPORT, HLS, SUMMARY, TEXTS, TIMING, UTILIZATION, XML

from flow.errors import BadInput
from flow.synth import vendor
from flow.synth.parse import parse as parse_file
from flow.synth.report import Report, Stage, Status

REAL = os.environ.get("FLOW_VENDOR_REPORTS")
_WORDS = ("path", "messages", "by_layer", "status")


def parse(text: str) -> Report:
    return vendor.parse(text, "report")


def figures(report: Report) -> dict:
    """All that a report says but its words."""
    return {name: value for name, value in vars(report).items() if name not in _WORDS}


def check(text: str, whole: Report, where) -> None:
    """A damaged text is refused with its line, or says what the whole one says, or less and that it is incomplete."""
    try:
        found = parse(text)
    except BadInput as error:
        assert re.match(r"report(, line \d+)?: ", str(error)) and "\n" not in str(error), error
        return
    log = found.kind == "log"  # a log of fewer steps is that of another stage
    told, expected = figures(found), figures(whole)
    for name, value in told.items():
        assert value is None or value == expected[name] or (log and name == "stage"), (where, name, value)
    assert found.by_layer in ({}, whole.by_layer), where
    less = any(value is None and expected[name] is not None for name, value in told.items())
    if less or (whole.by_layer and not found.by_layer):
        assert found.status is not Status.OK, where
    assert found.status in (whole.status, Status.INCOMPLETE), where


def cut_at_lines(text: str) -> None:
    """At every line, but for those far behind the figures of a long report."""
    whole = parse(text)
    ends = [match.end() for match in re.finditer("\n", text)]
    for line, end in enumerate(ends[:-1], 1):
        if line <= 1000 or line % 100 == 0:
            check(text[:end], whole, line)


@pytest.mark.parametrize("name", ALL)
def test_a_report_cut_off_anywhere_says_no_wrong_number(name):
    text, whole = ALL[name], parse(ALL[name])
    for end in range(0, len(text), 1 + len(text) // 1500):
        check(text[:end], whole, end)


@pytest.mark.parametrize("name", [name for name in ALL if name not in LOGS])
def test_letters_and_commas_in_place_of_digits_are_no_number(name):
    """Of a log, only what is known by its form is read: there a damaged setting is none."""
    text, whole = ALL[name], figures(parse(ALL[name]))
    for match in re.finditer(r"\d", text):
        for junk in ("x", ","):
            try:
                found = parse(text[: match.start()] + junk + text[match.end() :])
            except BadInput:
                continue
            for figure, value in figures(found).items():
                if isinstance(value, (int, float, tuple)):
                    assert value == whole[figure], (match.start(), figure, value)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_make_no_difference(name, end):
    assert parse(ALL[name].replace("\n", end)) == parse(ALL[name])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_with_a_mark_make_no_difference(name, encoding, tmp_path):
    path = tmp_path / "report"
    path.write_bytes(ALL[name].encode(encoding))
    found = parse_file(path)
    assert figures(found) == figures(parse(ALL[name])) and found.status is parse(ALL[name]).status


def test_utf_16_without_a_mark_is_refused(tmp_path):
    path = tmp_path / "report"
    path.write_bytes(UTILIZATION.encode("utf-16-le"))
    with pytest.raises(BadInput, match="no report"):
        parse_file(path)


@pytest.mark.parametrize("name", TEXTS.keys())
def test_tabs_are_spaces(name):
    tabbed = re.sub(r"(?<=\|)  +(?=\d)|(?<=\d)  +(?=\|)", "\t", ALL[name])
    assert figures(parse(tabbed)) == figures(parse(ALL[name]))


@pytest.mark.parametrize("first", [name for name in ALL if name not in LOGS])
@pytest.mark.parametrize("second", ["csynth.rpt", "vivado utilization", "vivado timing", "hls export", "cosim"])
def test_two_reports_in_one_file_are_refused(first, second):
    """But for C synthesis and co-simulation, as hls4ml prints them: that is read as the first."""
    reports = [parse(ALL[first]), parse(ALL[second])]
    synthesised = [report for report in reports if report.kind == "csynth.rpt"]
    for text in (ALL[first] + "\n" + ALL[second], ALL[second] + "\n" + ALL[first]):
        if synthesised and "cosim" in {report.kind for report in reports}:
            assert parse(text) == synthesised[0]
        else:
            with pytest.raises(BadInput, match=r"report, line \d+: "):
                parse(text)


@pytest.mark.parametrize(
    "text, old, new, said",
    [
        (XML, "<LUT>3105<", "<LUT>3,105<", "'3,105', no count"),
        (XML, "<LUT>3105<", "<LUT>99999999999999<", "'99999999999999', no count"),
        (XML, "<LUT>3105<", "<LUT>\u0663<", "no count"),
        (XML, "<LUT>3105<", "<LUT>1_000<", "no count"),
        (XML, ">4.125<", ">4,125<", "no time"),
        (XML, ">4.125<", ">-4.125<", "no time"),
        (XML, ">4.125<", ">1e99<", "no time"),
        (XML, "<Best-caseLatency>14<", "<Best-caseLatency>18<", "at least 18 and at most 17"),
        (XML, "<unit>ns</unit>", "<unit>clocks</unit>", "'clocks', no unit of time"),
        (HLS, "|   2040|   3105|", "|   2040|  -3105|", "'-3105', no count"),
        (HLS, "|   2040|   3105|", "|   2040| 3 105|", "'3 105', no count"),
        (HLS, "|   14|   17|    3|    4|", "|   14|   13|    3|    4|", "at least 14 and at most 13"),
        (SUMMARY, "3105 (504%)", "3.1e3 (504%)", "no count"),
        (SUMMARY, "| + relu_2 ", "| relu_2   ", "neither a module"),
        (EXPORT, "LUT:           3000", "LUT:           3.000", "no count"),
        (UTILIZATION, "| CLB LUTs*                  | 3000 |", "| CLB LUTs*                  | 3,000 |", "no count"),
        (UTILIZATION, "| CLB LUTs*                  | 3000 |", "| CLB LUTs*                  |      |", "no count"),
        (UTILIZATION, "| 31.5 |", "| 31,5 |", "no number"),
        (TIMING, "      0.000        0.000    ", "     -0,141      -14.730    ", "no number"),
        (TIMING, "      0.000        0.000    ", "     -0.141      -14.730    ", "all constraints are said to be met"),
        (TIMING, " 5.000           200.000", "-5.000           200.000", "the period is -5.000"),
    ],
)
def test_a_number_that_is_none_is_named_with_its_line(text, old, new, said):
    with pytest.raises(BadInput, match=rf"^report, line \d+: .*{re.escape(said)}"):
        parse(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "unit, factor", [("ns", 1.0), ("us", 1e3), ("\u00b5s", 1e3), ("\u03bcs", 1e3), ("ms", 1e6), ("ps", 1e-3)]
)
def test_units_of_time(unit, factor):
    assert parse(XML.replace(">4.125<", f">4.125 {unit}<")).clock_estimated_ns == pytest.approx(4.125 * factor)
    report = parse(XML.replace("<unit>ns</unit>", f"<unit>{unit}</unit>"))
    assert report.clock_estimated_ns == pytest.approx(4.125 * factor)
    assert report.clock_target_ns == pytest.approx(5.0 * factor)


def test_a_name_that_runs_over_two_rows_is_refused():
    wrapped = HLS.replace(
        "    |relu_2_U0  |relu_2   |        0|",
        "    |relu_2_a_  |relu_2_  |         |       |     |     |\n    |relu_2_U0  |relu_2   |        0|",
    )
    with pytest.raises(BadInput, match="no count"):
        parse(wrapped)


@pytest.mark.parametrize("text", ["", " \n", "hello", "{}", "<html></html>", "Total Power 3", "\x00\xff"])
def test_another_text_is_no_report(text):
    with pytest.raises(BadInput, match="report: no report; known kinds: .*csynth.xml.*vivado power"):
        parse(text)


def manifest() -> list[dict[str, str]]:
    if REAL is None:
        return []
    with open(Path(REAL) / "MANIFEST.tsv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def real(row: dict[str, str]) -> str:
    return (Path(REAL) / row["path"]).read_text(encoding="utf-8", errors="replace")


needs_reports = pytest.mark.skipif(REAL is None, reason="FLOW_VENDOR_REPORTS names no folder of real reports")


@needs_reports
def test_the_real_reports_are_of_most_kinds():
    unseen = {"vivado power", "oneAPI acl_quartus_report.txt"}
    assert {row["kind"] for row in manifest()} == set(vendor.NAMES) - unseen


@needs_reports
@pytest.mark.parametrize("row", manifest(), ids=lambda row: row["path"])
def test_a_real_report(row):
    report = vendor.parse(real(row), row["path"])

    def number(name: str) -> float | None:
        return None if row[name] in ("", "undef", "NA") else float(row[name])

    def note(name: str) -> float | None:
        found = re.search(rf"\b{name}=([\d.]+)", row["notes"])
        return None if found is None else float(found.group(1))

    altera = row["BRAM_unit"] == "M20K"
    blocks = 2 if row["BRAM_unit"].startswith("36K") else 1
    memory = number("BRAM")
    assert (report.kind, report.tool_version) == (row["kind"], row["tool_version"] or None)
    if row["kind"] == "log":  # the list has the part without the letters behind its speed grade
        assert report.part.startswith(row["part"])
    else:
        assert report.part == (row["part"] or None)
    assert (report.lut, report.ff, report.dsp, report.uram) == tuple(map(number, ("LUT", "FF", "DSP", "URAM")))
    assert (report.m20k if altera else report.bram_18k) == (None if memory is None else blocks * memory)
    assert altera or report.m20k is None and report.mlab is None and report.alm is None
    assert not altera or report.bram_18k is None
    assert (report.latency_cycles or (None, None)) == (number("lat_min"), number("lat_max"))
    assert (report.interval_cycles or (None, None)) == (number("ii_min"), number("ii_max"))
    assert (report.wns_ns, report.clock_estimated_ns) == (number("wns_ns"), number("est_clk_ns"))
    if row["kind"] != "log":
        assert report.clock_target_ns == number("clock_target_ns")
    assert (report.alm, report.mlab) == (note("alm"), note("mlab"))
    assert report.fmax_mhz == (note("fmax_MHz") or note("af"))
    if state := re.search(r"state=(\w+)", row["notes"]):
        stages = {"Synthesized": Stage.SYNTH, "Optimized": Stage.SYNTH, "Routed": Stage.ROUTE}
        assert report.stage is stages[state.group(1)]
    if report.by_layer:
        for name in ("lut", "ff", "dsp", "m20k" if altera else "bram_18k"):
            assert sum(layer.get(name, 0) for layer in report.by_layer.values()) == getattr(report, name)
    bare = row["kind"] == "vivado timing" and row["wns_ns"] == ""
    assert bare or report.status is Status.OK


@needs_reports
@pytest.mark.slow
@pytest.mark.parametrize("row", manifest(), ids=lambda row: row["path"])
def test_a_real_report_cut_off_at_any_line_says_no_wrong_number(row):
    cut_at_lines(real(row))
