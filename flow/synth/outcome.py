"""What became of a job: the record that the cache keeps, and that a job hands back."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path

from flow.errors import BadInput, ToolFailed, Trouble
from flow.synth.report import Report


@lru_cache(maxsize=1)
def reader() -> str:
    """Digest of the code that makes reports of what tools leave."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        if path.parent.name in ("tools", "vendor") or path.name in ("parse.py", "merge.py", "layers.py", "report.py"):
            total.update(path.read_bytes())
    return total.hexdigest()[:16]


class State(Enum):
    """How far a job is."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Outcome:
    """One run of a tool on one project's sources.

    `log` is the path of the log within `folder` (the cache's entry, which holds what was kept), `line` the line in it
    that tells why it failed. `timeout_s` and `memory_gb` are the limits it ran under. `attempts` counts the runs that
    it took. `reader` tells which code has read the report. `cached`: nothing was run for it this time. `imported`: the report was brought from elsewhere.
    """

    state: State
    tool: str
    tool_version: str | None = None
    report: Report | None = None
    message: str = ""
    trouble: Trouble | None = None
    folder: Path | None = None
    log: str | None = None
    line: int | None = None
    host: str = ""
    pid: int = 0
    seconds: float = 0.0
    attempts: int = 1
    timeout_s: float | None = None
    memory_gb: float | None = None
    imported: bool = False
    reader: str = field(default_factory=reader)
    cached: bool = False

    @property
    def error(self) -> ToolFailed | None:
        """The failure as an error, which names the log and its line; None where there was none."""
        if self.state in (State.DONE, State.STARTED):
            return None
        log = None if self.log is None or self.folder is None else self.folder / self.log
        return ToolFailed(self.message, log, self.line, self.trouble or Trouble.CRASH)

    def to_json(self) -> dict:
        """All but `folder` and `cached`, which are not the record's own."""
        row = {key: value for key, value in vars(self).items() if key not in ("folder", "cached")}
        row["state"] = self.state.value
        row["trouble"] = None if self.trouble is None else self.trouble.value
        row["report"] = None if self.report is None else self.report.to_json()
        return row

    @staticmethod
    def from_json(row: Mapping, source: str, folder: Path | None = None) -> "Outcome":
        """Raises BadInput naming `source` where `row` is no such record."""
        try:
            found = Outcome(**{"reader": "", **row})
            report = None if found.report is None else Report.from_json(found.report, source)
            trouble = None if found.trouble is None else Trouble(found.trouble)
            done = replace(found, state=State(found.state), trouble=trouble, report=report, folder=folder)
        except (TypeError, ValueError) as error:
            raise BadInput(f"{source}: no record of a tool's run ({error})") from None
        if (done.state is State.DONE) != (done.report is not None):
            raise BadInput(f"{source}: a run is done when it has a report, and this one is {done.state.value}")
        return done
