"""Vivado HLS' and Vitis HLS' export report: what Vivado made of the exported design.

``<top>_export.rpt`` has figures of logic synthesis or of place and route, as its heading says, and leaves out the rows
of what there is none of in some versions; ``export_impl.rpt`` of later Vitis HLS has those of place and route. Both
count block memories of 18 kbit.
"""

import re

from flow.synth.report import Report, Stage
from flow.synth.vendor.text import Text

SIGNATURE = r"#=== Post-(?:Synthesis|Implementation) Resource usage ==="
LATER = r"^== Vivado Place & Route Results"
_COUNTS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM", "uram": "URAM", "srl": "SRL"}
_OPTIONAL = ("uram", "srl")


def parse(text: Text) -> Report:
    """The export's figures; the clock achieved is that of the last stage that ran."""
    usage = text.need(SIGNATURE, "its resources")
    timing = text.need(r"#=== Final timing ===", "its timing", usage)
    verdict = text.need(r"^(?:Timing met|Timing not met|No Sequential Path)\s*$", "its verdict on timing", timing)
    routed = "Post-Implementation" in text.lines[usage]
    stage = "implementation" if routed else "synthesis"
    said = text.lines[verdict].strip()
    return Report(
        path=text.path,
        tool="vivado",
        tool_version=text.field(r"^Implementation tool:.* v\.(\S+)", "its tool", 0, usage),
        kind="hls export",
        stage=Stage.EXPORT,
        basis=Stage.ROUTE if routed else Stage.SYNTH,
        part=text.field(r"^Device target:\s*(\S+)", "its device", 0, usage),
        clock_target_ns=_time(text, r"^CP required:", timing, verdict),
        clock_estimated_ns=_time(text, rf"^CP achieved post-{stage}:", timing, verdict),
        messages=() if said == "Timing met" else (said[0].lower() + said[1:],),
        **{name: _count(text, name, usage, timing) for name in _COUNTS},
    )


def parse_later(text: Text) -> Report:
    """``export_impl.rpt``: the clock achieved is the routed one."""
    start = text.need(LATER, "its heading")
    usage = text.need(r"^== Place & Route Resource Summary", "its resources", start)
    timing = text.need(r"^== Place & Route Timing Summary", "its timing", usage)
    verdict = text.need(r"^\* Timing was (?:NOT )?met\s*$", "its verdict on timing", timing)
    table = text.table(text.need(r"^\s*\+-", "its clock", verdict))
    periods = {}
    for row in ("Target", "Post-Route"):
        found = table.row(row)
        if found is None or "Period (ns)" not in found[1]:
            raise text.wrong(table.start, f"the table of timing has no period {row}")
        periods[row] = text.nanoseconds(found[1]["Period (ns)"], found[0], row)
    return Report(
        path=text.path,
        tool="vivado",
        tool_version=text.field(r"\* Version:\s*(\S+)", "its version", start, usage),
        kind="hls export",
        stage=Stage.EXPORT,
        basis=Stage.ROUTE,
        part=text.field(r"\* Target device:\s*(\S+)", "its device", start, usage),
        clock_target_ns=periods["Target"],
        clock_estimated_ns=periods["Post-Route"],
        messages=("timing not met",) if "NOT" in text.lines[verdict] else (),
        **{name: _count(text, name, usage, timing) for name in _COUNTS},
    )


def _count(text: Text, name: str, start: int, end: int) -> int | None:
    line = text.find(rf"^{_COUNTS[name]}:", start, end)
    if line is None and name in _OPTIONAL:
        return None
    if line is None:
        raise text.cut(f"a row {_COUNTS[name]}")
    return text.count(_value(text, line), line, _COUNTS[name])


def _time(text: Text, pattern: str, start: int, end: int) -> float | None:
    line = text.need(pattern, pattern.strip("^:"), start, end)
    return text.nanoseconds(_value(text, line), line, "the time")


def _value(text: Text, line: int) -> str:
    value = re.sub(r"^[^:]*:", "", text.lines[line]).strip()
    if not value or value == "-":
        raise text.wrong(line, f"{text.lines[line].strip()!r} has no value")
    return value
