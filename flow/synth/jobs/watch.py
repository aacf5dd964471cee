"""Who is told how jobs get on."""

from collections.abc import Sequence
from typing import Protocol

from flow.synth.job import Job
from flow.synth.outcome import Outcome


class Watch(Protocol):
    """Told of each job from one thread, between `begin` and `end`, which come once for each call of `run`.

    `begin` has the outcomes that were in the cache, and the jobs that are left. `queued` may come again and again,
    with what the job waits for.
    """

    def begin(self, cached: Sequence[Outcome], left: Sequence[Job]) -> None: ...

    def queued(self, job: Job, waits_for: str) -> None: ...

    def started(self, job: Job, host: str, attempt: int) -> None: ...

    def retrying(self, job: Job, outcome: Outcome, in_s: float) -> None: ...

    def finished(self, job: Job, outcome: Outcome) -> None: ...

    def end(self) -> None: ...


class Silent:
    """Nobody."""

    def begin(self, cached: Sequence[Outcome], left: Sequence[Job]) -> None:
        pass

    def queued(self, job: Job, waits_for: str) -> None:
        pass

    def started(self, job: Job, host: str, attempt: int) -> None:
        pass

    def retrying(self, job: Job, outcome: Outcome, in_s: float) -> None:
        pass

    def finished(self, job: Job, outcome: Outcome) -> None:
        pass

    def end(self) -> None:
        pass


SILENT = Silent()
