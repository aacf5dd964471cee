"""`flow estimate` and `flow calibrate` as a user types them."""

import json

import pytest
from estimate.built import TARGET, TOPOLOGY, expected, project
from estimate.test_calibrate import CONFIG, HEADER, KERAS, hls_project
from loop.running import ROOT, flow, here, one_line
from synth.vendor_texts import POWER, UTILIZATION
from test_cli import HEAVY, imported_by

from flow.metrics import METRICS

SCIPY = {"scipy"}
FIGURES = ("lut", "ff", "dsp", "bram_18k", "uram", "latency_cycles", "interval_cycles")
GOOD = "a,32-64,8,1,16,6,64,resource,io_parallel,Vivado HLS,2020.1,xcu250-figd2104-2L-e,5"
UNKNOWN = "b,16-64-5,,,,,,,,,,,"


def table(path, *rows: str, header: str = HEADER):
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def check_range(name: str, item: dict) -> None:
    assert item["unit"] == METRICS[name].unit and item["fidelity"] in ("model", "traced", "csynth", "synth", "route")
    assert 0 <= item["low"] <= item["value"] <= item["high"]


def test_records_as_json(tmp_path):
    done = flow("estimate", "--records", table(tmp_path / "rows.csv", GOOD, UNKNOWN), "--json")
    assert done.returncode == 0 and done.stderr == ""
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["line"] for row in rows] == [2, 3]
    for row in rows:
        assert row["stage"] == "csynth" and 0 <= row["finishes"] <= 1
        for name in FIGURES:
            check_range(name, row[name])
    assert rows[0]["dsp"]["value"] == 32 and rows[0]["interval_cycles"]["value"] == 64
    assert rows[1]["reasons"]
    wide = [(row["lut"]["high"] - row["lut"]["low"]) / row["lut"]["value"] for row in rows]
    assert wide[1] > 5 * wide[0]


def test_stages_differ(tmp_path):
    path = table(tmp_path / "rows.csv", GOOD)
    found = {}
    for stage in ("csynth", "synth", "route"):
        done = flow("estimate", "--records", path, "--json", "--stage", stage)
        found[stage] = json.loads(done.stdout)["lut"]
    assert found["csynth"]["value"] != found["synth"]["value"]


NONSENSE = [
    ("c,32,8,1,16,6,64,resource,io_parallel,Vivado HLS,2020.1,,5", "arch '32'"),
    ("c,a-b,8,1,16,6,64,resource,io_parallel,Vivado HLS,2020.1,,5", "arch 'a-b'"),
    ("c,32-64,-8,1,16,6,64,resource,io_parallel,Vivado HLS,2020.1,,5", "weight_bits '-8'"),
    ("c,32-64,8,1,nan,6,64,resource,io_parallel,Vivado HLS,2020.1,,5", "data_bits 'nan'"),
    ("c,32-64,8,1,16,6,1e300,resource,io_parallel,Vivado HLS,2020.1,,5", "reuse_factor '1e300'"),
    ("c,32-64,8,1,16,6,64,fast,io_parallel,Vivado HLS,2020.1,,5", "strategy 'fast' is not known; known: latency"),
    ("c,32-64,8,1,16,6,64,resource,io_parallel,gcc,2020.1,,5", "tool 'gcc' is not known"),
    ("c,32-64,8,1,16,6,64,resource,io_parallel,Vivado HLS,2020.1,,-5", "target_clk_ns '-5'"),
    ("c,32-64,8", "3 fields"),
]


def test_rows_that_are_nonsense_are_named_and_left_out(tmp_path):
    path = table(tmp_path / "rows.csv", GOOD, *(bad for bad, _ in NONSENSE), UNKNOWN)
    done = flow("estimate", "--records", path, "--json")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if f"{path}, line" in line]
    assert len(lines) == len(NONSENSE)
    for number, (line, (_, said)) in enumerate(zip(lines, NONSENSE), 3):
        assert f"{path}, line {number}" in line and said in line
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [2, len(NONSENSE) + 3]


