"""oneAPI for FPGAs: the JSON that its report page is made of, one object a line, and Quartus' summary in plain text.

The compiler's own figures (``summary.ndjson``, ``loop_attr.ndjson``) are estimates, as those of C synthesis are; those
of Quartus (``quartus.ndjson``, ``acl_quartus_report.txt``) are of the fitted design. Altera's memory blocks are of
20 kbit and 640 bit: they are counted as what they are, and not in blocks of 18 kbit.
"""

import json
import re
from collections.abc import Mapping

from flow.synth.report import Report, Stage, Status
from flow.synth.vendor.text import Text, with_shared

SUMMARY = r'"summary_type"\s*:\s*"estimatedResources"'
LOOPS = r'^[ \t]*\{\s*"name"\s*:\s*"loop_attributes"'
QUARTUS = r'^[ \t]*\{\s*"quartusFit(?:Clock|ResourceUsage)Summary"\s*:'
PLAIN = r"^ALUTs:\s*\d"

_ESTIMATED = {"ALUTs": "lut", "FFs": "ff", "RAMs": "m20k", "DSPs": "dsp", "MLABs": "mlab"}
_FITTED = {"lut": "alut", "ff": "reg", "dsp": "dsp", "m20k": "ram", "mlab": "mlab"}
_TOTALS = ("Kernel Subtotal", "Total", "Available")
_UNKNOWN = ("n/a", "N/A", "TBD", "?", "-", "")
_PLAIN = {"lut": "ALUTs", "ff": "Registers", "alm": "Logic utilization", "dsp": "DSP blocks", "m20k": "RAM blocks"}
_GROUPED = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(?: / (?:\d{1,3}(?:,\d{3})+|\d+) \(\s*<?\s*\d+ %\s*\))?")


def parse_summary(text: Text) -> Report:
    """The compiler's estimate of the design, by kernel."""
    rows = _rows(text)
    heads = [(line, row) for line, row in rows if row.get("summary_type") == "estimatedResources"]
    if len(heads) != 1:
        raise text.wrong(heads[1][0] if heads else 0, "it has not one table of estimated resources")
    at, head = heads[0]
    columns = [name.strip() if isinstance(name, str) else "" for name in _list(text, at, head, "columns")][1:]
    lacking = [name for name in _ESTIMATED if columns.count(name) != 1]
    if lacking:
        raise text.wrong(at, f"the table of estimated resources lacks {', '.join(lacking)}")
    table = [(line, row) for line, row in rows if row.get("parent") == "estimatedResources"]
    totals = [item for item in table if item[1].get("name") == "Total"]
    if len(totals) != 1:
        raise text.cut("a row Total") if not totals else text.wrong(totals[1][0], "it has a second row Total")
    counts = _estimate(text, *totals[0], columns)
    layers: dict[str, dict[str, int]] = {}
    for line, row in table:
        # a sum is set off from the kernels by its looks
        if row.get("name") not in _TOTALS and "classes" not in row:
            layers[_free(_name(text, line, row), layers)] = _estimate(text, line, row, columns)
    layers, messages = with_shared(_checked(text, table, columns, layers), counts)
    halves = _cell(text, *totals[0], columns, "Frac. DSPs") if "Frac. DSPs" in columns else 0
    if halves:
        messages += (f"{halves} fractional DSPs besides, {head.get('dsp_packing_factor', 'several')} in a block",)
    return _report(text, "summary.ndjson", Stage.CSYNTH, messages=messages, by_layer=layers, **counts)


def _checked(text: Text, table: list[tuple[int, Mapping]], columns: list[str], layers: dict) -> dict:
    """The kernels, none of them where they do not add up to the subtotal that the table gives of them."""
    for line, row in table:
        if row.get("name") == "Kernel Subtotal":
            subtotal = _estimate(text, line, row, columns)
            if any(count != sum(counts[name] for counts in layers.values()) for name, count in subtotal.items()):
                return {}
    return layers


