"""What Vivado reads: the clock's constraint and the script of synthesis and implementation out of context."""

from collections.abc import Sequence

from flow.firmware.settings import Language

_READ = {Language.VERILOG: "read_verilog", Language.VHDL: "read_vhdl -vhdl2008"}

SCRIPT = r"""# Synthesis and implementation out of context, with reports after each step. From anywhere:
#   vivado -mode batch -source build_vivado.tcl [-tclargs name=value ...]
# top: @TOP@ (the network) or @WRAPPER@ (with valid signals)
# part, clock_ns: another part, another clock period
# until: synth, place or route, the last step
# out: folder of the reports, beside this script unless absolute
set root [file normalize [file dirname [info script]]]
set top @TOP@
set part @PART@
set clock_ns @CLOCK@
set until route
set out vivado
foreach given $argv {
    if {![regexp {^(top|part|clock_ns|until|out)=(.+)$} $given whole name value]} {
        error "$given is not known; known: top= part= clock_ns= until= out="
    }
    set $name $value
}
if {[lsearch -exact {synth place route} $until] < 0} {
    error "until=$until is not known; known: synth place route"
}
set out [file join $root $out]
file mkdir $out

proc report {step out} {
    report_utilization -file "$out/${step}_utilization.rpt"
    report_utilization -hierarchical -file "$out/${step}_hierarchy.rpt"
    report_timing_summary -file "$out/${step}_timing.rpt"
    report_power -file "$out/${step}_power.rpt"
    write_checkpoint -force "$out/${step}.dcp"
}

foreach source {
@SOURCES@
} {
    @READ@ "$root/$source"
}
@MEMORIES@if {$clock_ns == @CLOCK@} {
    read_xdc -mode out_of_context "$root/src/@TOP@.xdc"
} else {
    set constraint [open "$out/clock.xdc" w]
    puts $constraint "create_clock -period $clock_ns -name clk \[get_ports clk\]"
    close $constraint
    read_xdc -mode out_of_context "$out/clock.xdc"
}

synth_design -top $top -part $part -mode out_of_context -flatten_hierarchy rebuilt
report synth $out
if {$until eq "synth"} { return }

opt_design
place_design
phys_opt_design
report place $out
if {$until eq "place"} { return }

route_design
report route $out
report_drc -file "$out/route_drc.rpt"
puts "slack: [get_property SLACK [get_timing_paths]] ns"
"""


def constraints(clock_ns: float) -> str:
    """The clock alone: all ports are registered, and what is outside is not known."""
    return f"create_clock -period {clock_ns:g} -name clk [get_ports clk]\n"


def script(
    top: str,
    wrapper: str,
    part: str,
    clock_ns: float,
    language: Language,
    sources: Sequence[str],
    memories: Sequence[str] = (),
) -> str:
    """The Tcl script; `sources` are paths within the project in the order of compilation, `memories` those of what
    they read with $readmemh and its like."""
    marks = {
        "TOP": top, "WRAPPER": wrapper, "PART": part, "CLOCK": f"{clock_ns:g}", "READ": _READ[language],
        "SOURCES": "\n".join(f"    {path}" for path in sources),
        "MEMORIES": "".join(f'read_mem "$root/{path}"\n' for path in memories),
    }  # fmt: skip
    text = SCRIPT
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", value)
    return text
