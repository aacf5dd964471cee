"""The scripts that tools read: Tcl for C synthesis, cosimulation, logic synthesis and implementation, and Yosys'.

Where they are is `hls/tcl`; those for the Verilog lie in `rtl/`. Each ends its tool with status 1 where a command
fails, so that `make` stops.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from flow.errors import BadInput
from flow.firmware.project_files.facts import Facts
from flow.firmware.settings import Backend

XILINX = (Backend.VITIS, Backend.VIVADO)
CONSTRAINTS = "constraints.xdc"
CLOCK = "ap_clk"
"""The clock's port in what the HLS tools of Xilinx write."""

_COMMON = """# What the scripts of this folder share: the project's name, part and clock, and how a script ends its tool.
set root [file join [file dirname [info script]] ..]
{settings}
# Runs a script, then ends the tool, with status 1 where a command failed.
proc run {{script}} {{
    if {{[catch {{uplevel #0 $script}} message]}} {{
        puts stderr "ERROR: $message"
        exit 1
    }}
    exit 0
}}
"""

_SOURCE_COMMON = "source [file join [file dirname [info script]] common.tcl]\n"

_TEST_BENCH = '    add_files -tb ${project_name}_test.cpp -cflags "-std=c++0x"\n'
_FOLDER = "    add_files -tb {}\n"

# hls4ml's own settings for the tool, in its order.
_CSYNTH = """# C synthesis; runs in hls/.
{common}
run {{
    open_project -reset ${{project_name}}_prj
    set_top $project_name
    add_files firmware/${{project_name}}.cpp -cflags "-std=c++0x"
{benches}    open_solution -reset solution1
    catch {{config_array_partition -maximum_size $maximum_size}}
    config_compile -name_max_length 80
    set_part $part
    config_schedule -enable_dsp_full_reg=false
    create_clock -period $clock_period -name default
    set_clock_uncertainty $clock_uncertainty default
    csynth_design
}}
"""

_COSIM = """# Cosimulation of the synthesised RTL; runs in hls/, after csynth.tcl. It fails where the test bench does.
{common}
run {{
    open_project ${{project_name}}_prj
    open_solution solution1
    cosim_design
}}
"""

_EXPORT = """# Packages the synthesised RTL as an IP of Vivado's catalogue; runs in hls/, after csynth.tcl.
{common}
run {{
    open_project ${{project_name}}_prj
    open_solution solution1
    export_design {flow}-format ip_catalog -version $version
}}
"""

_CATAPULT = """# {what}; runs in a folder of its own below hls/.
{common}
set ::argv {{{options}}}
run {{ source [file join $root build_prj.tcl] }}
"""

_VSYNTH = """# Logic synthesis, out of context, of what C synthesis wrote; runs in hls/vsynth.
{common}
run {{
    set sources [lsort [glob -nocomplain {sources}]]
    if {{![llength $sources]}} {{ error "no Verilog of C synthesis: run make csynth first" }}
    create_project -in_memory -part $part
    add_files $sources
    read_xdc -mode out_of_context [file join $root {constraints}]
    synth_design -top $project_name -part $part -mode out_of_context
    report_utilization -file utilization.rpt
    report_utilization -hierarchical -file hierarchy.rpt
    report_timing_summary -file timing.rpt
    write_checkpoint -force synth.dcp
}}
"""

_IMPL = """# Implementation, out of context, of vsynth.tcl's netlist; runs in hls/impl.
{common}
run {{
    open_checkpoint [file join $root vsynth synth.dcp]
    opt_design
    place_design
    phys_opt_design
    route_design
    report_utilization -file utilization.rpt
    report_utilization -hierarchical -file hierarchy.rpt
    report_timing_summary -file timing.rpt
    report_power -file power.rpt
    write_checkpoint -force route.dcp
}}
"""

_INVOKED = re.compile(r"^flow package option set /SCVerify/INVOKE_ARGS .*$", re.MULTILINE)
_INVOKE = 'flow package option set /SCVerify/INVOKE_ARGS "$sfd/tb_data/inputs.txt $sfd/tb_data/outputs.txt"'

_CATAPULT_OPTIONS = {
    "csynth": ("C synthesis", "synth=1"),
    "cosim": ("C synthesis and cosimulation of what came out; it fails where the test bench does", "synth=1 cosim=1"),
}
_CATAPULT_OFF = "reset=0 csim=0 validation=0 vhdl=0 verilog=1 export=0 vsynth=0 fifo_opt=0"


