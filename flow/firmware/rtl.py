"""A QKeras model as pipelined Verilog: trace it, cut it into stages, write the project.

See `flow.firmware.blocks` for how a model is traced and `flow.firmware.pipeline` for the stages.
"""

import json
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from flow.cost.rtl import count
from flow.errors import BadInput
from flow.firmware.blocks import Block, Traced, trace
from flow.firmware.pipeline import CUTOFF_FRACTION, Pipeline, plan, to_fsm
from flow.firmware.simulate import first_difference, simulate, simulate_blocks

__all__ = [
    "CUTOFF_FRACTION", "Block", "RtlSummary", "Traced", "first_difference", "pipeline", "simulate",
    "simulate_blocks", "summarise", "trace", "write",
]  # fmt: skip


@dataclass(frozen=True)
class RtlSummary:
    """Cycles from an input word to its logits, cycles between inputs, alkaid's estimate of LUTs, bits of registers, and
    what the operations hold (`flow.cost.rtl.count`), by block.

    Registers at the ports count with the first and the last block.
    """

    latency_cycles: int
    interval_cycles: int
    lut_estimate: float
    lut_by_block: dict[str, float]
    register_bits: int
    register_bits_by_block: dict[str, int]
    counts: dict[str, dict[str, float]]


def pipeline(traced: Traced, clock_ns: float, cutoff_ns: float | None = None):
    """The traced network as an alkaid FSM, interval 1, inputs and outputs registered. See `pipeline.plan`."""
    return to_fsm(_plan(traced, clock_ns, cutoff_ns))


def summarise(traced: Traced, clock_ns: float, cutoff_ns: float | None = None) -> RtlSummary:
    """The counts of a traced network once it is pipelined, without writing it."""
    return _summary(traced, _plan(traced, clock_ns, cutoff_ns))


def write(
    traced: Traced, folder: Path, name: str, part: str, clock_ns: float, cutoff_ns: float | None = None
) -> RtlSummary:
    """Write the project: ``src/*.v`` (top module `name`), ``src/<name>.xdc``, a Vivado script, ``rtl.json``.

    What an earlier call left in ``src`` is removed first. The same trace gives the same bytes.
    """
    from alkaid.codegen.rtl.verilog.fsm import fsm_logic_gen

    if not name.isidentifier() or not name.isascii():
        raise BadInput(f"{name!r} can't be the name of a Verilog module; letters, digits and _ are allowed")
    stages = _plan(traced, clock_ns, cutoff_ns)
    if name in {module.name for module in stages.modules}:
        raise BadInput(f"{name!r} is the name of a stage of the network; choose another name for the top module")
    sources = fsm_logic_gen(to_fsm(stages), name)
    source_folder = folder / "src"
    shutil.rmtree(source_folder, ignore_errors=True)
    source_folder.mkdir(parents=True)
    for module, text in {**sources, **_primitives("".join(sources.values()))}.items():
        (source_folder / f"{module}.v").write_text(text)
    (source_folder / f"{name}.xdc").write_text(_constraints(clock_ns))
    (folder / "build_vivado.tcl").write_text(_vivado_script(name, part))
    summary = _summary(traced, stages)
    description = _describe(traced, stages, summary, name, part, clock_ns)
    (folder / "rtl.json").write_text(json.dumps(description, indent=1) + "\n")
    return summary


def _summary(traced: Traced, stages: Pipeline) -> RtlSummary:
    bits = {block.name: 0 for block in traced.blocks}
    for register in stages.registers:
        bits[register.block] += sum(map(sum, register.kifs))
    bits[traced.blocks[0].name] += sum(map(sum, stages.input_kifs))
    bits[traced.blocks[-1].name] += sum(map(sum, stages.output_kifs))
    return RtlSummary(
        stages.latency_cycles, 1, traced.lut_estimate, traced.lut_by_block, sum(bits.values()), bits, count(stages)
    )


