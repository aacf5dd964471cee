"""Read back what a tool left: a report.json, or the folder that a tool ran in."""

import json
from pathlib import Path

from flow.errors import BadInput
from flow.synth import yosys
from flow.synth.report import Report

# Where the report of a tool stands, from a project's folder or from the folder that the tool ran in.
_PLACES = ("rtl/" + yosys.REPORT, yosys.REPORT)


def parse(path: Path) -> Report:
    """The report in a file, or in a project's folder; BadInput, naming file and field, for anything else."""
    if path.is_dir():
        found = [path / place for place in _PLACES if (path / place).is_file()]
        if not found:
            raise BadInput(f"{path}: holds no report; looked for {' and '.join(_PLACES)}")
        path = found[0]
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    except ValueError:
        raise BadInput(f"{path}: no JSON; known kinds: the report.json that `flow synth` leaves") from None
    return Report.from_json(row, str(path))
