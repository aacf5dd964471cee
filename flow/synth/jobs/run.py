"""Jobs to outcomes: cached ones at once, the others through a pool, again where the trouble may pass."""

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from flow import process
from flow.errors import FlowError, Storage, Trouble
from flow.synth.cache import Cache, serves
from flow.synth.job import Job, execute, known
from flow.synth.jobs import open_pool
from flow.synth.jobs.pool import Lost, Pool
from flow.synth.jobs.settings import JobSettings, Needs
from flow.synth.jobs.watch import SILENT, Watch
from flow.synth.outcome import Outcome, State

LOOK_S = 0.5  # how often retries, memory and workers are looked at
MEMORY_GB = 1.0  # what a job without a limit is taken to need


def run(jobs: Sequence[Job], settings: JobSettings, watch: Watch | None = None) -> list[Outcome]:
    """The outcomes of jobs, in their order. A project that is there twice is run once.

    Failures of tools are outcomes. Raises BadInput for a project that can't be read or a system that isn't here,
    before anything is run. An interrupt ends what runs and is raised on; what was finished is in the cache.
    """
    watch = watch or SILENT
    # A relative cache would be another folder for a worker that works elsewhere.
    asked = [replace(job, project=job.project.resolve(), cache=job.cache.absolute()) for job in jobs]
    outcomes: dict[Job, Outcome] = {}
    left = []
    for job in dict.fromkeys(asked):
        found = _final(job, known(job))
        if found is None:
            left.append(job)
        else:
            outcomes[job] = replace(found, cached=True)
    if left:
        Cache(left[0].cache).require()
    with ExitStack() as stack:
        pool = stack.enter_context(open_pool(settings, folder_of(left[0].cache), _needs(left))) if left else None
        stack.callback(watch.end)
        watch.begin(list(outcomes.values()), left)
        if pool is not None:
            outcomes |= _Sweep(left, settings, watch, pool).run()
    return [outcomes[job] for job in asked]


def _final(job: Job, found: Outcome | None) -> Outcome | None:
    """What the cache has, where a worker would only hand it back."""
    if found is None or found.state is State.STARTED:
        return None
    return found if serves(found, job.limits, job.again, fresh=False) else None


def _needs(jobs: Sequence[Job]) -> Needs:
    return Needs(len(jobs), max(_memory(job) for job in jobs), max(job.limits.timeout_s for job in jobs))


def _memory(job: Job) -> float:
    return job.limits.memory_gb or MEMORY_GB


@dataclass(frozen=True)
class _Try:
    """One attempt at a job: the how-manieth, and when it may begin (monotonic seconds)."""

    job: Job
    number: int = 1
    earliest: float = 0.0


class _Sweep:
    """The state of one `run`: what waits, what runs, what is finished."""

    def __init__(self, jobs: Sequence[Job], settings: JobSettings, watch: Watch, pool: Pool):
        self.settings, self.watch, self.pool = settings, watch, pool
        self.waiting = [_Try(job) for job in jobs]
        self.running: dict[Future, _Try] = {}
        self.outcomes: dict[Job, Outcome] = {}
        self.begun: SimpleQueue[tuple[_Try, str]] = SimpleQueue()

    def run(self) -> dict[Job, Outcome]:
        try:
            while self.waiting or self.running:
                self._start()
                if self.running:
                    done, _ = wait(self.running, timeout=LOOK_S, return_when=FIRST_COMPLETED)
                else:
                    done = ()
                    next_s = min(attempt.earliest for attempt in self.waiting) - time.monotonic()
                    time.sleep(min(LOOK_S, max(0.01, next_s)))
                self._tell_started()
                for future in done:
                    self._take(self.running.pop(future), future)
                self.pool.tend()
                process.pause(0)  # raises where this thread is ended
        except BaseException:
            self.pool.cancel()
            raise
        return self.outcomes

    def _start(self) -> None:
        """Submit what may begin now, in order; a tool without a free licence lets the jobs of others pass."""
        now = time.monotonic()
        for attempt in list(self.waiting):
            why = self._obstacle(attempt.job)
            if why is not None:
                self.watch.queued(attempt.job, why)
                if why == LICENCE:
                    continue
                break
            if attempt.earliest <= now:
                self.waiting.remove(attempt)
                self.watch.queued(attempt.job, "")
                future = self.pool.submit(
                    execute, attempt.job, started=lambda host, attempt=attempt: self.begun.put((attempt, host))
                )
                self.running[future] = attempt

    def _obstacle(self, job: Job) -> str | None:
        """What a job has to wait for, None where it may begin."""
        if len(self.running) >= min(self.pool.size, self.settings.at_once or self.pool.size):
            return PLACE
        of_tool = sum(attempt.job.tool == job.tool for attempt in self.running.values())
        if job.licences is not None and of_tool >= job.licences:
            return LICENCE
        return None if self.pool.room(len(self.running), _memory(job)) else MEMORY

    def _tell_started(self) -> None:
        try:
            while True:
                attempt, host = self.begun.get_nowait()
                self.watch.started(attempt.job, host, attempt.number)
        except Empty:
            pass

    def _take(self, attempt: _Try, future: Future) -> None:
        outcome = _outcome(attempt, future)
        again = outcome.trouble is not None and outcome.trouble.may_pass
        if not again or attempt.number > self.settings.retries:
            self.outcomes[attempt.job] = outcome
            self.watch.finished(attempt.job, outcome)
            return
        pause = self.settings.backoff_s * 2 ** (attempt.number - 1)
        self.waiting.append(_Try(attempt.job, attempt.number + 1, time.monotonic() + pause))
        self.watch.retrying(attempt.job, outcome, pause)


PLACE, LICENCE, MEMORY = "a free place", "a licence", "memory"


def _outcome(attempt: _Try, future: Future) -> Outcome:
    """What came back. Errors that are not about this job, bugs among them, are raised."""
    try:
        outcome = future.result()
    except Lost as error:
        return _failed(attempt, str(error), Trouble.LOST)
    except Storage as error:
        return _failed(attempt, str(error), Trouble.DISK)
    except FlowError as error:
        return _failed(attempt, str(error), Trouble.CRASH)
    return replace(outcome, attempts=max(outcome.attempts, attempt.number))


def _failed(attempt: _Try, message: str, trouble: Trouble) -> Outcome:
    return Outcome(
        State.FAILED, attempt.job.tool, message=message, trouble=trouble, attempts=attempt.number,
        timeout_s=attempt.job.limits.timeout_s, memory_gb=attempt.job.limits.memory_gb,
    )  # fmt: skip


def folder_of(cache: Path) -> Path:
    """Where pools keep keys and logs: within the cache, which all workers see."""
    return cache / "jobs"
