"""The folder of an imported task, written beside its place and renamed: never half there, never over another one."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from flow.errors import BadInput, Storage
from flow.importing.design import Quantized
from flow.importing.pieces import Network

NETWORK, WEIGHTS, MODEL, TASK, README, DESIGN = (
    "network.py", "weights.npz", "model.keras", "task.yaml", "README.md", "design.json"
)  # fmt: skip


def check_free(folder: Path) -> None:
    """Raise BadInput where something is there already."""
    if folder.exists() or folder.is_symlink():
        raise BadInput(f"{folder}: it is there already, and an import overwrites nothing; name another folder with -o")
    check_place(folder.parent)


def check_place(folder: Path) -> None:
    """Raise BadInput where `folder` can't be made: it, or what it would lie in, is a file."""
    there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), None)
    if there is not None and not there.is_dir():
        raise BadInput(f"{folder}: {there} is no folder, so that nothing can be written below it; name another one")


def begin(folder: Path) -> Path:
    """A new folder beside `folder`, to be filled."""
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise Storage(f"{folder}: {error.strerror}") from error
    return unfinished


def write_network(folder: Path, network: Network, text: str) -> None:
    """network.py, and the weights that it loads."""
    arrays = {f"{piece.name}.{name}": values for piece in network.pieces for name, values in piece.arrays.items()}
    (folder / NETWORK).write_text(text, encoding="utf-8")
    np.savez(folder / WEIGHTS, **arrays)


def write_design(folder: Path, quantized: Quantized) -> None:
    (folder / DESIGN).write_text(json.dumps(quantized.design.to_json(), indent=1) + "\n", encoding="utf-8")


def finish(unfinished: Path, folder: Path) -> None:
    """Put a filled folder in its place, unless another one has come there since."""
    check_free(folder)
    try:
        shutil.rmtree(unfinished / "__pycache__", ignore_errors=True)
        os.rename(unfinished, folder)
    except OSError as error:
        raise Storage(f"{folder}: {error.strerror}") from error


def drop(unfinished: Path) -> None:
    shutil.rmtree(unfinished, ignore_errors=True)
