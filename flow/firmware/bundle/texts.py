"""The texts of a bundle: its README, its Makefile, the script that packages the Verilog as an IP."""

import re
from dataclasses import dataclass

from flow.errors import BadInput
from flow.firmware.emulator.names import Names
from flow.firmware.settings import Backend


@dataclass(frozen=True)
class Facts:
    """What the texts speak of. `expected`: the file with the expected outputs, below ``vectors/``. `ports`: clock,
    reset and top of the Verilog that becomes an IP. `page`, `reports`: whether the bundle has them."""

    task: str
    digest: str
    names: Names
    backend: Backend
    part: str
    clock_ns: float
    input_type: str
    output_type: str
    n_in: int
    n_out: int
    expected: str
    top: str
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    vhdl: bool
    prebuilt: str
    csim: bool
    page: bool
    reports: bool


def readme(facts: Facts) -> str:
    prefix = facts.names.prefix
    optional = ""
    if facts.reports:
        optional += "| `reports/` | what synthesis reported, as the tool wrote it and as JSON |\n"
    if facts.page:
        optional += "| `page.html` | the page of the task: how this design was found, beside all others |\n"
    return f"""# {facts.task}, design {facts.digest}, version {facts.names.version}

| | |
|---|---|
| `project/` | the design as it was built: HLS and Verilog sources, constraints, test vectors; start with its README |
| `emulator/` | the same arithmetic as a library for C, C++ and Python, bit by bit |
| `ip/` | packages the Verilog as an IP for Vivado's catalogue |
{optional}| `equivalence.json` | the record of the equivalence gate: what was compared with what on which vectors, by which versions, and the digest of every file that it speaks of |
| `project/LICENSES/` | whose files are copied in here, and under which licences; all others are made from the network |
| `MANIFEST.json` | the SHA-256 digest of every other file |

An event is {facts.n_in} words of type `{facts.input_type}` and gives {facts.n_out} output{"s" * (facts.n_out != 1)} of
type `{facts.output_type}`; `project/README.md` says which feature each word is.

## Is it whole, and right?

    make check

needs make and g++: it compiles the emulator{" and the C simulation" if facts.csim else ""} and compares with
`project/vectors`, all bits. `make digests` compares the files with the manifest (sha256sum). `flow verify .`, of the program that
wrote this, does both, and simulates the Verilog where Verilator is there.

## Emulator

All symbols begin with `{prefix}_`, everything else in the library is hidden: several versions can be in one process.
Values off the grid of the words are refused, unless they are asked to be rounded. Functions may be called from
several threads at once. `make -C emulator` compiles it; `emulator/prebuilt/` has it for {facts.prebuilt}.

C++, either with the library or with `{prefix}.cpp` in your own program:

```cpp
#include "{prefix}.hpp"
std::vector<double> outputs = {prefix}::Emulator::predict(values);  // {facts.n_in} values an event
```

C: `{prefix}_predict` and `{prefix}_predict_words` in `{prefix}.h`. Python, with numpy:

```python
from {prefix} import Emulator  # emulator/ is in sys.path
outputs = Emulator().predict(values)  # (n, {facts.n_in}) -> (n, {facts.n_out})
```

## Synthesis

`make -C project help` lists what the project does by itself. As an IP:

    make ip-rtl     # ip/package_rtl.tcl in Vivado: `{facts.top}` with interfaces for clock{" and reset" * (len(facts.ports) > 1)}
{_hls_ip_line(facts)}
`LAUNCHER` goes before each tool: `make ip-rtl LAUNCHER='srun -c 8'`. Part {facts.part}, clock period {facts.clock_ns:g} ns.
"""