def parse_loops(text: Text) -> Report:
    """The longest latency and largest interval, in cycles, of any loop or block, and the least clock frequency.

    The latency is that of one block, and not of the whole design: the compiler does not tell that one.
    """
    rows = _rows(text)
    known = {row["id"] for _, row in rows if isinstance(row.get("id"), int)}
    wanted = {item for line, row in rows for key in ("nodes", "children") for item in _list(text, line, row, key)}
    if not wanted <= known:
        raise text.cut(f"the entry {min(map(str, wanted - known))}, which another one names")
    blocks = [(line, row) for line, row in rows if {"af", "ii", "lt"} <= set(row)]
    if not blocks:
        raise text.cut("a block with its latency")
    latency, interval, clock = (_ends(text, blocks, key, end) for key, end in (("lt", max), ("ii", max), ("af", min)))
    cycles = None if latency is None else _whole(text, *latency, "lt")
    between = None if interval is None else _whole(text, *interval, "ii")
    messages = ("the latency is of the longest block, not of the whole design",)
    return _report(
        text,
        "loop_attr.ndjson",
        Stage.CSYNTH,
        latency_cycles=None if cycles is None else (None, cycles),
        interval_cycles=None if between is None else (None, between),
        fmax_mhz=None if clock is None else clock[1],
        status=Status.OK if None not in (latency, interval, clock) else Status.INCOMPLETE,
        messages=messages if cycles is not None else ("the latency of a block is not known",),
    )


def parse_quartus(text: Text) -> Report:
    """What Quartus fitted: the kernels, without the board's shell around them. ``TBD`` stands where it was not run."""
    whole = _object(text, 0, text.text)
    clocks = [row for row in _nodes(text, whole, "quartusFitClockSummary") if row.get("type") == "system"]
    nodes = _nodes(text, whole, "quartusFitResourceUsageSummary")
    kernels = [row for row in nodes if row.get("type") == "kernel"] or nodes
    if len(clocks) != 1 or not kernels:
        raise text.wrong(0, "it has not one clock summary with the resources of a kernel")
    fmax = _real(text, 0, clocks[0], "clock fmax" if "clock fmax" in clocks[0] else "clock")
    each = [{name: _fitted(text, row, key) for name, key in _FITTED.items()} for row in kernels]
    modules = [_real(text, 0, row, "alm") for row in kernels]
    figures = {name: None if None in (told := [row[name] for row in each]) else sum(told) for name in _FITTED}
    whole_figures = None not in (*figures.values(), *modules, fmax)
    layers: dict[str, dict[str, int]] = {}
    if len(kernels) > 1 and whole_figures:
        for row, counts in zip(kernels, each):
            layers[_free(_name(text, 0, row), layers)] = counts
    return _report(
        text,
        "quartus.ndjson",
        Stage.ROUTE,
        fmax_mhz=fmax,
        alm=None if None in modules else sum(modules),
        design=_name(text, 0, kernels[0]) if len(kernels) == 1 and kernels[0].get("type") == "kernel" else None,
        status=Status.OK if whole_figures else Status.INCOMPLETE,
        messages=() if whole_figures else ("Quartus has not fitted the design",),
        by_layer=layers,
        **figures,
    )


def parse_plain(text: Text) -> Report:
    """``acl_quartus_report.txt``: the whole device image, thousands set off by commas."""
    figures = {}
    for name, title in _PLAIN.items():
        line = text.need(rf"^{title}:", f"a row {title}")
        match = _GROUPED.fullmatch(text.lines[line].partition(":")[2].strip())
        if match is None:
            raise text.wrong(line, f"{text.lines[line].strip()[:60]!r} has no count")
        figures[name] = text.count(match.group(1).replace(",", ""), line, title)
    line = text.need(r"^Kernel fmax:", "a row Kernel fmax")
    if line + 1 == len(text.lines) and not text.text.endswith(("\n", "\r")):
        raise text.cut("the end of a line")
    fmax = text.real(text.lines[line].partition(":")[2], line, "Kernel fmax")
    alm = float(figures.pop("alm"))
    return _report(text, "acl_quartus_report.txt", Stage.ROUTE, fmax_mhz=fmax, alm=alm, **figures)


