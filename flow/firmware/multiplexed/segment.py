"""Unrolled links that follow one another, as one pipelined module of interval 1."""

from dataclasses import dataclass, replace

from flow.firmware.multiplexed.chain import Unrolled
from flow.firmware.multiplexed.content import taken
from flow.firmware.pipeline import INPUT, Kif, Pipeline, plan, register_name
from flow.formats import Fixed

_ANY = Fixed(8, 0)  # the format of words is replaced by that of the values in front


@dataclass(frozen=True)
class Segment:
    """A pipelined module with the ports model_inp and model_out, and clk where `clocked`.

    Its inputs are registered where it is `sampled`, its outputs are not: they are there `n_stages` - 1 clock edges
    after the (registered) inputs.
    """

    name: str
    pipeline: Pipeline
    sampled: bool

    @property
    def n_stages(self) -> int:
        return self.pipeline.n_stages

    @property
    def clocked(self) -> bool:
        return self.sampled or bool(self.pipeline.registers)


def segment(name: str, links: list[Unrolled], kifs: tuple[Kif, ...], cutoff_ns: float, sampled: bool) -> Segment:
    """The module of some links in a row; `kifs` are the formats of its inputs."""
    rows = [(link.name, link.comb, link.live) for link in links]
    if not sampled:
        rows[0] = (rows[0][0], numbered(rows[0][1]), rows[0][2])
    return Segment(name, replace(plan(rows, len(kifs), _ANY, cutoff_ns), input_kifs=kifs), sampled)


def logic(name: str, comb, kifs: tuple[Kif, ...], cutoff_ns: float) -> Segment:
    """The module of some logic on its own: `kifs` are the formats of the inputs that it reads, in order."""
    pipeline = plan([(name, numbered(comb), tuple(range(comb.shape[1])))], len(kifs), _ANY, cutoff_ns)
    return Segment(name, replace(pipeline, input_kifs=kifs), False)


def numbered(comb):
    """The logic with the inputs that it reads counted from 0."""
    position = {i: k for k, i in enumerate(taken(comb))}
    ops = [op._replace(data=(position[op.data[0]],)) if op.opcode == INPUT else op for op in comb.ops]
    return comb._replace(ops=ops, shape=(len(position), comb.shape[1]), inp_shifts=[0] * len(position))


def sources(segment: Segment) -> dict[str, str]:
    """The Verilog of the module and of its stages, by name."""
    from alkaid.codegen.rtl.verilog.fsm import fsm_logic_gen

    return fsm_logic_gen(_fsm(segment), segment.name)


def _fsm(segment: Segment):
    """As `pipeline.to_fsm`, with ports that are registered by whoever uses the module."""
    from alkaid.stateful.fsm import FSM, Conn, Signal, _comb_io_signals

    pipeline = segment.pipeline
    source = ports = Signal("model_inp", True, pipeline.input_kifs, reg=False, mode="r")
    outputs = Signal("model_out", True, pipeline.output_kifs, reg=False, mode="w")
    signals = {module.name: _comb_io_signals(module.name, module.comb) for module in pipeline.modules}
    registers = {row.name: Signal(row.name, False, row.kifs, reg=True, mode="rw") for row in pipeline.registers}
    order = list(dict.fromkeys(module.block for module in pipeline.modules))
    connections = []
    if segment.sampled:
        source = Signal("model_inp_reg", False, pipeline.input_kifs, reg=True, mode="rw")
        connections.append(Conn(ports, source))
    for module in pipeline.modules:
        inputs, given = signals[module.name]
        if module.n_held:
            connections.append(Conn(registers[register_name(module.name)], inputs[0 : module.n_held]))
        if module.n_held < inputs.size:
            before, arriving = order.index(module.block) - 1, source
            if before >= 0:
                front = next(m for m in pipeline.modules if m.block == order[before] and m.stage == module.stage)
                outs = signals[front.name][1]
                arriving = outs[front.n_kept : outs.size]
            connections.append(Conn(arriving, inputs[module.n_held : inputs.size]))
        if module.n_kept:
            behind = register_name(f"{module.block}_s{module.stage + 1}")
            connections.append(Conn(given[0 : module.n_kept], registers[behind]))
    connections.append(Conn(signals[pipeline.modules[-1].name][1], outputs))
    return FSM({module.name: module.comb for module in pipeline.modules}, tuple(connections))
