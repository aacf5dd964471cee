"""What all tools have in common: how one is described, found, and started."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow import process
from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth.report import Report, Stage
from flow.synth.subject import Subject


@dataclass(frozen=True)
class Found:
    """A tool on this machine: the beginning of its argument list, its version as its reports tell it, and the other
    programs that a run of it starts."""

    command: tuple[str, ...]
    version: str
    helpers: tuple["Found", ...] = ()

    @property
    def path(self) -> str:
        return self.command[0]


@dataclass(frozen=True)
class Limits:
    """What one run of a tool may take."""

    timeout_s: float = 900.0
    memory_gb: float | None = None


@dataclass(frozen=True)
class Tool:
    """A tool: what it reads, how far it can go, and the three steps of a run: render, run, read.

    `stages`: what it can be asked for, in the order that it goes through them; `usual` is the one that is meant where
    none is named. `find` raises ToolFailed (Trouble.MISSING), saying what to set, where the tool is not here.
    `render` gives the scripts of a run by path, and touches nothing. `run` starts the tool in a folder that holds the
    subject's files and these scripts, and raises ToolFailed, naming log and line. `read` gives the report of the asked
    stage of what it left in that folder, figures of its other reports of that stage put in; it raises ToolFailed
    (Trouble.REPORT) where a report is missing, cut off, or of another design, part or clock. `keep` are glob patterns of what
    is worth keeping of the folder. `setting` says to people what makes the tool known.
    """

    name: str
    sentence: str
    implementation: Implementation
    stages: tuple[Stage, ...]
    usual: Stage
    setting: str
    find: Callable[[], Found]
    render: Callable[[Subject, Stage], dict[str, str]]
    run: Callable[[Path, Subject, Stage, Found, Limits], None]
    read: Callable[[Path, Subject, Stage], Report]
    keep: tuple[str, ...]


def on_path(names: Sequence[str], variable: str, tool: str, advice: str) -> str:
    """The program to run: the one that the environment `variable` names, else the first of `names` on the PATH.

    Raises BadInput for a named one that can't be run, ToolFailed (Trouble.MISSING) with `advice` where there is none.
    """
    named = os.environ.get(variable)
    for name in [named] if named else names:
        path = shutil.which(name)
        if path is not None:
            return os.path.abspath(path)
    if named:
        raise BadInput(f"{variable} names {named!r}, which can't be run")
    raise ToolFailed(f"{tool}: no {' or '.join(names)} on the PATH; {advice}", trouble=Trouble.MISSING)


def call(tool: str, command: Sequence[str], folder: Path, log: str, limits: Limits) -> int:
    """Run a program in `folder`, what it prints in `folder`/`log`; its exit status."""
    (folder / log).parent.mkdir(parents=True, exist_ok=True)
    return process.run(
        command, folder, folder / log, limits.timeout_s, append=True, tool=tool, memory_gb=limits.memory_gb
    )