def _report(text: Text, name: str, stage: Stage, **figures) -> Report:
    tool = "oneapi" if stage is Stage.CSYNTH else "quartus"
    return Report(
        path=text.path, tool=tool, tool_version=None, kind=f"oneAPI {name}", stage=stage, part=None, **figures
    )


def _rows(text: Text) -> list[tuple[int, Mapping]]:
    return [(line, _object(text, line, row)) for line, row in enumerate(text.lines) if row.strip()]


def _object(text: Text, line: int, row: str) -> Mapping:
    try:
        found = json.loads(row, parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise text.wrong(line, f"no JSON ({str(error)[:80]}); is it cut off?") from None
    if not isinstance(found, Mapping):
        raise text.wrong(line, "no JSON object")
    return found


def _refuse(name: str):
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _list(text: Text, line: int, row: Mapping, key: str) -> list:
    found = row.get(key, [])
    if not isinstance(found, list):
        raise text.wrong(line, f"{key} is no list")
    return found


def _nodes(text: Text, whole: Mapping, key: str) -> list[Mapping]:
    section = whole.get(key)
    nodes = section.get("nodes") if isinstance(section, Mapping) else None
    if not isinstance(nodes, list) or not all(isinstance(row, Mapping) for row in nodes):
        raise text.wrong(0, f"{key} has no list of nodes")
    return nodes


def _name(text: Text, line: int, row: Mapping) -> str:
    name = row.get("name")
    if not isinstance(name, str) or not name.strip():
        raise text.wrong(line, "the entry has no name")
    return name


def _free(name: str, taken: Mapping) -> str:
    """A name of its own: the compiler cuts the names of templates, and two may look the same."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free


def _estimate(text: Text, line: int, row: Mapping, columns: list[str]) -> dict[str, int]:
    return {name: _cell(text, line, row, columns, column) for column, name in _ESTIMATED.items()}


def _cell(text: Text, line: int, row: Mapping, columns: list[str], column: str) -> int:
    data = _list(text, line, row, "data")
    if len(data) != len(columns):
        raise text.wrong(line, f"the row has {len(data)} figures under {len(columns)} columns")
    value = data[columns.index(column)]
    if isinstance(value, bool) or not isinstance(value, int):
        raise text.wrong(line, f"{column} is {str(value)[:60]!r}, no count")
    return text.count(str(value), line, column)


def _fitted(text: Text, row: Mapping, key: str) -> int | None:
    value = row.get(key)
    if value in _UNKNOWN:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise text.wrong(0, f"{key} is {str(value)[:60]!r}, no count")
    return text.count(str(value), 0, key)


def _real(text: Text, line: int, row: Mapping, key: str) -> float | None:
    """A number that is 0 or more, None where the report does not know it."""
    value = row.get(key)
    if value in _UNKNOWN:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise text.wrong(line, f"{key} is {str(value)[:60]!r}, no number")
    found = text.real(str(value), line, key)
    if found < 0:
        raise text.wrong(line, f"{key} is {value}, less than 0")
    return found


def _ends(text: Text, blocks: list[tuple[int, Mapping]], key: str, end) -> tuple[int, float] | None:
    """(line, value) of the largest or least; None where one of them is not known."""
    told = [(line, _real(text, line, row, key)) for line, row in blocks]
    return None if any(value is None for _, value in told) else end(told, key=lambda item: item[1])


def _whole(text: Text, line: int, value: float, key: str) -> int:
    if value != int(value):
        raise text.wrong(line, f"{key} is {value}, no whole number of cycles")
    return int(value)
