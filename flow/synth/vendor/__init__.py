"""The reports and logs of Vivado HLS, Vitis HLS, Vivado and oneAPI, a file each: text -> `flow.synth.report.Report`."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from flow.errors import BadInput
from flow.synth.report import Report
from flow.synth.vendor import (
    cosim,
    csynth_rpt,
    csynth_summary,
    csynth_xml,
    export,
    logs,
    oneapi,
    power,
    timing,
    utilization,
)
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
    Kind("cosim", cosim.SIGNATURE, cosim.parse),
    Kind("hls export", export.SIGNATURE, export.parse),
    Kind("hls export", export.LATER, export.parse_later),
    Kind("vivado utilization", utilization.SIGNATURE, utilization.parse),
    Kind("vivado timing", timing.SIGNATURE, timing.parse),
    Kind("vivado power", power.SIGNATURE, power.parse),
    Kind("oneAPI summary.ndjson", oneapi.SUMMARY, oneapi.parse_summary),
    Kind("oneAPI loop_attr.ndjson", oneapi.LOOPS, oneapi.parse_loops),
    Kind("oneAPI quartus.ndjson", oneapi.QUARTUS, oneapi.parse_quartus),
    Kind("oneAPI acl_quartus_report.txt", oneapi.PLAIN, oneapi.parse_plain),
    Kind("log", logs.SIGNATURE, logs.parse),
)
NAMES = tuple(dict.fromkeys(kind.name for kind in KINDS))

# What these tools write too and is not read: said by its name, where a user offers it.
_UNREAD = {
    "a log of an HLS tool without its heading": r"^INFO: \[HLS \d+-\d+\]",
    "another report of oneAPI": r'\A\s*\{\s*"(?:name|quartusFit\w*)"\s*:',
}


def kind_of(text: str) -> Kind | None:
    """The kind of report that a text is, None for any other text. What a tool prints into its log is part of it."""
    found = [(kind, match) for kind in KINDS if (match := re.search(kind.signature, text, re.MULTILINE))]
    begins = [match.start() for kind, match in found if kind.name == "log"]
    if begins and all(begins[0] <= match.start() for _, match in found):
        return found[-1][0]
    return found[0][0] if found else None


def unread_kind(text: str) -> str | None:
    """What else of these tools a text is, in words."""
    return next((name for name, sign in _UNREAD.items() if re.search(sign, text, re.MULTILINE)), None)


def parse(text: str, path: str) -> Report:
    """The report in a text; `path` is named in it and in errors.

    Raises BadInput, naming file and line, for one that is damaged or cut off, for two in one text, and for what is no
    report that is known. What stands before and behind a report, words of its tool, is not read.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    kind = kind_of(text)
    if kind is not None:
        if kind.name != "log":
            _check_one(text, path, kind)
        return kind.parse(Text(path, text))
    unread = unread_kind(text)
    said = "no report" if unread is None else f"{unread}, which is not read"
    raise BadInput(f"{path}: {said}; known kinds: report.json of `flow synth`, {', '.join(NAMES)}")


def _check_one(text: str, path: str, kind: Kind) -> None:
    """Refuse a text of two reports: the figures of one would be taken for the other's. hls4ml prints a co-simulation
    behind C synthesis: there it is passed over."""
    over = ("log", "cosim") if kind.name == "csynth.rpt" else ("log",)
    heads = sorted(
        text.count("\n", 0, match.end()) + 1
        for sign in {cosim.TABLE if kind.name == "cosim" else kind.signature for kind in KINDS if kind.name not in over}
        for match in re.finditer(sign, text, re.MULTILINE)
    )
    if len(heads) > 1:
        raise BadInput(f"{path}, line {heads[1]}: another report begins; a file holds one")
