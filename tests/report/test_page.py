"""The page and its summary: everything said, nothing invented, nothing from outside, and no traceback."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report.example import example

from flow.metrics import Fidelity
from flow.report import figures, tables
from flow.report.page import write
from flow.report.values import STAND_IN, number, show

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Checked(HTMLParser):
    """Reads a page and fails on tags that do not match; keeps tags, ids and links."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.seen, self.ids, self.links = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_startendtag(self, tag, attrs):
        self.note(tag, attrs)

    def handle_starttag(self, tag, attrs):
        self.note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def note(self, tag, attrs):
        self.seen.append(tag)
        for name, item in attrs:
            if name == "id":
                self.ids.append(item)
            if name in ("href", "xlink:href", "src"):
                self.links.append(item)


@pytest.fixture(scope="module")
def result() -> dict:
    return example()


def made(result: dict, folder: Path) -> tuple[str, str]:
    html, markdown = write(result, folder)
    assert (html.name, markdown.name) == ("index.html", "summary.md")
    return html.read_text(), markdown.read_text()


@pytest.fixture(scope="module")
def example_page(result, tmp_path_factory) -> tuple[str, str]:
    return made(result, tmp_path_factory.mktemp("page"))


def test_the_example_is_json(result):
    assert json.loads(json.dumps(result)) == result


def test_page_stands_alone(example_page):
    html, _ = example_page
    page = Checked(html)
    assert "script" not in page.seen and "img" not in page.seen and "iframe" not in page.seen
    assert all(link.startswith("#") for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"url\((?!#)|@import|@font-face", html)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert page.seen.count("svg") == 7


def test_sections_come_in_order(example_page):
    html, markdown = example_page
    titles = [
        "Budget",
        "Front",
        "Chosen design",
        "Physics",
        "Prediction against report",
        "Equivalence",
        "Data and how to repeat it",
    ]
    assert re.findall(r"<h2>(.*?)</h2>", html) == titles
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == titles


def test_same_result_same_bytes(result, example_page, tmp_path):
    assert made(json.loads(json.dumps(result)), tmp_path) == example_page
    assert "<dc:date" not in example_page[0] and "Matplotlib" not in example_page[0]


def test_verdict_says_what_was_found(result, example_page):
    html, markdown = example_page
    chosen = result["chosen"]
    own = show(chosen["test"]["signal_efficiency"])
    full = show(result["float"]["test"]["signal_efficiency"])
    sentence = (
        f"Design {chosen['digest']} is inside the budget by its report and reaches signal efficiency {own}"
        f" on the test sample, against {full} for the float network."
    )
    assert sentence in html and sentence in markdown and "±" in own and "measured" in own


def test_stand_in_is_noted_at_each_physics_figure(result, example_page):
    html, markdown = example_page
    # The head; the front and the table beside it; the ROC and both tables of physics figures.
    assert html.count(STAND_IN) == markdown.count(STAND_IN) == 6
    for caption in ("signal efficiency against LUT", "ROC on the test sample"):
        assert re.search(rf'<figcaption>{caption} <span class="standin">{STAND_IN}', html)
    for table in (tables.built(result), tables.physics(result, "test"), tables.physics(result, "validation")):
        assert f'{table.caption} <span class="standin">' in html
    assert STAND_IN in html[: html.index("</header>")]


def test_every_table_with_a_measured_figure_is_marked_as_physics(result):
    made_tables = (
        tables.budget,
        tables.built,
        tables.layers,
        tables.comparison,
        tables.prediction_errors,
        tables.equivalence,
    )
    for table in (*(make(result) for make in made_tables), tables.physics(result, "test")):
        measured = any(cell.tag == "measured" for row in table.rows for cell in row)
        assert table.physics == measured, table.caption


def test_no_note_on_the_real_file(result, tmp_path):
    html, markdown = made({**result, "stand_in": False}, tmp_path)
    assert "Pythia, a stand-in" not in html + markdown and '<span class="standin"' not in html


def test_every_figure_shows_its_fidelity(result):
    for table in (
        tables.built(result),
        tables.physics(result, "test"),
        tables.physics(result, "validation"),
    ):
        for row in table.rows:
            shown = [cell for cell in row if cell.number and cell.text != "—" and "→" not in cell.text]
            assert shown and all(cell.tag for cell in shown), row
    assert {row[1].text for row in tables.prediction_errors(result).rows} == {"model", "traced"}
    for row in tables.comparison(result).rows:
        assert [cell.tag for cell in row[3:]] == ["synth, pre-layout", "model", "", "traced", ""]
    for row in tables.budget(result).rows:
        assert row[2].tag == "synth, pre-layout" and row[4].text == "rtl, yosys 0.57, synth, pre-layout"
    assert "timing closure not shown" in tables.budget(result).rows[3][4].tag


