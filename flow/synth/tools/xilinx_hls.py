"""What Vivado HLS and Vitis HLS have in common: C synthesis of an hls4ml project, cosimulation, export, and Vivado on
the Verilog that came out, out of context."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from flow.errors import BadInput, ToolFailed, Trouble
from flow.firmware.project_files import scripts
from flow.synth.layers import attributed
from flow.synth.report import Report, Stage, Status
from flow.synth.subject import SETTINGS, Subject
from flow.synth.tools import vivado, xilinx
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.failure import failure
from flow.synth.tools.tool import Found, Limits

STAGES = (Stage.CSYNTH, Stage.COSIM, Stage.EXPORT, Stage.SYNTH, Stage.ROUTE)
KEEP = (
    "hs_err_*.log",
    "*/hs_err_*.log",
    *(f"{xilinx.FOLDER}/*.{suffix}" for suffix in ("tcl", "xdc", "log", "json")),
    "*_prj/solution1/syn/report/*.rpt",
    "*_prj/solution1/syn/report/*.xml",
    "*_prj/solution1/sim/report/*.rpt",
    "*_prj/solution1/impl/report/verilog/*.rpt",
    "*_prj/solution1/impl/report/verilog/*.xml",
    "vsynth/*.rpt",
    "impl/*.rpt",
)
_WEIGHTS = "firmware/weights"
_VSYNTH = ("utilization", "hierarchy", "timing")
_IMPL = (*_VSYNTH, "power")
# What a script may set: a name, and how its value looks.
_SETTINGS = {
    "project_name": r"[A-Za-z_]\w*",
    "part": r"[\w.+-]+",
    "clock_period": r"\d+(\.\d*)?",
    "clock_uncertainty": r"\d+(\.\d*)?%?",
    "version": r"\d+(\.\d+)*",
    "maximum_size": r"\d+",
}
_NEEDED = ("project_name", "part", "clock_period", "clock_uncertainty")


@dataclass(frozen=True)
class Flavour:
    """One of the two: its name as a tool and in its reports, its title, and hls4ml's name for it."""

    tool: str
    reported: str
    title: str
    backend: str


def render(flavour: Flavour, of: Subject, stage: Stage) -> dict[str, str]:
    """The scripts of a run, which hold the settings of the project's ``project.tcl`` and run nothing else of it.

    Raises BadInput for a project of another backend, and for settings that are missing or have another form.
    """
    backend = of.details.get("backend")
    if backend != flavour.backend:
        raise BadInput(f"{of.folder}: built for {backend}; {flavour.title} reads projects built for {flavour.backend}")
    if stage not in STAGES:
        raise BadInput(f"stage {stage.value}: {flavour.title} has {', '.join(s.value for s in STAGES)}")
    settings = _settings(of)
    source = f"firmware/{of.top}.cpp"
    if source not in of.files:
        raise BadInput(f"{of.folder / source} is missing: {of.folder} holds no sources of {of.top}")
    own = scripts.CONSTRAINTS in of.files
    made = scripts.xilinx(
        "".join(f"set {name} {value}\n" for name, value in settings.items()),
        test_bench=f"{of.top}_test.cpp" in of.files,
        folders=[name for name in (_WEIGHTS, "tb_data") if any(_read(file, name) for file in of.files)],
        flow="impl",
        constraints=scripts.CONSTRAINTS if own else f"{xilinx.FOLDER}/{scripts.CONSTRAINTS}",
    )
    texts = {f"{xilinx.FOLDER}/{name}.tcl": made[name] for name in ("common", *_steps(stage))}
    if not own and "vsynth" in _steps(stage):
        texts[f"{xilinx.FOLDER}/{scripts.CONSTRAINTS}"] = scripts.clock_constraints(of.clock_ns)
    return texts


def _read(file: str, folder: str) -> bool:
    """Whether the test bench reads a file as one of `folder`; weights in headers are read by the compiler alone."""
    return file.startswith(f"{folder}/") and (folder != _WEIGHTS or file.endswith(".txt"))


def _steps(stage: Stage) -> tuple[str, ...]:
    """The scripts of a stage in order."""
    return {
        Stage.CSYNTH: ("csynth",),
        Stage.COSIM: ("csynth", "cosim"),
        Stage.EXPORT: ("csynth", "export"),
        Stage.SYNTH: ("csynth", "vsynth"),
        Stage.ROUTE: ("csynth", "vsynth", "impl"),
    }[stage]


def _settings(of: Subject) -> dict[str, str]:
    """Name -> value as ``project.tcl`` sets it."""
    path = of.folder / SETTINGS
    if SETTINGS not in of.files:
        raise BadInput(f"{path} is missing: hls4ml writes it for Vivado HLS and Vitis HLS")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise BadInput(f"{path}: can't be read ({error})") from None
    said = dict(re.findall(r'^set (\w+) "?([^"\n]*)"?\s*$', text, re.MULTILINE))
    found = {name: said[name].strip() for name in _SETTINGS if name in said}
    for name in _NEEDED:
        if name not in found:
            raise BadInput(f"{path} sets no {name}")
    for name, value in found.items():
        if not re.fullmatch(_SETTINGS[name], value, re.ASCII):
            raise BadInput(f"{path}: {name} is {value!r}, which no script can hold")
    return {"version": "1.0.0", **found}


