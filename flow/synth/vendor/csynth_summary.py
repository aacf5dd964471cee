"""C synthesis: the summary of all modules, ``csynth.rpt``, of Vitis HLS.

It says the worst latency and interval only, and neither the target clock nor the estimated one.
"""

import re

from flow.synth.report import Report, Stage
from flow.synth.vendor.text import Table, Text, with_shared

SIGNATURE = r"== Synthesis Summary Report of '"
_COLUMNS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM", "uram": "URAM"}
_SHARE = re.compile(r"\s*\(~?\d+%\)$")  # of the device, behind a count


def parse(text: Text) -> Report:
    """The top module's estimates, with the modules that it instantiates as layers."""
    start = text.need(SIGNATURE, "its heading")
    heading = text.need(r"\+ Performance & Resource Estimates", "its estimates", start)
    table = text.table(text.need(r"^\s*\+-", "its table of estimates", heading + 1))
    columns = {"Latency (cycles)", "Interval", *_COLUMNS.values()}
    if not columns <= set(table.columns):
        raise text.wrong(table.start, f"the table lacks {', '.join(sorted(columns - set(table.columns)))}")
    modules = _modules(text, table)
    if not modules or modules[0][0] != 0:
        raise text.wrong(table.start, "the table does not begin with its top module")
    _, name, line, row = modules[0]
    totals = _resources(text, line, row)
    layers: dict[str, dict[str, int]] = {}
    for depth, module, at, cells in modules:
        if depth == 1:
            found = _resources(text, at, cells)
            before = layers.get(module, dict.fromkeys(found, 0))
            layers[module] = {key: before[key] + count for key, count in found.items()}
    layers, messages = with_shared(layers, totals)
    return Report(
        path=text.path,
        tool="vitis_hls",
        tool_version=text.field(r"\* Version:\s*(\S+)", "its version", start, heading),
        kind="csynth.rpt",
        stage=Stage.CSYNTH,
        part=text.field(r"\* Target device:\s*(\S+)", "its target device", start, heading),
        design=name,
        latency_cycles=text.span(None, text.cycles(row["Latency (cycles)"], line, "Latency (cycles)"), line, "latency"),
        interval_cycles=text.span(None, text.cycles(row["Interval"], line, "Interval"), line, "interval"),
        messages=(*(_issue(row)), *messages),
        by_layer=layers,
        **totals,
    )


def _modules(text: Text, table: Table) -> list[tuple[int, str, int, dict[str, str]]]:
    """(depth, name, line, cells) of each module; a loop has no resources of its own and is left out."""
    found = []
    for line, cells in table.rows:
        indent = len(cells[0]) - len(cells[0].lstrip())
        mark, _, name = cells[0].strip().partition(" ")
        if mark == "+":
            found.append((indent, name.strip().removesuffix("*"), line, table.named(line, cells)))
        elif mark != "o":
            raise text.wrong(line, f"{cells[0].strip()!r} is neither a module (+) nor a loop (o)")
    return found


def _resources(text: Text, line: int, row: dict[str, str]) -> dict[str, int]:
    return {name: text.count(_SHARE.sub("", row[column]), line, column) for name, column in _COLUMNS.items()}


def _issue(row: dict[str, str]) -> tuple[str, ...]:
    issue = row.get("Issue Type", "-")
    return () if issue in ("-", "") else (f"issue: {issue}, slack {row.get('Slack', '-')} ns",)
