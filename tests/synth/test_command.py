"""`flow synth` of projects, and `flow parse`, as they are typed."""

import json
from pathlib import Path

import pytest
from synth import vendor_projects, vendor_standins, vendor_texts

from flow.cli import main


@pytest.fixture
def tools(tmp_path, monkeypatch):
    folder = vendor_standins.write(tmp_path / "tools", "vivado", "vitis-run")
    vendor_standins.on_path(monkeypatch, folder)
    return folder


@pytest.fixture
def projects(tmp_path) -> list[str]:
    return [str(vendor_projects.rtl(tmp_path / name, lines=10 * i)) for i, name in enumerate("ab", 1)]


def test_projects_are_synthesised_once_and_shown_with_unit_and_origin(projects, tools, capsys):
    command = ["synth", *projects, "--tool", "vivado", "--stage", "synth"]
    assert main(command) == 0
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first.startswith("a: ") and " LUT, " in first and "(rtl, vivado 2023.2, synth, " in first
    assert "[done, " in first and "2 done" in said.err
    report = json.loads((Path(projects[0]) / "rtl/synth/vivado/report.json").read_text())
    assert f"{report['lut']} LUT" in first and report["stage"] == "synth"
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["cached"] for row in rows] == [True, True] and rows[0]["report"]["lut"] == report["lut"]
    assert len(vendor_standins.runs(tools)) == 2


def test_a_tool_that_fails_is_status_4_with_log_and_line(projects, tools, capsys):
    vendor_standins.write(tools, "vivado", behaviour="error", fails=1)
    assert main(["synth", *projects, "--tool", "vivado", "--at-once", "1"]) == 4
    said = capsys.readouterr()
    assert said.out.startswith("b: ") and "line " in said.err and "Traceback" not in said.err
    assert main(["synth", projects[0], "--tool", "vivado", "--json"]) == 4
    row = json.loads(capsys.readouterr().out)
    assert row["state"] == "failed" and row["trouble"] == "crash" and row["line"] and row["report"] is None
    assert len(vendor_standins.runs(tools)) == 2
    assert main(["synth", projects[0], "--tool", "vivado", "--again"]) == 0


@pytest.mark.parametrize(
    "options, said",
    [
        (["--tool", "vivid"], "--tool: 'vivid' is no tool; known: yosys, "),
        (["--tool", "vivado", "--stage", "csynth"], "--stage: 'csynth' is no stage of vivado; its stages: synth, "),
        (["--tool", "vitis"], "holds no HLS project"),
        (["--timeout", "soon"], "--timeout 'soon'"),
        (["--memory", "-1"], "--memory '-1'"),
        (["--licences", "0"], "--licences '0': a whole number from 1"),
        (["--at-once", "x"], "--at-once 'x'"),
        (["--jobs", "pbs"], "--jobs: 'pbs' is no system; known: local, dask, slurm, htcondor"),
        (["--retries", "-1"], "--retries '-1'"),
        (["--import", "nowhere"], "--import: nowhere: no such folder"),
        (["--scheduler", "tcp://127.0.0.1:8786"], "--scheduler"),
        (["--jobs", "dask", "--scheduler", "tcp://farm:8786"], "--scheduler tcp://farm:8786"),
        (["--out", "x"], "--out x: only with one task's folder"),
        (["--walltime", "5h"], "--walltime 18000 s: only with --jobs slurm"),
        (["--import", ".", "--again"], "--again: nothing is run with --import"),
        (["--tool", ""], "--tool: '' is no tool"),
        (["--like", "nowhere"], "nowhere: no such task folder"),
    ],
)
def test_wrong_options_are_one_line_before_anything_runs(projects, tools, capsys, options, said):
    assert main(["synth", *projects, *options]) == 2
    found = capsys.readouterr()
    assert said in found.err and len(found.err.splitlines()) == 1 and found.out == ""
    assert vendor_standins.runs(tools) == []


def test_one_bad_report_does_not_hide_the_others(tmp_path, capsys):
    good, bad = tmp_path / "csynth.rpt", tmp_path / "bad.rpt"
    good.write_text(vendor_texts.TEXTS["csynth.rpt"])
    bad.write_text("nothing of interest\n")
    assert main(["parse", str(bad), str(good), str(tmp_path / "none"), "--json"]) == 2
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1 and json.loads(said.out)["status"] == "ok"
    assert [line.split(":")[1].strip() for line in said.err.splitlines()] == [str(bad), str(tmp_path / "none")]
