"""A run that was stopped goes on where it was, and ends with the same figures."""

import os

import pytest
from loop.running import TINY, Watched, alone, copy_without, figures, flow, one_line, steps, tools_in

from flow.store import locked

pytestmark = pytest.mark.slow

HEAVY = ("tensorflow", "keras", "hls4ml", "alkaid", "optuna", "matplotlib")


def heavy_imports(done) -> list[str]:
    """The heavy packages that a command under `-X importtime` has imported."""
    names = {
        line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "import time:" in line
    }
    assert "flow" in names
    return sorted(names & set(HEAVY))


def same(out, undisturbed) -> None:
    assert figures(out) == figures(undisturbed)
    assert steps(out) == steps(undisturbed)


def test_killed_again_and_again(tmp_path, undisturbed):
    """kill -9 at every kind of moment of one run, with and without the tools that work for it."""
    out = tmp_path / "tiny"
    moments = [
        ("reading the network", True),
        ("epochs:", True),
        ("tracing", True),
        ("training trials", True),
        ("building", True),
        ("tool", False),  # a compiler, which goes on by itself
        ("tool", True),
        ("synthesising", False),
        ("synthesising", True),
        ("proposing designs", True),
        ("tool", True),
    ]
    for moment, tools in moments:
        with Watched(out) as run:
            if moment == "tool":
                run.until_tool()
            else:
                run.until(moment)
            run.kill(tools)
        assert flow("status", TINY, "--out", out, "--json").returncode == 0
    done = flow("run", TINY, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    same(out, undisturbed)
    leftovers = [path for path in out.rglob(".*") if path.name != ".clang-format"]
    assert leftovers == []


@pytest.mark.parametrize("moment", ["reading the network", "reading events", "epochs:"])
def test_interrupted_early(tmp_path, moment):
    with Watched(tmp_path / "tiny") as run:
        run.until(moment)
        line = one_line(run.interrupt(), 130)
    assert "interrupted" in line


def test_interrupted_while_compiling(tmp_path, undisturbed):
    """Ctrl-C while compilers run ends them too; the next run ends as if nothing had been."""
    out = copy_without(undisturbed, tmp_path / "tiny", "equivalence", projects=False)
    with Watched(out) as run:
        run.until_tool()
        one_line(run.interrupt(), 130)
        assert tools_in(out) == []
    assert flow("run", TINY, "--out", out).returncode == 0
    same(out, undisturbed)


def test_interrupted_while_synthesising(tmp_path, undisturbed):
    out = copy_without(undisturbed, tmp_path / "tiny", "synth")
    with Watched(out) as run:
        run.until_tool()
        one_line(run.interrupt(), 130)
        assert tools_in(out) == []
    assert flow("run", TINY, "--out", out).returncode == 0
    same(out, undisturbed)


def test_nothing_changed(undisturbed):
    """A second run says so, imports nothing heavy and writes nothing."""
    watched = ("result.json", "index.html", "summary.md", "study.db")
    before = {name: os.stat(undisturbed / name).st_mtime_ns for name in watched}
    with alone(undisturbed):
        done = flow("run", TINY, "--out", undisturbed, flags=("-X", "importtime"))
    assert done.returncode == 0 and "nothing has changed" in done.stdout
    assert heavy_imports(done) == []
    assert {name: os.stat(undisturbed / name).st_mtime_ns for name in watched} == before


def test_each_step_of_a_finished_run_has_nothing_to_do(undisturbed):
    before = steps(undisturbed), figures(undisturbed)
    for step in ("data", "train", "search", "convert", "synth", "report"):
        with alone(undisturbed):
            done = flow(step, TINY, "--out", undisturbed)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", f"{step} worked again"
    assert (steps(undisturbed), figures(undisturbed)) == before


def test_a_second_run_at_the_same_time_is_told(tmp_path):
    with locked(tmp_path):
        line = one_line(flow("run", TINY, "--out", tmp_path), 1)
    assert "another run" in line and str(os.getpid()) in line
