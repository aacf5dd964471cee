"""`flow export`: a verified design as one file that needs nothing else."""

import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from flow.errors import BadInput, Storage
from flow.firmware.bundle import archive, contents, manifest
from flow.firmware.gate.reading import Project
from flow.firmware.hls import csim_unavailable
from flow.store import digest_of

Say = Callable[[str], None]


def export(
    folder: Path, file: Path, version: str | None = None, page: Path | None = None, say: Say = lambda line: None
) -> Path:
    """Write the bundle of the built project in `folder` to `file` (.zip or .tar.gz), and return that path.

    `version` (default: the design's digest) names the release, its folder and the emulator's symbols. A project that
    no gate has passed since it was built is verified first. Raises Mismatch where the gate or the emulator fails,
    BadInput for what can't be exported, ToolFailed and Storage; the file is then as it was.
    """
    from flow.firmware.emulator import names as emulator_names
    from flow.firmware.project import top_name

    kind = archive.suffix(file)
    _check_place(file)
    if shutil.which("g++") is None:
        raise BadInput("g++ was not found: it compiles the emulator; install it (Debian: apt install g++)")
    source = contents.read_built(folder)
    names = emulator_names.Names(top_name(source.task), source.design.digest if version is None else version)
    record = _verified(source, say)
    _sweep(file.parent)
    with tempfile.TemporaryDirectory(prefix=f"{_scratch()}{os.getpid()}-", dir=file.parent) as scratch:
        made = Path(scratch, "bundle")
        made.mkdir()
        facts = contents.fill(made, source, names, record, page)
        manifest.write(made, facts)
        packed = Path(scratch, f"packed{kind}")
        archive.write(made, f"{names.name}-{names.version}", packed)
        try:
            os.replace(packed, file)
        except OSError as error:
            raise Storage(f"{file}: {error.strerror or error}") from error
    return file


def _scratch() -> str:
    """What the names of this machine's unfinished exports begin with; a process's number follows."""
    return f".export-{re.sub('[^A-Za-z0-9]', '', platform.node())}-"


def _sweep(folder: Path) -> None:
    """Remove what exports that were killed have left."""
    for left in folder.glob(f"{_scratch()}*"):
        number = left.name.removeprefix(_scratch()).split("-")[0]
        if not number.isdecimal() or not left.is_dir() or left.is_symlink():
            continue
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (OSError, OverflowError):
            continue


def _check_place(file: Path) -> None:
    if file.is_dir():
        raise BadInput(f"{file}: is a folder; a file's name is needed")
    if not file.parent.is_dir():
        raise BadInput(f"{file}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK):
        raise Storage(f"{file}: the folder {file.parent} can't be written to")


def _verified(source: Project, say: Say) -> dict:
    """The gate's record of the project as it lies there: the one beside it where that is of these very files."""
    from flow.firmware import gate
    from flow.firmware.gate import comparison

    recorded = _recorded(source, source.folder / gate.RECORD, gate.SIDES)
    if recorded is not None:
        return recorded
    say("verifying the project (the equivalence gate)")
    found = gate.verify(source.folder, say=say)
    comparison.require(found)
    return found.to_json()


def _recorded(source: Project, path: Path, sides: Sequence[str]) -> dict | None:
    """The record at `path`, where it says that every side of exactly these files is equal to the last bit."""
    try:
        row = json.loads(path.read_text())
        compared = {name for pair in row["pairs"] for name in pair["name"].split("=")}
        not_run = {
            side["side"] for side in row["not_run"] if csim_unavailable(source.target) and side["side"] == "csim"
        }
        same = row["sources"] == digest_of(dict(source.files)) and row["changed"] == []
        same = same and row["target"] == json.loads(json.dumps(source.target.to_json()))
        whole = set(sides) <= compared | not_run
        return row if row["equal"] is True and row["tolerance"] == 0 and same and whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
