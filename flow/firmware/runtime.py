"""Verilator's runtime library, compiled once and kept in the user's cache: of the time that a small simulation takes to
compile, it takes two thirds."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from flow.store import user_cache

OBJECTS = ("verilated.o", "verilated_threads.o")
COMPILER = "c++"  # that Verilator's makefile calls
_ASKED = ("CXX", "CXXFLAGS", "CPPFLAGS", "CPATH", "CPLUS_INCLUDE_PATH")  # what else in an environment changes objects


def lend(folder: Path, version: str, flags: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Lay the kept objects, if there are any, into the folder in which make works; the options that make it use them."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        kept = _kept(version, flags, environment)
        for name in OBJECTS:
            shutil.copyfile(kept / name, folder / name)
    except (OSError, RuntimeError):  # nothing is kept yet, or the user has no home: make compiles what is missing
        for name in OBJECTS:
            (folder / name).unlink(missing_ok=True)
        return []
    return [f"--old-file={name}" for name in OBJECTS]


def keep(folder: Path, version: str, flags: Sequence[str], environment: Mapping[str, str]) -> None:
    """Keep what make has compiled in a folder; where the cache can't be written, it is compiled again next time."""
    with suppress(OSError, RuntimeError):
        kept = _kept(version, flags, environment)
        if all((kept / name).exists() for name in OBJECTS):
            return
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as making:
            for name in OBJECTS:
                shutil.copyfile(folder / name, Path(making) / name)
                os.replace(Path(making) / name, kept / name)


def _kept(version: str, flags: Sequence[str], environment: Mapping[str, str]) -> Path:
    """Where the objects of a Verilator, a compiler and flags are."""
    compiler = shutil.which(environment.get("CXX", COMPILER), path=environment.get("PATH"))
    about = [] if compiler is None else [os.path.realpath(compiler), os.stat(compiler).st_mtime_ns]
    asked = [environment.get(name, "") for name in _ASKED]
    digest = hashlib.sha256(json.dumps([version, list(flags), about, asked]).encode()).hexdigest()[:16]
    return user_cache() / "verilator" / digest
