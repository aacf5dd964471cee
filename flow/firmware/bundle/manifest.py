"""The list of a bundle's files with their digests."""

import hashlib
import json
from pathlib import Path

from flow.errors import BadInput, Mismatch
from flow.firmware.bundle import archive

NAME = "MANIFEST.json"
FORMAT = 1


def write(folder: Path, facts: dict) -> None:
    """Write the manifest of all files below `folder`; `facts` (JSON) say what they are."""
    listed = {"format": FORMAT, **facts, "files": digests(folder)}
    (folder / NAME).write_text(json.dumps(listed, indent=1) + "\n")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` but the manifest, by path, sorted."""
    files = sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())
    return {name: _digest(folder / name) for name in files if name != NAME}


def check(folder: Path, said: Path) -> dict:
    """The manifest of an unpacked bundle whose files are all as it says.

    Raises BadInput where there is none, Mismatch that names a file which is missing, changed or not listed; `said` is
    the bundle's name in messages.
    """
    row = read(folder, said)
    listed, found = row["files"], digests(folder)
    check_names(row, {*found}, said)
    for name in sorted(listed):
        if found[name] != listed[name]:
            raise Mismatch(f"{said}: {name} is not what was exported: SHA-256 {found[name]}, not {listed[name]}")
    return row


def check_names(row: dict, found: set[str], said: Path) -> None:
    """Raises Mismatch unless the files `found` are those that the manifest `row` lists."""
    for name in sorted({*row["files"]} ^ (found - {NAME})):
        if name not in found:
            raise Mismatch(f"{said}: {name} is missing; it is in {NAME}")
        raise Mismatch(f"{said}: {name} is not in {NAME}: it was not exported")


def read(folder: Path, said: Path) -> dict:
    """Raises BadInput, naming what is wrong, where there is no manifest of this format."""
    path = folder / NAME
    if not path.is_file():
        raise BadInput(f"{said}: no bundle; it has no {NAME}")
    if path.stat().st_size > archive.MAX_MANIFEST:
        raise BadInput(f"{said}: {NAME} is longer than {archive.MAX_MANIFEST} bytes")
    try:
        return parse(path.read_bytes(), said)
    except OSError as error:
        raise BadInput(f"{said}: {NAME} can't be read: {error.strerror or error}") from None


def parse(content: bytes, said: Path) -> dict:
    """A manifest's content; raises BadInput, naming what is wrong, where it is none."""
    try:
        row = json.loads(content)
    except RecursionError:
        raise BadInput(f"{said}: {NAME} can't be read: it is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"{said}: {NAME} can't be read: {error}") from None
    if not isinstance(row, dict) or row.get("format") != FORMAT:
        raise BadInput(f"{said}: {NAME} is not of format {FORMAT}, the one that is known")
    files = row.get("files")
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        raise BadInput(f"{said}: {NAME} has no list of files")
    for name in files:
        if archive.parts_of(name) is None:
            raise BadInput(f"{said}: {NAME} lists {name[:80]!r}, which is no file of the bundle")
    return row


def _digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
