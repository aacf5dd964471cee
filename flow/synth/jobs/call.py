"""One function on a worker of a job system, tried again where its worker is lost."""

from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from flow.errors import ToolFailed, Trouble
from flow.synth.jobs import open_pool
from flow.synth.jobs.pool import Lost
from flow.synth.jobs.settings import JobSettings, Needs

LOOK_S = 0.5  # how often workers are looked at


def call(
    function: Callable[..., Any],
    *arguments: Any,
    settings: JobSettings,
    folder: Path,
    needs: Needs,
    say: Callable[[str], None] = lambda text: None,
) -> Any:
    """The result of a top-level function of `flow` called with plain values; what it raises is raised here.

    Raises ToolFailed (Trouble.LOST) where its worker was lost more often than `settings.retries` allow.
    """
    with open_pool(settings, folder, needs) as pool:
        for left in range(settings.retries, -1, -1):
            future = pool.submit(function, *arguments)
            try:
                while not wait([future], timeout=LOOK_S).done:
                    pool.tend()
                return future.result()
            except Lost as error:
                if not left:
                    raise ToolFailed(str(error), trouble=Trouble.LOST) from None
                say(f"  {error}; again on another worker")
            except BaseException:
                pool.cancel()
                raise
