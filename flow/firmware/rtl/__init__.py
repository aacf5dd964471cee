"""A QKeras model as pipelined RTL: trace it, cut it into stages, write the project.

See `flow.firmware.blocks` for how a model is traced, `flow.firmware.pipeline` for the stages, and
`flow.firmware.multiplexed` for networks with a reuse factor above 1.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from flow.cost.rtl import count
from flow.cost.rtl.operations import COUNTS
from flow.errors import BadInput
from flow.firmware.blocks import Block, Traced, trace
from flow.firmware.pipeline import CUTOFF_FRACTION, Pipeline, plan, to_fsm
from flow.firmware.rtl import codegen, layout, naming
from flow.firmware.settings import Language, Target
from flow.firmware.simulate import first_difference, simulate, simulate_blocks

__all__ = [
    "CUTOFF_FRACTION", "Block", "RtlSummary", "Traced", "first_difference", "pipeline", "require", "simulate",
    "simulate_blocks", "summarise", "trace", "write",
]  # fmt: skip


@dataclass(frozen=True)
class RtlSummary:
    """Cycles from an input word to its answer, cycles between inputs, alkaid's estimate of LUTs, bits of registers, and
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


def pipeline(traced: Traced, target: Target):
    """The traced network as an alkaid FSM, interval 1, inputs and outputs registered. See `pipeline.plan`."""
    return to_fsm(_plan(traced, target))


def summarise(traced: Traced, target: Target, model=None) -> RtlSummary:
    """The counts of a traced network once it is pipelined, without writing it.

    `model` is needed where a reuse factor is above 1. Raises BadInput as `write` does.
    """
    if _is_multiplexed(target):
        from flow.firmware import multiplexed

        return multiplexed.summarise(_needed(model), traced.word, _single_language(target))
    return _summary(traced, _plan(traced, target))


def write(traced: Traced, folder: Path, name: str, target: Target, model=None) -> RtlSummary:
    """Write the project: the network (top module `name`) in ``src/*.v`` and, where the target says so, ``vhdl/*.vhd``,
    the wrapper with valid signals, ``src/<name>.xdc``, ``build_vivado.tcl``, ``PORTS.md`` and ``rtl.json``.

    What an earlier call left there is replaced. The same trace gives the same bytes. `model` is needed where a reuse
    factor is above 1. Raises BadInput for names that the language does not allow, and for a latency (`target.cycles`)
    that the clock does not.
    """
    if _is_multiplexed(target):
        from flow.firmware import multiplexed

        return multiplexed.write(_needed(model), traced.word, folder, name, _single_language(target))
    stages = _plan(traced, target)
    naming.check(name, [module.name for module in stages.modules], codegen.operators(Language.VERILOG), target.language)
    fsm = to_fsm(stages)
    languages = dict.fromkeys((Language.VERILOG, target.language))
    sources = {language: codegen.sources(fsm, name, language) for language in languages}
    summary = _summary(traced, stages)
    layout.write(folder, _describe(traced, stages, summary, name, target), sources)
    return summary


def require(model, target: Target, name: str) -> None:
    """Raise BadInput where a model can't be written for `target`, whatever its weights are; `name`: the top module."""
    if _is_multiplexed(target):
        from flow.firmware import multiplexed

        multiplexed.factors(model, _single_language(target))
    modules = [f"{layer.name}_s0" for layer in model.layers]
    naming.check(name, modules, codegen.operators(Language.VERILOG), target.language)


def _is_multiplexed(target: Target) -> bool:
    return target.interval > 1


def _needed(model):
    if model is None:
        raise ValueError("a network with a reuse factor above 1 is made from its model, not from its trace alone")
    return model


def _single_language(target: Target) -> Target:
    """The target, where time-multiplexed layers can be made for it."""
    if target.language is not Language.VERILOG:
        raise BadInput(
            f"language {target.language}: layers with a reuse factor above 1 are written in {Language.VERILOG} only"
        )
    if target.cycles is not None:
        raise BadInput(
            f"cycles {target.cycles}: with a reuse factor above 1 the latency follows from the reuse factors and the"
            " clock; leave cycles out"
        )
    return target


def _summary(traced: Traced, stages: Pipeline) -> RtlSummary:
    bits = {block.name: 0 for block in traced.blocks}
    for register in stages.registers:
        bits[register.block] += sum(map(sum, register.kifs))
    bits[traced.blocks[0].name] += sum(map(sum, stages.input_kifs))
    bits[traced.blocks[-1].name] += sum(map(sum, stages.output_kifs))
    counts = {block.name: dict.fromkeys(COUNTS, 0.0) for block in traced.blocks} | count(stages)
    return RtlSummary(
        stages.latency_cycles, 1, traced.lut_estimate, traced.lut_by_block, sum(bits.values()), bits, counts
    )


def _plan(traced: Traced, target: Target) -> Pipeline:
    rows = [(block.name, block.comb, block.live) for block in traced.blocks]
    return plan(rows, traced.n_in, traced.word, CUTOFF_FRACTION * target.clock_ns, target.cycles)


def _describe(traced: Traced, stages: Pipeline, summary: RtlSummary, name: str, target: Target) -> dict:
    """What a reader of the project, the simulation and the synthesis need to know of it."""
    return {
        "top": name,
        "language": str(target.language),
        "output": str(target.output),
        "part": target.part,
        "clock_ns": target.clock_ns,
        "stage_delay_ns": round(stages.stage_delay_ns, 3),
        "latency_cycles": summary.latency_cycles,
        "interval_cycles": summary.interval_cycles,
        "word": str(traced.word),
        "inputs": port_bits(stages.input_kifs),
        "outputs": port_bits(stages.output_kifs),
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


def port_bits(kifs) -> list[dict]:
    """Bit positions of a packed port's elements; `integer` leaves out the sign, as in ``flow.formats``."""
    rows, low = [], 0
    for signed, integer, fraction in kifs:
        width = int(signed) + int(integer) + int(fraction)
        rows.append(
            {"low_bit": low, "bits": width, "signed": bool(signed), "integer": int(integer), "fraction": int(fraction)}
        )
        low += width
    return rows
