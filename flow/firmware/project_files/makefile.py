"""The project's Makefile."""

from pathlib import Path

from flow.firmware.project_files.facts import Facts
from flow.firmware.project_files.scripts import XILINX
from flow.firmware.project_files.steps import Step, steps
from flow.firmware.settings import Backend, Language

# backend -> the command of its tool, and what the tool is called
TOOLS = {
    Backend.VITIS: ("vitis-run --mode hls --tcl", "Vitis HLS"),
    Backend.VIVADO: ("vivado_hls -f", "Vivado HLS"),
    Backend.CATAPULT: ("catapult -product ultra -shell -f", "Catapult"),
    Backend.ONEAPI: ("", "oneAPI's icpx and CMake"),
}
_OLDER = "before Vitis 2024.1 add HLS='vitis_hls -f'"
_TEXT = """# Builds this folder with nothing but the tool that a target names. `make help` lists the targets.
# LAUNCHER is put before each tool, for a batch system: make csynth LAUNCHER='srun -c 8'
LAUNCHER ?=
CXX ?= g++
{tools}
SHA256SUM ?= sha256sum

HLS_SOURCES := {hls_files}
RTL_SOURCES := $(wildcard rtl/src/* rtl/vhdl/*)
BENCH := $(wildcard hls/*_test.cpp hls/src/*_test.cpp hls/tb_data/*)
CSIM_SOURCES := {csim_sources}
CSIM_FLAGS := {csim_flags}
VECTORS := ../vectors/inputs.txt ../vectors/{expected}

.DEFAULT_GOAL := help
failed = {{ echo 'make: failed; see $(1)' >&2; exit 1; }}

.PHONY: help csim sim {names} verify-digests clean

help:
{help}

{csim}
{sim}
{steps}
verify-digests:
	$(LAUNCHER) $(SHA256SUM) --check --quiet SHA256SUMS
	@echo 'all files are as they were built'

clean:
	rm -rf {clean}
"""

_CSIM = """csim: hls/csim
	cd hls && $(LAUNCHER) ./csim {arguments}$(VECTORS)

hls/csim: $(addprefix hls/,$(CSIM_SOURCES)) $(HLS_SOURCES) Makefile
	cd hls && $(LAUNCHER) $(CXX) $(CSIM_FLAGS) $(CSIM_SOURCES) -o csim
"""

_NO_CSIM = """csim:
	@echo 'no C simulation with a plain compiler: {reason}' >&2; exit 2
"""

# By simulator: commands in a folder of their own, which has the vectors. xsim's exit status is always 0: the bench's
# last line decides for all of them.
_SIM = """SIM ?= verilator
VERILATOR ?= verilator
VERILATOR_FLAGS ?=
BENCH_FILES := {bench_files}

verilator_steps = $(LAUNCHER) $(VERILATOR) --binary --timing -Wno-fatal -Wno-lint --top-module {top}_tb --Mdir obj \\
	-CFLAGS -std=c++20 $(VERILATOR_FLAGS) $(BENCH_FILES) && $(LAUNCHER) obj/V{top}_tb
iverilog_steps = $(LAUNCHER) iverilog -g2012 -s {top}_tb -o bench.vvp $(BENCH_FILES) && $(LAUNCHER) vvp bench.vvp
xsim_steps = $(LAUNCHER) xvlog -sv $(BENCH_FILES) && $(LAUNCHER) xelab {top}_tb -s bench \\
	&& $(LAUNCHER) xsim bench -runall
{ghdl}
sim: rtl/sim_$(SIM)/sim.done
rtl/sim_$(SIM)/sim.done: $(RTL_SOURCES) $(wildcard rtl/tb/*)
	$(if $($(SIM)_steps),,$(error SIM=$(SIM) is not known; known: {simulators}))
	@rm -rf $(@D) && mkdir -p $(@D) && cp rtl/tb/*.hex $(@D)
	cd $(@D) && {{ $($(SIM)_steps); }} > sim.log 2>&1 && grep -q 'PASS$$' sim.log || $(call failed,$(@D)/sim.log)
	@grep ' vectors, ' $(@D)/sim.log && touch $@
"""

_GHDL = """VHDL_FILES := {files}
ghdl_steps = $(LAUNCHER) ghdl -a --std=08 $(VHDL_FILES) && \\
	$(LAUNCHER) ghdl --elab-run --std=08 {top}_tb --ieee-asserts=disable
"""

_SERIAL = """# Both work on what C synthesis left.
ifneq (,$(filter cosim,$(MAKECMDGOALS)))
hls/logs/export.done: | hls/logs/cosim.done
endif
"""


