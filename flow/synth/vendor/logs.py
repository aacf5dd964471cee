"""Logs of Vivado HLS, Vitis HLS, vitis-run and Vivado: how far a run came, how it ended, and what ended it.

Not every ERROR ends a run: scripts try settings that only some versions know, and go on. The words that tools write
are matched, never interpreted.
"""

import re
from dataclasses import dataclass

from flow.synth.report import Report, Stage, Status
from flow.synth.vendor.text import Text

_HEAD = re.compile(
    r"^(?:\*{4,}|#) (?P<name>(?:Vivado|Vitis)(?:\(TM\))? HLS|vitis[-_](?:run|hls)|Vivado)\b"
    r".*? v(?P<version>\d{4}\.\d\S*)",
    re.IGNORECASE,
)
SIGNATURE = r"^(?:\*{4,}|#) (?:(?:Vivado|Vitis)(?:\(TM\))? HLS|[Vv]itis[-_](?:run|hls)|Vivado)\b.*? v\d{4}\.\d"
_ERROR = re.compile(
    r"^(?:\[[^\]]*\] )?(?:@E |(?:CRITICAL )?ERROR\b ?:|Error(?: \(\d+\))?: |CMake Error\b|make(?:\[\d+\])?: \*\*\* "
    r"|(?:\S+: |.*:\d+: )?(?:fatal )?error: )"
)
# What a script may try in vain and go on.
_HARMLESS = re.compile(r"\bconfig_array_partition\b|\bmaximum_size\b|\bUnknown option\b", re.IGNORECASE)
# Errors that only say that something failed for another's sake.
_VAGUE = re.compile(r"failed due to earlier errors|\[Common 17-39\]|\[HLS 200-1715\]|^make\b|Aborting|: ?$")
# Lines that say that a run broke, in no tool's own words of an error.
_CRASH = re.compile(
    r"Abnormal program termination|\bsegmentation (?:fault|violation)|An unexpected error has occurred|\bcore dumped\b"
    r"|std::bad_alloc|^Killed\s*$|\bcaught signal \d+|\bSIG(?:SEGV|ABRT|BUS|ILL|FPE)\b|^\s*Unhandled exception",
    re.IGNORECASE,
)
_TRACE = re.compile(r"^\s+(?:while executing|invoked from within)\s*$|^command '\S+' returned error code")
_LICENCE = re.compile(
    r"Failed to get (?:a |the )?licen[cs]e|A valid licen[cs]e was not found|Licensed number of users already reached"
    r"|licen[cs]e check ?out failed|(?:could not|cannot|can't|unable to) check ?out (?:a |the )?licen[cs]e"
    r"|(?:could not|cannot|can't|unable to) connect to (?:a |the )?licen[cs]e server"
    r"|FLEX(?:lm|net)\b.*\berror|\berror: ?-\d+,\d+|licen[cs]e.*-4,132|Error \(292\d{3}\)|\[Common 17-345\]"
    r"|^(?:@E|ERROR\b|Error\b).*\bno (?:valid )?licen[cs]e"
    r"|^(?:@E|ERROR\b|Error\b).*\blicen[cs]e\b.*\b(?:not|failed|denied|unavailable|expired|in use|obtain|check ?out)\b",
    re.IGNORECASE,
)
_GRANTED = re.compile(r"\bGot licen[cs]e\b", re.IGNORECASE)
# What stands at the end of every run, good or bad.
_CLOSING = re.compile(r"^INFO: \[(?:HLS 200-112|Common 17-206|Common 17-1381|vitis-run 60-\d+)\] ")
_PART = re.compile(r"Setting target device to '([^']+)'|(?:^|[\s;:])set_part\s+\{?([A-Za-z0-9][\w-]*)\}?\s*$")
_LOADED = re.compile(r"^INFO: \[Device 21-403\] Loading part (\S+)|^Command: synth_design .*-part \{?(\w[\w-]*)")
_PERIOD = re.compile(
    r"Setting up clock '[^']*' with a period of (\d+(?:\.\d+)?ns)\.|Running: create_clock .*-period (\S+)"
)
_NANOSECONDS = re.compile(
    r"(\d+(?:\.\d+)?)(?:ns)?"
)  # a script may also give a frequency: then the tool says the period
_TOP = re.compile(r"Running: set_top (\w+)\s*$|^Command: synth_design .*-top \{?(\w+)")


