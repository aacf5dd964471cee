"""Co-simulation of Vivado HLS and Vitis HLS, ``<top>_cosim.rpt``: whether the generated RTL does as its C model.

It names neither part nor version, and in most versions not the tool. A run of one transaction has no interval.
"""

import re

from flow.synth.report import Range, Report, Stage, Status
from flow.synth.vendor.text import UNKNOWN, Text, joined

TABLE = r"^[ \t]*[+|][ \t]*RTL[ \t]*[+|][ \t]*Status[ \t]*[+|]"
SIGNATURE = rf"^Simulation tool\s*:|{TABLE}"
_HEAD = ("min", "avg", "max")
_LANGUAGES = ("VHDL", "Verilog", "SystemC")
# Words of the column Status; NA: this language was not simulated.
_WORDS = {"pass": Status.OK, "passed": Status.OK, "fail": Status.FAILED, "failed": Status.FAILED}
_TOOL = re.compile(r"\b(Vivado|Vitis)\s?(?:\(TM\) )?HLS\b", re.IGNORECASE)


def parse(text: Text) -> Report:
    """Latency and interval, in cycles, over the transactions of the languages that were simulated; those that passed
    where any did. Failed where one failed, incomplete where none ran or it passed without a latency."""
    heading = text.need(TABLE, "its table")
    _check_columns(text, heading)
    rows = _rows(text, heading)
    ran = {name: (status, ranges) for name, status, ranges in rows if status is not None}
    failed = [name for name, (status, _) in ran.items() if status is Status.FAILED]
    told = [ranges for status, ranges in ran.values() if status is Status.OK or len(failed) == len(ran)]
    latency, interval = (joined([ranges[i] for ranges in told]) for i in (0, 1))
    words = {Status.OK: "pass", Status.FAILED: "fail"}
    messages = [f"{name}: {words[status]}" for name, (status, _) in ran.items()]
    if not ran:
        messages.append("no language was simulated")
    elif latency is None:
        messages.append("it gives no latency")
    status = Status.FAILED if failed else Status.INCOMPLETE if latency is None else Status.OK
    named = _TOOL.search(text.text)
    return Report(
        path=text.path,
        tool=None if named is None else f"{named.group(1).lower()}_hls",
        tool_version=None,
        kind="cosim",
        stage=Stage.COSIM,
        part=None,
        latency_cycles=latency,
        interval_cycles=interval,
        status=status,
        messages=tuple(messages),
    )


def _check_columns(text: Text, heading: int) -> None:
    """Latency stands before the interval, each with its least, mean and most."""
    above = text.find(r"\bLatency\b.*\bInterval\b", max(heading - 2, 0), heading)
    below = text.lines[heading + 1] if heading + 1 < len(text.lines) else ""
    names = [cell.strip() for cell in below.split("|") if cell.strip()]
    if above is None or names != [*_HEAD, *_HEAD]:
        raise text.wrong(heading, "the table has not the columns latency and interval, each min, avg, max")


def _rows(text: Text, heading: int) -> list[tuple[str, Status | None, tuple[Range | None, Range | None]]]:
    """(language, how it ended or None where it was not simulated, (latency, interval)) of the table's rows."""
    border = text.need(r"^\s*\+-", "the rows of its table", heading + 2)
    rows = []
    for line in range(border + 1, len(text.lines)):
        stripped = text.lines[line].strip()
        if re.fullmatch(r"\+-[-+]*\+", stripped):
            break
        cells = [cell.strip() for cell in stripped.strip("|").split("|")]
        # later versions have one cell more: the cycles of the whole run
        if not (stripped.startswith("|") and stripped.endswith("|")) or len(cells) not in (8, 9):
            raise text.wrong(line, "the row of a table is cut off")
        rows.append(_row(text, line, cells))
    else:
        raise text.cut("the lower border of its table")
    if not rows:
        raise text.wrong(border, "the table has no row")
    if len({name for name, *_ in rows}) != len(rows):
        raise text.wrong(border, "the table has a language twice")
    return rows


def _row(text: Text, line: int, cells: list[str]) -> tuple[str, Status | None, tuple[Range | None, Range | None]]:
    language, word = cells[:2]
    if language not in _LANGUAGES:
        raise text.wrong(line, f"{language!r} is no language; known: {', '.join(_LANGUAGES)}")
    status = None if word in UNKNOWN else _WORDS.get(word.lower())
    if status is None and word not in UNKNOWN:
        raise text.wrong(line, f"the status {word!r} is not known; known: Pass, Fail, NA")
    latency, interval = _range(text, line, cells[2:5], "the latency"), _range(text, line, cells[5:8], "the interval")
    if status is None and (latency is not None or interval is not None):
        raise text.wrong(line, f"{language} has figures though it was not simulated")
    return language, status, (latency, interval)


def _range(text: Text, line: int, cells: list[str], what: str) -> Range | None:
    low, mean, high = (text.cycles(cell, line, what) for cell in cells)
    if mean is not None and not (low or 0) <= mean <= (mean if high is None else high):
        raise text.wrong(line, f"{what} is {mean} on average, between {low} and {high}")
    return text.span(low, high, line, what)
