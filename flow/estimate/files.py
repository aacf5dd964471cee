"""JSON files that a user may have written, or damaged."""

import json
from pathlib import Path

from flow.errors import BadInput


def json_object(path: Path) -> dict:
    """The object in a JSON file. BadInput names the file, and what is wrong with it."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: no JSON ({error})") from None
    if not isinstance(read, dict):
        raise BadInput(f"{path}: an object is expected, not {type(read).__name__}")
    return read
