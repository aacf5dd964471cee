"""Jobs as people see them: a table that keeps up with them on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flow.synth.job import Job
from flow.synth.jobs.watch import Watch
from flow.synth.outcome import Outcome, State

COLUMNS = ("project", "tool", "stage", "state", "worker", "elapsed", "try", "waits for")
_AROUND = 6  # lines of a terminal that are not rows of the table


def watch(stream: TextIO | None = None) -> Watch:
    """Shows jobs on `stream` (default: standard error)."""
    stream = stream or sys.stderr
    return LiveTable(stream) if stream.isatty() else Lines(lambda text: print(text, file=stream, flush=True))


@dataclass(frozen=True)
class Row:
    """A job that is not finished; `since` is when its state began, in monotonic seconds."""

    state: str = "queued"
    since: float = 0.0
    host: str = ""
    attempt: int = 1
    waits_for: str = ""


class Lines:
    """A line for whatever happens, and one at the end; `say` takes them."""

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._rows: dict[Job, Row] = {}
        self._ended: Counter[str] = Counter()
        self._guard = threading.RLock()

    def begin(self, cached: Sequence[Outcome], left: Sequence[Job]) -> None:
        self._ended = Counter({"cached": len(cached)})
        now = time.monotonic()
        with self._guard:
            self._rows = {job: Row(since=now) for job in left}

    def queued(self, job: Job, waits_for: str) -> None:
        row = self._rows[job]
        if row.waits_for != waits_for:
            self._set(job, replace(row, waits_for=waits_for))

    def started(self, job: Job, host: str, attempt: int) -> None:
        if job not in self._rows:
            return  # its worker's word came after its result
        self._set(job, Row("running", time.monotonic(), host, attempt))
        self._say(f"{_name(job)}: started on {plain(host)}{_tries(attempt)}")

    def retrying(self, job: Job, outcome: Outcome, in_s: float) -> None:
        row = self._rows[job]
        why = outcome.trouble.value if outcome.trouble else "failed"
        self._set(job, Row("to be retried", time.monotonic(), "", row.attempt, f"{in_s:g} s after: {why}"))
        self._say(f"{_name(job)}: {plain(str(outcome.error))}; again in {in_s:g} s")

    def finished(self, job: Job, outcome: Outcome) -> None:
        with self._guard:
            self._rows.pop(job, None)
        self._ended["cached" if outcome.cached and outcome.state is State.DONE else outcome.state.value] += 1
        if outcome.error is not None:
            self._say(f"{_name(job)}: {outcome.state.value}: {plain(str(outcome.error))}{_tries(outcome.attempts)}")
        else:
            how = "from the cache" if outcome.cached else f"in {outcome.seconds:.1f} s"
            self._say(f"{_name(job)}: {outcome.state.value} {how}{_tries(outcome.attempts)}")

    def end(self) -> None:
        if sum(self._ended.values()) + len(self._rows) > 1:
            self._say(self.summary())

    def summary(self) -> str:
        """How many jobs ended how, and how many did not."""
        kinds = [State.DONE.value, "cached", State.FAILED.value, State.TIMED_OUT.value]
        parts = [f"{self._ended[kind]} {kind}" for kind in kinds]
        return f"jobs: {', '.join(parts + ([f'{len(self._rows)} not finished'] if self._rows else []))}"

    def _set(self, job: Job, row: Row) -> None:
        with self._guard:
            self._rows[job] = row


class LiveTable(Lines):
    """A table of the jobs that are not finished, above it a line for each that has ended."""

    def __init__(self, stream: TextIO):
        self._console = Console(file=stream)
        self._live: Live | None = None
        super().__init__(lambda text: self._console.print(Text(text), soft_wrap=True))

    def begin(self, cached: Sequence[Outcome], left: Sequence[Job]) -> None:
        super().begin(cached, left)
        if left:
            self._live = Live(
                console=self._console, get_renderable=self.render, refresh_per_second=2, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()

    def started(self, job: Job, host: str, attempt: int) -> None:
        if job in self._rows:
            self._set(job, Row("running", time.monotonic(), host, attempt))

    def end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        super().end()

    def render(self) -> Table:
        """Those that run first, as many as the terminal has lines for."""
        with self._guard:
            rows = sorted(self._rows.items(), key=lambda item: _ORDER.index(item[1].state))
        table = Table(*COLUMNS, box=None, caption_justify="left", caption=self.summary())
        now = time.monotonic()
        shown = rows[: max(1, self._console.height - _AROUND)]
        for job, row in shown:
            cells = (
                job.name, job.tool, job.stage.value, row.state, row.host, _duration(now - row.since),
                str(row.attempt), row.waits_for,
            )  # fmt: skip
            table.add_row(*(Text(plain(cell)) for cell in cells))
        if len(shown) < len(rows):
            table.add_row(Text(f"and {len(rows) - len(shown)} more"))
        return table


_ORDER = ("running", "to be retried", "queued")


def plain(text: str) -> str:
    """One line, without what a terminal takes for a command: names and messages are not ours."""
    return "".join(char if char.isprintable() else " " for char in text)


def _name(job: Job) -> str:
    return f"{plain(job.name)} ({job.tool} {job.stage.value})"


def _tries(attempt: int) -> str:
    return "" if attempt < 2 else f", try {attempt}"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