def test_every_fidelity_is_explained(example_page):
    html, _ = example_page
    assert all(f"{fidelity.value} (" in html for fidelity in Fidelity)


def test_a_shared_fidelity_moves_to_the_header_and_a_mixed_one_stays(result, example_page, tmp_path):
    html, _ = example_page
    assert "LUT <small>synth, pre-layout</small></th>" in html
    mixed = copy.deepcopy(result)
    mixed["baselines"][0]["report"] = None
    html, _ = made(mixed, tmp_path)
    assert re.search(r"<td[^>]*>24,859 LUT <small>model</small></td>", html)
    assert re.search(r"<td[^>]*>14,210 LUT <small>synth, pre-layout</small></td>", html)


HOSTILE = '<script>alert("1")</script> | $x^2$ `a` & [l](u)\n# b'


def test_hostile_names_are_text(result, tmp_path):
    bad = copy.deepcopy(result)
    bad["task"] = bad["commit"] = bad["chosen"]["digest"] = HOSTILE
    bad["baselines"][0]["name"] = HOSTILE
    bad["data"]["classes"][0] = bad["data"]["provenance"]["source"] = HOSTILE
    bad["versions"][HOSTILE] = HOSTILE
    bad["rounds"][0]["built"][0]["failed"] = HOSTILE
    bad["rounds"][0]["built"][1]["report"]["lut"]["tool"] = HOSTILE
    bad["points"][0]["cost"]["fidelity"] = bad["points"][1]["cost"]["fidelity"] = HOSTILE
    bad["chosen"]["by_layer"][HOSTILE] = {"lut": 1}
    bad["chosen"]["design"]["layers"][HOSTILE] = bad["chosen"]["design"]["layers"]["fc0"]
    bad["chosen"]["figures"][f"auc_{HOSTILE}"] = bad["chosen"]["figures"]["auc_t"]
    bad["equivalence"]["pairs"][HOSTILE] = {"vectors": 1, "mismatches": 1}
    bad["commands"].append(HOSTILE)
    html, markdown = made(bad, tmp_path)
    page = Checked(html)
    assert "script" not in page.seen and "<script" not in html
    outside_code = [line for line in markdown.splitlines() if not line.startswith("    ")]
    assert not any("<script" in line for line in outside_code)
    assert not any(line.startswith("# b") for line in outside_code)
    rows = [line for line in outside_code if line.startswith("| &lt;script")]
    assert rows and all(r"\|" in row and r"\`a\`" in row for row in rows)


def _paths(tree, path=()):
    yield path
    if isinstance(tree, dict) and len(path) < 3:
        for key, item in tree.items():
            yield from _paths(item, (*path, key))


def _without(result: dict, path: tuple, put) -> dict:
    changed = copy.deepcopy(result)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    if put == "absent":
        del parent[path[-1]]
    else:
        parent[path[-1]] = put
    return changed


@pytest.fixture
def no_drawing(monkeypatch):
    """Figures are checked elsewhere: they take a second a page."""
    for name in ("budget", "front", "roc", "scatter", "prediction_error"):
        monkeypatch.setattr(figures, name, lambda *_: None)


@pytest.mark.slow
def test_any_part_may_be_missing_in_the_texts(result, tmp_path, no_drawing):
    for path in _paths(result):
        for put in ("absent", None) if path else ():
            html, markdown = made(_without(result, path, put), tmp_path)
            assert "Traceback" not in html and "None" not in markdown, path


@pytest.mark.parametrize("figure", ("budget", "front", "roc", "scatter", "prediction_error"))
def test_any_part_may_be_missing_in_the_figures(figure, result):
    more = ("lut",) if figure == "scatter" else ()
    needed = {
        "budget": ("chosen",),
        "front": ("points", "front", "baselines", "budget", "chosen", "float", "metric", "cost"),
        "roc": ("roc", "operating_point"),
        "scatter": ("rounds",),
        "prediction_error": ("rounds",),
    }
    small = {key: result[key] for key in needed[figure]}
    small["points"] = result["points"][:4]
    for key in small:
        svg = getattr(figures, figure)(_without(small, (key,), None), *more)
        assert svg is None or svg.startswith("<svg")


def test_an_empty_result_makes_a_page_that_says_so(tmp_path):
    html, markdown = made({}, tmp_path)
    assert Checked(html).seen.count("svg") == 0
    for sentence in (
        "No design is chosen",
        "No design has been trained yet",
        "No design has been built yet",
        "There is no ROC",
    ):
        assert sentence in html and sentence in markdown


def test_before_the_first_build_only_predictions_are_shown(result, tmp_path):
    early = {**result, "chosen": None, "front": [], "rounds": [], "equivalence": {}, "roc": None, "baselines": []}
    early["points"] = [{**point, "built": False, "reported": None, "built_metric": None} for point in result["points"]]
    html, _ = made(early, tmp_path)
    assert html.count("<svg") == 1 and "predicted (model)" in html and "reported (" not in html


