"""A QKeras model with shared layers as an RTL project, in the form of `flow.firmware.rtl`."""

from importlib.metadata import version
from pathlib import Path

from flow.cost.rtl import count
from flow.cost.rtl.operations import COUNTS
from flow.firmware.multiplexed.chain import Chain, Shared, chain
from flow.firmware.multiplexed.top import Design, design, modules
from flow.firmware.rtl import codegen, layout, naming
from flow.firmware.settings import Language, Target
from flow.formats import Fixed


def summarise(model, word: Fixed, target: Target):
    """The counts of `write` (an ``rtl.RtlSummary``), without writing."""
    links = chain(model, word, target)
    return _summary(links, design(links, target.clock_ns))


def write(model, word: Fixed, folder: Path, name: str, target: Target):
    """Write the RTL project of a QKeras model whose input words have the format `word`; return its ``rtl.RtlSummary``.

    As `rtl.write`, with one more port: ``in_valid`` is high for the one clock in which a word is taken; words come at
    least `interval_cycles` apart. Raises BadInput, before anything is written, for what can't be shared.
    """
    links = chain(model, word, target)
    made = design(links, target.clock_ns)
    sources = modules(made, name)
    naming.check(name, list(sources)[:-1], codegen.operators(Language.VERILOG), Language.VERILOG)
    sources = codegen.operator_sources(Language.VERILOG, "".join(sources.values())) | sources
    summary = _summary(links, made)
    layout.write(folder, _describe(links, made, summary, name, target), {Language.VERILOG: sources})
    return summary


def _summary(links: Chain, made: Design):
    from flow.firmware.rtl import RtlSummary

    names = list(dict.fromkeys(link.name for link in links.links))
    luts, bits = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    counts = {name: dict.fromkeys(COUNTS, 0.0) for name in names}
    for link in links.links:
        if not isinstance(link, Shared):
            luts[link.name] += link.comb.cost
    for one in made.segments:
        _add_pipeline(one.pipeline, bits, counts)
        if one.sampled:
            bits[one.pipeline.modules[0].block] += sum(map(sum, one.pipeline.input_kifs))
    for name, module in made.shared:
        luts[name] += module.lut_estimate
        bits[name] += module.register_bits
        _add(counts[name], module.counts)
        if module.inner is not None:
            inner_bits, inner_counts = {module.inner.name: 0}, {module.inner.name: dict.fromkeys(COUNTS, 0.0)}
            _add_pipeline(module.inner.pipeline, inner_bits, inner_counts)
            bits[name] += module.copies * inner_bits[module.inner.name]
            _add(counts[name], inner_counts[module.inner.name], module.copies)
    for held in made.registers:
        bits[held.block] += held.bits
        counts[held.block]["registers"] += held.bits
    bits[names[0]] += made.rows  # the valid bits
    counts[names[0]]["registers"] += made.rows
    return RtlSummary(made.latency_cycles, made.interval, sum(luts.values()), luts, sum(bits.values()), bits, counts)


def _add_pipeline(pipeline, bits: dict[str, int], counts: dict[str, dict[str, float]]) -> None:
    """Registers between the stages, and operations; the registers at the ports are those of the surroundings."""
    for register in pipeline.registers:
        bits[register.block] += sum(map(sum, register.kifs))
    for name, row in count(pipeline).items():
        _add(counts[name], row)
    last = pipeline.modules[-1].block
    counts[last]["registers"] -= sum(map(sum, pipeline.output_kifs))


def _add(row: dict[str, float], more: dict[str, float], times: int = 1) -> None:
    for name, value in more.items():
        row[name] += times * value


def _describe(links: Chain, made: Design, summary, name: str, target: Target) -> dict:
    from flow.firmware import rtl

    return {
        "top": name,
        "language": str(target.language),
        "output": str(target.output),
        "part": target.part,
        "clock_ns": target.clock_ns,
        "stage_delay_ns": round(max(one.pipeline.stage_delay_ns for one in _pipelines(made)), 3),
        "latency_cycles": summary.latency_cycles,
        "interval_cycles": summary.interval_cycles,
        "start": "in_valid",
        "word": str(links.word),
        "inputs": rtl.port_bits(made.input_kifs),
        "outputs": rtl.port_bits(made.output_kifs),
        "blocks": {block: _block(block, links, made, summary) for block in summary.lut_by_block},
        "lut_estimate": round(summary.lut_estimate, 2),
        "traced": {"latency_cycles": summary.latency_cycles, "counts": summary.counts},
        "generator": f"alkaid {version('alkaid')}",
    }


def _pipelines(made: Design) -> list:
    return [*made.segments, *(module.inner for _, module in made.shared if module.inner is not None)]


def _block(block: str, links: Chain, made: Design, summary) -> dict:
    own = [link for link in links.links if link.name == block]
    layers = [layer for link in own for layer in link.layers]
    leaving = [layer for link in own for layer, _ in link.row if layer in link.layers]
    names, registers = [], []
    for one in made.segments:
        names += [module.name for module in one.pipeline.modules if module.block == block]
        registers += [
            f"_inst_{one.name}.{register.name}" for register in one.pipeline.registers if register.block == block
        ]
        if one.sampled and one.pipeline.modules[0].block == block:
            registers.append(f"_inst_{one.name}.model_inp_reg")
    names += [module.name for name, module in made.shared if name == block]
    registers += [held.name for held in made.registers if held.block == block]
    return {
        "layers": layers,
        "widths": {layer: leaving.count(layer) for layer in dict.fromkeys(leaving)},
        "modules": names,
        "registers": registers,
        "lut_estimate": round(summary.lut_by_block[block], 2),
        "outputs": [
            {
                "element": found.element,
                "signal": found.bits.signal,
                "low_bit": found.bits.low,
                "bits": found.bits.width,
                "signed": bool(found.bits.kif[0]),
                "fraction": found.bits.kif[2],
                "stage": found.row,
                "layer": found.layer,
            }
            for found in made.places
            if found.block == block
        ],
    }
