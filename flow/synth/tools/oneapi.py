"""The oneAPI compiler, and Quartus behind it, for HLS projects that hls4ml writes for its backend "oneAPI".

C synthesis is the compiler's own report (target ``report`` of the project's ``CMakeLists.txt``): minutes, and no
Quartus. Place and route is the whole way through Quartus (target ``fpga``): hours. The project's ``CMakeLists.txt``
runs as it is, since it holds the compiler's options; device and clock are those of the project's description.
"""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from flow.errors import BadInput, ToolFailed, Trouble
from flow.metrics import Implementation
from flow.synth import parse
from flow.synth.report import Report, Stage
from flow.synth.subject import Subject
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.failure import failure
from flow.synth.tools.tool import Found, Limits, Tool, on_path

ENVIRONMENT = "FLOW_ONEAPI"  # an icpx to be used instead of the one on PATH
QUARTUS = "QUARTUS_ROOTDIR_OVERRIDE"  # which Quartus the compiler takes, before the one on PATH
BACKEND = "oneapi"
LEAST, LATEST = (2022, 0), (2025, 0)  # later compilers have no FPGA

FOLDER = "synth"
OPTIONS = f"{FOLDER}/options.txt"
LOG = f"{FOLDER}/oneapi.log"
VERSION = f"{FOLDER}/version.txt"
BUILD = f"{FOLDER}/build"
QUARTUS_LOG = "quartus_sh_compile.log"  # in the compiler's project folder
_LISTS = "CMakeLists.txt"
_TARGETS = {Stage.CSYNTH: "report", Stage.ROUTE: "fpga"}
_JSON = "reports/resources/json"
_ADVICE = f"source oneAPI's setvars.sh, or name icpx in {ENVIRONMENT}"
_ASKED_S = 60.0  # for a version
_ERROR = re.compile(r"\berror: |^CMake Error|^\s*Error(?: \(\d+\))?: |^aoc: .*\bfailed|^Killed\b|^Segmentation fault")
_CLOCK = re.compile(r"-Xsclock=([\d.]+)\s*(ps|ns|us|MHz|GHz)?")
_NS = {"ps": lambda value: value / 1e3, "ns": float, "us": lambda value: value * 1e3}
_MHZ = {"MHz": float, "GHz": lambda value: value * 1e3}


def find() -> Found:
    """The icpx to run, and behind it CMake and, where it is here, Quartus.

    Raises BadInput for a named one that can't be run, ToolFailed (Trouble.MISSING) where one is not here or is of a
    version that can't compile for FPGAs.
    """
    icpx = on_path(("icpx",), ENVIRONMENT, "oneAPI", _ADVICE)
    if Path(icpx).name != "icpx":
        raise BadInput(f"{ENVIRONMENT} names {icpx}; the project asks for a program that is called icpx")
    version = _said(icpx, r"\b(\d{4}\.\d+(?:\.\d+)*)")
    if version is None:
        raise ToolFailed(f"oneAPI: {icpx} does not say its version; {_ADVICE}", trouble=Trouble.MISSING)
    if not LEAST <= _release(version) <= LATEST:
        known = f"{LEAST[0]}.{LEAST[1]} to {LATEST[0]}.{LATEST[1]}"
        raise ToolFailed(f"oneAPI: {icpx} is of {version}; known to work: {known}", trouble=Trouble.MISSING)
    cmake = on_path(("cmake",), "FLOW_CMAKE", "oneAPI", "install CMake, or name it in FLOW_CMAKE")
    helpers = [Found((cmake,), "")]
    quartus = _quartus()
    if quartus is not None:
        helpers.append(quartus)
        version = f"{version}, Quartus {quartus.version}"
    return Found((icpx,), version, tuple(helpers))


def _quartus() -> Found | None:
    """The Quartus that the compiler would take, None where there is none."""
    root = os.environ.get(QUARTUS)
    path = shutil.which(f"{root}/bin/quartus_sh") if root else shutil.which("quartus_sh")
    version = path and _said(path, r"\bVersion (\d+\.\d+(?:\.\d+)*)")
    return Found((path,), version) if version else None


