"""Vivado's ``report_utilization``: of the whole design, or by hierarchy.

Sections repeat rows for each die (SLR): the first counts. Block memories are counted in tiles of 36 kbit, with halves.
"""

import re

from flow.synth.report import Report, Status
from flow.synth.vendor import vivado
from flow.synth.vendor.text import Table, Text, with_shared

SIGNATURE = r"^Utilization Design Information"
_SHARE = re.compile(r"(?<=\d)\s*\(\s*[<~]?\d+(?:\.\d+)?%\)$")  # of the device, behind a count
_HIERARCHY = r"^1\. Utilization by Hierarchy"
# resource -> its row, whether every report has it; Versal has "Registers" alone
_ROWS = {
    "lut": (r"(?:Slice|CLB) LUTs\*?", True),
    "ff": (r"(?:(?:Slice|CLB) )?Registers\*?", True),
    "bram_18k": (r"Block RAM Tile\*?", True),
    "dsp": (r"DSPs|DSP Slices", True),
    "uram": (r"URAM", False),
    "srl": (r"LUT as Shift Register", False),
    "carry": (r"CARRY[48]", False),
}


def parse(text: Text) -> Report:
    """The design's resources, and by instance where the report is one by hierarchy."""
    start = text.need(SIGNATURE, "its heading")
    head = vivado.read(text, start)
    hierarchy = text.find(_HIERARCHY, start)
    if hierarchy is None:
        totals, layers, messages = _flat(text, start), {}, ()
    else:
        totals, layers, messages = _by_hierarchy(text, hierarchy)
    if head.stage is None:
        raise text.cut("a design state")
    if head.status is not Status.OK:
        messages = (*messages, "the design is placed or routed in part only")
    missing = _missing(text, start)
    if missing is not None:
        messages = (*messages, f"cut off before its section {missing}")
    return Report(
        path=text.path,
        tool="vivado",
        tool_version=head.tool_version,
        kind="vivado utilization",
        stage=head.stage,
        part=head.part,
        design=head.design,
        status=head.status if missing is None else Status.INCOMPLETE,
        messages=messages,
        by_layer=layers,
        **totals,
    )


def _missing(text: Text, start: int) -> str | None:
    """The first section that the table of contents announces and the report does not hold."""
    contents = text.find(r"^Table of Contents", start)
    if contents is None:
        return None
    title = re.compile(r"^\s*\d+(?:\.\d+)*\.? \S")
    titles = []
    for line in text.lines[contents + 2 :]:
        if not title.match(line):
            break
        titles.append(line.strip())
    behind = {line.strip() for line in text.lines[contents + 2 + len(titles) :]}
    return next((title for title in titles if title not in behind), None)


def _flat(text: Text, start: int) -> dict[str, int | None]:
    tables = [table for table in text.tables(start) if "Used" in table.columns]
    totals: dict[str, int | None] = {}
    for name, (pattern, required) in _ROWS.items():
        found = next((row for table in tables if (row := table.row(pattern)) is not None), None)
        if found is None and required:
            raise text.cut(f"a row of {name}")
        totals[name] = None if found is None else _used(text, name, *found)
    return totals


def _used(text: Text, name: str, line: int, row: dict[str, str]) -> int:
    if name != "bram_18k":
        return text.count(row["Used"], line, name)
    blocks = 2 * text.real(row["Used"], line, "the number of tiles")
    if blocks < 0 or blocks != int(blocks):
        raise text.wrong(line, f"{row['Used']} tiles are no whole number of blocks of 18 kbit")
    return int(blocks)


def _by_hierarchy(text: Text, start: int) -> tuple[dict[str, int | None], dict[str, dict[str, int]], tuple[str, ...]]:
    """The top instance's counts and those of the instances in it; its own logic, in brackets, belongs to none."""
    heading = text.need(_HIERARCHY, "its table", start + 1)  # the first one is in the table of contents
    table = text.table(text.need(r"^\s*\+-", "its table", heading))
    if not table.rows:
        raise text.wrong(table.start, "the table has no instance")
    top, rows = table.rows[0], table.rows[1:]
    totals = _instance(text, table, *top)
    layers = {}
    outer = _indent(top[1][0])
    inner = min((_indent(cells[0]) for _, cells in rows), default=outer + 1)
    if inner <= outer or top[1][0].strip().startswith("("):
        raise text.wrong(top[0], f"{top[1][0].strip()!r} is not the top instance of the others")
    for line, cells in rows:
        name = cells[0].strip()
        if _indent(cells[0]) == inner and not name.startswith("("):
            counts = _instance(text, table, line, cells)
            layers[name] = {key: count for key, count in counts.items() if count is not None}
    layers, messages = with_shared(layers, totals)
    return totals, layers, messages


def _indent(cell: str) -> int:
    return len(cell) - len(cell.lstrip())


def _instance(text: Text, table: Table, line: int, cells: list[str]) -> dict[str, int | None]:
    row = {column: _SHARE.sub("", cell) for column, cell in table.named(line, cells).items()}
    dsp = next((column for column in row if re.fullmatch(r"DSP(48)? (Blocks|Slices)|DSPs", column)), None)
    if dsp is None or not {"Total LUTs", "FFs", "RAMB36", "RAMB18"} <= set(row):
        raise text.wrong(table.start, "the table lacks Total LUTs, FFs, RAMB36, RAMB18 or DSP Blocks")
    memory = 2 * text.count(row["RAMB36"], line, "RAMB36") + text.count(row["RAMB18"], line, "RAMB18")
    return {
        "lut": text.count(row["Total LUTs"], line, "Total LUTs"),
        "ff": text.count(row["FFs"], line, "FFs"),
        "dsp": text.count(row[dsp], line, dsp),
        "bram_18k": memory,
        "uram": text.count(row["URAM"], line, "URAM") if "URAM" in row else None,
        "srl": text.count(row["SRLs"], line, "SRLs") if "SRLs" in row else None,
    }
