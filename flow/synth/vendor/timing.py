"""Vivado's ``report_timing_summary``, and ``report_timing``, which lists paths and has no summary."""

import re

from flow.synth.report import Report, Stage, Status
from flow.synth.vendor import vivado
from flow.synth.vendor.text import UNKNOWN, Text

SIGNATURE = r"^Timing (?:Summary )?Report\s*$"
_MET = r"^\s*(All user specified timing constraints are met|Timing constraints are not met)"
_UNCONSTRAINED = r"^\s*There are no user specified timing constraints"


def parse(text: Text) -> Report:
    """The worst slack of the design in ns, and the period of its clock where it has one."""
    start = text.need(SIGNATURE, "its heading")
    head = vivado.read(text, start)
    if "Summary" not in text.lines[start]:
        return _paths(text, start, head)
    stage, messages = _stage(text, start, head), ()
    summary = text.need(r"^\| Design Timing Summary", "its summary", start)
    title = text.need(r"^\s*WNS\(ns\)", "its summary", summary)
    line = title + 2
    cells = text.lines[line].split() if line < len(text.lines) else []
    if len(cells) != 12:
        raise text.wrong(line, f"the summary has {len(cells)} figures, not 12")
    bare = text.find(_UNCONSTRAINED, line) is not None
    if not bare:
        verdict = text.need(_MET, "its verdict on the constraints", line)
        if "not met" in text.lines[verdict]:
            messages += ("timing not met",)
    wns = None if bare or cells[0] in (*UNKNOWN, "inf") else text.real(cells[0], line, "WNS")
    period, said = _clock(text, line)
    if wns is not None and wns < 0 and not messages:
        raise text.wrong(line, f"the worst slack is {wns} ns, and all constraints are said to be met")
    whole = wns is not None and head.status is Status.OK and said is not None
    return Report(
        path=text.path,
        tool="vivado",
        tool_version=head.tool_version,
        kind="vivado timing",
        stage=stage,
        part=head.part,
        design=head.design,
        clock_target_ns=period,
        wns_ns=wns,
        status=Status.OK if whole else Status.INCOMPLETE,
        messages=messages
        + (("no clock summary",) if said is None else said)
        + (("no timing constraints",) if bare else ()),
    )


def _paths(text: Text, start: int, head: vivado.Head) -> Report:
    """A list of paths is not said to hold the worst one: its slack is a message, not the design's."""
    slack = re.compile(r"^Slack\b.*?:\s*(-?[\d.]+)ns")
    listed = [match.group(1) for line in text.lines[start:] if (match := slack.search(line))]
    if not listed:
        raise text.cut("a path with its slack")
    stage = _stage(text, start, head)
    said = f"{len(listed)} paths listed, their least slack {min(map(float, listed)):g} ns; no summary"
    return Report(
        path=text.path,
        tool="vivado",
        tool_version=head.tool_version,
        kind="vivado timing",
        stage=stage,
        part=head.part,
        design=head.design,
        status=head.status,
        messages=(said,),
    )


def _stage(text: Text, start: int, head: vivado.Head) -> Stage:
    """The stage that the head says; else that which the nets of the listed paths show (before 2020 no head says it)."""
    if head.stage is not None:
        return head.stage
    nets = re.compile(r"\bnet \(fo=\d+, (\w+)\)")
    states = {match.group(1) for line in text.lines[start:] if (match := nets.search(line))}
    if "routed" in states:
        return Stage.ROUTE
    if "estimated" in states:
        return Stage.PLACE
    if "unplaced" in states:
        return Stage.SYNTH
    raise text.cut("a design state or a path that shows it")


def _clock(text: Text, start: int) -> tuple[float | None, tuple[str, ...] | None]:
    """The period of the one clock, or a message on there being several; None in place of messages where no summary of
    clocks is there."""
    section = text.find(r"^\| Clock Summary", start)
    title = None if section is None else text.find(r"^Clock\s+Waveform\(ns\)", section)
    if title is None:
        return None, None
    periods = []
    for line in range(title + 2, len(text.lines)):
        row = re.match(r"\s*\S.*\{[^}]*\}\s+(\S+)\s+(\S+)", text.lines[line])
        if row is None:
            break
        periods.append(text.real(row.group(1), line, "the period"))
        if periods[-1] <= 0:
            raise text.wrong(line, f"the period is {row.group(1)} ns")
    else:
        raise text.cut("the end of its clocks")
    if len(periods) == 1:
        return periods[0], ()
    return None, ((f"{len(periods)} clocks",) if periods else ())
