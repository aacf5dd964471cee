"""Read back what a tool left: a report in any of the known formats, or all of those in a folder."""

import codecs
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flow.errors import BadInput
from flow.synth import vendor
from flow.synth.merge import merged, same_part
from flow.synth.report import FILE, Report, Stage

__all__ = ["find", "merged", "parse", "reports", "same_part"]

_SUFFIXES = (".rpt", ".xml", ".txt", ".ndjson")
_LOGS = (".log",)
_LARGEST = 64 * 2**20
"""Bytes of the largest file that is read; a report of a million lines has fewer."""
# A file of Windows may begin with one of these.
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def parse(path: Path) -> Report:
    """The report in a file, its kind told from its content. Raises BadInput, naming file and line or field, for any
    other."""
    return _read(path, _content(path))


def reports(path: Path) -> list[Report]:
    """The report in a file, or all of those in a folder, logs too. Raises BadInput where there is none."""
    if not path.is_dir():
        return [parse(path)]
    found = find(path, logs=True)
    if not found:
        raise BadInput(f"{path}: holds no report; known: {FILE}, {', '.join(vendor.NAMES)}")
    return found


def find(folder: Path, problems: list[str] | None = None, logs: bool = False) -> list[Report]:
    """All reports in a folder and the folders in it, in the order of their paths; what is no report is passed over.

    One for each run of C synthesis: csynth.xml and csynth.rpt of a solution are put together, as are the compiler's
    files of oneAPI, and the reports of the modules beside them, which speak of parts of the design, left out. Hidden
    folders are not entered. Logs, which have no figures, are read where `logs` asks for them.

    A damaged report raises BadInput; with `problems`, a list, its message is appended there instead.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: is no folder")
    found: list[Report] = []
    for path in _files(folder, _SUFFIXES + (_LOGS if logs else ()), problems):
        try:
            text = _content(path)
            kind = vendor.kind_of(text)
            if path.name == FILE or (kind is not None and (logs or kind.name != "log")):
                found.append(_read(path, text))
        except BadInput as error:
            if problems is None:
                raise
            problems.append(str(error))
    return _runs(found)


def _files(folder: Path, suffixes: tuple[str, ...], problems: list[str] | None) -> list[Path]:
    def closed(error: OSError) -> None:
        said = f"{error.filename}: can't be read ({error.strerror})"
        if problems is None:
            raise BadInput(said) from None
        problems.append(said)

    files = []
    for root, folders, names in os.walk(folder, onerror=closed):
        folders[:] = (name for name in folders if not name.startswith("."))
        chosen = (n for n in names if n.endswith(suffixes) or n == FILE)
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
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: is no file")
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"{path}: {path.stat().st_size} bytes, larger than any report ({_LARGEST})")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise BadInput(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from None
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    return data[len(mark) :].decode(_MARKS.get(mark, "utf-8"), errors="replace")


def _read(path: Path, text: str) -> Report:
    if not text.strip():
        raise BadInput(f"{path}, line 1: it is empty")
    ours = path.suffix == ".json" or text.lstrip().startswith("{")
    if ours and vendor.kind_of(text) is None and vendor.unread_kind(text) is None:
        try:
            return replace(Report.from_json(json.loads(text), str(path)), path=str(path))
        except (ValueError, RecursionError) as error:
            known = f"the report.json that `flow synth` leaves, {', '.join(vendor.NAMES)}"
            line = getattr(error, "lineno", 1)
            raise BadInput(f"{path}, line {line}: no JSON; known kinds: {known}") from None
    return vendor.parse(text, str(path))


def _runs(found: list[Report]) -> list[Report]:
    """The reports, with those of C synthesis in one folder put together."""
    result: list[Report] = []
    for folder in dict.fromkeys(Path(report.path).parent for report in found):
        here = [report for report in found if Path(report.path).parent == folder]
        synthesised = [report for report in here if report.stage is Stage.CSYNTH and report.kind != "log"]
        result += _by_run(_of_the_top(synthesised)) + [report for report in here if report not in synthesised]
    order = {report.path: position for position, report in enumerate(found)}
    return sorted(result, key=lambda report: order[report.path])


def _of_the_top(reports: list[Report]) -> list[Report]:
    """Those of the design that csynth.xml or csynth.rpt, which speak of the top module, name; all where neither is."""
    tops = {report.design for report in reports if Path(report.path).name in ("csynth.xml", "csynth.rpt")}
    return [report for report in reports if not tops or report.design in tops]


def _by_run(reports: Sequence[Report]) -> list[Report]:
    """One report for each run: the XML's figures, which are whole, and what else the others say. What contradicts the
    ones before it is of another run."""
    runs: list[Report] = []
    for report in sorted(reports, key=lambda r: (r.kind != "csynth.xml", r.lut is None, r.latency_cycles is None)):
        for position, run in enumerate(runs):
            try:
                runs[position] = merged([run, report])
                break
            except BadInput:
                continue
        else:
            runs.append(report)
    return runs
