"""What Vivado HLS, Vitis HLS and Vivado have in common: how they are found, what their logs mean, and whether a report
is of what was asked for."""

import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from flow import process
from flow.errors import BadInput, ToolFailed, Trouble
from flow.synth import parse
from flow.synth.report import Report, Stage
from flow.synth.subject import Subject
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.failure import failure, lines_of, text_of, told
from flow.synth.tools.tool import Found, on_path

FOLDER = "synth"  # of scripts and logs, in the work folder
VERSIONS = f"{FOLDER}/versions.json"  # which version of each tool ran
_ASKED_S = 60.0  # for a version
_PERIOD = 0.0051
"""Clock periods in ns that differ by no more are one: reports round them to two or three decimals."""

_VERSION = re.compile(r"\bv(\d{4}\.\d+(?:\.\d+)?)")
# A memory whose contents Vivado did not find is synthesised as empty, with status 0 and a few hundred LUTs.
_UNREAD = re.compile(r"could not open \$readmem data file|ignoring malformed \$readmem")


# What the shell scripts that these programs are say with their status of one that was ended from outside.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU)


@dataclass(frozen=True)
class Program:
    """A program that a tool may be: its name, what asks for its version, what stands before a script, and the
    releases that are known to work, from `least` to `latest` (None: no end is known)."""

    name: str
    ask: str
    arguments: tuple[str, ...]
    least: tuple[int, int]
    latest: tuple[int, int] | None = None

    @property
    def known(self) -> str:
        least = ".".join(map(str, self.least))
        return f"{least} and later" if self.latest is None else f"{least} to {'.'.join(map(str, self.latest))}"

    def suits(self, version: str) -> bool:
        return self.least <= release(version) and (self.latest is None or release(version) <= self.latest)


def release(version: str) -> tuple[int, int]:
    """Year and number of a version such as 2023.2 or 2019.1.3; ToolFailed for what is none."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        raise ToolFailed(f"{version!r} is no version of Xilinx' tools", trouble=Trouble.REPORT)
    return int(found.group(1)), int(found.group(2))


def find(title: str, programs: Sequence[Program], variable: str, advice: str) -> Found:
    """The first of `programs` on the PATH that is of a release known to work, or the one that `variable` names.

    Raises BadInput for a named one that can't be run; ToolFailed (Trouble.MISSING), with the releases that are known to
    work, where there is none, where it is of another release, or does not say of which.
    """
    first = on_path([program.name for program in programs], variable, title, advice)
    refused = []
    for given, program in _candidates(first, programs, variable):
        path = os.path.abspath(given)  # runs are in folders of their own
        version = _said(path, program)
        if version is not None and program.suits(version):
            return Found((path, *program.arguments), version)
        what = "does not say its version" if version is None else f"is of {version}"
        refused.append(f"{path} {what} (known to work: {program.known})")
    raise ToolFailed(f"{title}: {'; '.join(refused)}; {advice}", trouble=Trouble.MISSING)


def _candidates(first: str, programs: Sequence[Program], variable: str) -> list[tuple[str, Program]]:
    """Paths and what they are. A named program is the only one, and taken for the last of `programs` where its name is
    none of theirs."""
    if os.environ.get(variable):
        return [(first, next((p for p in programs if p.name in Path(first).name), programs[-1]))]
    return [(path, program) for program in programs if (path := shutil.which(program.name)) is not None]


def _said(path: str, program: Program) -> str | None:
    """The version that a program tells, None where it does not."""
    try:
        return _version(path, Path(path).stat().st_mtime_ns, program.ask)
    except (OSError, ToolFailed):
        return None


@lru_cache(maxsize=64)
def _version(path: str, modified_ns: int, ask: str) -> str | None:
    """Asked again only when the program's file was replaced, or when there was no answer."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "version.log"
        process.run([path, ask], Path(folder), log, _ASKED_S)
        found = _VERSION.search(log.read_text(errors="replace"))
    return None if found is None else found.group(1)


