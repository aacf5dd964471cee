"""Cut the blocks of a traced network into pipeline stages.

Each operation goes into the earliest stage in which it still fits: its inputs' time within the stage plus its
own delay stays within the cut-off. Stages are counted through the whole network, so that a stage may
reach from the end of one block into the next without a register between them; a module holds the part
of one block that lies in one stage, ``<block>_s<stage>``, and registers carry the name of the block that reads them.

Delays are alkaid's: nanoseconds fitted to placed and routed UltraScale+ designs (1.09 ns and 0.025 ns a bit for an
adder, 0.5 ns for a multiplexer), routing included, the registers' own clock-to-out and set-up time not.
"""

import math
from dataclasses import dataclass, replace

from flow.errors import BadInput
from flow.formats import Fixed

CUTOFF_FRACTION = 0.92
"""Delay allowed in a stage, as a fraction of the clock period: 4.6 ns at 200 MHz, which is four short adders, or two and
an activation. What is left pays for the registers (about 0.15 ns) and for the clock's uncertainty."""

PORT_CYCLES = 1  # clock edges beyond the stages: the registers at the input
MOST_CYCLES = 1024
"""The longest latency that can be asked for: each cycle is a module, whether it holds logic or only passes on."""

INPUT, CONSTANT, CONSTANT_ADDITION = -1, 5, 4  # alkaid's operation codes
ADDER_NS, ADDER_NS_PER_BIT = 1.09375, 0.025390625  # alkaid's figures for an adder
Kif = tuple[int, int, int]  # signed, integer bits without sign, fractional bits


@dataclass(frozen=True)
class Module:
    """The part of a block that lies in one stage. Its inputs are the `n_held` values that the stage's registers
    hold, then those that arrive from the block before in the same stage; its outputs are the `n_kept` values that
    the next stage's registers take, then those for the block behind."""

    name: str
    block: str
    stage: int
    comb: object
    n_held: int
    n_kept: int


@dataclass(frozen=True)
class Register:
    """The registers in front of one module."""

    name: str
    block: str
    kifs: tuple[Kif, ...]


@dataclass(frozen=True)
class Place:
    """Where a block's output `element` is: a slice of a signal in the top module, valid in `stage`."""

    element: int
    signal: str
    low_bit: int
    kif: Kif
    stage: int

    def to_json(self) -> dict:
        signed, integer, fraction = self.kif
        return {
            "element": self.element,
            "signal": self.signal,
            "low_bit": self.low_bit,
            "bits": signed + integer + fraction,
            "signed": bool(signed),
            "fraction": fraction,
            "stage": self.stage,
        }


@dataclass(frozen=True)
class Pipeline:
    """A network in stages."""

    modules: tuple[Module, ...]
    registers: tuple[Register, ...]
    places: dict[str, tuple[Place, ...]]
    input_kifs: tuple[Kif, ...]
    output_kifs: tuple[Kif, ...]
    n_stages: int
    stage_delay_ns: float

    @property
    def latency_cycles(self) -> int:
        """Clock edges from an input word at the ports to its logits in the output registers.

        The registers at the input, between the stages and at the output are all counted.
        """
        return self.n_stages + PORT_CYCLES


@dataclass(frozen=True)
class _Timing:
    """Stage of each operation of each block (-1 for constants), and the number of stages."""

    stages: tuple[tuple[int, ...], ...]
    n_stages: int
    delay_ns: float


def plan(
    blocks: list[tuple[str, object, tuple[int, ...]]],
    n_in: int,
    word: Fixed,
    cutoff_ns: float,
    cycles: int | None = None,
) -> Pipeline:
    """Stages for the blocks (name, logic, the elements of the block's output that its outputs are).

    The number of stages is the least that keeps every stage within `cutoff_ns` when operations go into the
    earliest stage, or what the latency `cycles` asks for; the delay is then evened out over that number of stages,
    and where even one operation a stage does not fill them, the last ones only pass on. An operation that is longer
    than the cut-off by itself gets a stage of its own. Raises BadInput where the cut-off needs more than `cycles`,
    telling the clock at which they would do. Blocks without outputs, in front of one that is constant, get no module.
    """
    places: dict[str, tuple[Place, ...]] = {name: () for name, _, live in blocks if not live}
    (name, comb, live), *behind = [block for block in blocks if block[2]]
    blocks = [(name, _with_all_inputs(comb, n_in, word), live), *behind]
    combs, lives = [comb for _, comb, _ in blocks], [live for _, _, live in blocks]
    timing = _evened(combs, lives, cutoff_ns) if cycles is None else _over(combs, lives, cutoff_ns, cycles)
    modules: list[Module] = []
    registers: list[Register] = []
    for position, (name, comb, live) in enumerate(blocks):
        last = position == len(blocks) - 1
        parts, held, found = _split(name, comb, live, timing.stages[position], timing.n_stages, last)
        modules += parts
        registers += held
        places[name] = tuple(found)
    input_kif = (1, word.integer, word.fraction)
    output_kifs = tuple(_kif(interval) for interval in blocks[-1][1].out_qint)
    return Pipeline(
        tuple(modules), tuple(registers), places, (input_kif,) * n_in, output_kifs, timing.n_stages, timing.delay_ns
    )