@dataclass(frozen=True)
class _Step:
    """A step of a run: what its begin and its good end look like in a log."""

    stage: Stage
    begins: re.Pattern
    ends: re.Pattern


@dataclass(frozen=True)
class _Tool:
    """A tool: its name in reports, its steps, and its last words."""

    name: str
    steps: tuple[_Step, ...]
    exits: re.Pattern


# Lines in asterisks are of hls4ml's scripts, the others the tools' own.
_HLS_STEPS = (
    _Step(
        Stage.CSYNTH,
        re.compile(r"^\*+ C/RTL SYNTHESIS \*|Running: csynth_design\b|\[HLS 200-10\] Analyzing design file"),
        re.compile(r"^\*+ C/RTL SYNTHESIS COMPLETED\b|Finished Command csynth_design\b|\[VLOG 209-307\]"),
    ),
    _Step(
        Stage.COSIM,
        re.compile(r"^\*+ C/RTL SIMULATION \*|Running: cosim_design\b|\[COSIM 212-(?:47|302)\]"),
        re.compile(r"^\*+ C/RTL SIMULATION COMPLETED\b|co-simulation finished: PASS|Finished Command cosim_design\b"),
    ),
    _Step(
        Stage.EXPORT,
        re.compile(r"^\*+ EXPORT IP \*|Running: export_design\b|\[IMPL 213-8\]"),
        re.compile(r"^\*+ EXPORT IP COMPLETED\b|Finished Command export_design\b|Generated output file .*\.zip"),
    ),
)
_VIVADO_STEPS = tuple(
    _Step(stage, re.compile(rf"^Command: {name}\b"), re.compile(rf"^{name} completed successfully"))
    for stage, name in (
        (Stage.SYNTH, "synth_design"),
        (Stage.PLACE, "place_design"),
        (Stage.ROUTE, "route_design"),
    )
)
# An HLS tool starts Vivado and simulators, whose last words are in its log too.
_HLS_EXIT = re.compile(
    r"^INFO: \[Common 17-206\] Exiting (?:vivado_hls|vitis[-_]\w+)\b|^INFO: \[vitis-run 60-791\] Total elapsed time"
)
_TOOLS = {
    "vivado_hls": _Tool("vivado_hls", _HLS_STEPS, _HLS_EXIT),
    "vitis_hls": _Tool("vitis_hls", _HLS_STEPS, _HLS_EXIT),
    "vivado": _Tool("vivado", _VIVADO_STEPS, re.compile(r"^INFO: \[Common 17-206\] Exiting Vivado\b")),
}
_ALL_STEPS = (*_HLS_STEPS, *_VIVADO_STEPS)
_LONGEST = 2000
"""Characters of a line that are looked at: what a tool says of a run is shorter, data in its log may be longer."""
# A line without any of these words is of no step, no error and no crash: most lines need no closer look.
_STEP_WORDS = ("C/RTL", "EXPORT IP", "_design", "[HLS 200-10]", "[VLOG", "[COSIM", "[IMPL", "co-sim", "output file")
_ERROR_WORDS = ("rror", "ERROR", "@E ", "***")
_CRASH_WORDS = ("abnormal", "segmentation", "unexpected", "dumped", "bad_alloc", "killed", "signal", "sig", "unhandled")


def parse(text: Text) -> Report:
    """The run that a log is of. The stage is the last step that it came to, None where it came to none; the status
    ``ok`` where it came to its end and nothing failed, ``incomplete`` where the log stops before. Its errors, harmless
    ones too, are messages. Part, clock and top are those that the last step was given."""
    heading = _HEAD.search(text.lines[text.need(SIGNATURE, "its heading")])
    tool = _TOOLS[_named(heading.group("name"))]
    lines = _lines(text.text)
    begun = [(i, step) for i, line in _with(lines, _STEP_WORDS) for step in tool.steps if step.begins.search(line)]
    at, step = begun[-1] if begun else (0, None)
    ended = any(tool.exits.search(line) for line in lines)
    closed = step is None or any(step.ends.search(line) for line in lines[at:])
    failure = log_failure(text.text)
    messages = [f"line {line}: {said}" for line, said in _errors(lines)]
    if failure is not None and f"line {failure[0]}: {failure[1]}" not in messages:
        messages.append(f"line {failure[0]}: {failure[1]}")
    if step is None:
        messages.append("no step was run")
    if not (ended and closed):
        messages.append("the log stops before the run's end" if not ended else f"{step.stage.value} has no good end")
    # of a line that is cut off nobody knows what it would have said
    cut = failure is not None and failure[0] == len(lines) and not text.text.endswith("\n")
    bad = Status.FAILED if failure is not None and not cut else Status.INCOMPLETE
    return Report(
        path=text.path,
        tool=tool.name,
        tool_version=heading.group("version"),
        kind="log",
        stage=None if step is None else step.stage,
        status=Status.OK if failure is None and ended and closed else bad,
        messages=tuple(messages),
        **_settings(text, tool, at if begun else None, ended),
    )


