"""A QKeras model as pipelined Verilog: trace, cut into stages, write.

The model is traced layer by layer into blocks: ``input`` (offset and grid), then one block for each QDense
with the activation behind it. A block's module names survive into the Verilog, the simulation and the
synthesis, so that a difference or a cost can be told by layer. Everything is unrolled: interval 1.
"""

import json
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.firmware.pipeline import CUTOFF_FRACTION, INPUT, Pipeline, plan, to_fsm
from flow.firmware.simulate import first_difference, simulate, simulate_blocks
from flow.formats import Fixed

__all__ = [
    "CUTOFF_FRACTION", "Block", "RtlSummary", "Traced", "first_difference", "pipeline", "simulate",
    "simulate_blocks", "summarise", "trace", "write",
]  # fmt: skip

INPUT_BLOCK = "input"
_SEED = 20240  # any number: what counts is that it is the same for every trace


@dataclass(frozen=True)
class Block:
    """The combinational logic of one user layer.

    `comb` is the block as it is synthesised: its outputs are the elements `live` of the block's output, those that
    something behind depends on. `probes` gives the whole output of every layer in the block (the sums of a QDense
    before its activation too) and is used for verification only.
    """

    name: str
    layers: tuple[str, ...]
    comb: object
    live: tuple[int, ...]
    probes: tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Traced:
    """A traced network: its blocks in the order of the data, and the format of its input words."""

    blocks: tuple[Block, ...]
    word: Fixed

    @property
    def n_in(self) -> int:
        return self.blocks[0].comb.shape[0]

    @property
    def n_out(self) -> int:
        return len(self.blocks[-1].live)

    @property
    def lut_by_block(self) -> dict[str, float]:
        """alkaid's estimate of the look-up tables, without ternary adders (Yosys does not map them)."""
        return {block.name: block.comb.cost for block in self.blocks}

    @property
    def lut_estimate(self) -> float:
        return sum(self.lut_by_block.values())

    def run(self, words: np.ndarray) -> dict[str, np.ndarray]:
        """Every layer's output (n, width) in float64 for input words (n, n_in), by layer name, bit for bit.

        Raises BadInput where the words are not on the grid of `word`.
        """
        values = on_grid(words, self.word, self.n_in)
        outputs: dict[str, np.ndarray] = {}
        for block in self.blocks:
            before = values
            for layer, comb in block.probes:
                values = outputs[layer] = _predict(comb, before)
        return outputs


@dataclass(frozen=True)
class RtlSummary:
    """Cycles from an input word to its logits, cycles between inputs, estimated LUTs, and bits of registers.

    Registers at the ports count with the first and the last block.
    """

    latency_cycles: int
    interval_cycles: int
    lut_estimate: float
    lut_by_block: dict[str, float]
    register_bits: int
    register_bits_by_block: dict[str, int]


def on_grid(words: np.ndarray, word: Fixed, n_in: int) -> np.ndarray:
    """Words (n, n_in) as contiguous float64; raises BadInput for another shape or values off the grid."""
    words = np.ascontiguousarray(words, dtype=np.float64)
    if words.ndim != 2 or words.shape[1] != n_in:
        raise BadInput(f"input words have the shape {words.shape}; the network takes (n, {n_in})")
    if not np.array_equal(word.quantize(words), words):
        raise BadInput(f"input words are not on the grid of {word}")
    return words


def trace(model, word: Fixed) -> Traced:
    """Trace a QKeras model (``flow.train.qkeras_model.build``) whose input words have the format `word`.

    The same model gives the same blocks, to the last bit. Raises BadInput for a layer that is not followed,
    and where the logits depend on no input.
    """
    from alkaid.trace import FVArray, HWConfig, fixed_variable

    # alkaid draws the identities of its variables, and so the order of equals, from a generator of its own;
    # seeded once only, since variables of two blocks that share an identity would be taken for one
    fixed_variable.rd.seed(_SEED)
    hardware = HWConfig(1, 1, -1)  # carry chains are priced bit by bit
    n_in = int(model.input_shape[-1])
    ones = np.ones(n_in)
    values = FVArray.from_lhs(word.low * ones, word.high * ones, word.step * ones, hardware, solver_options={})
    blocks: list[Block] = []
    for name, layers in _grouped(model):
        blocks.append(_block(name, layers, values))
        low, high, step = np.array([_widened(interval) for interval in blocks[-1].comb.out_qint]).T
        values = FVArray.from_lhs(low, high, step, hardware, solver_options={})
    return Traced(tuple(_pruned(blocks)), word)


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
    return RtlSummary(stages.latency_cycles, 1, traced.lut_estimate, traced.lut_by_block, sum(bits.values()), bits)


