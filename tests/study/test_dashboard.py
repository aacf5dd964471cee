"""optuna-dashboard, where it is installed, opens the study and shows it by readable names."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from study.examples import PARAMETERS, place, study, trial, trials

from flow.metrics import Fidelity, figure
from flow.study import State

PROGRAM = shutil.which("optuna-dashboard") or shutil.which("optuna-dashboard", path=Path(sys.executable).parent)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="optuna-dashboard is not installed")]


@contextmanager
def dashboard(storage: str, log: Path):
    """A dashboard on this machine alone; gives what asks it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as output:
        running = subprocess.Popen(
            [PROGRAM, storage, "--host", "127.0.0.1", "--port", str(port)], stdout=output, stderr=output
        )

    def get(path: str) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=300) as answer:
            return json.loads(answer.read())

    try:
        end = time.monotonic() + 120
        while True:
            try:
                get("meta")
                break
            except OSError:
                assert running.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.2)
        yield get
    finally:
        running.terminate()
        running.wait()


@pytest.mark.parametrize("text", ["", "journal:x.log"], ids=["sqlite", "journal"])
def test_it_shows_names_figures_and_what_is_feasible(tmp_path, text):
    mine = study(place(tmp_path, text), tmp_path)
    odd = trial(6, figures=trial(6).figures | {"auc": figure("auc", float("nan"), Fidelity.MEASURED)})
    rows = [*trials(6), odd, trial(7, State.FAILED, reason="no numbers"), trial(8, State.PROPOSED)]
    report = {trial(1).design.digest: {"lut": figure("lut", 90.0, Fidelity.SYNTH, tool="yosys 0.70")}}
    assert mine.sync(rows, report) == ""
    storage = mine.place.url.replace("+pysqlite", "") or str(mine.place.path)
    with dashboard(storage, tmp_path / "dashboard.log") as get:
        (summary,) = get("studies")["study_summaries"]
        assert summary["study_name"] == "jets-0123"
        assert summary["directions"] == ["maximize", "minimize", "minimize"]
        shown = get(f"studies/{summary['study_id']}?after=0")
    assert shown["objective_names"] == ["accuracy", "lut", "latency_ns"]
    assert {row["name"] for row in shown["union_search_space"]} == set(PARAMETERS)
    assert [row["state"] for row in shown["trials"]] == ["Complete"] * 7 + ["Fail", "Waiting"]
    first, last = shown["trials"][0], shown["trials"][5]
    assert first["values"] == [0.7, 100.0, 50.0]
    assert {row["name"]: row["param_external_value"] for row in first["params"]} == trial(0).chosen
    said = {row["key"]: row["value"] for row in first["user_attrs"]}
    assert said["by"] == "random" and json.loads(said["figures"])["lut"]["unit"] == "LUT"
    assert first["constraints"][0] < 0 < last["constraints"][0]
    assert "reported trial 1" in {row["key"] for row in shown["user_attrs"]}
