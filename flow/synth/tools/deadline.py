"""One time limit for several programs that run one after the other."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flow.errors import ToolFailed, Trouble
from flow.synth.tools.tool import Limits, call


@dataclass(frozen=True)
class Deadline:
    """The limits of a run, and when it began (`time.monotonic`)."""

    limits: Limits
    start: float

    @staticmethod
    def of(limits: Limits) -> "Deadline":
        """That of a run that begins now."""
        return Deadline(limits, time.monotonic())

    @property
    def left(self) -> Limits:
        """What the next program may take."""
        return replace(self.limits, timeout_s=max(self.limits.timeout_s - (time.monotonic() - self.start), 0.0))

    def call(self, tool: str, command: Sequence[str], folder: Path, log: str) -> int:
        """Run a program as `flow.synth.tools.tool.call` does; the error of one that takes too long tells the limit of
        the whole run."""
        try:
            return call(tool, command, folder, log, self.left)
        except ToolFailed as error:
            if error.trouble is not Trouble.TIMEOUT:
                raise
            said = f"{tool} took longer than {self.limits.timeout_s:g} s"
            raise ToolFailed(said, error.log, trouble=Trouble.TIMEOUT) from None
