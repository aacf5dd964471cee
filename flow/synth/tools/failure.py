"""Why a program ended badly, told by its log."""

import re
from pathlib import Path

from flow.errors import ToolFailed, Trouble
from flow.synth.vendor.logs import licence_refused
from flow.synth.vendor.text import Text

_TROUBLES = (
    (re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE), Trouble.DISK),
    (re.compile(r"bad_alloc|\bout of memory\b|cannot allocate memory", re.IGNORECASE), Trouble.MEMORY),
)


def failure(message: str, log: Path, error: re.Pattern, trouble: Trouble = Trouble.CRASH) -> ToolFailed:
    """The error of a run that went wrong: `message`, and the line of its log that tells why.

    That is the line that speaks of a licence, a full disk or memory, which also gives the trouble, else the first that
    `error` matches, and then it is `trouble`.
    """
    text = log.read_text(errors="replace") if log.is_file() else ""
    lines = Text(str(log), text).lines
    licence = licence_refused(text)
    if licence is not None:
        return ToolFailed(f"{message}: {lines[licence - 1].strip()}", log, licence, Trouble.LICENCE)
    for pattern, meant in (*_TROUBLES, (error, trouble)):
        number = next((number for number, line in enumerate(lines, 1) if pattern.search(line)), None)
        if number is not None:
            return ToolFailed(f"{message}: {lines[number - 1].strip()}", log, number, meant)
    return ToolFailed(message, log, trouble=trouble)
