"""`flow export`, from its options to what is printed."""

import hashlib
import json
import sys
from argparse import Namespace
from pathlib import Path

from flow.errors import BadInput
from flow.estimate import subject
from flow.firmware import bundle


def export(options: Namespace) -> int:
    """`flow export`: the exit status."""
    project, page = _project(options.what, options.design, options.out)
    file = bundle.export(
        project,
        options.file,
        options.release,
        page,
        say=lambda line: print(f"flow: {line}", file=sys.stderr, flush=True),
    )
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    row = {"file": str(file), "bytes": file.stat().st_size, "sha256": digest, "project": str(project)}
    print(json.dumps(row) if options.json else f"{file}: {row['bytes']:,} bytes, SHA-256 {digest}")
    return 0


def _project(what: Path, design: str | None, out: Path | None) -> tuple[Path, Path | None]:
    """The folder of the design that is meant, and the task's page where there is one."""
    if (what / "task.yaml").is_file():
        out = out or Path("hls_projects") / what.resolve().name
        project = subject.built(what, out, design or "chosen")
    elif design is not None:
        raise BadInput(f"{what}: a design can be named of a task only, and this is no task's folder (no task.yaml)")
    elif subject.is_project(what):
        project, out = what, what.resolve().parent
    else:
        raise BadInput(f"{what}: neither a task's folder nor a built project's")
    page = out / "index.html"
    return project, page if page.is_file() else None
