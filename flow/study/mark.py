"""What a study's file was like when everything was in it, so that nothing is opened to learn that nothing is new."""

import json
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from flow.store import write_json
from flow.study.place import Place


@dataclass(frozen=True)
class Mark:
    """A small JSON file, `path`, beside what is kept at `place`. Of what a server keeps nothing is known unasked."""

    path: Path
    place: Place

    def holds(self, content: Set[str] = frozenset()) -> bool:
        """Whether the file is as it was at the last `set`, and all of this was in it by then."""
        told = self._read()
        return bool(told) and told.get("file") == self._file() and content <= set(told.get("content", ()))

    def set(self, content: Set[str]) -> None:
        """Note what is in the file: digests."""
        if self._file() is not None:
            write_json(self.path, {"file": self._file(), "content": sorted(content)})

    def _read(self) -> dict:
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def _file(self) -> list | None:
        """The path, when it was written last and how long it is; None where there is no file."""
        try:
            about = self.place.path.stat() if self.place.path is not None else None
        except OSError:
            about = None
        return about and [str(self.place.path), about.st_mtime_ns, about.st_size]
