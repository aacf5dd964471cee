"""Read back what a tool left: a report in any of the known formats, or all of those in a folder."""

import json
import os
from dataclasses import replace
from pathlib import Path

from flow.errors import BadInput
from flow.synth import vendor, yosys
from flow.synth.report import Report, Stage

_SUFFIXES = (".rpt", ".xml", ".txt")
_LARGEST = 64 * 2**20
"""Bytes of the largest file that is read; a report of a million lines has fewer."""
# What two reports of one run of C synthesis must agree in.
_RUN = ("tool", "tool_version", "part", "design", "lut", "ff", "dsp", "bram_18k")


def parse(path: Path) -> Report:
    """The report in a file, its kind told from its content. Raises BadInput, naming file and line or field, for anything
    else."""
    return _read(path, _content(path))


def reports(path: Path) -> list[Report]:
    """The report in a file, or all of those in a folder. Raises BadInput where there is none."""
    if not path.is_dir():
        return [parse(path)]
    found = find(path)
    if not found:
        raise BadInput(f"{path}: holds no report; known: {Path(yosys.REPORT).name}, {', '.join(vendor.NAMES)}")
    return found


def find(folder: Path, problems: list[str] | None = None) -> list[Report]:
    """All reports in a folder and the folders in it, in the order of their paths; what is no report is passed over.

    One for each run of C synthesis: csynth.xml and csynth.rpt of a solution are put together, and the reports of the
    modules beside them, which speak of parts of the design, left out. Hidden folders are not entered.

    A damaged report raises BadInput; with `problems`, a list, its message is appended there instead.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: is no folder")
    found: list[Report] = []
    for path in _files(folder):
        try:
            text = _content(path)
            if path.name == Path(yosys.REPORT).name or vendor.kind_of(text) is not None:
                found.append(_read(path, text))
        except BadInput as error:
            if problems is None:
                raise
            problems.append(str(error))
    return _runs(found)


def _files(folder: Path) -> list[Path]:
    files = []
    for root, folders, names in os.walk(folder):
        folders[:] = (name for name in folders if not name.startswith("."))
        chosen = (n for n in names if n.endswith(_SUFFIXES) or n == Path(yosys.REPORT).name)
        files += [path for path in (Path(root) / name for name in chosen) if _readable(path)]
    return sorted(files)


def _readable(path: Path) -> bool:
    """Whether it is a file of a report's size; what is larger is data."""
    try:
        return path.is_file() and path.stat().st_size <= _LARGEST
    except OSError:
        return False


def _content(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise BadInput(f"{path}: {path.stat().st_size} bytes, larger than any report ({_LARGEST})")
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None


def _read(path: Path, text: str) -> Report:
    ours = path.suffix == ".json" or text.lstrip().startswith("{")
    if ours and vendor.kind_of(text) is None and vendor.unread_kind(text) is None:
        try:
            return Report.from_json(json.loads(text), str(path))
        except ValueError as error:
            known = f"the report.json that `flow synth` leaves, {', '.join(vendor.NAMES)}"
            line = getattr(error, "lineno", 1)
            raise BadInput(f"{path}, line {line}: no JSON; known kinds: {known}") from None
    return vendor.parse(text, str(path))


def _runs(found: list[Report]) -> list[Report]:
    """The reports, with those of C synthesis in one folder put together."""
    result: list[Report] = []
    for folder in dict.fromkeys(Path(report.path).parent for report in found):
        here = [report for report in found if Path(report.path).parent == folder]
        synthesised = [report for report in here if report.stage is Stage.CSYNTH]
        result += _merged(_of_the_top(synthesised)) + [r for r in here if r.stage is not Stage.CSYNTH]
    order = {report.path: position for position, report in enumerate(found)}
    return sorted(result, key=lambda report: order[report.path])


def _of_the_top(reports: list[Report]) -> list[Report]:
    """Those of the design that csynth.xml or csynth.rpt, which speak of the top module, name; all where neither is."""
    tops = {report.design for report in reports if Path(report.path).name in ("csynth.xml", "csynth.rpt")}
    return [report for report in reports if not tops or report.design in tops]


def _merged(reports: list[Report]) -> list[Report]:
    """One report for each run: the XML's figures, which are whole, and what else the others say."""
    runs: dict[tuple, Report] = {}
    for report in sorted(reports, key=lambda r: (r.kind != "csynth.xml", r.latency_cycles is None)):
        key = tuple(getattr(report, name) for name in _RUN)
        first = runs.setdefault(key, report)
        more = {
            name: value
            for name, value in vars(report).items()
            if value not in (None, {}) and getattr(first, name) in (None, {})
        }
        if first is not report:
            runs[key] = replace(first, **more)
    return list(runs.values())
