"""The links of a chain put together: when each has its values, and the top module that hands them on.

A word goes through the links at fixed clock edges, counted from the one that takes it (edge 0). A chain of valid bits
beside it tells each link when its values come; what has to stay for an interval is in registers that only these
bits load. "Row" r is what signals are between edge r and the next.
"""

from dataclasses import dataclass, field

from flow.errors import BadInput
from flow.firmware.multiplexed import lanes, windows
from flow.firmware.multiplexed.chain import Chain, Shared, Unrolled, own_outputs
from flow.firmware.multiplexed.content import Dense
from flow.firmware.multiplexed.module import SharedModule
from flow.firmware.multiplexed.segment import Segment, segment, sources
from flow.firmware.multiplexed.verilog import Bits, packed, placed
from flow.firmware.pipeline import CUTOFF_FRACTION, Kif


@dataclass(frozen=True)
class Held:
    """A register of the top module, and the block that it is for."""

    name: str
    block: str
    bits: int


@dataclass(frozen=True)
class Found:
    """Where an element of a layer is: a slice of a signal below the top module, from row `row` on."""

    block: str
    layer: str
    element: int
    bits: Bits
    row: int


@dataclass(frozen=True)
class Design:
    """A whole network: its modules, the lines of its top, and what is known of them."""

    segments: tuple[Segment, ...]
    shared: tuple[tuple[str, SharedModule], ...]
    registers: tuple[Held, ...]
    lines: tuple[str, ...]
    places: tuple[Found, ...]
    input_kifs: tuple[Kif, ...]
    output_kifs: tuple[Kif, ...]
    output: str
    rows: int
    interval: int

    @property
    def latency_cycles(self) -> int:
        """Clock edges from a word at the ports to its outputs in registers, that which takes it counted."""
        return self.rows + 1


@dataclass
class _Draft:
    """The top module as it is written: `values` are those that leave the last link, by position in its row."""

    row: int
    values: dict[int, Bits]
    lines: list[str] = field(default_factory=list)
    registers: list[Held] = field(default_factory=list)
    places: list[Found] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    shared: list[tuple[str, SharedModule]] = field(default_factory=list)


def design(chain: Chain, clock_ns: float) -> Design:
    """The modules of a chain for a clock period. Raises BadInput for names that would be given twice."""
    cutoff_ns = CUTOFF_FRACTION * clock_ns
    word_kif = (1, chain.word.integer, chain.word.fraction)
    draft = _Draft(-1, dict(enumerate(placed("model_inp", [word_kif] * chain.n_in))))
    groups = _groups(chain)
    if isinstance(groups[0], Shared):
        _hold(draft, groups[0].name, "sampled")
        _hold(draft, groups[0].name, "in")
    for position, group in enumerate(groups):
        behind = groups[position + 1] if position + 1 < len(groups) else None
        if isinstance(group, Shared):
            _add_shared(draft, group, chain.interval, isinstance(behind, Shared) or behind is None, cutoff_ns)
        else:
            _add_segment(draft, group, behind, cutoff_ns)
    if isinstance(groups[-1], Shared):
        draft.lines.append(f"    assign model_out = {packed(list(draft.values.values()))};")
    kifs = chain.links[-1].kifs
    return Design(
        tuple(draft.segments), tuple(draft.shared), tuple(draft.registers), tuple(draft.lines), tuple(draft.places),
        (word_kif,) * chain.n_in, kifs, "wire" if isinstance(groups[-1], Shared) else "reg", draft.row, chain.interval,
    )  # fmt: skip


def modules(design: Design, name: str) -> dict[str, str]:
    """The Verilog of all modules by name, the top module `name` last. Raises BadInput for a name given twice."""
    found: dict[str, str] = {}
    inner = [module.inner for _, module in design.shared if module.inner is not None]
    for texts in (
        *(sources(one) for one in (*design.segments, *inner)),
        *({module.name: module.text} for _, module in design.shared),
        {name: _top(design, name)},
    ):
        for module, text in texts.items():
            if module in found:
                raise BadInput(
                    f"two modules of the RTL would have the name {module!r}; rename a layer or the top module"
                )
            found[module] = text
    return found


def _groups(chain: Chain) -> list[Shared | list[Unrolled]]:
    """The links, unrolled ones that follow one another together."""
    groups: list[Shared | list[Unrolled]] = []
    for link in chain.links:
        if isinstance(link, Shared):
            groups.append(link)
        elif groups and isinstance(groups[-1], list):
            groups[-1].append(link)
        else:
            groups.append([link])
    return groups


def _enable(edge: int) -> str:
    """The signal that is high for an edge, counted from that which takes the word."""
    return "in_valid" if edge == 0 else f"valid[{edge - 1}]"


def _hold(draft: _Draft, block: str, suffix: str, edge: int | None = None) -> None:
    """Registers for all values, loaded at `edge` (the next one where it is None)."""
    edge = draft.row + 1 if edge is None else edge
    name = f"{block}_{suffix}"
    width = sum(value.width for value in draft.values.values())
    draft.lines += [
        f"    reg [{width - 1}:0] {name};",
        f"    always @(posedge clk) if ({_enable(edge)}) {name} <= {packed(list(draft.values.values()))};",
    ]
    draft.registers.append(Held(name, block, width))
    kifs = [value.kif for value in draft.values.values()]
    draft.values = dict(zip(draft.values, placed(name, kifs)))
    draft.row = edge


