"""Which names the modules of a project may have, in the languages that it is written in."""

import re
from collections.abc import Collection

from flow.errors import BadInput
from flow.firmware import names
from flow.firmware.settings import Language

WRAPPER_SUFFIX, TABLES_SUFFIX = "_valid", "_tables"

_VHDL_WORDS = """
    abs access after alias all and architecture array assert assume attribute begin block body buffer bus case
    component configuration constant context cover default disconnect downto else elsif end entity exit fairness
    file for force function generate generic group guarded if impure in inertial inout is label library linkage
    literal loop map mod nand new next nor not null of on open or others out package parameter port postponed
    procedure process property protected pure range record register reject release rem report restrict return rol
    ror select sequence severity shared signal sla sll sra srl strong subtype then to transport type unaffected
    units until use variable view vmode vprop vunit wait when while with work xnor xor ieee std
"""
_RESERVED = {Language.VERILOG: names.VERILOG, Language.VHDL: frozenset(_VHDL_WORDS.split())}


def check(top: str, modules: Collection[str], operators: Collection[str], language: Language) -> None:
    """Raise BadInput where the name of the top module or of a stage can't be written, or is given twice.

    `operators` are the names of alkaid's own modules. VHDL sources come beside the Verilog, so that its rules are
    checked on top of Verilog's.
    """
    if not (top.isidentifier() and top.isascii()) or top.lower() in _RESERVED[Language.VERILOG]:
        raise BadInput(
            f"{top!r} can't be the name of a Verilog module; letters, digits and _ are allowed, words of the language not"
        )
    for name in modules:
        if name.lower() in _RESERVED[Language.VERILOG]:
            raise BadInput(
                f"{name!r} can't be the name of a Verilog module: it is a word of the language; rename the layer"
            )
    made = {top, top + WRAPPER_SUFFIX, top + TABLES_SUFFIX}
    for name in made & set(modules):
        raise BadInput(f"{name!r} is the name of a stage of the network; choose another name for the top module")
    for name in made & set(operators):
        raise BadInput(f"{name!r} is the name of one of alkaid's modules; choose another name for the top module")
    if language is Language.VHDL:
        _check_vhdl([*sorted(made), *modules, *operators])


def _check_vhdl(entities: Collection[str]) -> None:
    seen: dict[str, str] = {}
    for name in entities:
        if not re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name) or name.lower() in _RESERVED[Language.VHDL]:
            raise BadInput(
                f"{name!r} can't be the name of a VHDL entity: it begins with a letter, has single _ between letters and"
                " digits, and is no word of the language; rename the layer or the task, or choose verilog"
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise BadInput(
                f"{other!r} and {name!r} are the same name in VHDL; rename one of the layers, or choose verilog"
            )
