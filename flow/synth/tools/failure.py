"""Why a program ended badly, told by its log."""

import re
from pathlib import Path

from flow.errors import ToolFailed, Trouble
from flow.synth.vendor.logs import licence_refused, log_failure

_TROUBLES = (
    (re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE), Trouble.DISK),
    (re.compile(r"bad_alloc|\bout of memory\b|cannot allocate memory", re.IGNORECASE), Trouble.MEMORY),
)
_LONGEST = 300  # characters of a log's line that a message repeats


def failure(message: str, log: Path, trouble: Trouble = Trouble.CRASH, error: re.Pattern | None = None) -> ToolFailed:
    """The error of a run that went wrong: `message`, and the line of its log that tells why.

    That is the line that speaks of a licence, a full disk or memory, which also gives the trouble; else the first that
    `error` matches, or without it what ended a run of Xilinx' tools, and then it is `trouble`.
    """
    text = text_of(log)
    lines = lines_of(text)
    licence = licence_refused(text)
    if licence is not None:
        return ToolFailed(f"{message}: {told(lines[licence - 1])}", log, licence, Trouble.LICENCE)
    for pattern, meant in _TROUBLES:
        number = _first(pattern, lines)
        if number is not None:
            return ToolFailed(f"{message}: {told(lines[number - 1])}", log, number, meant)
    number = _first(error, lines) if error else next(iter(log_failure(text) or ()), None)
    if number is None:
        return ToolFailed(message, log, trouble=trouble)
    return ToolFailed(f"{message}: {told(lines[number - 1])}", log, number, trouble)


def _first(pattern: re.Pattern, lines: list[str]) -> int | None:
    return next((number for number, line in enumerate(lines, 1) if pattern.search(line)), None)


def told(line: str) -> str:
    """A log's line as it can stand in a message."""
    shown = "".join(c if c.isprintable() else " " for c in line.strip())
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def lines_of(text: str) -> list[str]:
    """Lines as they are counted in a log; some programs of Windows and some progress bars end them otherwise."""
    return re.split(r"\r\n|\r|\n", text)


def text_of(log: Path) -> str:
    try:
        return log.read_text(errors="replace")
    except OSError:
        return ""