@pytest.mark.parametrize(
    "content, said",
    [
        ("arch,weight_bits\n32-64,8\n", "line 1: no column weight_int"),
        ("", "no column"),
        (f"{HEADER}\n", "holds no rows"),
        ("\0\0\0", "no column"),
    ],
)
def test_tables_that_are_none(content, said, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    assert said in one_line(here("estimate", "--records", path), 2)


def test_a_design_with_its_report(tmp_path):
    place = project(tmp_path / "out", 0, by_layer={"fc0": {"lut": 200, "ff": 90}})
    done = flow("estimate", place, "--json", "--state", tmp_path / "none.json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["part"] == TARGET["part"] and found["clock_ns"] == 5.0
    rows = {(row["implementation"], row["fidelity"]): row for row in (*found["estimates"], *found["reports"])}
    assert set(rows) == {("rtl", "model"), ("hls4ml", "model"), ("rtl", "synth")}
    for row in rows.values():
        for name, item in row["figures"].items():
            check_range(name, item)
    assert rows["rtl", "synth"]["figures"]["lut"]["value"] == 320
    for row in found["estimates"]:
        assert {"power_w", "energy_fpga", "interval_cycles"} <= set(row["figures"])
        assert {layer.name for layer in TOPOLOGY.weighted} <= set(row["by_layer"])
    assert {"bits", "ebops", "macs", "bops", "energy"} == set(found["costs"])
    text = flow("estimate", place, "--state", tmp_path / "none.json").stdout
    assert "synth report of yosys 0.70" in text and "model" in text and "fc0" in text


def test_reports_make_the_estimate_better(tmp_path):
    for seed in range(8):
        project(tmp_path / "out", seed, round(1.1 * expected(seed)))
    state = tmp_path / "calibration.json"
    place = project(tmp_path / "new", 9, None)

    def lut() -> dict:
        row = json.loads(flow("estimate", place, "--json", "--state", state).stdout)["estimates"][0]
        assert row["implementation"] == "rtl"
        return row["figures"]["lut"]

    before = lut()
    done = flow("calibrate", tmp_path / "out", "--state", state)
    assert done.returncode == 0 and "8 new reports" in done.stdout
    after = lut()
    assert 1.03 < after["value"] / before["value"] < 1.12
    assert (after["high"] - after["low"]) / after["value"] < (before["high"] - before["low"]) / before["value"]


def test_an_hls4ml_configuration(tmp_path):
    folder = hls_project(tmp_path / "tagger")
    found = json.loads(flow("estimate", folder / "hls4ml_config.yml", "--json", "--stage", "synth").stdout)
    (row,) = found["estimates"]
    assert row["implementation"] == "hls4ml" and row["tool"] == "Vivado HLS" and row["stage"] == "synth"
    assert found["part"] == "xcku040-ffva1156-2-e"
    slower = json.loads(flow("estimate", folder, "--json", "--reuse-factor", "16").stdout)["estimates"][0]
    assert slower["figures"]["dsp"]["value"] < row["figures"]["dsp"]["value"]
    assert slower["figures"]["interval_cycles"]["value"] > row["figures"]["interval_cycles"]["value"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "name a task, a project or a file, or --records"),
        (["nothing"], "neither a task's folder"),
        (["README.md"], "neither a task's folder"),
        (["setup.cfg", "abc"], "no task's folder"),
        (["models/tiny", "abcdef", "--out", "nothing"], "no built design of models/tiny"),
        (["models/tiny", "--out", "nothing"], "no design named"),
        (["models/tiny", "models/tiny/task.yaml"], "task.yaml"),
        (["--records", "nothing.csv"], "nothing.csv: can't be read"),
        (["models/tiny", "--reuse-factor", "0"], "--reuse-factor 0"),
        (["models/tiny", "--clock", "fast"], "--clock fast"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    assert said in one_line(here("estimate", *arguments), 2)


def test_parts_that_are_not_known_are_refused(tmp_path):
    place = project(tmp_path / "out")
    assert "part 'xcnothing' is not known" in one_line(here("estimate", place, "--part", "xcnothing"), 2)


def test_layers_without_a_cost_are_refused_by_name(tmp_path):
    model = json.loads(json.dumps(KERAS))
    model["config"]["layers"].insert(1, {"class_name": "LSTM", "config": {"name": "memory", "units": 4}})
    folder = hls_project(tmp_path / "tagger")
    (folder / "model.json").write_text(json.dumps(model))
    line = one_line(here("estimate", folder), 2)
    assert "layer memory (LSTM)" in line and "known:" in line and "Dense" in line


@pytest.mark.parametrize(
    "text, said",
    [("{", "hls4ml_config.yml"), ("Backend: Quartus\n", "Quartus"), (CONFIG.replace("4", "-4"), "ReuseFactor")],
)
def test_configurations_that_are_none(text, said, tmp_path):
    folder = hls_project(tmp_path / "tagger")
    (folder / "hls4ml_config.yml").write_text(text)
    assert said in one_line(here("estimate", folder), 2)


@pytest.mark.parametrize("arguments", [["nothing"], ["models/tiny", "--out", "nothing"]])
def test_calibrating_on_nothing(arguments, tmp_path):
    one_line(here("calibrate", *arguments, "--state", tmp_path / "state.json"), 2)
    assert not (tmp_path / "state.json").exists()


def test_nothing_heavy_is_imported(tmp_path):
    path = table(tmp_path / "rows.csv", GOOD)
    assert not imported_by("estimate", "--records", path) & (set(HEAVY) - SCIPY)
    place = project(tmp_path / "out")
    assert not imported_by("estimate", place, "--state", tmp_path / "none.json") & (set(HEAVY) - SCIPY)


def test_help_says_what_is_asked_for():
    text = flow("estimate", "--help").stdout
    assert "--records" in text and "--stage" in text and "DESIGN" in text
    assert (ROOT / "docs" / "cost.md").is_file()


@pytest.mark.parametrize("arguments", [["a" * 5000], ["models/tiny", "a" * 5000], ["a" * 300 + ".json"]])
def test_names_that_are_too_long(arguments):
    assert "too long" in one_line(here("estimate", *arguments), 2)


def test_a_reuse_factor_of_thousands_of_digits():
    assert "--reuse-factor 999" in one_line(here("estimate", "models/tiny", "--reuse-factor", "9" * 5000), 2)


def test_a_report_keeps_its_clock(tmp_path):
    place = project(tmp_path / "out", 0)
    (place / "rtl" / "synth" / "power.rpt").write_text(POWER)
    (place / "rtl" / "synth" / "utilization.rpt").write_text(UTILIZATION)
    rows = []
    for clock in ("200", "100"):
        found = json.loads(flow("estimate", place, "--json", "--clock", clock, "--state", tmp_path / "none").stdout)
        rows.append([row["figures"] for row in found["reports"]])
    assert rows[0] == rows[1]
    assert any({"power_w", "energy_fpga"} <= set(figures) for figures in rows[0])


def test_a_place_that_takes_no_file(tmp_path):
    place, state = project(tmp_path / "out", 0), tmp_path / "file"
    state.write_text("")
    assert str(state / "state.json") in one_line(here("calibrate", place, "--state", state / "state.json"), 2)
