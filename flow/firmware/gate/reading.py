"""A built project as the equivalence gate reads it: from its folder alone, every file of it checked."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.errors import BadInput
from flow.firmware.precision import HlsType, word_type
from flow.firmware.settings import Output, Target
from flow.store import file_digest

METADATA = "metadata.json"
SUMS = "SHA256SUMS"
# Where a file more is compiled, or may be: folder -> whether those below it count too.
_COMPILED = {"hls": False, "hls/firmware": True, "hls/src": True, "hls/standin": True, "rtl/src": True}
_LEFT_BY_TOOLS = ("csim-*", "csim", "*.log", "*.jou", "*.str", "*.o", ".*")
_WORD = re.compile(r"[+-]?[0-9]{1,30}")


@dataclass(frozen=True)
class Project:
    """A project's folder and what its files say. `files`: the digest of each file of the build that is there, as it
    is now; `changed`: one line for each that isn't what was built."""

    folder: Path
    task: str
    target: Target
    design: Design
    scaling: InputScaling
    files: tuple[tuple[str, str], ...]
    changed: tuple[str, ...]

    def model(self):
        """The project's QKeras model. Raises BadInput where it can't be read or takes other words."""
        from flow.train import qkeras_model

        model = qkeras_model.load(self.folder / "model.keras")
        n_in = model.input_shape[-1]
        if n_in != len(self.scaling.features):
            raise BadInput(
                f"{self.folder / 'model.keras'} takes {n_in} words; scaling.json has {len(self.scaling.features)} features"
            )
        return model

    def types(self, model) -> dict[str, HlsType]:
        """The type of every layer's output, the project's own output last."""
        from flow.firmware import hls4ml_qkeras

        return hls4ml_qkeras.result_types(model, self.scaling.word, self.target)

    @property
    def expected_name(self) -> str:
        """The file of expected outputs, relative to the folder."""
        return "vectors/logits.txt" if self.target.output is Output.LOGITS else "vectors/outputs.txt"

    def vectors(self, model) -> tuple[np.ndarray, np.ndarray]:
        """The words (n, n_in) and the expected outputs (n, n_out) that travel with the project."""
        words = words_of(self.folder / "vectors" / "inputs.txt", self.scaling)
        path, form = self.folder / self.expected_name, [*self.types(model).values()][-1]
        width = 1 if self.target.output is Output.ARGMAX else math.prod(model.output_shape[1:])
        outputs = _numbers(path, width, form) * form.step
        if len(outputs) != len(words):
            raise BadInput(f"{path} has {len(outputs)} lines, inputs.txt {len(words)}: one for each vector is needed")
        return words, outputs


def read(folder: Path) -> Project:
    """Raises BadInput, naming the file, where `folder` is no project or a file that tells what it is can't be read."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such project; {_NEEDED}")
    if not (folder / METADATA).is_file():
        raise BadInput(f"{folder}: no project, it has no {METADATA}; {_NEEDED}")
    metadata = _read(folder / METADATA, _object)
    recorded = _part(folder / METADATA, lambda: _recorded(metadata["files"]))
    files, changed = _compared(folder, recorded)
    return Project(
        folder=folder,
        task=_part(folder / METADATA, lambda: _name(metadata["task"])),
        target=_part(folder / METADATA, lambda: Target.from_json(metadata["target"])),
        design=_read(folder / "design.json", Design.from_json),
        scaling=_read(folder / "scaling.json", InputScaling.from_json),
        files=files,
        changed=changed,
    )


_NEEDED = "a project that `flow convert` built, or a bundle, is needed"


def _object(content) -> dict:
    if not isinstance(content, dict):
        raise BadInput(f"an object with the keys task, target, files, ... is needed, not {content!r:.40}")
    return content


def _name(task) -> str:
    if not isinstance(task, str) or not task:
        raise BadInput(f"task {task!r:.40}: the name of a task is needed")
    return task


def _recorded(files) -> dict[str, str]:
    if not isinstance(files, dict) or not files:
        raise BadInput(f"files {files!r:.40}: an object with the digest of each file that was built is needed")
    for name, digest in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name.isprintable():
            raise BadInput(f"files: {name!r:.80} is no file of the project")
        if not isinstance(digest, str):
            raise BadInput(f"files: {name}: {digest!r:.40}: a digest is needed")
    return files


def words_of(path: Path, scaling: InputScaling) -> np.ndarray:
    """Events (n, n_in) as values, from a file of integer words: a .npy array (n, n_in) of integers, or a text file
    with a line for each event.

    Raises BadInput that names file, line (row of an array), value and type for what is not a word.
    """
    return _numbers(Path(path), len(scaling.features), word_type(scaling.word)) * scaling.word.step


def _compared(folder: Path, recorded: dict[str, str]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The digests of the files as they are, and a line for each that differs from what was recorded."""
    files, changed = [], []
    for name, digest in sorted(recorded.items()):
        try:
            found = file_digest(folder / name)
        except OSError:
            changed.append(f"{folder / name} is missing: it was there when the project was built")
            continue
        files.append((name, found))
        if found != digest:
            changed.append(f"{folder / name} differs from what was built")
    changed += _against_sums(folder, recorded)
    changed += [f"{folder / name} is not of the build" for name in _unrecorded(folder, recorded)]
    return tuple(files), tuple(changed)


