"""The text files of a project: its Makefile, its README for a firmware engineer, its Yosys script."""

from dataclasses import dataclass

from flow import parts
from flow.data.scaling import InputScaling
from flow.design import Design
from flow.firmware.hls import FLAGS
from flow.formats import Format

_HLS_TOOLS = {
    "Vitis": ("vitis-run --mode hls --tcl", "", 'Vitis HLS 2024.1 or newer; for older ones say HLS="vitis_hls -f"'),
    "Vivado": (
        "vivado_hls -f",
        '"reset=1 csim=0 synth=1 cosim=0 validation=0 export=0 vsynth=0 fifo_opt=0"',
        "Vivado HLS",
    ),
}


@dataclass(frozen=True)
class Facts:
    """What the texts speak of."""

    task: str
    top: str
    digest: str
    part: str
    clock_ns: float
    backend: str
    latency_cycles: int
    interval_cycles: int
    input_type: str
    output_type: str
    input_shape: tuple[int, ...]
    n_out: int
    hls_units: tuple[str, ...]
    rtl_sources: tuple[str, ...]


def makefile(facts: Facts) -> str:
    """Targets that need this folder and the tool they are named after. LAUNCHER stands before every tool."""
    command, options, tool = _HLS_TOOLS[facts.backend]
    return f"""# Builds this folder. LAUNCHER is put before each tool, for a batch system: make csynth LAUNCHER='srun -c 8'
LAUNCHER ?=
CXX ?= g++
HLS ?= {command}
VIVADO ?= vivado
YOSYS ?= yosys

CSIM_SOURCES := csim.cpp {" ".join(facts.hls_units)}

.PHONY: help csim csynth vivado yosys clean

help:
	@echo 'make csim     C simulation of hls/ on vectors/, compared bit by bit ($(CXX))'
	@echo 'make csynth   C synthesis of hls/ ({tool})'
	@echo 'make vivado   out-of-context synthesis and routing of rtl/ for {facts.part} (Vivado)'
	@echo 'make yosys    synthesis of rtl/ without vendor tools (Yosys)'
	@echo 'make clean    remove what these targets wrote'

csim: hls/csim
	cd hls && $(LAUNCHER) ./csim check ../vectors/inputs.txt ../vectors/logits.txt

hls/csim: $(addprefix hls/,$(CSIM_SOURCES)) $(wildcard hls/*.cpp hls/firmware/*.h hls/firmware/weights/*.h)
	cd hls && $(LAUNCHER) $(CXX) {" ".join(FLAGS)} $(CSIM_SOURCES) -o csim

csynth:
	cd hls && $(LAUNCHER) $(HLS) build_prj.tcl {options}

vivado:
	cd rtl && $(LAUNCHER) $(VIVADO) -mode batch -source build_vivado.tcl

yosys:
	cd rtl && $(LAUNCHER) $(YOSYS) -l yosys.log yosys.ys

clean:
	rm -rf hls/csim hls/csim-* hls/csim*.log hls/{facts.top}_prj hls/vi*.log
	rm -rf rtl/vivado rtl/yosys.log rtl/yosys_stat.json rtl/{facts.top}_yosys.v
"""


def yosys_script(facts: Facts) -> str:
    """Out-of-context synthesis of the Verilog; run in its folder."""
    family = parts.find(facts.part).yosys_family
    reads = "\n".join(f"read_verilog -sv -defer {source}" for source in facts.rtl_sources)
    return f"""{reads}
hierarchy -top {facts.top}
proc
flatten
setattr -unset rom_style */*
synth_xilinx -top {facts.top} -family {family} -flatten -noiopad -noclkbuf
tee -o yosys_stat.json stat -json
write_verilog -noattr {facts.top}_yosys.v
"""


def vectors_readme(facts: Facts) -> str:
    return f"""# Test vectors

`inputs.txt` and `logits.txt` are plain text: one line for each vector, integers separated by blanks.

- `inputs.txt`: the input words, in the order of the features in `../README.md`. Type `{facts.input_type}`.
- `logits.txt`: the {facts.n_out} outputs expected for the same line. Type `{facts.output_type}`.

An integer is the word's two's complement; its value is the integer times 2 to the power of minus the type's
fractional bits, and `ap_fixed<W,I>` has W - I of those.
`../hls/tb_data` has the first vectors as decimals, for the test bench that comes with the HLS project.
"""


def readme(facts: Facts, scaling: InputScaling, design: Design) -> str:
    """The project's README; the offsets it shows are subtracted by the firmware itself."""
    lsb = scaling.to_json()["least_significant_bit"]
    rows = "\n".join(
        f"| {i} | {feature} | {2.0**exponent!r} | {step!r} | {offset!r} |"
        for i, (feature, exponent, step, offset) in enumerate(
            zip(scaling.features, scaling.exponents, lsb, scaling.offsets)
        )
    )
    layers = "\n".join(
        f"| {name} | {_named(item.kernel)} | {_named(item.bias)} | {_named(item.activation)} |"
        for name, item in design.layers
    )
    shape = " x ".join(map(str, facts.input_shape))
    order = f" They are the values of an input of {shape} in one row, the last axis fastest." if "x" in shape else ""
    latency_ns = facts.latency_cycles * facts.clock_ns
    return f"""# {facts.task}, design {facts.digest}

A neural network as firmware, twice: `hls/` is an hls4ml project (top function `{facts.top}`), `rtl/` the same
arithmetic as pipelined Verilog (top module `{facts.top}`). Both give the same bits, those of the trained model in
`model.keras`; `vectors/` has inputs and expected outputs. Part {facts.part}, clock period {facts.clock_ns:g} ns.

## Input

{len(scaling.features)} words of type `{facts.input_type}`. The word of a feature is the feature times its scale,
rounded to the nearest step (ties to even) and saturated; its least significant bit is worth "LSB" in the feature's
own unit. Scales are powers of two. The firmware subtracts "offset" (in units of the word's value) itself.{order}

| # | feature | scale | LSB | offset |
|---|---|---|---|---|
{rows}

## Output

{facts.n_out} logits of type `{facts.output_type}`, exact sums: no rounding, no overflow. The largest is the likeliest
class.

## Timing

The Verilog has an interval of {_cycles(facts.interval_cycles)} between inputs and a latency of
{_cycles(facts.latency_cycles)} ({latency_ns:g} ns).
Those of the HLS project are in the report of its C synthesis.

## Formats

Names are QKeras' own; `truncated_*` drops the low bits, `half_up_*` adds half a step first. The input quantizer,
behind the offset, is `{design.input}`. Where there is no activation format, sums are handed on as they are.

| layer | kernel | bias | activation |
|---|---|---|---|
{layers}

## How to build

`make help` lists the targets: `csim` (a C++ compiler), `csynth` ({_HLS_TOOLS[facts.backend][2]}),
`vivado`, `yosys`.
`LAUNCHER` goes before each tool: `make vivado LAUNCHER='srun -c 8'`.

`metadata.json` has the versions and seeds this was made with, and the SHA-256 digest of every file.
"""


def _named(form: Format | None) -> str:
    return "none" if form is None else f"`{form}`"


def _cycles(count: int) -> str:
    return f"{count} clock cycle{'' if count == 1 else 's'}"
