"""The C simulation of an hls4ml project: compiles what lies in its folder, edits included, and runs it on words.

It is a program of its own: a crash there can't take this process along.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from flow import process
from flow.errors import BadInput, ToolFailed

TRACED_VECTORS = 1000  # of how many vectors the hidden layers' outputs are kept

COMPILER = "g++"
# Folders with headers of every backend: g++ passes over those that a project has not.
_INCLUDE = ("standin", *(f"firmware/{name}" for name in ("ap_types", "nnet_utils")))
_INCLUDE_AC = tuple(f"firmware/{name}/include" for name in ("ac_types", "ac_math", "ac_simutils"))
# With exceptions on, GCC takes four times as long over the weights' initialisers.
FLAGS = ("-std=c++17", "-O2", "-fno-exceptions", "-w", *(f"-I{folder}" for folder in (*_INCLUDE, *_INCLUDE_AC)))
_COMPILE_SECONDS, _RUN_SECONDS = 900, 3600
_SOURCES = ("firmware", "src", "standin")  # folders that decide what the program does


def simulate(folder: Path, words: np.ndarray, layers: bool) -> dict[str, np.ndarray]:
    """The C simulation's outputs for input words (n, n_in), by layer name, in network order, in float64.

    The last layer's outputs come for all vectors; with `layers` also every layer's for the first 1,000.
    Compiles the sources in the folder unless that was done before for the same bytes; the log is `csim.log`.
    """
    folder = Path(folder)
    interface = _interface(folder)
    words = np.ascontiguousarray(words, dtype=np.float64)
    if words.ndim != 2 or words.shape[1] != interface["inputs"]:
        raise BadInput(f"{folder}: input words of shape (n, {interface['inputs']}) are needed, not {words.shape}")
    program = compile_sources(folder)
    n, traced = len(words), min(len(words), TRACED_VECTORS) if layers else 0
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "in.bin"), Path(scratch, "out.bin")
        words.tofile(source)
        command = [str(program), "run", str(source), str(target), str(n), str(traced)]
        _run(command, folder, folder / "csim_run.log", _RUN_SECONDS)
        values = np.fromfile(target, dtype=np.float64)
    shapes = [(n, interface["outputs"])] + [(traced, size) for _, size in interface["layers"]]
    ends = np.cumsum([rows * size for rows, size in shapes])
    if values.size != ends[-1]:
        raise ToolFailed(f"{program.name} wrote {values.size} numbers, not {ends[-1]}", folder / "csim_run.log")
    logits, *hidden = (part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), shapes))
    names = [layer for layer, _ in interface["layers"]]
    outputs = dict(zip(names[:-1], hidden[:-1])) if layers else {}
    return {**outputs, names[-1]: logits}


def compile_sources(folder: Path, compiler: str = COMPILER) -> Path:
    """The simulation program of the sources in `folder`, compiled where no program of the same bytes is there."""
    found = shutil.which(compiler)
    if found is None:
        raise BadInput(f"{compiler} was not found: the C simulation needs a C++ compiler (Debian, Ubuntu: package g++)")
    program = folder.resolve() / f"csim-{_digest(folder, found)}"
    if not program.exists():
        unfinished = program.with_suffix(f".{os.getpid()}")
        _run(
            [found, *FLAGS, "csim.cpp", *units(folder), "-o", str(unfinished)],
            folder,
            folder / "csim.log",
            _COMPILE_SECONDS,
        )
        for old in folder.glob("csim-*"):
            if not old.suffix:
                old.unlink(missing_ok=True)
        os.replace(unfinished, program)
    return program


def _interface(folder: Path) -> dict:
    try:
        return json.loads((folder / "csim.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise BadInput(f"{folder / 'csim.json'}: no project for the C simulation ({error})") from None


def units(folder: Path) -> list[str]:
    """The project's compilation units beside `csim.cpp`, relative to `folder`."""
    return sorted(str(path.relative_to(folder)) for path in (folder / "firmware").glob("*.cpp"))


def _digest(folder: Path, compiler: str) -> str:
    """Sixteen hexadecimal digits of everything that decides what the program does."""
    total = hashlib.sha256("\0".join((compiler, *FLAGS)).encode())
    inside = [path for part in _SOURCES for path in (folder / part).rglob("*") if path.is_file()]
    for path in sorted([*folder.glob("*.cpp"), *inside]):
        total.update(f"\0{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _run(command: list[str], folder: Path, log: Path, seconds: float) -> None:
    """Run a tool in `folder`, its output in `log`; raises ToolFailed with the first line that speaks of an error."""
    status = process.run(command, folder, log, seconds)
    if status == 0:
        return
    lines = log.read_text(errors="replace").splitlines()
    line = next((number for number, text in enumerate(lines, 1) if "error" in text.lower()), None)
    said = f": {lines[line - 1].strip()}" if line else ""
    raise ToolFailed(f"{Path(command[0]).name} ended with status {status}{said}", log, line)
