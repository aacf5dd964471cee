"""What a tool reads of a project: the sources of its Verilog, or of its HLS project."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from flow.errors import BadInput
from flow.metrics import Implementation
from flow.store import digest_of

DESCRIPTION = "rtl.json"
SETTINGS = "project.tcl"
_RTL_SOURCES = (".v", ".sv", ".vhd", ".xdc", ".mem", ".hex", ".dat")
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
        top, part, clock = row["top"], row["part"], float(row["clock_ns"])
        details = {key: row[key] for key in ("blocks", "latency_cycles", "interval_cycles")}
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: {project} holds no RTL project") from None
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is damaged: {type(error).__name__}: {error}") from None
    files = [
        f"{place}/{p.name}"
        for place in ("src", "vhdl")
        for p in (folder / place).glob("*")
        if p.suffix in _RTL_SOURCES and _own(p, folder)
    ]
    if not any(name.endswith((".v", ".sv", ".vhd")) for name in files):
        raise BadInput(f"{folder / 'src'} holds no Verilog: write the project again")
    more = {key: row[key] for key in ("language", "wrapper", "files") if key in row}
    return Subject(
        folder, project.resolve().name, Implementation.RTL, top, part, clock, (DESCRIPTION, *sorted(files)),
        details | more,
    )  # fmt: skip


def _hls(project: Path) -> Subject:
    folder = project / "hls" if (project / "hls").is_dir() else project
    return hls(folder, project.resolve().name)


def hls(folder: Path, name: str) -> Subject:
    """The subject of an HLS project in `folder`: top, part and clock as its `project.tcl` or `hls4ml_config.yml` says."""
    script = folder / SETTINGS
    top, part, clock, backend = _from_tcl(script) if script.is_file() else _from_yaml(folder)
    files = sorted(str(PurePosixPath(p.relative_to(folder))) for p in folder.rglob("*") if _source(p, folder))
    return Subject(folder, name, Implementation.HLS4ML, top, part, clock, tuple(files), {"backend": backend})


def _from_tcl(path: Path) -> tuple[str, str, float, str]:
    """Of hls4ml's `project.tcl`, which Vivado HLS and Vitis HLS read: top, part, clock period in ns, backend."""
    try:
        set_to = dict(re.findall(r'^set (\w+) "?([^"\n]*)"?$', path.read_text(encoding="utf-8"), re.MULTILINE))
        return set_to["project_name"], set_to["part"], float(set_to["clock_period"]), set_to["backend"]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _from_yaml(folder: Path) -> tuple[str, str, float, str]:
    from flow.cost.hls.from_config import PROJECT_CONFIG, mapping

    path = folder / PROJECT_CONFIG
    if not path.is_file():
        raise BadInput(f"{path} is missing: {folder} holds no HLS project")
    row = mapping(path)
    try:
        return str(row["ProjectName"]), str(row["Part"]), float(row["ClockPeriod"]), str(row["Backend"]).lower()
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _source(path: Path, folder: Path) -> bool:
    first = path.relative_to(folder).parts[0]
    left = first.startswith(("csim", ".")) or first.endswith(_LEFT)
    return not left and path.suffix not in (".log", ".pyc") and path.is_file() and _own(path, folder)


def _own(path: Path, folder: Path) -> bool:
    """Whether a file lies in the folder, not behind a link that leads out of it."""
    return path.resolve().is_relative_to(folder.resolve())
