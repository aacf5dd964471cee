"""The names of an emulator: of its files, of its symbols, of its C++ namespace."""

import re
from dataclasses import dataclass

from flow.errors import BadInput

_VERSION = re.compile(r"(?=.{1,64}$)[A-Za-z0-9]+([._][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """A model and its version. All symbols of an emulator begin with `prefix`; raises BadInput for what has no such."""

    name: str
    version: str

    def __post_init__(self):
        if not _VERSION.fullmatch(self.version):
            raise BadInput(
                f"version {self.version!r}: up to 64 letters and digits are allowed, with single '.' or '_' in between"
            )
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise BadInput(f"name {self.name!r}: a letter, then letters, digits and _ are allowed")

    @property
    def prefix(self) -> str:
        # Every '_' of its own is doubled, so that the first odd run of them ends the name: no two share their symbols.
        name, version = (text.replace("_", "__") for text in (self.name, self.version))
        return f"flow_{name}_{version.replace('.', '_')}"

    @property
    def library(self) -> str:
        return f"lib{self.prefix}.so"
