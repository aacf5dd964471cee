"""`flow synth` of projects, of a task with another tool than its own, and of reports that are brought in."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from flow import task
from flow.cost.bits import ebops
from flow.design import Design
from flow.errors import BadInput
from flow.metrics import METRICS
from flow.quantities import count, quantity
from flow.synth import cache, results
from flow.synth.bring import bring
from flow.synth.job import Job
from flow.synth.jobs import options as job_options
from flow.synth.jobs import table
from flow.synth.jobs.run import run as run_jobs
from flow.synth.outcome import Outcome
from flow.synth.report import Report, Stage
from flow.synth.tools import named
from flow.synth.tools.tool import Limits, Tool
from flow.topology import Topology

_SHOWN = ("lut", "ff", "dsp", "bram_18k", "uram")


def task_of(options) -> Path | None:
    """The task's folder where the command is a step of its loop; None where it runs tools on projects."""
    first, *more = options.paths
    beside = (options.like, options.stage, options.imported)
    if more or not _is_task(first) or any(value is not None for value in beside):
        return None
    return first if options.tool in (None, task.read(first).target.tool) else None


def limits(options) -> dict[str, object]:
    """What the command line says of a task's `synth`."""
    of_task = task.read(options.paths[0])
    own, tool = of_task.synth, of_task.target.tool
    licences = count("--licences", options.licences, own.licences.get(tool))
    return {
        "timeout": quantity("--timeout", options.timeout, "s", own.timeout),
        "memory": quantity("--memory", options.memory, "GB", own.memory),
        "licences": own.licences if licences is None else {**own.licences, tool: licences},
    }


def run(options) -> int:
    """Run the tool on the projects, or take in their reports, and say what came out; 4 where a run failed."""
    _check_options(options)
    read = _task(options)
    tool = named((read.target.tool if read else "yosys") if options.tool is None else options.tool)
    stage = _stage(options.stage, tool, read)
    projects = [project for path in options.paths for project in _projects(path, options.out)]
    if options.like is not None:
        projects = [project for project in projects if not _too_large(project, read.synth.ebops_limit)]
    jobs = [_job(project, tool, stage, options, read) for project in projects]
    settings = read.synth if read else task.Synth()
    if options.imported is not None:
        outcomes = bring(jobs, options.imported)
    else:
        outcomes = run_jobs(jobs, job_options.of(options, settings), table.watch())
    for project, outcome in zip(projects, outcomes, strict=True):
        if outcome.report is not None:
            results.put(outcome, project)
    _show(projects, outcomes, stage, options.json, ran=options.imported is None)
    return 0 if all(outcome.report is not None for outcome in outcomes) else 4


# What says how to run, where nothing is run.
_OF_RUNS = ("timeout", "memory", "licences", "at_once", "retries", "walltime", "scheduler")


def _check_options(options) -> None:
    """Raise BadInput for options that contradict each other, before anything is read or run."""
    tasks = [path for path in options.paths if _is_task(path)]
    if options.out is not None and (len(tasks) != 1 or len(options.paths) != 1):
        raise BadInput(f"--out {options.out}: only with one task's folder")
    if options.like is not None and tasks:
        raise BadInput(
            f"--like {options.like}: only with projects; {tasks[0]} is a task, which has its own tool and limits"
        )
    if len(tasks) > 1 and options.tool is None:
        raise BadInput(f"{len(tasks)} tasks: name one --tool for all, or give them one by one")
    if options.imported is not None:
        named = [name for name in _OF_RUNS if getattr(options, name) is not None]
        named += ["again"] if options.again else []
        named += ["jobs"] if options.jobs != "local" else []
        if named:
            raise BadInput(f"--{named[0].replace('_', '-')}: nothing is run with --import")


def _task(options) -> task.Task | None:
    """The task that settings are taken from: the one that is named for that, or the first of the command line."""
    named_first = [options.like] if options.like else []
    return next(
        (task.read(path) for path in (*named_first, *options.paths) if _is_task(path) or path is options.like), None
    )


def _is_task(path: Path) -> bool:
    return (path / "task.yaml").is_file()


def _stage(wanted: str | None, tool: Tool, read: task.Task | None) -> Stage:
    if wanted is None:
        of_task = read is not None and read.target.tool == tool.name and read.target.stage
        return Stage(of_task) if of_task else tool.usual
    known = [stage.value for stage in tool.stages]
    if wanted not in known:
        raise BadInput(f"--stage: {wanted!r} is no stage of {tool.name}; its stages: {', '.join(known)}")
    return Stage(wanted)


def _projects(path: Path, out: Path | None) -> list[Path]:
    """The built designs of a task, or the project itself."""
    if not _is_task(path):
        return [path]
    folder = out or Path("hls_projects") / path.resolve().name
    found = sorted(item.parent for item in folder.glob("*/metadata.json"))
    if not found:
        raise BadInput(f"{path}: nothing is built in {folder} yet; `flow convert {path}` builds designs")
    return found


def _too_large(project: Path, limit: int) -> bool:
    """Whether a task's loop leaves a design out for its size, which is said."""
    try:
        rows = [json.loads((project / name).read_text(encoding="utf-8")) for name in ("topology.json", "design.json")]
        size = ebops(Topology.from_json(rows[0]), Design.from_json(rows[1]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # not built by this program
    if size > limit:
        print(f"{project}: {size:.0f} EBOPs are more than synth.ebops_limit = {limit}: left out", file=sys.stderr)
    return size > limit


def _job(project: Path, tool: Tool, stage: Stage, options, read: task.Task | None) -> Job:
    settings = read.synth if read else task.Synth()
    limits = Limits(
        quantity("--timeout", options.timeout, "s", settings.timeout),
        quantity("--memory", options.memory, "GB", settings.memory),
    )
    licences = count("--licences", options.licences, settings.licences.get(tool.name))
    return Job(project.resolve(), tool.name, stage, limits, cache.root(), licences, options.again)


def _show(projects: Sequence[Path], outcomes: Sequence[Outcome], stage: Stage, as_json: bool, ran: bool) -> None:
    """A line for each project; of what has just run and failed, the table has said it."""
    for project, outcome in zip(projects, outcomes, strict=True):
        if as_json:
            row = {"project": str(project), "stage": stage.value, "cached": outcome.cached, **outcome.to_json()}
            print(json.dumps(row | {"folder": str(results.folder(project, outcome.tool)) if outcome.report else None}))
        elif outcome.report is not None:
            how = "imported" if outcome.imported else "cached" if outcome.cached else f"{outcome.seconds:.0f} s"
            print(f"{project.name}: {_line(outcome.report)} [{outcome.state.value}, {how}]")
        elif outcome.cached or not ran:
            print(f"flow: {project}: {outcome.state.value}: {outcome.error}", file=sys.stderr)


def _line(report: Report) -> str:
    """Figures with units, and whose they are."""
    found = [f"{value} {METRICS[name].unit}" for name in _SHOWN if (value := getattr(report, name)) is not None]
    if report.latency_cycles is not None and report.latency_cycles[1] is not None:
        found.append(f"{report.latency_cycles[1]} cycles")
    if report.wns_ns is not None:
        found.append(f"slack {report.wns_ns:g} ns")
    elif report.clock_estimated_ns is not None:
        found.append(f"clock {report.clock_estimated_ns:g} ns")
    whose = report.implementation.value if report.implementation else "?"
    return (
        f"{', '.join(found)} ({whose}, {report.tool} {report.tool_version or ''}, {report.stage.value}, {report.part})"
    )
