"""The errors a user can meet: one base, and the exit status that each ends the program with."""

from enum import Enum
from pathlib import Path


class FlowError(Exception):
    """Something the user must know of, said in one line; never shown as a traceback."""

    exit_status = 1


class BadInput(FlowError):
    """A file, key or argument that can't be used: the message says which, what it was, what is allowed."""

    exit_status = 2


class BudgetMissed(FlowError):
    """No design inside the budget exists, or none was found."""

    exit_status = 3


class Trouble(Enum):
    """Why a tool's run failed, and with that whether the same run may end well another time."""

    CRASH = "crash"  # it refused its input, or broke on it
    REPORT = "report"  # it ended well, but its report is missing, cut off, or of another design
    TIMEOUT = "timeout"
    MEMORY = "memory"  # it took more than it was allowed
    LICENCE = "licence"  # none was free
    DISK = "disk"  # no space was left
    KILLED = "killed"  # by a signal that was not ours
    LOST = "lost"  # the worker that ran it is gone
    MISSING = "missing"  # the tool is not on this machine

    @property
    def may_pass(self) -> bool:
        """Whether it is worth trying again as it is."""
        return self in (Trouble.LICENCE, Trouble.DISK, Trouble.KILLED, Trouble.LOST)


class ToolFailed(FlowError):
    """An external tool ended badly; the message names its log and the line to read."""

    exit_status = 4

    def __init__(
        self, message: str, log: Path | None = None, line: int | None = None, trouble: Trouble = Trouble.CRASH
    ):
        where = "" if log is None else f" (see {log}{'' if line is None else f', line {line}'})"
        super().__init__(message + where)
        self.message = message
        self.log = log
        self.line = line
        self.trouble = trouble


class Mismatch(FlowError):
    """Two sides of the equivalence gate differ."""

    exit_status = 5


class Storage(FlowError):
    """A result could not be written: a full disk, a folder without permission."""

    exit_status = 6