def _grouped(model) -> list[tuple[str, list]]:
    """The model's layers by block: all up to the first QDense, then each QDense with what follows it."""
    groups: list[tuple[str, list]] = [(INPUT_BLOCK, [])]
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        if kind == "QDense":
            groups.append((layer.name, []))
        groups[-1][1].append(layer)
    return [group for group in groups if group[1]]


def _widened(interval) -> tuple[float, float, float]:
    """An interval as wide as its bits; constants stay constants.

    alkaid widens inputs so when it optimises, and a bit that was the highest of a sum would then no longer be it.
    """
    if interval.min == interval.max:
        return tuple(interval)
    return tuple(interval.kif.qint)


def _pruned(blocks: list[Block]) -> list[Block]:
    """The blocks without the logic of outputs that nothing behind depends on."""
    from alkaid.trace.passes import add_surrogate, dead_code_elimin

    result = [blocks[-1]]
    for block in reversed(blocks[:-1]):
        live = tuple(sorted({op.data[0] for op in result[0].comb.ops if op.opcode == INPUT}))
        if not live:
            raise BadInput(
                f"the logits do not depend on the input: nothing behind layer {block.layers[-1]} reads its outputs"
                " (all weights of a layer are zero, or a layer is constant)"
            )
        comb = block.comb
        comb = comb._replace(
            shape=(comb.shape[0], len(live)),
            out_idxs=[comb.out_idxs[i] for i in live],
            out_shifts=[comb.out_shifts[i] for i in live],
            out_negs=[comb.out_negs[i] for i in live],
        )
        result.insert(0, replace(block, comb=add_surrogate(dead_code_elimin(comb)), live=live))
    return result


def _block(name: str, layers: list, values) -> Block:
    """Trace some layers, one behind the other, from symbolic values (n,)."""
    from alkaid.trace import trace as to_comb

    inputs = values
    probes = []
    for position, layer in enumerate(layers):
        values = _handler(layer)(values)["final"][0]
        probes.append((layer.name, to_comb(inputs, values)))
    comb = probes[-1][1]
    return Block(name, tuple(layer.name for layer in layers), comb, tuple(range(comb.shape[1])), tuple(probes))


def _handler(layer):
    """alkaid's handler of a layer; raises BadInput where it has none that is exact."""
    from flow.firmware import alkaid_qkeras as known

    handlers = (known.ReplayQDense, known.ReplayQActivation, known.ReplayNormalization)
    for handler in handlers:
        if type(layer) in handler.handles:
            return handler(layer)
    raise BadInput(f"layer {layer.name}: {type(layer).__name__} is not supported in RTL; supported: {known.SUPPORTED}")


def _predict(comb, values: np.ndarray) -> np.ndarray:
    """alkaid's interpreter on values (n, n_in), on one thread so that several runs share a machine."""
    if len(values) == 0:
        return np.zeros((0, comb.shape[1]))
    return comb.predict(values, n_threads=1)


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
                "width": block.probes[-1][1].shape[1],
                "modules": [module.name for module in stages.modules if module.block == block.name],
                "registers": [register.name for register in stages.registers if register.block == block.name],
                "lut_estimate": round(summary.lut_by_block[block.name], 2),
                "outputs": [place.to_json() for place in stages.places[block.name]],
            }
            for block in traced.blocks
        },
        "lut_estimate": round(summary.lut_estimate, 2),
        "generator": f"alkaid {version('alkaid')}",
    }


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