def to_fsm(pipeline: Pipeline):
    """The pipeline as an alkaid FSM with the ports ``model_inp`` and ``model_out``."""
    from alkaid.stateful.fsm import FSM, Conn, ModuloSchedule, Signal, _comb_io_signals

    ports_in = Signal("model_inp", True, pipeline.input_kifs, reg=False, mode="r", schedule=ModuloSchedule((0,), 1))
    sampled = Signal("model_inp_reg", False, pipeline.input_kifs, reg=True, mode="rw")
    ports_out = Signal(
        "model_out", True, pipeline.output_kifs, reg=True, mode="w",
        schedule=ModuloSchedule((pipeline.latency_cycles,), 1),
    )  # fmt: skip
    signals = {module.name: _comb_io_signals(module.name, module.comb) for module in pipeline.modules}
    registers = {row.name: Signal(row.name, False, row.kifs, reg=True, mode="rw") for row in pipeline.registers}
    order = list(dict.fromkeys(module.block for module in pipeline.modules))
    connections = [Conn(ports_in, sampled)]
    for module in pipeline.modules:
        taken, given = signals[module.name]
        if module.n_held:
            connections.append(Conn(registers[register_name(module.name)], taken[0 : module.n_held]))
        if module.n_held < taken.size:
            before = order.index(module.block) - 1
            if before < 0:
                source = sampled
            else:
                front = next(m for m in pipeline.modules if m.block == order[before] and m.stage == module.stage)
                outputs = signals[front.name][1]
                source = outputs[front.n_kept : outputs.size]
            connections.append(Conn(source, taken[module.n_held : taken.size]))
        if module.n_kept:
            behind = register_name(f"{module.block}_s{module.stage + 1}")
            connections.append(Conn(given[0 : module.n_kept], registers[behind]))
    connections.append(Conn(signals[pipeline.modules[-1].name][1], ports_out))
    return FSM({module.name: module.comb for module in pipeline.modules}, tuple(connections))


def register_name(module: str) -> str:
    return f"{module}_in"


def _with_all_inputs(comb, n_in: int, word: Fixed):
    """The logic with an operation for each of the network's inputs: pruning may leave a feature that nothing reads."""
    from alkaid.types import Op, QInterval

    there = {op.data[0] for op in comb.ops if op.opcode == INPUT}
    interval = QInterval(word.low, word.high, word.step)
    unread = [Op((), INPUT, (i,), interval, 0.0, 0.0) for i in range(n_in) if i not in there]
    return comb._replace(shape=(n_in, comb.shape[1]), ops=[*comb.ops, *unread]) if unread else comb


def _kif(interval) -> Kif:
    signed, integer, fraction = interval.kif
    return int(signed), int(integer), int(fraction)


def _over(combs, live, cutoff_ns: float, cycles: int) -> _Timing:
    """The timing that gives a latency of `cycles`."""
    if cycles > MOST_CYCLES:
        raise BadInput(f"cycles {cycles}: a latency of up to {MOST_CYCLES} is supported")
    least, wanted = _schedule(combs, live, cutoff_ns).n_stages, cycles - PORT_CYCLES
    if wanted < least:
        clock = 1e3 * CUTOFF_FRACTION / cutoff_ns
        would = f"; {cycles} would do up to {_fastest_mhz(combs, live, wanted):g} MHz" if wanted > 0 else ""
        raise BadInput(f"cycles {cycles}: at {clock:.6g} MHz the network needs at least {least + PORT_CYCLES}{would}")
    return replace(_evened(combs, live, cutoff_ns, wanted), n_stages=wanted)


def _fastest_mhz(combs, live, n_stages: int) -> float:
    """The highest clock at which so many stages do, rounded down to 0.1 MHz."""
    high = _schedule(combs, live, math.inf).delay_ns
    low = 0.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if _schedule(combs, live, middle).n_stages > n_stages else (low, middle)
    longest = _schedule(combs, live, high).delay_ns  # an operation may take longer than the cut-off
    return math.floor(1e4 * CUTOFF_FRACTION / max(high, longest)) / 10


def _evened(combs, live, cutoff_ns: float, n_stages: int | None = None) -> _Timing:
    """The timing with the least delay that needs no more than `n_stages`; None: no more than the cut-off needs."""
    best = _schedule(combs, live, cutoff_ns)
    most = best.n_stages if n_stages is None else n_stages
    low, high = 0.0, cutoff_ns
    for _ in range(8):  # to within 1/256 of the cut-off
        middle = (low + high) / 2
        trial = _schedule(combs, live, middle)
        if trial.n_stages > most:
            low = middle
        else:
            best, high = trial, middle
    return best