def call_tool(title: str, command: Sequence[str], folder: Path, log: Path, deadline: Deadline) -> None:
    """Run a program in `folder`, its log kept in `log`.

    Raises ToolFailed, naming log and line, where it ends with another status than 0 or left a memory empty, and as
    `flow.process.run` does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    status = deadline.call(title, command, folder, str(log))
    for number, line in enumerate(lines_of(text_of(log)), 1):
        if _UNREAD.search(line):
            raise ToolFailed(f"{title} did not find the contents of a memory: {told(line)}", log, number)
    if status != 0:
        trouble = Trouble.KILLED if status - 128 in _FROM_OUTSIDE else Trouble.CRASH
        raise failure(f"{title} ended {_how(status)}", log, trouble)


def _how(status: int) -> str:
    """An exit status in words; a shell that starts the program gives 128 and the signal's number."""
    for number in (-status, status - 128):
        if number in list(signal.Signals):
            return f"by {signal.Signals(number).name}"
    return f"with exit status {status}"


def note_versions(work: Path, **versions: str) -> None:
    """Keep which version of each tool a run uses, for `versions`."""
    path = work / VERSIONS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(versions, sort_keys=True) + "\n")


def version_of(work: Path, tool: str) -> str:
    """The version of `tool` that ran in the folder."""
    path = work / VERSIONS
    try:
        return json.loads(path.read_text())[tool]
    except (OSError, ValueError, KeyError, TypeError):
        raise ToolFailed(f"{VERSIONS} does not say which {tool} ran", path, trouble=Trouble.REPORT) from None


def report(work: Path, name: str, log: Path, title: str) -> Report:
    """The report in the file `name` of the folder; ToolFailed (Trouble.REPORT, or what the log tells) for none."""
    path = work / name
    if not path.is_file():
        raise failure(f"{title} left no {name}", log, Trouble.REPORT)
    try:
        return replace(parse.parse(path), path=name)
    except BadInput as error:
        raise failure(_within(work, error), log, Trouble.REPORT) from None


def merged(work: Path, reports: Sequence[Report], log: Path) -> Report:
    """Several reports of one run as one, under the path of the first."""
    try:
        return replace(parse.merged(reports), path=reports[0].path)
    except BadInput as error:
        raise failure(_within(work, error), log, Trouble.REPORT) from None


def _within(work: Path, error: BadInput) -> str:
    return str(error).replace(f"{work}/", "")


def checked(report: Report, of: Subject, stage: Stage, tool: str, version: str, log: Path) -> Report:
    """The report, with part, design and implementation as the subject has them.

    Raises ToolFailed (Trouble.REPORT), naming its file and what differs, where it is of another design, part, clock,
    stage, tool or version. What a report does not say is not compared; the clock must be said by one of those that are
    put together (`timed`).
    """
    differ = [
        f"{what} {said}, not {asked}"
        for what, said, asked, same in (
            ("design", report.design, of.top, report.design in (None, of.top)),
            ("part", report.part, of.part, report.part is None or parse.same_part(report.part, of.part)),
            ("stage", getattr(report.stage, "value", None), stage.value, report.stage is stage),
            ("tool", report.tool, tool, report.tool in (None, tool)),
            ("version", report.tool_version, version, _same_version(report.tool_version, version)),
            ("clock", report.clock_target_ns, of.clock_ns, _same_clock(report.clock_target_ns, of.clock_ns)),
        )
        if not same
    ]
    if differ:
        raise ToolFailed(f"{report.path}: it is of {' and of '.join(differ)}", log, trouble=Trouble.REPORT)
    return replace(report, part=of.part, design=of.top, implementation=of.implementation)


def timed(report: Report, log: Path) -> Report:
    """The report; ToolFailed where it does not say its clock: without one no slack means anything."""
    if report.clock_target_ns is None:
        raise ToolFailed(
            f"{report.path}: neither it nor what belongs to it says its clock", log, trouble=Trouble.REPORT
        )
    return report


def _same_version(one: str | None, other: str) -> bool:
    return one is None or release(one) == release(other)


def _same_clock(one: float | None, other: float) -> bool:
    return one is None or abs(one - other) <= _PERIOD
