"""Take in reports that a tool wrote elsewhere, for projects that were taken there."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth import parse
from flow.synth.cache import Cache
from flow.synth.job import Job, key, known, place, subject_of
from flow.synth.layers import attributed
from flow.synth.outcome import Outcome, State
from flow.synth.report import Report, Stage, Status
from flow.synth.subject import SIDES, Subject
from flow.synth.tools import TOOLS, oneapi, vivado, xilinx
from flow.synth.tools.tool import Found
from flow.synth.vendor.logs import licence_refused, log_failure

_REPORTS = (".rpt", ".xml", ".json", ".ndjson", ".log", ".txt")
# tool -> who its reports say has written them; those of cosimulation do not say it
_WRITERS = {
    "yosys": ("yosys",),
    "nextpnr": ("nextpnr",),
    "vivado": ("vivado",),
    "vitis": ("vitis_hls", "vivado", None),
    "vivado_hls": ("vivado_hls", "vivado", None),
    "oneapi": ("oneapi", "quartus"),
}
_NEEDED = ("lut", "ff", "dsp", "latency_cycles")  # of a report that the loop can go on with
_UNTOLD = "unknown"  # the version of a tool whose reports do not say it


def bring(jobs: Sequence[Job], folder: Path) -> list[Outcome]:
    """The outcomes of `jobs` by the reports below `folder`, where each project has a folder that its `metadata.json` lies
    in, or one of its name without any. What is taken in is in the cache, as if the tool had run here.

    A project whose folder is missing, or holds no report of it, has a failed outcome that says so. Raises BadInput where
    `folder` is none, or holds nothing of any of the projects.
    """
    if not folder.is_dir():
        raise BadInput(f"--import: {folder}: no such folder")
    there = {job: list(_copies(folder, _identity(job.project))) for job in jobs}
    if not any(there.values()):
        names = ", ".join(_identity(job.project) for job in jobs[:4]) + (", ..." if len(jobs) > 4 else "")
        raise BadInput(f"--import: {folder}: holds no folder of these designs ({names})")
    return [_outcome(job, there[job], folder) for job in jobs]


def _identity(project: Path) -> str:
    """The design that a project's folder, or the one of its Verilog or HLS in it, is of."""
    whole = project.parent if project.name in SIDES.values() else project
    return _design(whole) or whole.name


def _copies(folder: Path, name: str) -> Iterator[Path]:
    """The folders below `folder` that are the project's: what their metadata says goes before what they are called."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(root)
        if ((_design(here) if "metadata.json" in files else None) or here.name) == name:
            folders.clear()
            yield here


def _design(folder: Path) -> str | None:
    path = folder / "metadata.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["design"]) if path.is_file() else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


@dataclass(frozen=True)
class _Brought:
    """The report of a copy of the project, in the folder `base` of what the tool has read; whether the sources came too."""

    base: Path
    report: Report
    sources: bool


def _outcome(job: Job, copies: Sequence[Path], folder: Path) -> Outcome:
    """What is taken from the copies; why nothing is, where that is so, or where they contradict each other."""
    read, found, failed = subject_of(job), [], None
    for copy in copies:
        try:
            found.append(_brought(job, read, copy))
        except (BadInput, ToolFailed) as error:
            failed = failed or error
    other = next((item for item in found if replace(item.report, path="") != replace(found[0].report, path="")), None)
    if other is not None:
        failed = BadInput(f"{found[0].base} and {other.base}: two reports of {job.name} that differ; leave one of them")
    if not found and (kept := known(job)) is not None and kept.report is not None:
        return kept  # brought before, or made here
    if failed is None and not found:
        said = f"{folder}: no folder of {_identity(job.project)} in it"
        return Outcome(State.FAILED, job.tool, message=said, trouble=Trouble.MISSING)
    if other is None and not found and (ended := _failure(job, read, copies)) is not None:
        return ended
    if other is not None or not found:
        return Outcome(State.FAILED, job.tool, message=str(failed), trouble=Trouble.REPORT)
    return _taken(job, read, found[0])


def _taken(job: Job, read: Subject, item: _Brought) -> Outcome:
    """Put what was brought into the cache; what the tool itself has reported there stays before what has no sources."""
    report, tool = item.report, TOOLS[job.tool]
    version = report.tool_version or _UNTOLD
    said = () if item.sources else (f"imported without its sources: taken for {job.name} by the folder it lies in",)
    report = replace(report, messages=(*report.messages, *said))
    files = {name: item.base / name for name in (report.path, *_kept(item.base, tool.keep))}
    where = place(read, job.stage), key(Found((), version), tool.render(read, job.stage))
    return Cache(job.cache).put(job.tool, *where, report, files, version, replaces=item.sources)


def _failure(job: Job, read: Subject, copies: Sequence[Path]) -> Outcome | None:
    """What the tool's log says of a run that failed elsewhere, where the sources came with it; kept like a report, so that
    the loop goes on without the design."""
    side = SIDES[read.implementation]
    for base in (copy / side if (copy / side).is_dir() else copy for copy in copies):
        if not _has_sources(read, base):
            continue
        for log in parse.find(base, [], logs=True):
            ended = log.kind == "log" and log.status is Status.FAILED and _is_of_the_tool(job, log, base)
            text = Path(log.path).read_text(errors="replace") if ended else ""
            if ended and licence_refused(text) is None and (why := log_failure(text)) is not None:
                version, name = log.tool_version or _UNTOLD, os.path.relpath(log.path, base)
                where = place(read, job.stage), key(Found((), version), TOOLS[job.tool].render(read, job.stage))
                said = f"{job.tool} failed elsewhere: {why[1].strip()}"
                return Cache(job.cache).put_failure(job.tool, *where, said, name, why[0], Path(log.path), version)
    return None


def _has_sources(read: Subject, base: Path) -> bool:
    try:
        return _require_sources(read, base)
    except BadInput:
        return False


def _brought(job: Job, read: Subject, copy: Path) -> _Brought:
    """The report in a copy of the project; raises BadInput and ToolFailed naming file and reason where none is its."""
    side = SIDES[read.implementation]
    base = copy / side
    if not base.is_dir():
        if any((copy / name).is_dir() for name in SIDES.values()):
            raise BadInput(f"{copy}: no {side}/ in it, which {job.tool} reads")
        base = copy
    sources = _require_sources(read, base)
    return _Brought(base, _report(job, read, base), sources)


def _require_sources(read: Subject, base: Path) -> bool:
    """Whether the copy has the project's sources; BadInput naming the file where one differs, or is there besides."""
    there = [name for name in read.files if (base / name).is_file()]
    for name in there:
        if (base / name).read_bytes() != (read.folder / name).read_bytes():
            raise BadInput(f"{base / name}: differs from {read.folder / name}: what was synthesised is another design")
    if read.implementation is Implementation.RTL:
        for path in sorted((base / "src").glob("*.*v")):
            if f"src/{path.name}" not in read.files:
                raise BadInput(f"{path}: is no source of {read.folder}: what was synthesised is another design")
    return len(there) == len(read.files)


