"""Take in reports that a tool wrote elsewhere, for projects that were taken there."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth import parse
from flow.synth.cache import Cache
from flow.synth.job import Job, key, place, subject_of
from flow.synth.layers import attributed
from flow.synth.outcome import Outcome, State
from flow.synth.report import Report, Stage
from flow.synth.subject import Subject
from flow.synth.tools import TOOLS, oneapi, xilinx
from flow.synth.tools.tool import Found

_REPORTS = (".rpt", ".xml", ".json", ".ndjson", ".log", ".txt")
_UNTOLD = "unknown"  # the version of a tool whose reports do not say it


def bring(jobs: Sequence[Job], folder: Path) -> list[Outcome]:
    """The outcomes of `jobs` by the reports below `folder`, where each project has a folder of its name, or one that its
    `metadata.json` lies in. What is taken in is in the cache, as if the tool had run here.

    A project whose folder is missing, or holds no report of it, has a failed outcome that says so. Raises BadInput where
    `folder` is none, or holds nothing of any of the projects.
    """
    if not folder.is_dir():
        raise BadInput(f"--import: {folder}: no such folder")
    there = {job: list(_copies(folder, job.project)) for job in jobs}
    if not any(there.values()):
        names = ", ".join(job.name for job in jobs[:4]) + (", ..." if len(jobs) > 4 else "")
        raise BadInput(f"--import: {folder}: holds no folder of these designs ({names})")
    return [_outcome(job, there[job], folder) for job in jobs]


def _copies(folder: Path, project: Path) -> Iterator[Path]:
    """The folders below `folder` that are the project's."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(root)
        if here.name == project.name or ("metadata.json" in files and _design(here) == project.name):
            folders.clear()
            yield here


def _design(folder: Path) -> str | None:
    try:
        return json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["design"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _outcome(job: Job, copies: Sequence[Path], folder: Path) -> Outcome:
    """The first of the copies that has a report of the job; why not, where none has."""
    read, failed = subject_of(job), None
    for copy in copies:
        try:
            return _taken(job, read, copy)
        except (BadInput, ToolFailed) as error:
            failed = failed or error
    said = str(failed) if failed else f"{folder}: no folder of {job.name} in it"
    return Outcome(State.FAILED, job.tool, message=said, trouble=Trouble.REPORT if failed else Trouble.MISSING)


def _taken(job: Job, read: Subject, copy: Path) -> Outcome:
    """Put what a copy of the project holds into the cache."""
    tool = TOOLS[job.tool]
    base = next((copy / name for name in (read.folder.name,) if (copy / name).is_dir()), copy)
    brought = _require_sources(read, base)
    report = _report(job, read, base)
    version = report.tool_version or _UNTOLD
    said = () if brought else (f"imported without its sources: taken for {job.name} by the folder's name",)
    report = replace(report, messages=(*report.messages, *said))
    scripts = tool.render(read, job.stage)
    files = {name: base / name for name in (report.path, *_kept(base, tool.keep))}
    where = place(read, job.stage), key(Found((), version), scripts)
    return Cache(job.cache).put(job.tool, *where, report, files, version)


def _require_sources(read: Subject, base: Path) -> bool:
    """Whether the copy has the project's sources; BadInput naming the file where one of them differs."""
    there = [name for name in read.files if (base / name).is_file()]
    for name in there:
        if (base / name).read_bytes() != (read.folder / name).read_bytes():
            raise BadInput(f"{base / name}: differs from {read.folder / name}: what was synthesised is another design")
    return len(there) == len(read.files)


def _report(job: Job, read: Subject, base: Path) -> Report:
    """What all reports of the asked stage say together, wherever below `base` they lie; cycles, which reports of logic
    synthesis do not tell, are those of C synthesis, or of the Verilog's pipeline."""
    problems: list[str] = []
    every = parse.find(base, problems)
    found = [report for report in every if report.stage is job.stage]
    if not found:
        raise BadInput(problems[0] if problems else f"{base}: no report of {job.tool} ({job.stage.value}) in it")
    told = parse.merged([_checked(report, read, job.stage) for report in found])
    first = next((report for report in every if report.stage is Stage.CSYNTH), None)
    if told.latency_cycles is None and read.implementation is Implementation.RTL:
        cycles, interval = read.details["latency_cycles"], read.details["interval_cycles"]
        told = replace(told, latency_cycles=(cycles, cycles), interval_cycles=(interval, interval))
    elif told.latency_cycles is None and first is not None:
        first = _checked(first, read, Stage.CSYNTH)
        told = replace(told, latency_cycles=first.latency_cycles, interval_cycles=first.interval_cycles)
    told = replace(told, path=os.path.relpath(found[0].path, base), implementation=read.implementation)
    return attributed(told, read)


def _checked(report: Report, read: Subject, stage: Stage) -> Report:
    """The report, if it is of this design, part and clock; ToolFailed naming its file where it is not."""
    if read.details.get("backend") == "oneapi":  # whose names and devices are spelled in a way of their own
        return oneapi.checked(report, read, Path(report.path))
    return xilinx.checked(report, read, stage, report.tool, report.tool_version, Path(report.path))


def _kept(base: Path, patterns: Sequence[str]) -> Iterator[str]:
    """The reports and logs of the copy, by their paths in it; links are left out."""
    for pattern in patterns:
        for path in sorted(base.glob(pattern)):
            if path.is_file() and path.suffix in _REPORTS and path.resolve().is_relative_to(base.resolve()):
                yield str(path.relative_to(base))
