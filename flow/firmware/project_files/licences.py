"""Whose files a project has copies of: ``LICENSES/``, with a table and the full texts.

A copy is told by its bytes: it equals a file of the package that it is from. What hls4ml writes from its templates is
listed beside.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from flow.errors import BadInput

APACHE, LGPL, GPL = "Apache-2.0", "LGPL-3.0-or-later", "GPL-3.0"


@dataclass(frozen=True)
class _Origin:
    """A package and the folder or files below it that projects get copies of."""

    what: str
    package: str
    pattern: str
    licence: str
    copyright: str
    text: str  # the licence's file: in the package, or, with the mark "dist-info:", among its metadata


# In this order: a file that several have is the first one's.
_ORIGINS = (
    _Origin(
        "ap_types, the arbitrary precision types", "hls4ml", "templates/vivado/ap_types/**/*", APACHE,
        "Xilinx, Inc., 2011-2019", "dist-info:licenses/LICENSE",
    ),
    _Origin(
        "ac_types, ac_math and ac_simutils, the algorithmic C types", "hls4ml", "templates/catapult/ac_*/**/*", APACHE,
        "Mentor Graphics Corporation (Siemens), years in each file", "templates/catapult/ac_types/LICENSE",
    ),
    _Origin(
        "hls4ml's templates", "hls4ml", "templates/**/*", APACHE,
        "hls4ml Team", "dist-info:licenses/LICENSE",
    ),
    _Origin(
        "alkaid's operators in Verilog and VHDL", "alkaid", "codegen/rtl/**/*.v*", LGPL,
        "Chang Sun", "LICENSE",
    ),
    _Origin(
        "da4ml's headers", "da4ml", "codegen/**/*.h*", LGPL, "Chang Sun", "LICENSE",
    ),
)  # fmt: skip

_README = """# Licences

Files of others that this project has copies of, under the licences whose texts lie here.

| files | from | licence | by |
|---|---|---|---|
{rows}

hls4ml also writes files from its templates, and what it puts into them comes from this network:
{written}.

All other files were made from the network for this project.
{lgpl}"""

_LGPL = f"""
What is under the LGPL is source here, and modules of its own that may be replaced by changed ones.
`{LGPL}.txt` supplements `{GPL}.txt`.
"""


def write(folder: Path) -> None:
    """Write ``LICENSES/`` of the project in `folder`, from the installed packages."""
    copied = _copied(folder)
    if not copied:
        raise BadInput(f"{folder}: no file of hls4ml's or alkaid's is in it: the installed packages are not whole")
    target = folder / "LICENSES"
    target.mkdir()
    rows = "\n".join(
        f"| {_listed(names)} | {origin.what} ({origin.package}) | {origin.licence} | {origin.copyright} |"
        for origin, names in copied.items()
    )
    licences = dict.fromkeys(origin.licence for origin in copied)
    lgpl = _LGPL if LGPL in licences else ""
    written = ", ".join(f"`{name}`" for name in _written(folder, {name for names in copied.values() for name in names}))
    (target / "README.md").write_text(_README.format(rows=rows, written=written or "none here", lgpl=lgpl))
    for licence in licences:
        (target / f"{licence}.txt").write_text(next(_text(origin) for origin in copied if origin.licence == licence))
    if LGPL in licences:
        (target / f"{GPL}.txt").write_text(_gpl())


def _copied(folder: Path) -> dict[_Origin, list[str]]:
    """By origin, the paths of the project's files that are its byte for byte."""
    known: dict[str, _Origin] = {}
    for origin in _ORIGINS:
        for digest in _digests(origin):
            known.setdefault(digest, origin)
    found: dict[_Origin, list[str]] = {}
    for part in ("hls", "rtl"):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and path.stat().st_size:
                origin = known.get(hashlib.sha256(path.read_bytes()).hexdigest())
                if origin is not None:
                    found.setdefault(origin, []).append(path.relative_to(folder).as_posix())
    return {origin: found[origin] for origin in _ORIGINS if origin in found}


def _digests(origin: _Origin) -> Iterator[str]:
    root = _root(origin.package)
    if root is not None:
        for path in root.glob(origin.pattern):
            if path.is_file() and path.suffix not in (".py", ".pyc", ".pdf"):
                yield hashlib.sha256(path.read_bytes()).hexdigest()


def _listed(names: list[str]) -> str:
    """A folder that has several of the files stands for them."""
    folders = Counter(name.rsplit("/", 1)[0] for name in names)
    lone = [name for name in names if folders[name.rsplit("/", 1)[0]] == 1]
    several = [f"`{folder}/` ({count} files)" for folder, count in folders.items() if count > 1 and "rtl" not in folder]
    rtl = [name for name in names if folders[name.rsplit("/", 1)[0]] > 1 and name.startswith("rtl/")]
    return ", ".join([*several, *(f"`{name}`" for name in sorted([*lone, *rtl]))])


def _written(folder: Path, copied: set[str]) -> list[str]:
    """What hls4ml has written from templates: its sources, headers and scripts that are no mere copies."""
    kinds = ("*.cpp", "*.h", "*.hpp", "*.sh", "*.yml", "CMakeLists.txt", "*.tcl")
    names = {path.relative_to(folder).as_posix() for kind in kinds for path in (folder / "hls").rglob(kind)}
    own = re.compile(r"hls/(csim\.cpp|tcl/|standin/)|_test\.cpp$|/weights/|/nnet_flow_")
    return sorted(name for name in names - copied if not own.search(name))


def _text(origin: _Origin) -> str:
    """The full text of an origin's licence; raises BadInput where the installed package has it not."""
    mark = "dist-info:"
    if origin.text.startswith(mark):
        try:
            text = distribution(origin.package).read_text(origin.text.removeprefix(mark))
        except PackageNotFoundError:
            text = None
    else:
        path = (_root(origin.package) or Path()) / origin.text
        text = path.read_text() if path.is_file() else None
    if not text:
        raise BadInput(f"the installed {origin.package} comes without its licence ({origin.text}); install it again")
    return text


def _gpl() -> str:
    """The text of the GNU GPL 3, which numpy's wheel has for the libraries in it; where to find it otherwise."""
    try:
        text = distribution("numpy").read_text("licenses/LICENSE.txt") or ""
    except PackageNotFoundError:
        text = ""
    first, last = "GNU GENERAL PUBLIC LICENSE\n", "END OF TERMS AND CONDITIONS\n"
    begin, end = text.find(first), text.find(last)
    if 0 <= begin < end and "Version 3, 29 June 2007" in text[begin : begin + 200]:
        return text[text.rfind("\n", 0, begin) + 1 : end + len(last)]
    return "GNU GENERAL PUBLIC LICENSE, Version 3, 29 June 2007: https://www.gnu.org/licenses/gpl-3.0.txt\n"


def _root(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
