"""What stands at the head of every report of Vivado."""

import re
from dataclasses import dataclass

from flow.synth.report import Stage, Status
from flow.synth.vendor.text import Text


@dataclass(frozen=True)
class Head:
    """Version, design and part; the stage of the design, None where the report does not say it."""

    tool_version: str
    design: str | None
    part: str
    stage: Stage | None
    status: Status


def read(text: Text, end: int) -> Head:
    """The head of a report, which ends before line `end`. The part is as Vivado writes it: ``7z020clg400-1`` too."""
    state = text.find(r"^\| Design State\s*:", 0, end)
    stage, status = (None, Status.OK) if state is None else _stage(text, state)
    return Head(
        text.field(r"^\| Tool Version\s*:\s*Vivado v\.(\S+)", "the version of its tool", 0, end),
        None if text.find(r"^\| Design\s*:", 0, end) is None else text.field(r"^\| Design\s*:\s*(\S+)", "", 0, end),
        text.field(r"^\| Device\s*:\s*(\S+)", "its device", 0, end),
        stage,
        status,
    )


def _stage(text: Text, line: int) -> tuple[Stage, Status]:
    """As in "Synthesized", "Optimized", "Fully Placed", "Physopt postPlace", "Routed", "Physopt postRoute"."""
    state = re.sub(r"^[^:]*:", "", text.lines[line]).strip()
    lower = state.lower()
    status = Status.INCOMPLETE if "partial" in lower else Status.OK
    if "unplaced" in lower or "synth" in lower or "optimized" in lower:
        return Stage.SYNTH, status
    if "route" in lower and "unroute" not in lower:
        return Stage.ROUTE, status
    if "place" in lower or "unroute" in lower:
        return Stage.PLACE, status
    raise text.wrong(line, f"the design state {state!r} is not known")
