"""The reports of Vivado HLS, Vitis HLS and Vivado, one file a kind: text -> `flow.synth.report.Report`."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from flow.errors import BadInput
from flow.synth.report import Report
from flow.synth.vendor import csynth_rpt, csynth_summary, csynth_xml, export, power, timing, utilization
from flow.synth.vendor.text import Text


@dataclass(frozen=True)
class Kind:
    """A kind of report: its name, what a text must hold to be one, and how it is read."""

    name: str
    signature: str
    parse: Callable[[Text], Report]


KINDS = (
    Kind("csynth.xml", csynth_xml.SIGNATURE, csynth_xml.parse),
    Kind("csynth.rpt", csynth_rpt.SIGNATURE, csynth_rpt.parse),
    Kind("csynth.rpt", csynth_summary.SIGNATURE, csynth_summary.parse),
    Kind("hls export", export.SIGNATURE, export.parse),
    Kind("hls export", export.LATER, export.parse_later),
    Kind("vivado utilization", utilization.SIGNATURE, utilization.parse),
    Kind("vivado timing", timing.SIGNATURE, timing.parse),
    Kind("vivado power", power.SIGNATURE, power.parse),
)
NAMES = tuple(dict.fromkeys(kind.name for kind in KINDS))

# What these tools write too and is not read: said by its name, where a user offers it.
_UNREAD = {
    "a co-simulation report": r"^Simulation tool\s*:",
    "a log of an HLS tool": r"^INFO: \[HLS \d+-\d+\]|^\*{4,} (?:Vivado|Vitis) ?(?:\(TM\) )?HLS",
    "a log of Vivado": r"^# Vivado v\d|^\*{4,} Vivado v",
    "a report of oneAPI": r'\A\s*\{\s*"(?:name|quartusFit\w*)"\s*:',
}


def kind_of(text: str) -> Kind | None:
    """The kind of report that a text is, None for any other text."""
    return next((kind for kind in KINDS if re.search(kind.signature, text, re.MULTILINE)), None)


def unread_kind(text: str) -> str | None:
    """What else of these tools a text is, in words."""
    return next((name for name, sign in _UNREAD.items() if re.search(sign, text, re.MULTILINE)), None)


def parse(text: str, path: str) -> Report:
    """The report in a text; `path` is named in it and in errors.

    Raises BadInput, naming file and line, for one that is damaged or cut off, and for what is no report that is known.
    """
    kind = kind_of(text)
    if kind is not None:
        return kind.parse(Text(path, text))
    unread = unread_kind(text)
    said = "no report" if unread is None else f"{unread}, which is not read"
    raise BadInput(f"{path}: {said}; known kinds: report.json of `flow synth`, {', '.join(NAMES)}")
