"""The sources of a pipelined network in Verilog and in VHDL, both by alkaid's generators, in the order of compilation.

The VHDL has the modules, signals and operators of the Verilog, one for one.
"""

from pathlib import Path

from flow.firmware.rtl.naming import TABLES_SUFFIX
from flow.firmware.settings import Language

RECTIFIER = 2  # alkaid's operation code
SUFFIX = {Language.VERILOG: ".v", Language.VHDL: ".vhd"}
_USED = {Language.VERILOG: " {} #(", Language.VHDL: "entity work.{} "}


def sources(fsm, top: str, language: Language) -> dict[str, str]:
    """Module -> source of an alkaid FSM: its operators first, tables, stages, and `top` last."""
    made = _generator(language)(fsm, top)
    if language is Language.VHDL:
        made |= {name: _mended(comb, made[name]) for name, comb in fsm.logic.items()}
    text = "".join(made.values())
    tables = top + TABLES_SUFFIX
    order = [*(name for name in made if name == tables), *(name for name in made if name not in (tables, top)), top]
    return operator_sources(language, text) | {name: made[name] for name in order}


def _mended(comb, text: str) -> str:
    """VHDL of a stage whose rectifiers to one bit take the bit that the Verilog takes; alkaid 0.8.2 takes the lowest."""
    for i, op in enumerate(comb.ops):
        if op.opcode != RECTIFIER or sum(op.qint.kif) != 1:
            continue
        (source,) = op.addr
        bit = comb.ops[source].qint.kif[2] - op.qint.kif[2]
        text = text.replace(f"v{i}(0) <= v{source}(0) and ", f"v{i}(0) <= v{source}({bit}) and ")
    return text


def operators(language: Language) -> list[str]:
    """The names of alkaid's operator modules."""
    return [path.stem for path in operator_files(language)]


def operator_sources(language: Language, text: str) -> dict[str, str]:
    """alkaid's operator modules that a text uses, by name."""
    used = _USED[language]
    return {path.stem: path.read_text() for path in operator_files(language) if used.format(path.stem) in text}


def operator_files(language: Language) -> list[Path]:
    import alkaid.codegen.rtl as package

    return sorted((Path(package.__file__).parent / language.value / "source").glob(f"*{SUFFIX[language]}"))


def _generator(language: Language):
    from alkaid.codegen.rtl import verilog, vhdl

    return {Language.VERILOG: verilog, Language.VHDL: vhdl}[language].fsm_logic_gen
