"""Where a tool's results lie in the project that they are of: beside the sources that the tool has read."""

import json
import shutil
from pathlib import Path

from flow.store import replacing_folder
from flow.synth.entry import RECORD
from flow.synth.outcome import Outcome
from flow.synth.report import FILE
from flow.synth.subject import SIDES
from flow.synth.tools import TOOLS


def folder(project: Path, tool: str) -> Path:
    """The folder of a tool's results in a project, whether it is there or not."""
    sources = project / SIDES[TOOLS[tool].implementation]
    return (sources if sources.is_dir() else project) / "synth" / tool


def put(outcome: Outcome, project: Path) -> Path:
    """Copy what the cache kept of a run into the project, its report beside as `report.json`; the folder."""
    final = folder(project, outcome.tool)
    text = json.dumps(outcome.report.to_json(), indent=1) + "\n"
    if _text(final / FILE) == text:
        return final
    with replacing_folder(final) as temporary:
        if outcome.folder is not None:
            shutil.copytree(outcome.folder, temporary, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"{RECORD}*"))
        (temporary / FILE).write_text(text, encoding="utf-8")
    return final


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