def log_failure(text: str) -> tuple[int, str] | None:
    """What ended a run: the line, from 1, and its words; None where nothing did.

    The first line that tells of a crash; else the last error that says why, left out what a good end of a step follows
    and what is harmless where the run went on; else the line before a Tcl trace.
    """
    lines = _lines(text)
    steps = _with(lines, _STEP_WORDS)
    since = max((i + 1 for i, line in steps if any(step.ends.search(line) for step in _ALL_STEPS)), default=0)
    lower = _with([line.lower() for line in lines], _CRASH_WORDS)
    crash = next((i for i, line in lower if i >= since and _CRASH.search(line)), None)
    if crash is not None:
        return crash + 1, lines[crash].strip()
    traces = [i for i in range(max(since, 1), len(lines)) if _TRACE.match(lines[i])]
    active = _active(lines, traces)
    errors = [
        (line, said) for line, said in _errors(lines) if line > since and not (_HARMLESS.search(said) and line < active)
    ]
    if errors:
        return ([error for error in errors if not _VAGUE.search(error[1])] or errors)[-1]
    return (traces[0], lines[traces[0] - 1].strip()) if traces else None


def licence_refused(text: str) -> int | None:
    """The line, from 1, that says that no licence was free or found; None where none does, or one was got later."""
    lines = _lines(text)
    since = max((i + 1 for i, line in enumerate(lines) if _GRANTED.search(line)), default=0)
    return next((i + 1 for i in range(since, len(lines)) if _LICENCE.search(lines[i])), None)


def _lines(text: str) -> list[str]:
    return [line[:_LONGEST] for line in Text("", text).lines]


def _with(lines: list[str], words: tuple[str, ...]) -> list[tuple[int, str]]:
    return [(i, line) for i, line in enumerate(lines) if any(word in line for word in words)]


def _errors(lines: list[str]) -> list[tuple[int, str]]:
    return [(i + 1, line.strip()) for i, line in _with(lines, _ERROR_WORDS) if _ERROR.match(line)]


def _active(lines: list[str], traces: list[int]) -> int:
    """The last line, from 1, at which a run was at work: before a Tcl trace, and before the tool's last words. All of
    a log that stops without them."""
    if not traces and not any(_CLOSING.match(line) for line in lines):
        return len(lines) + 1
    words = ("INFO:", "WARNING:", "Command:")
    working = (i + 1 for i, line in enumerate(lines) if line.startswith(words) and not _CLOSING.match(line))
    return min([max(working, default=0), *traces[:1]])


def _named(name: str) -> str:
    lower = name.lower()
    if "vitis" in lower:
        return "vitis_hls"
    return "vivado_hls" if "hls" in lower else "vivado"


def _settings(text: Text, tool: _Tool, begun: int | None, ended: bool) -> dict:
    """Part, clock and top. Before a first step the script may still change them, so that a log that stops there
    has none; Vivado tells them with the step."""
    lines = _lines(text.text)
    lines = lines if text.text.endswith("\n") else lines[:-1]
    if begun is None and not ended:
        lines = []
    elif begun is not None and tool.steps is _HLS_STEPS:
        lines = lines[:begun]
    period = _NANOSECONDS.fullmatch(_last(lines, _PERIOD) or "")
    return {
        "part": _last(lines, _PART if tool.steps is _HLS_STEPS else _LOADED),
        "clock_target_ns": None if period is None else float(period.group(1)),
        "design": _last(lines, _TOP),
    }


def _last(lines: list[str], pattern: re.Pattern) -> str | None:
    """The group that matched in the last line that has the pattern."""
    found = [match for line in lines if (match := pattern.search(line))]
    return next((group for group in found[-1].groups() if group), None) if found else None
