"""What people see of jobs: a table on a terminal, lines elsewhere, and nothing that a terminal would obey."""

import io
from pathlib import Path

from rich.console import Console

from flow.errors import Trouble
from flow.synth.jobs import table
from flow.synth.outcome import Outcome, State
from tests.synth.jobs.designs import job

CACHE = Path("/cache")
ONE, TWO, BAD = (job(Path("/p") / name, CACHE) for name in ("one", "two", "b\x1b[31mad\nname"))
DONE = Outcome(State.DONE, "yosys", seconds=12.34)
LOST = Outcome(State.FAILED, "yosys", message="the worker was lost", trouble=Trouble.LOST)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_elsewhere_there_is_a_line_for_whatever_happens():
    stream = io.StringIO()
    watch = table.watch(stream)
    watch.begin([DONE, DONE], [ONE, TWO, BAD])
    watch.queued(TWO, "a licence")
    watch.started(ONE, "node7", 1)
    watch.retrying(ONE, LOST, 5.0)
    watch.started(ONE, "node8", 2)
    watch.finished(ONE, DONE)
    watch.finished(BAD, Outcome(State.TIMED_OUT, "yosys", message="took\x07 too long", trouble=Trouble.TIMEOUT))
    watch.end()
    assert stream.getvalue().splitlines() == [
        "one (yosys synth): started on node7",
        "one (yosys synth): the worker was lost; again in 5 s",
        "one (yosys synth): started on node8, try 2",
        "one (yosys synth): done in 12.3 s",
        "b [31mad name (yosys synth): timed out: took  too long",
        "jobs: 1 done, 2 cached, 0 failed, 1 timed out, 1 not finished",
    ]


def test_on_a_terminal_there_is_a_table_which_is_gone_at_the_end(monkeypatch):
    stream = Terminal()
    watch = table.watch(stream)
    assert isinstance(watch, table.LiveTable)
    watch.begin([], [ONE, TWO, BAD])
    clock = table.time.monotonic()
    monkeypatch.setattr(table.time, "monotonic", lambda: clock + 3725)
    watch.queued(TWO, "memory")
    watch.started(ONE, "node7", 2)
    monkeypatch.setattr(table.time, "monotonic", lambda: clock + 3725 + 61)
    page = drawn(watch)
    assert page[0].split() == "project tool stage state worker elapsed try waits for".split()
    assert page[1].split() == ["one", "yosys", "synth", "running", "node7", "1:01", "2"]
    assert page[2].split() == ["two", "yosys", "synth", "queued", "1:03:06", "1", "memory"]
    assert page[3].startswith("b [31mad name ") and "\x1b" not in page[3]
    assert page[-1].startswith("jobs: 0 done, 0 cached, 0 failed, 0 timed out, 3 not finished")
    watch.retrying(ONE, LOST, 5.0)
    assert "to be retried" in drawn(watch)[1] and "5 s after: lost" in drawn(watch)[1]
    for one in (ONE, TWO, BAD):
        watch.finished(one, DONE)
    watch.started(ONE, "node7", 2)  # a worker's word that comes late
    watch.end()
    assert "jobs: 3 done, 0 cached, 0 failed, 0 timed out\n" in stream.getvalue()
    assert "two (yosys synth): done in 12.3 s" in stream.getvalue()


def test_a_table_is_no_longer_than_the_terminal():
    watch = table.LiveTable(Terminal())
    watch.begin([], [job(Path(f"/p/{number}"), CACHE) for number in range(100)])
    watch.end()
    shown = [line for line in drawn(watch) if "queued" in line]
    assert 1 <= len(shown) < watch._console.height
    assert any(f"and {100 - len(shown)} more" in line for line in drawn(watch))


def test_one_job_needs_no_summary():
    stream = io.StringIO()
    watch = table.watch(stream)
    watch.begin([], [ONE])
    watch.finished(ONE, DONE)
    watch.end()
    assert stream.getvalue() == "one (yosys synth): done in 12.3 s\n"


def drawn(watch) -> list[str]:
    """The table as it stands, line by line."""
    stream = io.StringIO()
    Console(file=stream, width=140).print(watch.render())
    return [line.strip() for line in stream.getvalue().splitlines()]