def _add_segment(draft: _Draft, links: list[Unrolled], behind: Shared | None, cutoff_ns: float) -> None:
    """Unrolled links, and the registers behind them."""
    first = draft.row < 0
    kifs = tuple(value.kif for value in draft.values.values())
    made = segment(f"{links[0].name}_pipe", links, kifs, cutoff_ns, first)
    start = 0 if first else draft.row
    clock = ".clk(clk), " if made.clocked else ""
    outputs = placed(f"{made.name}_out", links[-1].kifs)
    draft.lines += [
        f"    wire [{sum(bit.width for bit in outputs) - 1}:0] {made.name}_out;",
        f"    {made.name} _inst_{made.name} (",
        f"        {clock}.model_inp({packed(list(draft.values.values()))}), .model_out({made.name}_out)",
        "    );",
    ]
    draft.segments.append(made)
    for link in links:
        for place in made.pipeline.places[link.name]:
            layer, element = link.row[place.element]
            if layer in link.layers:
                bits = Bits(f"_inst_{made.name}.{place.signal}", place.low_bit, place.kif)
                draft.places.append(Found(link.name, layer, element, bits, start + place.stage))
    draft.values = dict(zip(links[-1].live, outputs))
    draft.row = start + made.n_stages - 1
    if behind is not None:
        _hold(draft, behind.name, "in")
    else:
        draft.row += 1
        draft.lines.append(
            f"    always @(posedge clk) if ({_enable(draft.row)}) model_out <= {packed(list(draft.values.values()))};"
        )
        draft.registers.append(Held("model_out", links[-1].name, sum(bit.width for bit in outputs)))


def _add_shared(draft: _Draft, link: Shared, interval: int, steady: bool, cutoff_ns: float) -> None:
    """A layer that shares its hardware, and the registers of the values that pass it."""
    before, start = draft.values, draft.row
    passed = [link.passed[i] for i in link.live if i < len(link.passed)]
    live_passed = [i for i in link.live if i < len(link.passed)]
    own = own_outputs(link)
    made, rows = None, 0
    if own:
        build = lanes.module if isinstance(link.layer, Dense) else windows.module
        made = build(link, steady, cutoff_ns)
        rows = made.rows
        lead, out = start + made.lead, f"{made.name}_out"
        taken = ", ".join(_enable(lead + phase) for phase in reversed(range(made.phases)))
        results = placed(out, made.kifs)
        draft.lines += [
            f"    wire [{sum(bit.width for bit in results) - 1}:0] {out};",
            f"    {made.name} _inst_{made.name} (",
            f"        .clk(clk), .start({_enable(start - made.ahead)}), .take({{{taken}}}),",
            f"        .x({packed([before[i] for i in made.reads])}), .y({out})",
            "    );",
        ]
        draft.shared.append((link.name, made))
        for i, bits in zip([i for i in link.live if i >= len(link.passed)], results):
            layer, element = link.row[i]
            draft.places.append(Found(link.name, layer, element, bits, start + rows))
    draft.values = {i: before[i] for i in dict.fromkeys(passed)}
    if passed and made:
        _pass(draft, link.name, start, start + rows, interval, steady)
    values = dict(zip(live_passed, (draft.values[i] for i in passed)))
    if made:
        values |= dict(zip([i for i in link.live if i >= len(link.passed)], results))
    draft.values = values
    draft.row = start + rows


def _pass(draft: _Draft, block: str, start: int, end: int, interval: int, steady: bool) -> None:
    """Values that are there from row `start` on for an interval, until row `end` (`steady`: for an interval more)."""
    row, number = start, 0
    while row + interval - 1 < (end - 1 if steady else end):
        row += interval
        _hold(draft, block, f"pass{number}", row)
        number += 1
    if steady:
        _hold(draft, block, f"pass{number}", end)


def _top(design: Design, name: str) -> str:
    n_in, n_out = (sum(map(sum, kifs)) for kifs in (design.input_kifs, design.output_kifs))
    bits = design.rows
    return "\n".join(
        [
            "`timescale 1 ns / 1 ps",
            "",
            f"// in_valid: high for the one clock in which model_inp is taken, the next time {design.interval} or more later.",
            f"// model_out: the outputs, {design.latency_cycles} clock edges after that, until those of the next word.",
            f"module {name} (",
            "    input clk,",
            "    input in_valid,",
            f"    input [{n_in - 1}:0] model_inp,",
            f"    output {design.output} [{n_out - 1}:0] model_out",
            ");",
            "",
            f"    reg [{bits - 1}:0] valid = {bits}'d0;  // bit r: a word was taken r + 1 clock edges ago",
            f"    always @(posedge clk) valid <= {'in_valid' if bits == 1 else f'{{valid[{bits - 2}:0], in_valid}}'};",
            "",
            *design.lines,
            "",
            "endmodule",
            "",
        ]
    )