def text(facts: Facts) -> str:
    """Targets that need this folder and the tool they are named after. LAUNCHER stands before every tool."""
    todo = steps(facts)
    own_bench = facts.target.backend != Backend.ONEAPI
    source = f"{facts.top}_test.cpp" if own_bench else "csim.cpp"
    csim = _CSIM.format(arguments="" if own_bench else "check ")
    if facts.csim_missing is not None:
        csim = _NO_CSIM.format(reason=_quoted(facts.csim_missing))
    body = "\n".join(_rules(step) for step in todo)
    if facts.target.backend in XILINX:
        body += "\n" + _SERIAL
    return _TEXT.format(
        tools="\n".join(f"{name} ?= {command}" for name, command in _tools(facts)),
        hls_files=_hls_files(facts),
        csim_sources=" ".join((source, *facts.hls_units)),
        csim_flags=" ".join(facts.csim_flags),
        expected=facts.expected,
        names=" ".join(step.name for step in todo),
        help="\n".join(_help(name, line) for name, line in _lines(facts, todo)),
        csim=csim,
        sim=_sim(facts),
        steps=body,
        clean=" ".join(_made(facts, todo)),
    )


def _sim(facts: Facts) -> str:
    bench, ghdl = f"../tb/{facts.top}_tb", ""
    if facts.target.language == Language.VHDL:
        ghdl = _GHDL.format(
            files=" ".join([*(f"../{name}" for name in facts.vhdl_sources), f"{bench}.vhd"]), top=facts.top
        )
    return _SIM.format(
        top=facts.top,
        bench_files=" ".join([f"{bench}.v", *(f"../{name}" for name in facts.rtl_sources)]),
        ghdl=ghdl,
        simulators=", ".join(_simulators(facts)),
    )


def _simulators(facts: Facts) -> list[str]:
    return ["verilator", "iverilog", "xsim", *(["ghdl"] if facts.target.language == Language.VHDL else [])]


def _tools(facts: Facts) -> list[tuple[str, str]]:
    command, _ = TOOLS[facts.target.backend]
    return [("HLS", command) if command else ("CMAKE", "cmake"), ("VIVADO", "vivado"), ("YOSYS", "yosys")]


def hls_sources(folder: Path, top: str) -> list[str]:
    """All that the C++ compilers read of the HLS project in `folder`, relative to it, but its test bench."""
    inside = (path for part in ("firmware", "src", "standin") for path in (folder / part).rglob("*") if path.is_file())
    found = (path.relative_to(folder).as_posix() for path in inside)
    return sorted(name for name in found if not name.endswith(f"/{top}_test.cpp"))


def _hls_files(facts: Facts) -> str:
    """A line for each file, so that an edit of any header is seen, however deep it lies."""
    return " \\\n\t".join(f"hls/{name}" for name in facts.hls_sources)


def _rules(step: Step) -> str:
    """A phony target, and the file that says that it is done."""
    where = step.folder if step.inside else step.place
    log = step.log.removeprefix(f"{where}/")
    renew = f"rm -rf {step.folder} && mkdir -p {step.folder}" if step.inside else f"mkdir -p {step.folder} && rm -f $@"
    lines = [
        f"cd {where} && $(LAUNCHER) {command} {'>' if number == 0 else '>>'} {log} 2>&1 || $(call failed,{step.log})"
        for number, command in enumerate(step.commands)
    ]
    commands = "\n".join(f"\t{line}" for line in (f"@{renew}", *lines, "@touch $@"))
    return f"{step.name}: {step.done}\n{step.done}: {' '.join(step.needs)}\n{commands}\n"


def _lines(facts: Facts, todo: tuple[Step, ...]) -> list[tuple[str, str]]:
    _, tool = TOOLS[facts.target.backend]
    rows = [("csim", "C simulation of hls/ on all vectors, compared bit by bit (a C++ compiler)")]
    rows.append(("sim", f"simulation of rtl/ with its test bench; SIM={'|'.join(_simulators(facts))}"))
    for step in todo:
        by = "Vivado" if "$(VIVADO)" in step.commands[0] else "Yosys" if "$(YOSYS)" in step.commands[0] else tool
        rows.append((step.name, f"{step.help} ({by})"))
    rows.append(("verify-digests", "whether all files are as they were built"))
    rows.append(("clean", "remove what these targets wrote"))
    rows.append(
        (
            "",
            "LAUNCHER='srun -c 8' goes before each tool"
            + (f"; {_OLDER}" if facts.target.backend == Backend.VITIS else ""),
        )
    )
    return rows


def _help(name: str, line: str) -> str:
    return f"\t@echo '{f'make {name}' if name else '':<20}{_quoted(line)}'"


def _quoted(text: str) -> str:
    """A text as it stands between single quotes in a recipe."""
    return text.replace("'", "'\\''").replace("$", "$$")


def _made(facts: Facts, todo: tuple[Step, ...]) -> list[str]:
    """What the targets leave; nothing that was built with the project."""
    made = list(dict.fromkeys(step.folder for step in todo))
    if facts.target.backend == Backend.ONEAPI:
        made.append("hls/build")
    own = ["hls/csim", "hls/csim-*", "hls/csim*.log", "rtl/sim", "rtl/sim_*"]
    if facts.target.backend in XILINX:
        own += [f"hls/{facts.top}_prj", "hls/vi*.log"]
    return own + made
