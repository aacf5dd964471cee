"""The files of an RTL project around the network's own sources: wrapper, constraints, Vivado script, description.

Both generators of a network (`flow.firmware.rtl`, `flow.firmware.multiplexed`) end here, so that their projects look
alike. A VHDL project keeps the Verilog under ``src/`` too: that is what Verilator and Yosys read.
"""

import json
import os
import re
import shutil
from pathlib import Path

from flow.errors import BadInput
from flow.firmware.rtl import handshake, ports, vivado
from flow.firmware.rtl.codegen import SUFFIX
from flow.firmware.settings import Language

FOLDER = {Language.VERILOG: "src", Language.VHDL: "vhdl"}
TEST_BENCH = "tb"


def write(folder: Path, description: dict, sources: dict[Language, dict[str, str]]) -> None:
    """Write a project into `folder`, in place of what an earlier call left there.

    `description` is what ``rtl.json`` tells, without the files and the wrapper, which are added. `sources` are the
    modules of the network by language, each in the order of compilation; Verilog always, and the language
    of the description. An interrupted call leaves what was there before. Raises BadInput for a part whose name can't
    stand in a script.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+", description["part"]):
        raise BadInput(f"part {description['part']!r}: letters, digits, '_', '.', '+' and '-' are allowed")
    description = description | {"wrapper": handshake.name(description["top"])}
    made = {
        path: text for language, modules in sources.items() for path, text in _modules(description, language, modules)
    }
    files = {str(language): _of(made, language) for language in sources}
    description["files"] = files
    top, language = description["top"], Language(description["language"])
    made[f"{FOLDER[Language.VERILOG]}/{top}.xdc"] = vivado.constraints(description["clock_ns"])
    made["build_vivado.tcl"] = vivado.script(
        top, description["wrapper"], description["part"], description["clock_ns"], language, files[language]
    )
    made["PORTS.md"] = ports.text(description)
    made["rtl.json"] = json.dumps(description, indent=1) + "\n"
    _replace(folder, made)


def _modules(description: dict, language: Language, modules: dict[str, str]) -> list[tuple[str, str]]:
    """Path and text of each source, the wrapper last."""
    wrapper = handshake.text(
        language, description["top"], ports.width(description["inputs"]), ports.width(description["outputs"]),
        description["latency_cycles"], description["interval_cycles"], description.get("start"),
    )  # fmt: skip
    all_of_them = {**modules, description["wrapper"]: wrapper}
    return [(f"{FOLDER[language]}/{name}{SUFFIX[language]}", text) for name, text in all_of_them.items()]


def _of(made: dict[str, str], language: Language) -> list[str]:
    return [path for path in made if path.endswith(SUFFIX[language])]


def _replace(folder: Path, made: dict[str, str]) -> None:
    """Put files into `folder`; the folders that they are in hold nothing else afterwards."""
    beside = folder / f".new-{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for path, text in made.items():
            (beside / path).parent.mkdir(parents=True, exist_ok=True)
            (beside / path).write_text(text)
        for name in (*FOLDER.values(), TEST_BENCH):
            shutil.rmtree(folder / name, ignore_errors=True)
        for path in sorted(beside.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