def makefile(facts: Facts) -> str:
    csim = "csim" if facts.csim else ""
    hls = ""
    if facts.backend in (Backend.VITIS, Backend.VIVADO):
        hls = "\nip-hls:\n\t$(MAKE) -C project csynth\n\t$(MAKE) -C project export\n"
    return f"""# `make check` proves the emulator{" and the C simulation" * facts.csim} on the vectors; it needs g++.
LAUNCHER ?=
CXX ?= g++
VIVADO ?= vivado

.PHONY: check emulator csim digests ip-rtl ip-hls clean

check: emulator {csim}
	@echo 'check: all vectors are right'

emulator:
	$(MAKE) -C emulator CXX='$(CXX)' check WORDS=../project/vectors/inputs.txt OUTPUTS=../project/vectors/{facts.expected}

csim:
	$(MAKE) -C project CXX='$(CXX)' csim

digests:
	@sed -n 's/^  *"\\(.*\\)": "\\([0-9a-f]\\{{64\\}}\\)",*$$/\\2  \\1/p' MANIFEST.json | sha256sum --check --quiet -
	@echo 'digests: all files are as they were exported'

ip-rtl:
	cd ip && $(LAUNCHER) $(VIVADO) -mode batch -source package_rtl.tcl
{hls}
clean:
	$(MAKE) -C emulator clean
	$(MAKE) -C project clean
	rm -rf ip/rtl ip/work ip/*.log ip/*.jou
"""


def package_rtl(facts: Facts) -> str:
    """The Tcl script that makes an IP of the Verilog; run in ``ip/``, it leaves ``ip/rtl``."""
    clock, *reset = (_plain(port, "a port") for port in facts.ports)
    sources = "\n".join(f"    {{{_plain(source, 'a source')}}}" for source in facts.sources)
    version = match[0] if (match := re.match(r"\d+\.\d+", facts.names.version)) else "1.0"
    task = re.sub(r"[^A-Za-z0-9_. -]", "_", facts.task)
    resets = ""
    if reset:
        resets = f"""ipx::infer_bus_interface {reset[0]} xilinx.com:signal:reset_rtl:1.0 $core
set polarity [ipx::add_bus_parameter POLARITY [ipx::get_bus_interfaces {reset[0]} -of_objects $core]]
set_property value ACTIVE_HIGH $polarity
"""
    associated = f"-clock {clock}" + (f" -reset {reset[0]}" if reset else "")
    return f"""# Packages the {"VHDL" if facts.vhdl else "Verilog"} as an IP of Vivado's catalogue, in ip/rtl. Run in ip/:
#   vivado -mode batch -source package_rtl.tcl [-tclargs VENDOR]
set here [file normalize [file dirname [info script]]]
set source [file join $here .. project rtl]
set vendor [expr {{$argc > 0 ? [lindex $argv 0] : "user.org"}}]

create_project -force work [file join $here work] -part {{{_plain(facts.part, "the part")}}}
foreach name {{
{sources}
}} {{
    add_files [file join $source $name]
}}
{"set_property file_type {VHDL 2008} [get_files *.vhd]" if facts.vhdl else ""}
set_property top {{{_plain(facts.top, "the top module")}}} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir [file join $here rtl] -vendor $vendor -library trigger -taxonomy /UserIP \\
    -import_files -set_current true
set core [ipx::current_core]
set_property name {facts.names.prefix} $core
set_property version {version} $core
set_property display_name {{{task} {facts.names.version}}} $core
set_property description {{{task}, design {_plain(facts.digest, "the digest")}}} $core

ipx::infer_bus_interface {clock} xilinx.com:signal:clock_rtl:1.0 $core
set frequency [ipx::add_bus_parameter FREQ_HZ [ipx::get_bus_interfaces {clock} -of_objects $core]]
set_property value {round(1e9 / facts.clock_ns)} $frequency
{resets}ipx::associate_bus_interfaces {associated} $core

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
"""


def _plain(text: str, what: str) -> str:
    """A name for Tcl, unless Tcl could read more than a name in it."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_./-]+", text) or ".." in text:
        raise BadInput(f"{what} {text!r} of the project: letters, digits and any of _ . / - are allowed")
    return text


def _hls_ip_line(facts: Facts) -> str:
    if facts.backend in (Backend.VITIS, Backend.VIVADO):
        return "    make ip-hls     # C synthesis and export_design -format ip_catalog, in project/hls\n"
    return ""
