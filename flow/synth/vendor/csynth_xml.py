"""C synthesis: ``csynth.xml`` of Vivado HLS and Vitis HLS."""

import re
from xml.etree import ElementTree

from flow.errors import BadInput
from flow.synth.report import Range, Report, Stage
from flow.synth.vendor.text import UNITS, UNKNOWN, Text

SIGNATURE = r"<profile>\s*<ReportVersion>"
_RESOURCES = "AreaEstimates/Resources"
_LATENCY = "PerformanceEstimates/SummaryOfOverallLatency"


def parse(text: Text) -> Report:
    """The top module's estimates. A document type is refused, since entities could expand without end."""
    declared = re.search(r"<!(?:DOCTYPE|ENTITY)", text.text, re.IGNORECASE)
    if declared:
        raise text.wrong(text.text.count("\n", 0, declared.start()), "a document type is not allowed in a report")
    try:
        root = ElementTree.fromstring(text.text)
    except ElementTree.ParseError as error:
        raise text.wrong(error.position[0] - 1, f"no XML ({error})") from None
    if root.tag != "profile":
        raise text.wrong(0, f"the root is <{root.tag}>, not <profile>")
    # Vivado HLS names its multipliers after the cell, Vitis HLS does not.
    dsp = "DSP48E" if root.find(f"{_RESOURCES}/DSP48E") is not None else "DSP"
    uram = root.find(f"{_RESOURCES}/URAM")
    target = _time(text, root, "UserAssignments/TargetClockPeriod")
    estimated = _time(text, root, "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")
    latency = _span(text, root, "Best-caseLatency", "Worst-caseLatency")
    interval = _span(text, root, "Interval-min", "Interval-max")
    return Report(
        path=text.path,
        tool="vivado_hls" if dsp == "DSP48E" else "vitis_hls",
        tool_version=_text(text, root, "ReportVersion/Version"),
        kind="csynth.xml",
        stage=Stage.CSYNTH,
        part=_text(text, root, "UserAssignments/Part"),
        design=_text(text, root, "UserAssignments/TopModelName"),
        clock_target_ns=target,
        clock_estimated_ns=estimated,
        lut=_count(text, root, f"{_RESOURCES}/LUT"),
        ff=_count(text, root, f"{_RESOURCES}/FF"),
        dsp=_count(text, root, f"{_RESOURCES}/{dsp}"),
        bram_18k=_count(text, root, f"{_RESOURCES}/BRAM_18K"),
        uram=None if uram is None else _count(text, root, f"{_RESOURCES}/URAM"),
        latency_cycles=latency,
        interval_cycles=interval,
        messages=missed(estimated, target) + undefined(latency),
    )


def missed(estimated: float | None, target: float | None) -> tuple[str, ...]:
    """What to say of an estimated clock that is slower than its target."""
    if estimated is None or target is None or estimated <= target:
        return ()
    return (f"the estimated clock, {estimated:g} ns, misses its target, {target:g} ns",)


def undefined(latency: Range | None) -> tuple[str, ...]:
    """What to say of a latency that the tool does not know."""
    return (
        ()
        if latency is not None and None not in latency
        else ("the latency is undefined: the bounds of a loop are not known",)
    )


def _line(text: Text, path: str) -> int:
    """Where an element of that path begins, as well as its ancestors' names tell."""
    at = 0
    for name in path.split("/"):
        at = max(text.text.find(f"<{name}", at), at)
    return text.text.count("\n", 0, at)


def _text(text: Text, root: ElementTree.Element, path: str) -> str:
    found = root.find(path)
    if found is None or not (found.text or "").strip():
        raise BadInput(f"{text.path}, line {_line(text, path) + 1}: <{path}> is missing or empty")
    return found.text.strip()


def _count(text: Text, root: ElementTree.Element, path: str) -> int:
    value = _text(text, root, path)
    if value == "-":
        raise text.wrong(_line(text, path), f"<{path}> is '-', no count")
    return text.count(value, _line(text, path), f"<{path}>")


def _cycles(text: Text, root: ElementTree.Element, path: str) -> int | None:
    value = _text(text, root, path)
    return None if value in UNKNOWN else text.count(value, _line(text, path), f"<{path}>")


def _span(text: Text, root: ElementTree.Element, least: str, most: str) -> Range | None:
    low, high = (_cycles(text, root, f"{_LATENCY}/{name}") for name in (least, most))
    return text.span(low, high, _line(text, f"{_LATENCY}/{least}"), f"<{least}> to <{most}>")


def _time(text: Text, root: ElementTree.Element, path: str) -> float | None:
    """A time in the unit that stands beside it, ns where none does."""
    beside = f"{path.rpartition('/')[0]}/unit"
    unit = (root.findtext(beside) or "ns").strip().lower()
    if unit not in UNITS:
        raise text.wrong(_line(text, beside), f"<{beside}> is {unit!r}, no unit of time; known: {', '.join(UNITS)}")
    return text.nanoseconds(_text(text, root, path), _line(text, path), f"<{path}>", unit)