def test_a_missed_budget_is_said_and_marked(result, tmp_path):
    missed = copy.deepcopy(result)
    missed["chosen"]["inside_budget"] = False
    missed["budget"]["lut"] = missed["chosen"]["margins"]["lut"]["limit"] = 1000.0
    html, _ = made(missed, tmp_path)
    assert "misses the budget by its report" in html
    assert tables.budget(missed).rows[0][3].mark == "bad" and tables.budget(missed).rows[0][3].text.startswith("−")


def test_rounds_stand_side_by_side(result):
    table = tables.prediction_errors(result)
    assert table.header[2:] == ("round 1", "round 2")
    assert [cell.text for cell in table.rows[0]] == [
        "LUT",
        "model",
        "19.2\N{NO-BREAK SPACE}%",
        "4.1\N{NO-BREAK SPACE}%",
    ]
    assert [cell.text for cell in tables.calibration(result).rows[0]] == ["LUT", "1", "products", "1.12", "1.31"]


def test_ranges_tell_what_saturates(result):
    table = tables.ranges(result)
    rows = {row[0].text: [cell.text for cell in row] for row in table.rows}
    assert set(rows) == {"input", "fc0 activation", "fc0 kernel"}
    assert "0.3" in rows["input"][4] and rows["input"][5] == "2 of 3"
    assert rows["fc0 activation"][5] == "1"
    del result["chosen"]["ranges"]
    assert tables.ranges(result) is None


def test_blocks_that_are_no_layers_are_listed(result):
    changed = copy.deepcopy(result)
    changed["chosen"]["by_layer"]["registers"] = {"lut": 3, "ff": 40}
    names = [row[0].text for row in tables.layers(changed).rows]
    assert names == ["input", "fc0", "fc1", "fc2", "fc3", "registers", "sum of the layers", "whole design"]


def test_the_nearest_design_is_named_where_none_is_inside(result, tmp_path):
    html, _ = made({**result, "chosen": None, "nearest": {"digest": "0f8d0b0dd8b0", "excess": 0.12}}, tmp_path)
    assert "the nearest, 0f8d0b0dd8b0, exceeds a limit by 12.0" in html


def test_front_marks_the_two_fidelities_differently(result):
    svg = figures.front(result)
    for text in (
        "predicted (model)",
        "reported (rtl, yosys 0.57, synth, pre-layout)",
        "chosen (synth, pre-layout)",
        "budget 9,000 LUT",
    ):
        assert text in svg
    assert "LUT (predicted: model; reported: rtl, yosys 0.57, synth, pre-layout)" in svg
    assert figures.MARKERS["model"] != figures.MARKERS["synth"]


def test_values_that_are_no_numbers_are_left_out(result):
    odd = copy.deepcopy(result)
    odd["points"][0]["metric"]["value"] = float("nan")
    odd["points"][1]["cost"]["value"] = float("inf")
    odd["points"][2]["cost"]["value"] = 0.0
    odd["roc"]["float"]["background"] = [0.0] * 60
    assert "nan" not in figures.front(odd).lower().replace("predominant", "")
    assert figures.roc(odd).startswith("<svg")


@pytest.mark.parametrize(
    "value, unit, error, text",
    [
        (0.71592, "", 0.0046, "0.7159 ± 0.0046"),
        (0.71592, "", None, "0.7159"),
        (5860.0, "LUT", None, "5,860 LUT"),
        (27621.4, "LUT", 312.0, "27,621 ± 312 LUT"),
        (3.8174, "ns", None, "3.817 ns"),
        (0, "DSP", None, "0 DSP"),
        (-512, "LUT", None, "−512 LUT"),
        (float("nan"), "LUT", None, "—"),
        (None, "", None, "—"),
        (True, "", None, "—"),
    ],
)
def test_numbers(value, unit, error, text):
    assert number(value, unit, error) == text


def test_units_reuse_and_strategy_are_told(result, tmp_path):
    result = copy.deepcopy(result)
    name = next(iter(result["chosen"]["design"]["layers"]))
    result["chosen"]["design"]["layers"][name] |= {"width": 0.5, "reuse": 4}
    result["search"] = {"strategy": "evolve"}
    page = write(result, tmp_path)[0].read_text()
    assert "0.5 times the units, reuse factor 4" in page and "Proposed by the strategy evolve." in page


def test_bounds_say_what_holds_every_value(result):
    result = copy.deepcopy(result)
    result["chosen"]["bounds"] = {"fc0": {"low": -3.5, "high": 12.0, "integer": 4, "accumulator": 11, "fraction": 5}}
    (row,) = tables.bounds(result).rows
    assert [cell.text for cell in row] == ["fc0", "−3.5 to 12", "4", "11", "5"]
    del result["chosen"]["bounds"]
    assert tables.bounds(result) is None
