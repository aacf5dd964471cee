"""What a tool reads of a project: the sources of its Verilog, or of its HLS project."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from flow.errors import BadInput
from flow.metrics import Implementation
from flow.store import digest_of

SIDES = {Implementation.RTL: "rtl", Implementation.HLS4ML: "hls"}
"""The folder of a built project that holds the sources of each."""
DESCRIPTION = "rtl.json"
SETTINGS = "project.tcl"
_RTL_SOURCES = (".v", ".sv", ".vhd", ".xdc", ".mem", ".hex", ".dat")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PART = re.compile(r"\w[\w.+-]*", re.ASCII)
_BLOCK = re.compile(r"\w[\w.+-]*", re.ASCII)
_FILE = re.compile(r"[\w.][\w.+=-]*", re.ASCII)
# What tools and the C simulation leave in an HLS project; all else there is a source.
_LEFT = ("_prj", "logs", "vsynth", "impl", "build", "csynth", "cosim", "export", "synth")


@dataclass(frozen=True)
class Subject:
    """The sources in `folder`, by paths relative to it, and what they are built for.

    `name` is the project's, for people. `details` is what `rtl.json` says besides (blocks, latency), empty for HLS.
    """

    folder: Path
    name: str
    implementation: Implementation
    top: str
    part: str
    clock_ns: float
    files: tuple[str, ...]
    details: Mapping = field(default_factory=dict)

    @cached_property
    def sources(self) -> str:
        """Digest of the sources as they are on disk: names and contents."""
        rows = {}
        for name in self.files:
            try:
                rows[name] = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            except OSError as error:
                raise BadInput(f"{self.folder / name}: can't be read ({error.strerror})") from None
        return digest_of(rows)


def read(project: Path, implementation: Implementation) -> Subject:
    """The subject of a built project's folder, of its `rtl` or `hls`, or of a project that hls4ml alone has written.

    Raises BadInput where the folder holds no such sources.
    """
    if not project.is_dir():
        raise BadInput(f"{project}: no such folder")
    if implementation is Implementation.RTL:
        return _rtl(project)
    return _hls(project)


def _rtl(project: Path) -> Subject:
    folder = project / "rtl" if (project / "rtl").is_dir() else project
    path = folder / DESCRIPTION
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        details = {key: row[key] for key in ("blocks", "latency_cycles", "interval_cycles")}
        top, part, clock = _target(row["top"], row["part"], row["clock_ns"])
        _check_blocks(details)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: {project} holds no RTL project") from None
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is damaged: {type(error).__name__}: {error}") from None
    files = [name for place in ("src", "vhdl") for name in _files(folder, place) if name.endswith(_RTL_SOURCES)]
    if not any(name.endswith((".v", ".sv", ".vhd")) for name in files):
        raise BadInput(f"{folder / 'src'} holds no Verilog: write the project again")
    more = {key: row[key] for key in ("language", "wrapper", "files") if key in row}
    return Subject(
        folder, project.resolve().name, Implementation.RTL, top, part, clock, (DESCRIPTION, *sorted(files)),
        details | more,
    )  # fmt: skip


def _target(top, part, clock_ns) -> tuple[str, str, float]:
    """Top module, part and clock period; ValueError for what could be more than that in a tool's script."""
    for what, text, form in (("top", top, _NAME), ("part", part, _PART)):
        if not isinstance(text, str) or not form.fullmatch(text):
            raise ValueError(f"the {what} {text!r} is no name")
    if isinstance(clock_ns, bool):
        raise ValueError(f"the clock period is {clock_ns!r}, no number")
    clock = float(clock_ns)
    if not 0 < clock < 1e6:
        raise ValueError(f"a clock period of {clock:g} ns")
    return top, part, clock


def _check_blocks(details: Mapping) -> None:
    """ValueError where blocks, modules or registers are no names, or cycles no counts."""
    names = [*details["blocks"]]
    for block in details["blocks"].values():
        names += [*block["modules"], *block.get("registers", ())]
    for name in names:
        if not isinstance(name, str) or not _BLOCK.fullmatch(name):
            raise ValueError(f"blocks: {name!r} is no name")
    for key in ("latency_cycles", "interval_cycles"):
        if isinstance(details[key], bool) or not isinstance(details[key], int) or details[key] < 0:
            raise ValueError(f"{key} is {details[key]!r}, no count")


def _hls(project: Path) -> Subject:
    folder = project / "hls" if (project / "hls").is_dir() else project
    return hls(folder, project.resolve().name)


def hls(folder: Path, name: str) -> Subject:
    """The subject of an HLS project in `folder`: top, part and clock as its `project.tcl` or `hls4ml_config.yml` says."""
    script = folder / SETTINGS
    top, part, clock, backend = _from_tcl(script) if script.is_file() else _from_yaml(folder)
    files = sorted(name for name in _files(folder, "") if _source(name))
    return Subject(folder, name, Implementation.HLS4ML, top, part, clock, tuple(files), {"backend": backend})


def _from_tcl(path: Path) -> tuple[str, str, float, str]:
    """Of hls4ml's `project.tcl`, which Vivado HLS and Vitis HLS read: top, part, clock period in ns, backend."""
    try:
        set_to = dict(re.findall(r'^set (\w+) "?([^"\n]*)"?$', path.read_text(encoding="utf-8"), re.MULTILINE))
        return *_target(set_to["project_name"], set_to["part"], set_to["clock_period"]), set_to["backend"]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _from_yaml(folder: Path) -> tuple[str, str, float, str]:
    from flow.cost.hls.from_config import PROJECT_CONFIG, mapping

    path = folder / PROJECT_CONFIG
    if not path.is_file():
        raise BadInput(f"{path} is missing: {folder} holds no HLS project")
    row = mapping(path)
    try:
        return *_target(str(row["ProjectName"]), str(row["Part"]), row["ClockPeriod"]), str(row["Backend"]).lower()
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _source(name: str) -> bool:
    first = name.split("/", 1)[0]
    left = first.startswith(("csim", ".")) or first.endswith(_LEFT)
    return not left and not name.endswith((".log", ".pyc"))


def _files(folder: Path, place: str) -> Iterator[str]:
    """The files below `folder`/`place`, relative to `folder`; none behind a link that leads out of it. Raises BadInput for
    a name that could be more than a name in a tool's script."""
    inside = folder.resolve()
    try:
        entries = list(os.scandir(folder / place))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise BadInput(f"{folder / place}: can't be read ({error.strerror})") from None
    for entry in entries:
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(inside):
            continue
        name = f"{place}/{entry.name}" if place else entry.name
        if entry.is_dir(follow_symlinks=False):
            if _source(name):
                yield from _files(folder, name)
        elif entry.is_file():
            if not _FILE.fullmatch(entry.name):
                raise BadInput(
                    f"{entry.path}: sources have names of letters, digits and _ . + - =, or tools misread them"
                )
            yield name