def _said(program: str, version: str) -> str | None:
    """The version that a program tells, None where it tells none."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_ASKED_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(version, done.stdout)
    return found.group(1) if found else None


def _release(version: str) -> tuple[int, int]:
    year, number = version.split(".")[:2]
    return int(year), int(number)


def render(of: Subject, stage: Stage) -> dict[str, str]:
    """What CMake is told: its options and the target, one a line. Raises BadInput for a project of another backend,
    and where ``CMakeLists.txt`` is missing or asks for another clock."""
    backend = of.details.get("backend")
    if backend != BACKEND:
        raise BadInput(f"{of.folder}: built for {backend}; oneAPI reads projects built for {BACKEND}")
    if stage not in _TARGETS:
        raise BadInput(f"stage {stage.value}: oneAPI has {', '.join(s.value for s in _TARGETS)}")
    if _LISTS not in of.files:
        raise BadInput(f"{of.folder / _LISTS} is missing: hls4ml writes it for oneAPI")
    return {OPTIONS: "\n".join((*_options(of), f"--target {_TARGETS[stage]}")) + "\n"}


def _options(of: Subject) -> list[str]:
    """Device and clock; the clock only where the project's own lists do not give it."""
    path = of.folder / _LISTS
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise BadInput(f"{path}: can't be read ({error})") from None
    device = [f"-DFPGA_DEVICE={of.part}"]
    asked = [line for line in text.splitlines() if "-Xsclock" in line and not line.lstrip().startswith("#")]
    if not asked:
        return [*device, f"-DUSER_FPGA_FLAGS=-Xsclock={of.clock_ns:g}ns"]
    for line in asked:
        period = _period(line)
        if period is None or abs(period - of.clock_ns) > 1e-6:
            raise BadInput(f"{path}: {line.strip()!r} is not the project's clock period, {of.clock_ns:g} ns")
    return device


def _period(line: str) -> float | None:
    """The clock period in ns that a line of options asks for, None where it can't be told."""
    found = _CLOCK.search(line)
    if found is None:
        return None
    unit = found.group(2) or "MHz"
    try:
        value = float(found.group(1))
        return _NS[unit](value) if unit in _NS else 1e3 / _MHZ[unit](value)
    except (ValueError, ZeroDivisionError):
        return None


def run(work: Path, of: Subject, stage: Stage, found: Found, limits: Limits) -> None:
    """Configure and build the target of a stage in `work`, both within one time limit.

    Raises ToolFailed, naming the log and its line; Quartus' own log where there is one.
    """
    if stage is Stage.ROUTE and len(found.helpers) < 2:
        said = (
            f"oneAPI: no Quartus, which {stage.value} needs; put quartus_sh on the PATH, or name its root in {QUARTUS}"
        )
        raise ToolFailed(said, trouble=Trouble.MISSING)
    (work / FOLDER).mkdir(exist_ok=True)
    (work / VERSION).write_text(f"{found.version}\n", encoding="utf-8")
    cmake = found.helpers[0].path
    deadline = Deadline.of(limits)
    # The lists call the compiler by its name.
    search = ("env", f"PATH={Path(found.path).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    for command in (
        [cmake, "-S", ".", "-B", BUILD, *_options(of)],
        [cmake, "--build", BUILD, "--target", _TARGETS[stage]],
    ):
        status = deadline.call("oneAPI", [*search, *command], work, LOG)
        if status != 0:
            raise _failed(f"oneAPI ended with exit status {status}", work)


def _failed(message: str, work: Path, trouble: Trouble = Trouble.CRASH) -> ToolFailed:
    """The error with the line that tells why: of Quartus' log, where it came that far, else of the compiler's."""
    logs = [*sorted((work / BUILD).glob(f"*.prj/{QUARTUS_LOG}")), work / LOG]
    found = [failure(message, log, trouble, _ERROR) for log in logs]
    return next((error for error in found if error.line is not None), found[-1])