def _against_sums(folder: Path, recorded: dict[str, str]) -> list[str]:
    """What the list of digests, which has that of the metadata too, says otherwise than the metadata."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [f"{folder / SUMS} is missing: it was there when the project was built"]
    told = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = []
    if METADATA not in told:
        found.append(f"{folder / SUMS} has no digest of {METADATA}: whether that was changed is not known")
    elif told[METADATA] != file_digest(folder / METADATA):
        found.append(f"{folder / METADATA} differs from what was built")
    names = sorted({*told, *recorded} - {METADATA, SUMS})
    other = [name for name in names if told.get(name) != recorded.get(name)]
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        found.append(f"{folder / SUMS} and {METADATA} do not tell the same of {other[0]}{more}")
    return found


def _unrecorded(folder: Path, recorded: dict[str, str]) -> list[str]:
    """Files where sources are that the build has not written, but for those that tools leave."""
    found = []
    for part, below in _COMPILED.items():
        for path in (folder / part).rglob("*") if below else (folder / part).glob("*"):
            name = path.relative_to(folder).as_posix()
            by_tool = any(PurePath(path.name).match(pattern) for pattern in _LEFT_BY_TOOLS)
            if name not in recorded and not by_tool and (path.is_symlink() or not path.is_dir()):
                found.append(name)
    return sorted(found)


def _read(path: Path, build: Callable[[Any], Any]):
    """A JSON file, made into what it describes."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: it belongs to every project") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read: {error}") from None
    except RecursionError:
        raise BadInput(f"{path} can't be read: too many brackets inside one another") from None
    return _part(path, lambda: build(content))


def _part(path: Path, build: Callable[[], Any]):
    try:
        return build()
    except KeyError as error:
        raise BadInput(f"{path}: {error} is missing") from None
    except (BadInput, ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise BadInput(f"{path}: {error}") from None


def _numbers(path: Path, width: int | None, form: HlsType) -> np.ndarray:
    """Integer words (n, width) of a file, each one of `form`'s, as float64."""
    try:
        rows = _array(path) if path.suffix == ".npy" else _lines(path, form)
    except OSError as error:
        raise BadInput(f"{path}: can't be read: {error.strerror or error}") from None
    where = "row" if path.suffix == ".npy" else "line"
    width = width or len(rows[0])
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise BadInput(f"{path}, {where} {number}: {len(row)} values; {width} are needed")
    values = np.asarray(rows, dtype=np.float64)
    low, high = round(form.low / form.step), round(form.high / form.step)
    bad = np.argwhere((values < low) | (values > high))
    if len(bad):
        row, column = bad[0]
        value = rows[row][column]
        raise BadInput(
            f"{path}, {where} {row + 1}, value {column + 1}: {value} is no word of {form}: {low} to {high} are"
        )
    return values


def _array(path: Path) -> np.ndarray:
    try:
        # Mapped: what the header says is held against the file's size before any memory is taken.
        found = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OverflowError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise BadInput(
            f"{path}: no array of numbers: a .npy file of integer words (n, n_in), as long as its header says, is needed"
        ) from None
    if found.ndim != 2 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        raise BadInput(f"{path}: an array of {found.dtype} of shape {found.shape}; integer words (n, n_in) are needed")
    return found


def _lines(path: Path, form: HlsType) -> list[list[int]]:
    rows = []
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            words = line.split()
            bad = next((word for word in words if not _WORD.fullmatch(word)), None)
            if bad is not None:
                raise BadInput(f"{path}, line {number}: {bad[:40]!r} is no integer word of {form}")
            rows.append([int(word) for word in words])
    if not rows:
        raise BadInput(f"{path}: no events in it")
    return rows
