"""Stand-ins for the tools of a project's Makefile.

Each writes a line into a record: its name, folder and arguments. Those that read a Tcl script run it to its end in
tclsh, where every command that Tcl has not is recorded too; what the next tool needs to find is left where the real
one leaves it.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

LAUNCHER = "the-launcher"
_TCL_TOOLS = ("vitis-run", "vivado_hls", "vivado", "catapult")
_OTHERS = ("cmake", "yosys", "verilator", "iverilog", "vvp", "xvlog", "xelab", "xsim", "ghdl")

_TCL = r"""
set record [open $::env(RECORD) a]
fconfigure $record -buffering line
proc unknown {args} {
    puts $::record "tcl [string map [list \n { }] $args]"
    if {[lindex $args 0] eq $::env(BROKEN)} { error "[lindex $args 0] is broken" }
    return ""
}
proc leave {path} {
    file mkdir [file dirname $path]
    close [open $path w]
}
proc csynth_design {} {
    unknown csynth_design
    leave "${::project_name}_prj/solution1/syn/verilog/$::project_name.v"
}
proc project {args} {
    unknown project {*}$args
    if {[lindex $args 0] eq "new"} { leave "[lindex $args end]/x.v1/concat_rtl.v" }
}
proc write_checkpoint {args} { unknown write_checkpoint {*}$args; leave [lindex $args end] }
proc open_checkpoint {path} {
    unknown open_checkpoint $path
    if {![file exists $path]} { error "$path is not there" }
}
proc add_files {args} {
    unknown add_files {*}$args
    foreach path [lindex $args [expr {[lindex $args 0] eq "-tb"}]] {
        if {![file exists $path]} { error "add_files: $path is not there" }
    }
}
proc read_xdc {args} {
    unknown read_xdc {*}$args
    if {![file exists [lindex $args end]]} { error "[lindex $args end] is not there" }
}
proc read_verilog {path} { add_files $path }
proc read_vhdl {args} { add_files [lindex $args end] }
set script [lindex $::argv 0]
set ::argv {}
set ::argc 0
source $script
"""

_SHELL = """#!/bin/bash
echo "{name} $PWD $*" >> "$RECORD"
{rest}
"""
_RUN_TCL = 'for last in "$@"; do case "$last" in *.tcl) exec tclsh {stub} "$last";; esac; done\nexit 9'
_RUN = {
    LAUNCHER: 'exec "$@"',
    "cmake": 'case "$*" in *--target*) printf "#!/bin/bash\\necho program $PWD \\$* >> \\$RECORD\\n" > tiny_jets.$4;'
    ' chmod +x tiny_jets.$4;; *) test -f "$1/CMakeLists.txt";; esac',
    "yosys": 'test -f "$1"',
    "verilator": 'mkdir -p obj; printf "#!/bin/bash\\necho 1 vectors, 0 differ; echo PASS\\n" > obj/Vtiny_jets_tb;'
    " chmod +x obj/Vtiny_jets_tb",
    "vvp": "echo 2 vectors, 1 differ; echo FAIL; exit 0",
    "xsim": "echo 2 vectors, 0 differ; echo PASS",
}


def write(folder: Path) -> None:
    """Write all stand-ins into a new `folder`."""
    folder.mkdir()
    stub = folder / "stub.tcl"
    stub.write_text(_TCL)
    for name in (*_TCL_TOOLS, *_OTHERS, LAUNCHER):
        rest = _RUN_TCL.format(stub=shlex.quote(str(stub))) if name in _TCL_TOOLS else _RUN.get(name, "exit 0")
        (folder / name).write_text(_SHELL.format(name=name, rest=rest))
        (folder / name).chmod(0o755)


def make(
    project: Path, tools: Path, *arguments: str, broken: str = ""
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run make in `project`, in an environment with nothing but the stand-ins and the system's own programs.

    What it came to, and the record; the Tcl command `broken` fails.
    """
    record = tools / "record"
    record.write_text("")
    done = subprocess.run(
        [shutil.which("make"), "-C", str(project), *arguments, f"LAUNCHER={LAUNCHER}"],
        env={"PATH": os.pathsep.join([str(tools), "/usr/bin", "/bin"]), "RECORD": str(record), "BROKEN": broken},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done, record.read_text().splitlines()


def tools_of(record: list[str]) -> list[str]:
    """The tools that were started, in order, without the launcher."""
    return [line.split()[0] for line in record if line.split()[0] not in (LAUNCHER, "tcl", "program")]


def commands_of(record: list[str]) -> list[str]:
    """The Tcl commands that only the vendor's tools have, in order."""
    return [line.split()[1] for line in record if line.startswith("tcl ")]