def _plan(traced: Traced, clock_ns: float, cutoff_ns: float | None) -> Pipeline:
    cutoff_ns = CUTOFF_FRACTION * clock_ns if cutoff_ns is None else cutoff_ns
    if not 0 < cutoff_ns <= clock_ns:
        raise BadInput(
            f"the delay allowed in a stage is {cutoff_ns} ns; it must lie between 0 and the clock's {clock_ns} ns"
        )
    rows = [(block.name, block.comb, block.live) for block in traced.blocks]
    return plan(rows, traced.n_in, traced.word, cutoff_ns)


def _primitives(text: str) -> dict[str, str]:
    """alkaid's operator modules that the sources use, by name."""
    import alkaid.codegen.rtl as package

    folder = Path(package.__file__).parent / "verilog" / "source"
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.v")) if f" {path.stem} #(" in text}


def _constraints(clock_ns: float) -> str:
    return f"create_clock -period {clock_ns:g} -name clk [get_ports clk]\n"


def _vivado_script(name: str, part: str) -> str:
    """Out-of-context synthesis and implementation; run from anywhere with ``vivado -mode batch -source``."""
    return f"""set root [file normalize [file dirname [info script]]]
set out "$root/vivado"
file mkdir $out
read_verilog [glob "$root/src/*.v"]
read_xdc -mode out_of_context "$root/src/{name}.xdc"
synth_design -top {name} -part {part} -mode out_of_context -flatten_hierarchy rebuilt
report_utilization -hierarchical -file "$out/synth_hierarchy.rpt"
report_utilization -file "$out/synth_utilization.rpt"
report_timing_summary -file "$out/synth_timing.rpt"
opt_design
place_design
phys_opt_design
route_design
report_utilization -file "$out/route_utilization.rpt"
report_timing_summary -file "$out/route_timing.rpt"
report_power -file "$out/route_power.rpt"
write_checkpoint -force "$out/{name}_route.dcp"
"""


def _describe(traced: Traced, stages: Pipeline, summary: RtlSummary, name: str, part: str, clock_ns: float) -> dict:
    """What a reader of the project, the simulation and the synthesis need to know of it."""
    return {
        "top": name,
        "part": part,
        "clock_ns": clock_ns,
        "stage_delay_ns": round(stages.stage_delay_ns, 3),
        "latency_cycles": summary.latency_cycles,
        "interval_cycles": summary.interval_cycles,
        "word": str(traced.word),
        "inputs": _ports(stages.input_kifs),
        "outputs": _ports(stages.output_kifs),
        "blocks": {
            block.name: {
                "layers": list(block.layers),
                "widths": block.widths,
                "modules": [module.name for module in stages.modules if module.block == block.name],
                "registers": [register.name for register in stages.registers if register.block == block.name],
                "lut_estimate": round(summary.lut_by_block[block.name], 2),
                "outputs": _outputs(block, stages),
            }
            for block in traced.blocks
        },
        "lut_estimate": round(summary.lut_estimate, 2),
        "traced": {"latency_cycles": summary.latency_cycles, "counts": summary.counts},
        "generator": f"alkaid {version('alkaid')}",
    }


def _outputs(block: Block, stages: Pipeline) -> list[dict]:
    """Where the elements of the block's own layers are; what it only passes along is told by the block it is from."""
    rows = []
    for place in stages.places[block.name]:
        layer, element = block.element(place.element)
        if layer in block.layers:
            rows.append(place.to_json() | {"layer": layer, "element": element})
    return rows


def _ports(kifs) -> list[dict]:
    """Bit positions of a packed port's elements; `integer` leaves out the sign, as in ``flow.formats``."""
    rows, low = [], 0
    for signed, integer, fraction in kifs:
        width = int(signed) + int(integer) + int(fraction)
        rows.append(
            {"low_bit": low, "bits": width, "signed": bool(signed), "integer": int(integer), "fraction": int(fraction)}
        )
        low += width
    return rows
