"""One job: a tool, run on a project's sources, through the cache. What workers execute, here or on another machine."""

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from flow.errors import BadInput, FlowError, ToolFailed, Trouble
from flow.store import digest_of
from flow.synth import subject
from flow.synth.cache import Cache
from flow.synth.layers import attributed
from flow.synth.outcome import Outcome, State, reader
from flow.synth.report import Report, Stage
from flow.synth.subject import Subject
from flow.synth.tools import TOOLS
from flow.synth.tools.tool import Found, Limits, Tool


@dataclass(frozen=True)
class Job:
    """What is asked for. Paths are absolute: a worker may have another working folder. `licences`: how many runs of
    the tool there may be at once among all that share the cache (None: as many as like). `again`: also where an earlier
    run failed in a way that no second try mends."""

    project: Path
    tool: str
    stage: Stage
    limits: Limits
    cache: Path
    licences: int | None = None
    again: bool = False

    @property
    def name(self) -> str:
        return self.project.name


def known(job: Job) -> Outcome | None:
    """What the cache has of a job: for the version of the tool that is here, else, where it is not here, for any.

    Raises BadInput for a project that can't be read.
    """
    tool, read = TOOLS[job.tool], subject_of(job)
    scripts = tool.render(read, job.stage)
    try:
        found = installed(tool)
    except ToolFailed:
        kept = Cache(job.cache).any_version(job.tool, place(read, job.stage))
    else:
        kept = Cache(job.cache).find(job.tool, place(read, job.stage), key(found, scripts))
    return None if kept is None else _as_read_now(kept, tool, read, job.stage)


def execute(job: Job) -> Outcome:
    """The job's outcome, from the cache or by running the tool; failures of the tool are outcomes too.

    Raises BadInput for a project that can't be read.
    """
    tool, read = TOOLS[job.tool], subject_of(job)
    scripts = tool.render(read, job.stage)
    cache = Cache(job.cache)
    try:
        found = installed(tool)
    except ToolFailed as error:
        # Its reports may have been brought from where it is.
        kept = cache.any_version(job.tool, place(read, job.stage))
        return missing(job, error) if kept is None else _as_read_now(kept, tool, read, job.stage)
    outcome = cache.compute(
        job.tool,
        place(read, job.stage),
        key(found, scripts),
        lambda work: (run(tool, read, job.stage, found, job.limits, work), (*tool.keep, *scripts)),
        tool_version=found.version,
        limits=job.limits,
        slots=job.licences,
        again=job.again,
        refused=lambda kept: job.again and _as_read_now(kept, tool, read, job.stage).report is None,
    )
    return _as_read_now(outcome, tool, read, job.stage)


def _as_read_now(outcome: Outcome, tool: Tool, read: Subject, stage: Stage) -> Outcome:
    """An outcome whose report was read by other code is read anew from what was kept, so that what is put right in the
    reading of reports holds for old ones too. What was brought from elsewhere is as it was read then."""
    if outcome.report is None or outcome.imported or outcome.reader == reader():
        return outcome
    try:
        return replace(outcome, report=_report(tool, outcome.folder, read, stage), reader=reader())
    except ToolFailed as error:
        return replace(
            outcome, state=State.FAILED, report=None, message=error.message, trouble=Trouble.REPORT, line=error.line
        )


def installed(tool: Tool) -> Found:
    """The tool on this machine, asked for once; raises as `Tool.find` does."""
    return _installed(
        tool, tuple(sorted((k, v) for k, v in os.environ.items() if k == "PATH" or k.startswith("FLOW_")))
    )


@lru_cache(maxsize=64)
def _installed(tool: Tool, environment: tuple[tuple[str, str], ...]) -> Found:
    return tool.find()


def subject_of(job: Job) -> Subject:
    """What the job's tool reads; BadInput for a project that can't be read."""
    return subject.read(job.project, TOOLS[job.tool].implementation)


def missing(job: Job, error: FlowError) -> Outcome:
    """The outcome of a job whose tool is not here."""
    return Outcome(State.FAILED, job.tool, message=str(error), trouble=Trouble.MISSING)


def place(read: Subject, stage: Stage) -> str:
    """Digest of what is synthesised and how far, whatever the tool's version."""
    return digest_of([read.sources, read.top, read.part, read.clock_ns, stage.value])


def key(found: Found, scripts: dict[str, str]) -> str:
    """Digest of with what: the tool's version, and its scripts, which hold constraints and options."""
    return digest_of([found.version, scripts])


def synthesise(project: Path, tool: str = "yosys", limits: Limits = Limits()) -> Report:
    """The report of a run on this machine that is not kept. Raises BadInput and ToolFailed."""
    of = TOOLS[tool]
    with TemporaryDirectory(prefix="flow-") as work:
        return run(of, subject.read(project, of.implementation), of.usual, installed(of), limits, Path(work))


def run(tool: Tool, read: Subject, stage: Stage, found: Found, limits: Limits, work: Path) -> Report:
    """Run a tool in the empty folder `work`, on copies of the subject's files, and read its report."""
    for name in read.files:
        _place(work, name).write_bytes((read.folder / name).read_bytes())
    if replace(read, folder=work).sources != read.sources:
        raise BadInput(f"{read.folder}: its sources changed while they were copied; run again")
    for name, text in tool.render(read, stage).items():
        _place(work, name).write_text(text, encoding="utf-8")
    tool.run(work, read, stage, found, limits)
    return _report(tool, work, read, stage)


def _report(tool: Tool, folder: Path, read: Subject, stage: Stage) -> Report:
    return attributed(replace(tool.read(folder, read, stage), implementation=read.implementation), read)


def _place(work: Path, name: str) -> Path:
    path = work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
