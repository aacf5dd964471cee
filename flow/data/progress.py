"""How far a long job is: a bar on a terminal, plain lines where the output is kept."""

import sys
import time
from types import TracebackType

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Count `total` steps, `done` of which were made earlier; silent unless `shown`. A context manager."""

    def __init__(self, what: str, total: int, done: int, shown: bool):
        self._what, self._total, self._done, self._shown = what, total, done, shown
        self._last_line = 0.0
        self._bar = None

    def __enter__(self) -> "Progress":
        if self._shown and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, initial=self._done, desc=self._what, unit="chunk", file=sys.stderr)
        elif self._shown:
            self._line()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._bar is not None:
            self._bar.update()
        elif self._shown:
            due = time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES
            if due or self._done == self._total:
                self._line()

    def say(self, text: str) -> None:
        """A sentence that does not tear the bar."""
        if not self._shown:
            return
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def _line(self) -> None:
        self._last_line = time.monotonic()
        print(f"{self._what}: {self._done} of {self._total} chunks", file=sys.stderr, flush=True)
