"""Find the reports below a folder, each with the network that it speaks of."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from flow.cost import hls, records
from flow.design import Design
from flow.errors import BadInput, FlowError
from flow.estimate.files import json_object
from flow.estimate.observation import FIGURES, Observation, joined, traced_counts
from flow.estimate.subject import is_project, of_project
from flow.formats import Fixed
from flow.metrics import Implementation
from flow.synth import parse
from flow.synth.report import Report, Stage, Status
from flow.topology import Topology

CONFIGURATION = "hls4ml_config.yml"
_COMPILERS = {"vivado_hls": hls.Tool.VIVADO_HLS, "vitis_hls": hls.Tool.VITIS_HLS}  # as their reports are named

NOT_PRICED = "the cost models price unrolled networks of the least latency, and learn from no others"

# What was found, and a line for each thing that was left out and why.
Found = tuple[list[Observation], list[str]]


def gather(path: Path) -> Found:
    """The observations below a folder (built designs, hls4ml projects), or in a CSV file of records."""
    if path.is_file() and path.suffix == ".csv":
        return _of_records(path)
    if not path.is_dir():
        raise BadInput(f"{path}: no such folder; a task's results, projects, or a CSV file of records is needed")
    found: list[Observation] = []
    left: list[str] = []
    for folder in _projects(path):
        try:
            rows, reasons = _of_project(folder) if is_project(folder) else _of_hls(folder)
        except FlowError as error:
            rows, reasons = [], [str(error)]
        found += rows
        left += reasons
    return found, left


def _projects(path: Path) -> Iterator[Path]:
    """Built designs and hls4ml projects below `path`, `path` among them; nothing inside of one is another."""
    for name, folders, files in os.walk(path):
        folder = Path(name)
        folders.sort()
        if is_project(folder) or CONFIGURATION in files:
            folders.clear()
            yield folder


def _of_project(folder: Path) -> Found:
    """Reports on the Verilog and on the hls4ml project of a built design."""
    subject = of_project(folder)
    hls4ml, left = _observed(folder, folder / "hls", lambda report: on_hls(report, subject.network))
    if not subject.plain:
        return hls4ml, [*left, f"{folder / 'rtl'}: left out: {NOT_PRICED}"]
    description = folder / "rtl" / "rtl.json"
    traced = json_object(description).get("traced")
    try:
        traced_counts(traced)
    except BadInput as error:
        raise BadInput(f"{description}: {error}") from None
    of = (subject.topology, subject.design, subject.word, traced, subject.part, subject.clock_ns)
    verilog, more = _observed(folder, folder / "rtl", lambda report: on_verilog(report, *of))
    return verilog + hls4ml, more + left


def _of_hls(folder: Path) -> Found:
    """Reports on an hls4ml project."""
    network = hls.read_network(folder)
    return _observed(folder, folder, lambda report: on_hls(report, network))


def _observed(project: Path, folder: Path, on: Callable[[Report], dict]) -> Found:
    """The reports in a folder that tell a figure; `on` says what one is of, and by whom."""
    found: list[Observation] = []
    left: list[str] = []
    for report in parse.find(folder, left) if folder.is_dir() else ():
        if (
            report.stage is Stage.COSIM
        ):  # tells the cycles of what C synthesis has reported on; its failure is not one of that
            continue
        item = observation(report, f"{project.name}/{Path(report.path).name}", on(report))
        found += [item] if item.figures or not item.finished else []  # a report of timing has none
    return list(joined((), found)), left


def observation(report: Report, source: str, subject: Mapping) -> Observation:
    """A report as what cost models learn from; `subject` are the fields that say what it is of, and by whom."""
    failed = report.status is Status.FAILED
    told = {name: value for name in FIGURES if (value := getattr(report, name)) not in (None, (None, None))}
    return Observation(
        stage=report.fidelity.value,
        finished=not failed,
        figures={} if failed else {name: _worst(value) for name, value in told.items()},
        by_layer={name: {key: float(count) for key, count in row.items()} for name, row in report.by_layer.items()},
        source=source,
        **subject,
    )


def on_verilog(
    report: Report,
    topology: Topology,
    design: Design,
    word: Fixed,
    traced: Mapping | None,
    part: str,
    clock_ns: float,
) -> dict:
    """The subject of a report on a Verilog design; `traced` is what the tracer counted in it (`rtl.json`)."""
    return {
        "implementation": Implementation.RTL,
        "tool": report.tool,
        "tool_version": report.tool_version,
        "part": part,
        "clock_ns": clock_ns,
        "network": {
            "topology": topology.to_json(),
            "design": design.to_json(),
            "word": str(word),
            "traced": traced,
        },
    }


def on_hls(report: Report, network: hls.Network) -> dict:
    """An hls4ml network, with the compiler and version that the report tells."""
    exact = replace(
        network,
        tool=_COMPILERS.get(report.tool, network.tool),
        tool_version=report.tool_version or network.tool_version,
        part=network.part or report.part,
        clock_ns=network.clock_ns or report.clock_target_ns,
    )
    return _of_network(exact)


def _of_network(network: hls.Network) -> dict:
    return {
        "implementation": Implementation.HLS4ML,
        "tool": network.tool.value if network.tool else "unknown",
        "tool_version": network.tool_version,
        "part": network.part,
        "clock_ns": network.clock_ns,
        "network": replace(network, name="").to_json(),
    }


def _of_records(path: Path) -> Found:
    rows, problems = records.read(path)
    found = []
    for row in rows:
        shared = _of_network(row.network) | {"source": f"{path.name}, line {row.line}"}
        if row.suspect:
            problems.append(f"{path}, line {row.line}: {row.suspect}: left out")
            continue
        for stage, figures in row.observed.items():
            known = {name: float(value) for name, value in figures.items() if value is not None}
            found.append(Observation(stage=stage, figures=known, **shared))
        if not row.finished:
            found.append(Observation(stage="csynth", finished=False, **shared))
    return found, problems


def _worst(value) -> float:
    """A range's upper end: what a trigger has to allow for."""
    if isinstance(value, tuple):
        value = value[0] if value[1] is None else value[1]
    return float(value)