def _report(job: Job, read: Subject, base: Path) -> Report:
    """What all reports of the asked stage say together, wherever below `base` they lie; cycles, which reports of logic
    synthesis do not tell, are those of C synthesis, or of the Verilog's pipeline."""
    problems: list[str] = []
    every = [report for report in parse.find(base, problems) if _is_of_the_tool(job, report, base)]
    found = [report for report in every if report.stage is job.stage]
    if not found:
        raise BadInput(problems[0] if problems else f"{base}: no report of {job.tool} ({job.stage.value}) in it")
    for report in found:
        if report.status is Status.FAILED:
            raise BadInput(f"{report.path}: it says that the run failed: {'; '.join(report.messages)}")
        if report.tool == "vivado":
            vivado.check_whole(base, os.path.relpath(report.path, base), Path(report.path))
    told = parse.merged([_checked(report, read, job.stage) for report in found])
    first = next((_checked(report, read, Stage.CSYNTH) for report in every if report.stage is Stage.CSYNTH), None)
    told = _with_cycles(told, first, read)
    if job.stage is Stage.COSIM and first is not None:
        cycles = {"latency_cycles": told.latency_cycles, "interval_cycles": told.interval_cycles}
        told = replace(first, stage=told.stage, kind=told.kind, status=told.status, messages=told.messages, **cycles)
    lacking = [name for name in _NEEDED if getattr(told, name) is None]
    if lacking:
        raise BadInput(f"{base}: no report of {job.tool} ({job.stage.value}) in it says {', '.join(lacking)}")
    if job.tool != "oneapi":
        told = xilinx.timed(told, Path(found[0].path))
    told = replace(told, path=os.path.relpath(found[0].path, base), implementation=read.implementation)
    return attributed(told, read)


def _with_cycles(told: Report, first: Report | None, read: Subject) -> Report:
    """The report with cycles: its own, else those of the Verilog's pipeline or of C synthesis."""
    if told.latency_cycles is not None:
        return told
    if read.implementation is Implementation.RTL:
        cycles, interval = read.details["latency_cycles"], read.details["interval_cycles"]
        return replace(told, latency_cycles=(cycles, cycles), interval_cycles=(interval, interval))
    if first is None:
        return told
    return replace(told, latency_cycles=first.latency_cycles, interval_cycles=first.interval_cycles)


def _is_of_the_tool(job: Job, report: Report, base: Path) -> bool:
    """Whether the tool of the job, or Vivado behind it, has written a report; what this program has put beside the
    sources, the results of runs elsewhere and before, is none of it, and neither is what a link leads to."""
    path = Path(report.path)
    inside = path.relative_to(base).parts
    ours = len(inside) > 2 and inside[0] == "synth" and inside[1] in TOOLS
    return not ours and report.tool in _WRITERS[job.tool] and path.resolve().is_relative_to(base.resolve())


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
