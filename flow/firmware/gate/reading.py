"""A built project as the equivalence gate reads it: from its folder alone, every file of it checked."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.errors import BadInput
from flow.firmware.precision import HlsType, word_type
from flow.firmware.settings import Output, Target

METADATA = "metadata.json"
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
        outputs = _numbers(path, None, form) * form.step
        if len(outputs) != len(words):
            raise BadInput(f"{path} has {len(outputs)} lines, inputs.txt {len(words)}: one for each vector is needed")
        return words, outputs


def read(folder: Path) -> Project:
    """Raises BadInput, naming the file, where `folder` is no project or a file that tells what it is can't be read."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such project; a folder that `flow convert` has built is needed")
    if not (folder / METADATA).is_file():
        raise BadInput(f"{folder}: no project, it has no {METADATA}; a folder that `flow convert` has built is needed")
    metadata = _read(folder / METADATA, dict)
    recorded = _part(folder / METADATA, lambda: {str(k): str(v) for k, v in metadata["files"].items()})
    files, changed = _compared(folder, recorded)
    return Project(
        folder=folder,
        task=_part(folder / METADATA, lambda: str(metadata["task"])),
        target=_part(folder / METADATA, lambda: Target.from_json(metadata["target"])),
        design=_read(folder / "design.json", Design.from_json),
        scaling=_read(folder / "scaling.json", InputScaling.from_json),
        files=files,
        changed=changed,
    )


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
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BadInput(f"{folder / METADATA}: {name!r} is no file of the project")
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError:
            changed.append(f"{folder / name} is missing: it was there when the project was built")
            continue
        files.append((name, found))
        if found != digest:
            changed.append(f"{folder / name} differs from what was built")
    return tuple(files), tuple(changed)


def _read(path: Path, build: Callable[[Any], Any]):
    """A JSON file, made into what it describes."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: it belongs to every project") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read: {error}") from None
    return _part(path, lambda: build(content))


def _part(path: Path, build: Callable[[], Any]):
    try:
        return build()
    except KeyError as error:
        raise BadInput(f"{path}: {error} is missing") from None
    except (BadInput, ValueError, TypeError, AttributeError, IndexError) as error:
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
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadInput(f"{path}: no array of numbers can be read: {error}") from None
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
