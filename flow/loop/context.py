"""What every step of a run needs: the task, where things are, the finished steps, and a voice."""

import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from flow import parts, task
from flow.data.scaling import InputScaling
from flow.errors import BadInput
from flow.estimate.knowledge import load
from flow.estimate.observation import Observation
from flow.firmware import settings
from flow.store import Store
from flow.synth import cache
from flow.synth.job import Job
from flow.synth.jobs.settings import JobSettings
from flow.synth.report import Stage
from flow.synth.tools import TOOLS
from flow.synth.tools.tool import Limits, Tool
from flow.task import Task

# What a tool that reads the HLS project must find there.
_BACKENDS = {"vitis": settings.Backend.VITIS, "vivado_hls": settings.Backend.VIVADO}


@dataclass(frozen=True)
class Context:
    """`folder` holds task.yaml; everything that is made goes below `out`."""

    task: Task
    folder: Path
    out: Path
    quiet: bool = False
    jobs: JobSettings = JobSettings()
    again: bool = False  # whether tools run also where they failed before in a way that no second try mends
    until_s: float | None = None  # when, on the clock of time.monotonic, no further batch is begun
    studies: dict = field(default_factory=dict)  # name -> the study that this process has opened
    _seconds: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def of(
        folder: Path,
        out: Path | None = None,
        quiet: bool = False,
        jobs: JobSettings = JobSettings(),
        again: bool = False,
        limits: Mapping[str, object] | None = None,
        searching: Mapping[str, object] | None = None,
        minutes: float | None = None,
    ) -> "Context":
        """Reads and checks the task; raises BadInput before any work. `limits` go before those of the task's `synth`,
        `searching` before those of its `search`; after `minutes` no further batch of trials is begun."""
        read = task.read(folder)
        read = read.model_copy(
            update={
                "synth": read.synth.model_copy(update=dict(limits or {})),
                "search": read.search.model_copy(update=dict(searching or {})),
            }
        )
        until = None if minutes is None else time.monotonic() + 60.0 * minutes
        try:
            parts.find(read.target.part)
        except BadInput as error:
            raise BadInput(f"{folder / 'task.yaml'}: target.part: {error}") from None
        _check_tool(read, folder / "task.yaml")
        return Context(read, folder, out or Path("hls_projects") / folder.resolve().name, quiet, jobs, again, until)

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def path(self) -> Path:
        """The task file, for messages."""
        return self.folder / "task.yaml"

    @cached_property
    def store(self) -> Store:
        return Store(self.out)

    @cached_property
    def known(self) -> tuple[Observation, ...]:
        """The reports that the task's cost models have learned from before."""
        return load(self.folder / self.task.calibration)

    @property
    def limits(self) -> dict[str, float]:
        return self.task.budget.limits()

    @property
    def target(self) -> settings.Target:
        """What projects are built for."""
        return task.target(self.task)

    @property
    def tool(self) -> Tool:
        """The tool whose reports close the loop."""
        return TOOLS[self.task.target.tool]

    @property
    def until(self) -> Stage:
        """How far that tool goes."""
        return Stage(self.task.target.stage) if self.task.target.stage else self.tool.usual

    def job(self, project: Path, tool: Tool | None = None, stage: Stage | None = None, again: bool = False) -> Job:
        """The run of a tool, that of the loop unless another is named, on a built design."""
        tool, limits = tool or self.tool, self.task.synth
        until = stage or (self.until if tool is self.tool else tool.usual)
        return Job(
            project.resolve(),
            tool.name,
            until,
            Limits(limits.timeout, limits.memory),
            cache.root(),
            limits.licences.get(tool.name),
            again,
        )

    @property
    def time_is_over(self) -> bool:
        return self.until_s is not None and time.monotonic() >= self.until_s

    def say(self, text: str) -> None:
        """A line for people, on standard error."""
        if not self.quiet:
            sys.stderr.write(f"{text}\n")  # in one piece: tools run in threads
            sys.stderr.flush()

    @contextmanager
    def stage(self, name: str, what: str = ""):
        """Announce a stage of real work (on `what`); its seconds are added to what the page shows."""
        self.say(f"[{self.name}] {name} {what}".rstrip())
        start = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - start

    @property
    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds of the stages that this process worked on."""
        return dict(self._seconds)

    def progress(self, what: str):
        """A callback (done, total): a bar on a terminal, a line at every quarter otherwise."""
        if self.quiet:
            return lambda done, total: None
        if not sys.stderr.isatty():
            return lambda done, total: done * 4 % total < 4 and self.say(f"  {what}: {done} of {total}")
        from tqdm import tqdm

        bar = tqdm(desc=f"  {what}", leave=False, file=sys.stderr)

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if done == total:
                bar.close()

        return step


def _check_tool(read: Task, path: Path) -> None:
    """Raise BadInput where the tool can't go as far, or does not read what is built."""
    tool, stage = TOOLS[read.target.tool], read.target.stage
    if stage is not None and Stage(stage) not in tool.stages:
        known = ", ".join(item.value for item in tool.stages)
        raise BadInput(f"{path}: target.stage: {stage!r} is no stage of {tool.name}; its stages: {known}")
    backend = _BACKENDS.get(tool.name, read.target.backend)
    if backend != read.target.backend:
        raise BadInput(
            f"{path}: target.tool: {tool.name} reads projects of the backend {backend}, and target.backend is"
            f" {read.target.backend}"
        )
    for name in read.synth.licences:
        if name not in TOOLS:
            raise BadInput(f"{path}: synth.licences: {name!r} is no tool; known: {', '.join(TOOLS)}")


def scaling_of(result: dict) -> InputScaling:
    return InputScaling.from_json(result["scaling"])