def read(work: Path, of: Subject, stage: Stage) -> Report:
    """The report of what a run left; raises ToolFailed (Trouble.REPORT) where a report is missing, cut off, or of
    another design. After place and route the cycles are those of C synthesis."""
    folder = f"{BUILD}/{of.top}.{_TARGETS[stage]}.prj/{_JSON}"
    loops = _report(work, f"{folder}/loop_attr.ndjson", of)
    if stage is Stage.CSYNTH:
        found = _merged(work, [_report(work, f"{folder}/summary.ndjson", of), loops])
    else:
        found = _report(work, f"{folder}/quartus.ndjson", of)
        found = replace(
            found, latency_cycles=loops.latency_cycles, interval_cycles=loops.interval_cycles,
            messages=(*found.messages, "the cycles are those of C synthesis"),
        )  # fmt: skip
    if found.stage is not stage:
        said = "none" if found.stage is None else found.stage.value
        raise _failed(f"{found.path}: its stage is {said}, not {stage.value}", work, Trouble.REPORT)
    estimated = found.clock_estimated_ns
    if estimated is None and found.fmax_mhz:
        estimated = round(1e3 / found.fmax_mhz, 6)
    return replace(
        found, tool_version=_version(work), part=of.part, design=of.top, clock_target_ns=of.clock_ns,
        clock_estimated_ns=estimated,
    )  # fmt: skip


def _report(work: Path, name: str, of: Subject) -> Report:
    """The report in the file `name` of the folder, which must be of the subject's design where it says of which."""
    path = work / name
    if not path.is_file():
        raise _failed(f"oneAPI left no {name}", work, Trouble.REPORT)
    try:
        found = replace(parse.parse(path), path=name)
    except BadInput as error:
        raise _failed(str(error).replace(f"{work}/", ""), work, Trouble.REPORT) from None
    if found.design is not None and _plain(found.design) != _plain(of.top):
        raise _failed(f"{name}: it is of design {found.design}, not {of.top}", work, Trouble.REPORT)
    return found


def checked(found: Report, of: Subject, path: Path) -> Report:
    """A report that was brought from elsewhere, as one of the subject; ToolFailed naming `path` where it is of another."""
    if found.design is not None and _plain(found.design) != _plain(of.top):
        raise ToolFailed(f"{path}: it is of design {found.design}, not {of.top}", path, trouble=Trouble.REPORT)
    return replace(found, part=of.part, design=of.top, clock_target_ns=of.clock_ns)


def _plain(design: str) -> str:
    """A design's name as the compiler's reports write it, `TinyJets` for `tiny_jets`, and as the project does."""
    return design.replace("_", "").lower()


def _merged(work: Path, reports: list[Report]) -> Report:
    try:
        return replace(parse.merged(reports), path=reports[0].path)
    except BadInput as error:
        raise _failed(str(error), work, Trouble.REPORT) from None


def _version(work: Path) -> str:
    try:
        return (work / VERSION).read_text(encoding="utf-8").strip()
    except OSError:
        raise ToolFailed(f"{VERSION} is missing", work / LOG, trouble=Trouble.REPORT) from None


TOOL = Tool(
    name="oneapi",
    sentence="C synthesis of hls4ml projects by the oneAPI compiler, and Quartus behind it, for Altera's parts",
    implementation=Implementation.HLS4ML,
    stages=tuple(_TARGETS),
    usual=Stage.CSYNTH,
    setting=f"{_ADVICE}; known to work: {LEAST[0]}.{LEAST[1]} to {LATEST[0]}.{LATEST[1]}, the last one for FPGAs",
    find=find,
    render=render,
    run=run,
    read=read,
    keep=(LOG, VERSION, f"{BUILD}/*.prj/{_JSON}/*.ndjson", f"{BUILD}/*.prj/{QUARTUS_LOG}"),
)
