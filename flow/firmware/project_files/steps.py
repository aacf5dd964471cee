"""The targets of a project's Makefile as data: what each needs, which tool it calls, where its log goes.

Each step works in a folder of its own and leaves a `.done` file there, so that nothing runs twice and `make -j` is
safe. Cosimulation and export of the Xilinx tools share the solution that C synthesis left: where both are asked for,
one waits for the other.
"""

from dataclasses import dataclass

from flow.firmware.project_files.facts import Facts
from flow.firmware.project_files.scripts import XILINX
from flow.firmware.settings import Backend


@dataclass(frozen=True)
class Step:
    """A target. `commands` run in `place`, each behind the launcher, their output in `log`, both relative to the folder.

    `makes`: folder, relative to `place`, that is made anew first; the log and the file that says "done" lie there.
    """

    name: str
    help: str
    place: str
    makes: str
    commands: tuple[str, ...]
    needs: tuple[str, ...] = ()
    inside: bool = False  # whether the commands run in `makes` itself

    @property
    def folder(self) -> str:
        return f"{self.place}/{self.makes}"

    @property
    def done(self) -> str:
        return f"{self.folder}/{self.name}.done"

    @property
    def log(self) -> str:
        return f"{self.folder}/{self.name}.log"


HLS_SOURCES = "$(HLS_SOURCES)"
RTL_SOURCES = "$(RTL_SOURCES)"
BENCH = "$(BENCH)"


def steps(facts: Facts) -> tuple[Step, ...]:
    """All targets that call a tool, but `csim` and `sim`, which the Makefile spells out."""
    backend = facts.target.backend
    if backend in XILINX:
        hls = _xilinx()
    elif backend == Backend.CATAPULT:
        hls = _catapult()
    else:
        hls = _oneapi(facts.top)
    return (*hls, *_rtl(facts))


def _xilinx() -> tuple[Step, ...]:
    rows = (
        ("csynth", "C synthesis of hls/", (HLS_SOURCES,)),
        ("cosim", "cosimulation of the synthesised RTL with the test bench of hls/", ("hls/logs/csynth.done", BENCH)),
        ("export", "the synthesised RTL as an IP of Vivado's catalogue", ("hls/logs/csynth.done",)),
    )
    found = [
        Step(name, text, "hls", "logs", (f"$(HLS) tcl/{name}.tcl",), (*needs, *_scripts(name), "hls/project.tcl"))
        for name, text, needs in rows
    ]
    return (*found, *_vivado_of_hls(found[0]))


def _catapult() -> tuple[Step, ...]:
    rows = (
        ("csynth", "C synthesis of hls/", (HLS_SOURCES,)),
        ("cosim", "C synthesis, and cosimulation with the test bench of hls/", (HLS_SOURCES, BENCH)),
    )
    found = [
        Step(
            name,
            text,
            "hls",
            name,
            (f"$(HLS) ../tcl/{name}.tcl",),
            (*needs, *_scripts(name), "hls/build_prj.tcl"),
            True,
        )
        for name, text, needs in rows
    ]
    return (*found, *_vivado_of_hls(found[0]))


def _vivado_of_hls(csynth: Step) -> tuple[Step, ...]:
    script = "$(VIVADO) -mode batch -nojournal -nolog -source ../tcl/{}.tcl"
    vsynth = Step(
        "vsynth", "logic synthesis, out of context, of the synthesised RTL", "hls", "vsynth",
        (script.format("vsynth"),), (csynth.done, "hls/constraints.xdc", *_scripts("vsynth")), True,
    )  # fmt: skip
    impl = Step(
        "impl", "place and route, out of context, of the netlist of vsynth", "hls", "impl",
        (script.format("impl"),), (vsynth.done, *_scripts("impl")), True,
    )  # fmt: skip
    return (vsynth, impl)


def _scripts(name: str) -> tuple[str, str]:
    return ("hls/tcl/common.tcl", f"hls/tcl/{name}.tcl")


def _oneapi(top: str) -> tuple[Step, ...]:
    rows = (
        ("emulate", "fpga_emu", "the test bench of hls/ in the emulator", True),
        ("csynth", "report", "C synthesis of hls/: the compiler's report", False),
        ("cosim", "fpga_sim", "cosimulation with the test bench of hls/ (needs Questa)", True),
        ("export", "fpga_ip_export", "hls/ as an IP", False),
        ("impl", "fpga", "the whole way through Quartus, for a board", False),
    )
    found = []
    for name, target, text, runs in rows:
        commands = ["$(CMAKE) ../..", f"$(CMAKE) --build . --target {target}"]
        if runs:
            commands.append(f"./{top}.{target} ../../tb_data/inputs.txt ../../tb_data/outputs.txt")
        needs = (HLS_SOURCES, "hls/CMakeLists.txt", BENCH)
        found.append(Step(name, text, "hls", f"build/{name}", tuple(commands), needs, True))
    return tuple(found)


def _rtl(facts: Facts) -> tuple[Step, ...]:
    vivado = Step(
        "vivado", f"synthesis, place and route, out of context, of rtl/ for {facts.target.part}", "rtl", "vivado",
        ("$(VIVADO) -mode batch -nojournal -nolog -source build_vivado.tcl",), (RTL_SOURCES, "rtl/build_vivado.tcl"),
    )  # fmt: skip
    yosys = Step(
        "yosys", "synthesis of rtl/ without vendor tools", "rtl", "yosys",
        ("$(YOSYS) yosys.ys",), (RTL_SOURCES, "rtl/yosys.ys"),
    )  # fmt: skip
    # the parts of others are nothing that Vivado knows
    return (vivado, yosys) if facts.target.part.lower().startswith("xc") else (yosys,)
