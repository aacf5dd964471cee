"""C synthesis: the report of a module, ``<module>_csynth.rpt``, of Vivado HLS and Vitis HLS."""

import re

from flow.synth.report import Range, Report, Stage, Status
from flow.synth.vendor.csynth_xml import missed, undefined
from flow.synth.vendor.text import Table, Text, with_shared

SIGNATURE = r"== (Vivado|Vitis) HLS Report for '([^'\n]*)'"
_COLUMNS = {"lut": ("LUT",), "ff": ("FF",), "dsp": ("DSP48E", "DSP"), "bram_18k": ("BRAM_18K",), "uram": ("URAM",)}


def parse(text: Text) -> Report:
    """The module's estimates, with its instances as layers. What stands around them (logs, simulations) is not read."""
    start = text.need(SIGNATURE, "its heading")
    performance = text.need(r"== Performance Estimates", "its performance estimates", start)
    utilization = text.need(r"== Utilization Estimates", "its utilization estimates", performance)
    tool, design = re.search(SIGNATURE, text.lines[start]).groups()
    target, estimated = _clock(text, performance, utilization)
    latency, interval = _latency(text, performance, utilization)
    summary = _after(text, r"\* Summary", "the summary of its utilization", utilization)
    totals = _totals(text, summary)
    instances, said = _instances(text, summary.end)
    layers, messages = with_shared(instances or {}, totals)
    return Report(
        path=text.path,
        tool=f"{tool.lower()}_hls",
        tool_version=text.field(r"\* Version:\s*(\S+)", "its version", start, performance),
        kind="csynth.rpt",
        stage=Stage.CSYNTH,
        part=text.field(r"\* Target device:\s*(\S+)", "its target device", start, performance),
        design=design,
        clock_target_ns=target,
        clock_estimated_ns=estimated,
        latency_cycles=latency,
        interval_cycles=interval,
        status=Status.INCOMPLETE if instances is None else Status.OK,
        messages=missed(estimated, target) + undefined(latency) + said + messages,
        by_layer=layers,
        **totals,
    )


def _after(text: Text, pattern: str, what: str, start: int, end: int | None = None) -> Table:
    """The first table behind a heading."""
    heading = text.need(pattern, what, start, end)
    return text.table(text.need(r"^\s*\+-", what, heading + 1, end))


def _clock(text: Text, start: int, end: int) -> tuple[float | None, float | None]:
    """(target, estimated) in ns of the first clock."""
    table = _after(text, r"^\s*\+ Timing", "its timing", start, end)
    found = table.row(r".+")
    if found is None or not {"Target", "Estimated"} <= set(table.columns):
        raise text.wrong(table.start, "the table of timing has no clock")
    line, row = found
    return text.nanoseconds(row["Target"], line, "Target"), text.nanoseconds(row["Estimated"], line, "Estimated")


def _latency(text: Text, start: int, end: int) -> tuple[Range | None, Range | None]:
    """Latency and interval; later versions have times between the two."""
    table = _after(text, r"^\s*\+ Latency", "its latency", start, end)
    if len(table.rows) != 1 or len(table.rows[0][1]) not in (5, 7):
        raise text.wrong(table.start, "the table of latency is not one row of 5 or 7 cells")
    line, cells = table.rows[0]
    cycles = [text.cycles(cell, line, "the latency or interval") for cell in (*cells[:2], *cells[-3:-1])]
    return text.span(*cycles[:2], line, "the latency"), text.span(*cycles[2:], line, "the interval")


def _totals(text: Text, table: Table) -> dict[str, int | None]:
    found = table.row(r"Total")
    if found is None:
        raise text.wrong(table.start, "the summary of utilization has no Total")
    return _resources(text, *found)


def _resources(text: Text, line: int, row: dict[str, str]) -> dict[str, int | None]:
    """Resource -> count; None for URAM where the version knows none."""
    counts: dict[str, int | None] = {}
    for name, columns in _COLUMNS.items():
        column = next((column for column in columns if column in row), None)
        if column is None and name != "uram":
            raise text.wrong(line, f"there is no column {' or '.join(columns)}")
        counts[name] = None if column is None else text.count(row[column], line, column)
    return counts


def _instances(text: Text, start: int) -> tuple[dict[str, dict[str, int]] | None, tuple[str, ...]]:
    """Instance -> resources, and messages. None where the report ends with its summary; empty where the module has no
    instances, or where they do not add up to their own total."""
    heading = text.find(r"^\s*\* Instance", start)
    if heading is None:
        return None, ()
    if heading + 1 < len(text.lines) and text.lines[heading + 1].strip() == "N/A":
        return {}, ()
    table = text.table(text.need(r"^\s*\+-", "its instances", heading + 1))
    total = table.row("Total")
    if total is None:
        raise text.wrong(table.start, "the table of instances has no Total")
    layers = {}
    for line, cells in table.rows:
        if cells[0].strip() != "Total":
            counts = _resources(text, line, table.named(line, cells))
            layers[cells[0].strip()] = {name: count for name, count in counts.items() if count is not None}
    for name, count in _resources(text, *total).items():
        if count is not None and count != sum(row[name] for row in layers.values()):
            return {}, (f"the instances do not add up to their total of {name}: left out",)
    return layers, ()
