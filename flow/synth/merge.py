"""Reports that one tool wrote of one design at one stage, as one: utilization with timing and power, XML with text."""

import math
import re
from collections.abc import Sequence
from dataclasses import fields, replace

from flow.errors import BadInput
from flow.synth.report import Report, Status

# Worst first: a run is as good as the worst of its reports.
_STATUSES = (Status.FAILED, Status.INCOMPLETE, Status.OK)
_APART = ("path", "kind", "part", "status", "messages", "by_layer", "latency_cycles", "interval_cycles")
_SAME = tuple(item.name for item in fields(Report) if item.name not in _APART)
_COUNTS = ("lut", "ff", "dsp", "bram_18k", "uram", "srl", "carry", "m20k", "mlab", "alm")
_PERIOD = 1e-3  # reports of one run give a period with more or fewer digits
_PACKAGE = re.compile(r"[a-z]{2,5}\d{3,4}")


def merged(reports: Sequence[Report]) -> Report:
    """One report with what each of them says; path and kind are the first one's.

    Messages are all kept, the status is the worst. A layer's counts are taken from the first report that has any.

    Raises BadInput, naming both files, where two contradict each other in tool, version, design, part, stage or a
    figure. Vivado counts the top instance of a report by hierarchy in its own way where LUTs are shared between
    instances: there the flat report's count stands, and the layers, which add up to the other one, are left out.
    """
    if not reports:
        raise BadInput("no report to put together")
    whole = reports[0]
    for other in reports[1:]:
        whole = _two(whole, other)
    return whole


def same_part(first: str, second: str) -> bool:
    """Whether two names can be of one part: Vivado writes ``xc7z020-clg400-1`` also as ``7z020clg400-1``, and without
    the speed grade, or the package, where a report is of the device."""
    (body, grade), (other_body, other_grade) = _part(first), _part(second)
    length = min(len(grade), len(other_grade))
    return grade[:length] == other_grade[:length] and (body == other_body or _of_device(body, other_body))


def _part(name: str) -> tuple[str, list[str]]:
    """(device and package without hyphen, the marks behind them), lower case."""
    tokens = re.sub(r"^xc(?=.)", "", name.strip().lower()).split("-")
    packaged = len(tokens) > 1 and _PACKAGE.fullmatch(tokens[1]) is not None
    return ("".join(tokens[:2]), tokens[2:]) if packaged else (tokens[0], tokens[1:])


def _of_device(body: str, other: str) -> bool:
    """Whether the shorter is the device of the longer, which names the package too."""
    short, long = sorted((body, other), key=len)
    return long.startswith(short) and _PACKAGE.fullmatch(long[len(short) :]) is not None


def _two(first: Report, second: Report) -> Report:
    values: dict = {"part": _of_part(first, second), "status": min(first.status, second.status, key=_STATUSES.index)}
    said = [*first.messages, *second.messages]
    layers = first.by_layer or second.by_layer
    for name in _SAME:
        one, two = getattr(first, name), getattr(second, name)
        if one is not None and two is not None and not _agree(name, one, two):
            if name not in _COUNTS or not _by_hierarchy(first, second):
                raise _contradiction(first, second, name)
            flat, other = (second, first) if first.by_layer else (first, second)
            one, layers = getattr(flat, name), {}
            said.append(f"{name} by hierarchy: {getattr(other, name)}; layers left out")
        values[name] = two if one is None else one
    for name in ("latency_cycles", "interval_cycles"):
        values[name] = _range(first, second, name)
    return replace(first, messages=tuple(dict.fromkeys(said)), by_layer=layers, **values)


def _of_part(first: Report, second: Report) -> str | None:
    """The part in its fuller name."""
    if first.part is None or second.part is None:
        return first.part or second.part
    if not same_part(first.part, second.part):
        raise _contradiction(first, second, "part")
    return max(first.part, second.part, key=lambda name: sum(map(len, (_part(name)[0], *_part(name)[1]))))


def _agree(name: str, one, two) -> bool:
    if name in ("clock_target_ns", "clock_estimated_ns"):
        return math.isclose(one, two, rel_tol=_PERIOD)
    return one == two


def _by_hierarchy(first: Report, second: Report) -> bool:
    """Whether one is Vivado's utilization by hierarchy, the other the flat one."""
    kinds = {first.kind, second.kind}
    return kinds == {"vivado utilization"} and bool(first.by_layer) != bool(second.by_layer)


def _range(first: Report, second: Report, name: str) -> tuple[int | None, int | None] | None:
    one, two = getattr(first, name), getattr(second, name)
    if one is None or two is None:
        return one or two
    if any(a is not None and b is not None and a != b for a, b in zip(one, two)):
        raise _contradiction(first, second, name)
    low, high = (b if a is None else a for a, b in zip(one, two))
    return low, high


def _contradiction(first: Report, second: Report, name: str) -> BadInput:
    one, two = (getattr(getattr(item, name), "value", getattr(item, name)) for item in (first, second))
    return BadInput(f"{second.path}: {name} is {two!r}, while {first.path} says {one!r}: not of one run")
