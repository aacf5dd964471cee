"""The emulator: a network in C++ that computes the firmware's own integers, many events at a time.

Made from the same stages and types as the HLS project, and so exact: no rounding but those of the design. `write`
leaves sources that need a C++ compiler and nothing else; `compile_library` compiles them.
"""

import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np

from flow import process
from flow.errors import BadInput, Storage, ToolFailed
from flow.firmware.emulator import interface
from flow.firmware.emulator.names import Names
from flow.firmware.emulator.program import Program, program
from flow.firmware.emulator.source import source
from flow.firmware.precision import HlsType, Stage, types
from flow.formats import Format

__all__ = ["Names", "Program", "compile_library", "load", "program", "run_alone", "write", "write_model"]

COMPILER = "g++"
_COMPILE_SECONDS, _RUN_SECONDS = 900, 900


def write_model(model, word: Format, folder: Path, names: Names, target=None, facts: Mapping | None = None) -> Program:
    """The emulator of a QKeras model whose input words have the format `word`; see `write`."""
    from flow.firmware import hls4ml_qkeras

    stages = hls4ml_qkeras.stages(model) if target is None else hls4ml_qkeras.stages(model, target)
    return write(stages, word, model.inputs[0].shape[-1], folder, names, facts)


def write(
    stages: Sequence[Stage], word: Format, n_in: int, folder: Path, names: Names, facts: Mapping | None = None
) -> Program:
    """Write sources, headers, Python module and Makefile into `folder`; the same input gives the same bytes.

    `facts` (JSON: digests and the like) are told by the emulator's info. Raises BadInput, before anything is written,
    for a network that the emulator can't hold.
    """
    made = program(stages, types(stages, word, n_in), word, n_in)
    info = {
        "name": names.name,
        "version": names.version,
        "inputs": made.n_in,
        "outputs": made.n_out,
        "input": _told(made.words),
        "output": _told(made.result),
        **(facts or {}),
    }
    sizes = made.n_in, made.n_out
    texts = {
        f"{names.prefix}.cpp": source(made, names, json.dumps(info, sort_keys=True)),
        f"{names.prefix}.h": interface.c_header(names, str(made.words), str(made.result), *sizes),
        f"{names.prefix}.hpp": interface.cpp_header(names),
        f"{names.prefix}.py": interface.python_module(names),
        f"{names.prefix}.map": interface.symbols(names),
        "check.cpp": interface.check(names),
        "Makefile": interface.makefile(names),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            unfinished = folder / f".{name}.{os.getpid()}"
            unfinished.write_text(text)
            os.replace(unfinished, folder / name)
    except OSError as error:
        raise Storage(f"{folder}: {error}") from error
    return made


def compile_library(folder: Path, names: Names, flags: Sequence[str] = interface.FLAGS) -> Path:
    """Compile the library in `folder` and return its path; the log is `compile.log` beside it."""
    script, soname = f"-Wl,--version-script={names.prefix}.map", f"-Wl,-soname,{names.library}"
    return _compile(folder, [*flags, "-shared", "-s", script, soname, f"{names.prefix}.cpp"], names.library)


class _LeavingNothing(SourceFileLoader):
    """Imports a module without a `__pycache__` beside it: what lies in the folder is what a bundle holds."""

    def set_data(self, path, data, *, _mode=0o666) -> None:
        """Called with the bytecode to keep, which is not kept."""


def load(folder: Path, names: Names):
    """An `Emulator` of the Python module in `folder`, on the library that was compiled there; no file is left."""
    path = folder / f"{names.prefix}.py"
    loader = _LeavingNothing(names.prefix, str(path))
    spec = importlib.util.spec_from_file_location(names.prefix, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Emulator()


def run_alone(folder: Path, names: Names, words: np.ndarray) -> np.ndarray:
    """Outputs (n, n_out) for integer words (n, n_in), int64, by a program that is compiled from the sources in `folder`.

    It runs in a process of its own. Raises ToolFailed where that fails.
    """
    program = _compile(
        folder, ["-std=c++17", "-O2", "-Wno-psabi", "check.cpp", f"{names.prefix}.cpp"], "check_emulator"
    )
    given, log = folder / "words.txt", folder / "outputs.txt"
    np.savetxt(given, words, fmt="%d")
    if process.run([str(program.resolve()), given.name], folder, log, _RUN_SECONDS):
        raise ToolFailed("the emulator failed", log)
    try:
        return np.loadtxt(log, dtype=np.int64, ndmin=2).reshape(len(words), -1)
    except ValueError as error:
        raise ToolFailed(f"the emulator's outputs can't be read: {error}", log) from None


def _compile(folder: Path, arguments: Sequence[str], result: str) -> Path:
    found = shutil.which(COMPILER)
    if found is None:
        raise BadInput(f"{COMPILER} was not found: the emulator needs a C++ compiler (Debian, Ubuntu: package g++)")
    log, unfinished = folder / "compile.log", f".{result}.{os.getpid()}"
    if process.run([found, *arguments, "-o", unfinished], folder, log, _COMPILE_SECONDS):
        lines = log.read_text(errors="replace").splitlines()
        line = next((number for number, text in enumerate(lines, 1) if "error" in text.lower()), None)
        said = f": {lines[line - 1].strip()}" if line else ""
        raise ToolFailed(f"{COMPILER} could not compile the emulator{said}", log, line)
    os.replace(folder / unfinished, folder / result)
    return folder / result


def _told(form: HlsType) -> dict:
    return {"type": str(form), "bits": form.width, "fraction": form.fraction, "signed": form.signed}
