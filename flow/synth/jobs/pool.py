"""What every system offers: a place where functions run, some at once, which can be stopped."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

Started = Callable[[str], None]
"""Told the name of the host that a function has begun to run on; it may come from any thread."""


class Lost(Exception):
    """What ran a function is gone before its result came back; the same call may end well elsewhere."""


class Pool(Protocol):
    """`size`: how many functions may run at once; it may change as workers come and go."""

    @property
    def size(self) -> int: ...

    def submit(self, function: Callable[..., Any], *arguments: Any, started: Started | None = None) -> Future:
        """The result to come of a top-level function of `flow`, called with plain values.

        The future fails with Lost where its worker is gone, else with what the function has raised.
        """
        ...

    def room(self, running: int, memory_gb: float) -> bool:
        """Whether there is memory for one more function that needs `memory_gb`, beside `running` of them."""
        ...

    def tend(self) -> None:
        """To be called twice a second or so while results are waited for: replaces workers that are gone."""
        ...

    def cancel(self) -> None:
        """End all that runs and all that waits; what their programs had started does not outlive this."""
        ...