def _schedule(combs, live, cutoff_ns: float) -> _Timing:
    """Every operation in the earliest stage that it fits into."""
    arrivals: dict[int, tuple[int, float]] | None = None  # None: the network's inputs, all at 0
    stages, longest = [], 0.0
    for comb, elements in zip(combs, live):
        ready: list[tuple[int, float]] = []
        for op in comb.ops:
            if op.opcode == INPUT:
                ready.append((0, 0.0) if arrivals is None else arrivals[op.data[0]])
                continue
            if not op.addr:
                ready.append((-1, 0.0))
                continue
            delay = _delay(op, comb)
            stage, time = max(ready[i] for i in op.addr)
            if time > 0 and time + delay > cutoff_ns + 1e-9:
                stage, time = stage + 1, 0.0
            ready.append((stage, time + delay))
            longest = max(longest, time + delay)
        stages.append(tuple(stage for stage, _ in ready))
        arrivals = {element: ready[index] for element, index in zip(elements, comb.out_idxs)}
    return _Timing(tuple(stages), 1 + max(max(row, default=0) for row in stages), longest)


def _delay(op, comb) -> float:
    """Delay of one operation in ns; alkaid leaves out that adding a constant (a bias, an offset) is a carry chain."""
    if op.opcode == CONSTANT_ADDITION:
        bits = sum(_kif(op.qint))
        return ADDER_NS + ADDER_NS_PER_BIT * (bits - 1)
    return max(0.0, op.latency - max(comb.ops[i].latency for i in op.addr))


def _split(name, comb, live, stages, n_stages: int, last: bool):
    """The modules of one block, the registers in front of them, and the places of its outputs."""
    outputs = list(zip(live, comb.out_idxs, comb.out_shifts))
    until = _needed_until(comb, stages, n_stages, last)
    inputs = [i for i, op in enumerate(comb.ops) if op.opcode == INPUT]
    inputs.sort(key=lambda i: comb.ops[i].data[0])
    modules, registers, places = [], [], []
    final = n_stages - 1 if last else max(stages, default=0)
    for stage in range(min((s for s in stages if s >= 0), default=0), final + 1):
        held = [i for i in range(len(stages)) if 0 <= stages[i] < stage <= until[i]]
        arriving = [i for i in inputs if stages[i] == stage]
        kept = [i for i in range(len(stages)) if 0 <= stages[i] <= stage < until[i]]
        given = outputs if last else [row for row in outputs if stages[row[1]] == stage]
        if last and stage < final:
            given = []
        module = f"{name}_s{stage}"
        part = _part(comb, stages, stage, held + arriving, kept, given)
        modules.append(Module(module, name, stage, part, len(held), len(kept)))
        if held:
            kifs = tuple(_kif(comb.ops[i].qint) for i in held)
            registers.append(Register(register_name(module), name, kifs))
        low = sum(sum(_kif(interval)) for interval in part.out_qint[: len(kept)])
        for (element, _, _), interval in zip(given, part.out_qint[len(kept) :]):
            kif = _kif(interval)
            places.append(Place(element, f"INTERNAL_{module}_outp", low, kif, stage))
            low += sum(kif)
    return modules, registers, places


def _needed_until(comb, stages, n_stages: int, last: bool) -> list[int]:
    """The last stage in which each value is read inside the block."""
    until = list(stages)
    for op, stage in zip(comb.ops, stages):
        for i in op.addr:
            until[i] = max(until[i], stage)
    if last:
        for i in comb.out_idxs:
            until[i] = n_stages - 1
        if all(comb.ops[i].opcode == CONSTANT for i in comb.out_idxs):  # a module without inputs can't be written
            until[next(i for i, op in enumerate(comb.ops) if op.opcode == INPUT)] = n_stages - 1
    return [-1 if op.opcode == CONSTANT else row for op, row in zip(comb.ops, until)]


def _part(comb, stages, stage: int, inputs: list[int], kept: list[int], given: list):
    """The logic of one module: `inputs` become its inputs, `kept` and then `given` its outputs."""
    from alkaid.trace.passes import dead_code_elimin
    from alkaid.types import Op

    index: dict[int, int] = {}
    ops: list = []
    for position, i in enumerate(inputs):
        index[i] = len(ops)
        ops.append(Op((), INPUT, (position,), comb.ops[i].qint, 0.0, 0.0))
    for i, op in enumerate(comb.ops):
        if op.opcode == CONSTANT or (stages[i] == stage and op.opcode != INPUT):
            index[i] = len(ops)
            ops.append(op._replace(addr=tuple(index[j] for j in op.addr)))
    part = comb._replace(
        shape=(len(inputs), len(kept) + len(given)),
        inp_shifts=[0] * len(inputs),
        out_idxs=[index[i] for i in kept] + [index[i] for _, i, _ in given],
        out_shifts=[0] * len(kept) + [shift for _, _, shift in given],
        out_negs=[False] * (len(kept) + len(given)),
        ops=ops,
    )
    return dead_code_elimin(part, keep_dead_inputs=True)