def run(flavour: Flavour, work: Path, of: Subject, stage: Stage, found: Found, limits: Limits) -> None:
    """Run the scripts of a stage, one program after the other; `limits` are of all together.

    Raises ToolFailed, naming the log in ``synth`` and its line.
    """
    steps = _steps(stage)
    versions = {flavour.tool: found.version}
    netlist = None
    if "vsynth" in steps or "export" in steps:
        netlist = vivado.find()
        versions["vivado"] = netlist.version
        _same_release(flavour, found, netlist)
    xilinx.note_versions(work, **versions)
    deadline = Deadline.of(limits)
    for step in steps:
        log = work / f"{xilinx.FOLDER}/{step}.log"
        if step in ("vsynth", "impl"):
            command = (*netlist.command, f"../{xilinx.FOLDER}/{step}.tcl")
            xilinx.call_tool(vivado.TITLE, command, work / step, log, deadline)
        else:
            command = (*found.command, f"{xilinx.FOLDER}/{step}.tcl")
            xilinx.call_tool(flavour.title, command, work, log, deadline)


def _same_release(flavour: Flavour, found: Found, netlist: Found) -> None:
    """A result is kept under the version of the HLS tool alone, so Vivado must be of the same installation."""
    if xilinx.release(found.version) != xilinx.release(netlist.version):
        raise ToolFailed(
            f"{flavour.title} is of {found.version} and {netlist.path} of {netlist.version}; "
            f"name the Vivado that belongs to it in {vivado.ENVIRONMENT}",
            trouble=Trouble.MISSING,
        )


def read(flavour: Flavour, work: Path, of: Subject, stage: Stage) -> Report:
    """The report of a stage. That of cosimulation has the resources of C synthesis and the cycles that were measured;
    those of Vivado have the cycles of C synthesis."""
    synthesised = attributed(_synthesised(flavour, work, of), of)
    if stage is Stage.CSYNTH:
        return synthesised
    if stage is Stage.COSIM:
        return _simulated(flavour, work, of, synthesised)
    if stage is Stage.EXPORT:
        made = _exported(flavour, work, of)
    else:
        step, names = ("vsynth", _VSYNTH) if stage is Stage.SYNTH else ("impl", _IMPL)
        log = work / f"{xilinx.FOLDER}/{step}.log"
        made = vivado.of_files(work, of, stage, [f"{step}/{name}.rpt" for name in names], log)
    said = "the cycles are those of C synthesis"
    return replace(
        attributed(made, of), latency_cycles=synthesised.latency_cycles, interval_cycles=synthesised.interval_cycles,
        messages=(*made.messages, said),
    )  # fmt: skip


def _synthesised(flavour: Flavour, work: Path, of: Subject) -> Report:
    log = work / f"{xilinx.FOLDER}/csynth.log"
    folder = f"{of.top}_prj/solution1/syn/report"
    version = xilinx.version_of(work, flavour.tool)
    names = [f"{folder}/{name}" for name in ("csynth.xml", f"{of.top}_csynth.xml")]
    names = [name for name in names if (work / name).is_file()] or names
    names = [names[0]] + [
        name for name in (f"{folder}/csynth.rpt", f"{folder}/{of.top}_csynth.rpt") if (work / name).is_file()
    ]
    found = [xilinx.report(work, name, log, flavour.title) for name in names]
    found = [xilinx.checked(one, of, Stage.CSYNTH, flavour.reported, version, log) for one in found]
    return xilinx.timed(xilinx.merged(work, found, log), log)


def _simulated(flavour: Flavour, work: Path, of: Subject, synthesised: Report) -> Report:
    log = work / f"{xilinx.FOLDER}/cosim.log"
    name = f"{of.top}_prj/solution1/sim/report/{of.top}_cosim.rpt"
    version = xilinx.version_of(work, flavour.tool)
    found = xilinx.checked(
        xilinx.report(work, name, log, flavour.title), of, Stage.COSIM, flavour.reported, version, log
    )
    if found.status is Status.FAILED:
        raise failure(f"{name}: the cosimulation failed", log, Trouble.CRASH)
    measured = None not in (found.latency_cycles, found.interval_cycles)
    return replace(
        synthesised, path=name, kind=found.kind, stage=Stage.COSIM, basis=found.basis,
        latency_cycles=found.latency_cycles, interval_cycles=found.interval_cycles,
        status=found.status if measured else Status.INCOMPLETE,
        messages=(*synthesised.messages, *found.messages, "the resources and the clock are those of C synthesis"),
    )  # fmt: skip


def _exported(flavour: Flavour, work: Path, of: Subject) -> Report:
    """What Vivado, started by the HLS tool, made of the exported design; its older reports name no design."""
    log = work / f"{xilinx.FOLDER}/export.log"
    folder = f"{of.top}_prj/solution1/impl/report/verilog"
    names = [f"{folder}/{of.top}_export.rpt", f"{folder}/export_impl.rpt"]
    name = next((name for name in names if (work / name).is_file()), names[0])
    version = xilinx.version_of(work, "vivado")
    found = xilinx.report(work, name, log, flavour.title)
    return xilinx.timed(xilinx.checked(found, of, Stage.EXPORT, "vivado", version, log), log)
