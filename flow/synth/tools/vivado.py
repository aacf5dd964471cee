"""Vivado: synthesis, placement and routing of an RTL project, out of context, with reports after each.

`of_files` also reads what Vivado says of the Verilog of the HLS tools.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flow.errors import BadInput, ToolFailed, Trouble
from flow.firmware.rtl import vivado as project
from flow.firmware.settings import Language
from flow.metrics import Implementation
from flow.synth.layers import attributed
from flow.synth.report import Report, Stage
from flow.synth.subject import Subject
from flow.synth.tools import xilinx
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.tool import Found, Limits, Tool

ENVIRONMENT = "FLOW_VIVADO"
TITLE = "Vivado"
SCRIPT = "build_vivado.tcl"
LOG = f"{xilinx.FOLDER}/vivado.log"
OUT = "vivado"  # the reports' folder
_KINDS = ("utilization", "hierarchy", "timing", "power")
_STAGES = (Stage.SYNTH, Stage.PLACE, Stage.ROUTE)
_SUFFIXES = {Language.VERILOG: (".v", ".sv"), Language.VHDL: (".vhd",)}
_MEMORIES = (".mem", ".dat", ".hex")
# What the netlist holds no logic of, and so no figures; the first of them.
_BLACK_BOX = re.compile(
    r"^\d+\. Black Boxes\n-+\n\n\+[-+]+\n\| *Ref Name *\| *Used *\|\n\+[-+]+\n\| *([^|\n]+?) *\|", re.MULTILINE
)
_PROGRAMS = (xilinx.Program("vivado", "-version", ("-mode", "batch", "-nolog", "-nojournal", "-source"), (2018, 2)),)
_SETTING = f"source Vivado's settings64.sh, or name vivado in {ENVIRONMENT}; known to work: 2018.2 and later"


def find() -> Found:
    """The Vivado to run; raises as `xilinx.find` does."""
    return xilinx.find(TITLE, _PROGRAMS, ENVIRONMENT, _SETTING)


def render(of: Subject, stage: Stage) -> dict[str, str]:
    """The script, and the clock's constraint where the project has none.

    Raises BadInput for names that a script can't hold and for sources that are not there.
    """
    if stage not in _STAGES:
        raise BadInput(f"stage {stage.value}: {TITLE} has {', '.join(s.value for s in _STAGES)}")
    language = _language(of)
    sources = _sources(of, language)
    memories = [name for name in of.files if name.endswith(_MEMORIES)]
    wrapper = of.details.get("wrapper", of.top)
    texts = {SCRIPT: project.script(of.top, wrapper, of.part, of.clock_ns, language, sources, memories)}
    constraints = f"src/{of.top}.xdc"
    if constraints not in of.files:
        texts[constraints] = project.constraints(of.clock_ns)
    return texts


def _language(of: Subject) -> Language:
    said = of.details.get("language", Language.VERILOG.value)
    try:
        return Language(said)
    except ValueError:
        raise BadInput(f"{of.folder / 'rtl.json'}: language {said!r}; known: {', '.join(Language)}") from None


def _sources(of: Subject, language: Language) -> list[str]:
    """The sources in the order of compilation that the project tells, else by name."""
    here = [name for name in of.files if name.endswith(_SUFFIXES[language])]
    listed = of.details.get("files")
    told = listed.get(language.value) if isinstance(listed, dict) else None
    if told is None:
        told = here
    for name in told:
        if name not in here:
            raise BadInput(f"{of.folder / 'rtl.json'}: source {name!r} is not among the project's sources")
    if not told:
        raise BadInput(f"{of.folder} holds no source in {language.value}")
    return list(told)


def run(work: Path, of: Subject, stage: Stage, found: Found, limits: Limits) -> None:
    """Synthesise, place and route the sources in `work` as far as `stage`.

    Raises ToolFailed, naming ``synth/vivado.log`` and its line.
    """
    xilinx.note_versions(work, vivado=found.version)
    command = (*found.command, SCRIPT, "-tclargs", f"until={stage.value}", f"out={OUT}")
    xilinx.call_tool(TITLE, command, work, work / LOG, Deadline.of(limits))


def read(work: Path, of: Subject, stage: Stage) -> Report:
    """The report of a stage; latency and interval are those that the project was built for."""
    names = [f"{OUT}/{stage.value}_{kind}.rpt" for kind in _KINDS]
    found = of_files(work, of, stage, names, work / LOG)
    latency, interval = of.details["latency_cycles"], of.details["interval_cycles"]
    cycles = {"latency_cycles": (latency, latency), "interval_cycles": (interval, interval)}
    return attributed(replace(found, **cycles), of)


def of_files(work: Path, of: Subject, stage: Stage, names: Sequence[str], log: Path) -> Report:
    """Reports in files of the folder as one; ToolFailed where one is missing, damaged, or of something else."""
    version = xilinx.version_of(work, "vivado")
    found = [xilinx.report(work, name, log, TITLE) for name in names]
    found = [xilinx.checked(report, of, stage, "vivado", version, log) for report in found]
    for name in names:
        check_whole(work, name, log)
    return xilinx.timed(xilinx.merged(work, found, log), log)


def check_whole(work: Path, name: str, log: Path) -> None:
    """Raises ToolFailed where a report lists black boxes: the figures are those of the rest."""
    text = (work / name).read_text(errors="replace").replace("\r\n", "\n")
    empty = _BLACK_BOX.search(text)
    if empty is not None:
        line = text.count("\n", 0, empty.start(1)) + 1
        said = f"{name}, line {line}: {empty.group(1)} is a black box, so the figures are not those of the whole design"
        raise ToolFailed(said, log, trouble=Trouble.CRASH)


TOOL = Tool(
    name="vivado",
    sentence="synthesis, placement, routing and power of RTL projects by Vivado, out of context",
    implementation=Implementation.RTL,
    stages=_STAGES,
    usual=Stage.ROUTE,
    setting=_SETTING,
    find=find,
    render=render,
    run=run,
    read=read,
    keep=(SCRIPT, f"{OUT}/*.rpt", f"{xilinx.FOLDER}/*.log", f"{xilinx.FOLDER}/*.json", "hs_err_*.log"),
)
