"""Vivado's ``report_power``: the power of the whole chip, with its processor, pins and transceivers."""

import re

from flow.synth.report import Report, Status
from flow.synth.vendor import vivado
from flow.synth.vendor.text import Table, Text

SIGNATURE = r"^Power Report\s*$"
_VALUE = re.compile(r"([0-9]+(?:\.[0-9]*)?)(?:\s*\((.*)\))?\*?")


def parse(text: Text) -> Report:
    """Total, dynamic and static power in W. Vivado writes "<0.001" for little: that is no number, and told."""
    start = text.need(SIGNATURE, "its heading")
    head = vivado.read(text, start)
    if head.stage is None:
        raise text.cut("a design state")
    heading = text.need(r"^\| Total On-Chip Power \(W\)", "its total", start)
    table = text.table(heading - 1)
    values, messages = {}, []
    for name, row in (
        ("power_w", "Total On-Chip Power (W)"),
        ("dynamic_power_w", "Dynamic (W)"),
        ("static_power_w", "Device Static (W)"),
    ):
        values[name], said = _watts(text, table, row)
        messages += said
    clock = _clock(text, table.end)
    if clock is None:
        messages.append("no clock constraints")
    confidence = _cell(table, "Confidence Level")
    if confidence is not None:
        messages.append(f"confidence level: {confidence[1]}")
    return Report(
        path=text.path,
        tool="vivado",
        tool_version=head.tool_version,
        kind="vivado power",
        stage=head.stage,
        part=head.part,
        design=head.design,
        clock_target_ns=clock[0] if clock else None,
        status=Status.INCOMPLETE if None in values.values() or clock is None else head.status,
        messages=tuple(messages),
        **values,
    )


def _cell(table: Table, name: str) -> tuple[int, str] | None:
    """The table has no header: name and value in each row."""
    rows = (*table.heads, *table.rows)
    return next(((line, cells[1].strip()) for line, cells in rows if cells[0].strip() == name), None)


def _watts(text: Text, table: Table, name: str) -> tuple[float | None, list[str]]:
    found = _cell(table, name)
    if found is None:
        raise text.wrong(table.start, f"the summary has no {name}")
    line, value = found
    if value.startswith("<"):
        return None, [f"{name}: {value}"]
    match = _VALUE.fullmatch(value)
    if match is None:
        raise text.wrong(line, f"{name} is {value!r}, no power")
    return text.real(match.group(1), line, name), [match.group(2)] if match.group(2) else []


def _clock(text: Text, start: int) -> list[float] | None:
    """The period of the one clock that is constrained, empty for several; None where the report does not list them."""
    heading = text.find(r"^2\.2 Clock Constraints", start)
    border = None if heading is None else text.find(r"^\s*\+-", heading)
    if border is None:
        return None
    table = text.table(border)
    if not table.rows:
        return None
    if len(table.rows) != 1 or "Constraint (ns)" not in table.columns:
        return []
    line, cells = table.rows[0]
    period = text.real(table.named(line, cells)["Constraint (ns)"], line, "the constraint")
    if period <= 0:
        raise text.wrong(line, f"the constraint is {period} ns")
    return [period]