def hls(facts: Facts) -> dict[str, str]:
    """The scripts of ``hls/tcl`` and the constraints, by path relative to ``hls/``; none for oneAPI, which has CMake."""
    backend = facts.target.backend
    if backend == Backend.ONEAPI:
        return {}
    if backend in XILINX:
        scripts = xilinx("source [file join $root project.tcl]\n")
    else:
        settings = f"set project_name {facts.top}\nset part {facts.target.part}\n"
        scripts = {
            name: _CATAPULT.format(what=what, common=_SOURCE_COMMON, options=f"{options} {_CATAPULT_OFF}")
            for name, (what, options) in _CATAPULT_OPTIONS.items()
        } | _implemented(settings, "[file join $root csynth ${project_name}_prj * concat_rtl.v]", CONSTRAINTS)
    clock = CLOCK if backend in XILINX else "clk"
    made = {f"tcl/{name}.tcl": scripts[name] for name in sorted(scripts)}
    return {**made, CONSTRAINTS: clock_constraints(facts.target.clock_ns, clock)}


def xilinx(
    settings: str,
    test_bench: bool = True,
    folders: Sequence[str] = ("tb_data",),
    flow: str | None = None,
    constraints: str = CONSTRAINTS,
) -> dict[str, str]:
    """The scripts of Vivado HLS, Vitis HLS and Vivado by name: csynth, cosim, export, vsynth, impl, and common, which
    the others read.

    They lie in a folder of the HLS project. `settings` is Tcl that sets what hls4ml's project.tcl does; `folders` are
    those that the test bench reads; `flow` says how far an export goes on with Vivado ("syn", "impl"), to report what
    came out; `constraints` is the file of the clock's, relative to the project.
    """
    benches = (_TEST_BENCH if test_bench else "") + "".join(_FOLDER.format(folder) for folder in folders)
    export = "" if flow is None else f"-flow {flow} -rtl verilog "
    return {
        "csynth": _CSYNTH.format(common=_SOURCE_COMMON, benches=benches),
        "cosim": _COSIM.format(common=_SOURCE_COMMON),
        "export": _EXPORT.format(common=_SOURCE_COMMON, flow=export),
        **_implemented(settings, "[file join $root ${project_name}_prj solution1 syn verilog *]", constraints),
    }


def _implemented(settings: str, sources: str, constraints: str) -> dict[str, str]:
    return {
        "common": _COMMON.format(settings=settings),
        "vsynth": _VSYNTH.format(common=_SOURCE_COMMON, sources=sources, constraints=constraints),
        "impl": _IMPL.format(common=_SOURCE_COMMON),
    }


def clock_constraints(clock_ns: float, port: str = CLOCK) -> str:
    """The clock alone, of a period in ns."""
    return f"create_clock -period {clock_ns:g} -name {port} [get_ports {port}]\n"


def yosys(facts: Facts) -> str:
    """Out-of-context synthesis of the Verilog; run in ``rtl/``. An unknown part is mapped to LUTs of six inputs."""
    reads = "\n".join(f"read_verilog -sv -defer {source}" for source in facts.rtl_sources)
    family = facts.yosys_family
    if family is None:
        mapping = f"synth -top {facts.top} -flatten -lut 6"
    else:
        mapping = f"synth_xilinx -top {facts.top} -family {family} -flatten -noiopad -noclkbuf"
    return f"""{reads}
hierarchy -top {facts.top}
proc
flatten
setattr -unset rom_style */*
{mapping}
tee -o yosys/stat.json stat -json
write_verilog -noattr yosys/{facts.top}.v
"""


def adapt(folder: Path, facts: Facts) -> None:
    """Take out of the HLS project in `folder` what hls4ml's own way to build it leaves, and give Catapult our vectors.

    Its scripts compare nothing, or text files that they have written themselves; `make` calls those of ``tcl/``.
    """
    for name in ("build_lib.sh", "build_opt.tcl", "vivado_synth.tcl", "catapult_synth.tcl"):
        (folder / name).unlink(missing_ok=True)
    script = folder / "build_prj.tcl"
    if facts.target.backend in XILINX:
        script.unlink(missing_ok=True)
    elif facts.target.backend == Backend.CATAPULT:
        text, count = _INVOKED.subn(_INVOKE, script.read_text())
        if count != 1:
            raise BadInput(
                f"{script.name} of hls4ml: where the test bench is told its vectors was found {count} times, not once"
            )
        script.write_text(text)
