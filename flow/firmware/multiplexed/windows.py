"""A convolution on shared copies of its window's logic, as Verilog.

The positions are dealt into phases, neighbours into the same one. A copy computes one position a phase: the phase
selects what the window covers there. Its weights are constants, so that a copy is shifts and adds, without multipliers.
"""

import numpy as np

from flow.firmware.multiplexed.chain import Shared, filters, own_outputs
from flow.firmware.multiplexed.content import restricted, taken
from flow.firmware.multiplexed.module import SharedModule, collected, counts, header
from flow.firmware.multiplexed.segment import Segment, logic
from flow.firmware.multiplexed.verilog import Bits, aligned, joined, phase_bits, phase_counter, placed, zeros
from flow.firmware.pipeline import Kif

LUTS_PER_CHOICE = 0.5
"""Look-up tables of a choice between two bits, in a tree of them: one takes a choice between four, three such."""


def module(link: Shared, steady: bool, cutoff_ns: float) -> SharedModule:
    """The module of a convolution; see `collected` for `steady`."""
    layer, outputs = link.layer, own_outputs(link)
    n_filters, chosen = layer.comb.shape[1], filters(link)
    comb = restricted(layer.comb, chosen)
    taps = taken(comb)
    inner = logic(f"{link.name}_kernel", comb, tuple(layer.tap_kifs[t] for t in taps), cutoff_ns)
    places = sorted({i // n_filters for i in outputs})
    n_copies = -(-len(places) // link.reuse)
    phases = -(-len(places) // n_copies)
    sources = layer.sources[np.ix_(places, taps)]
    reads = tuple(sorted({int(i) for i in sources.ravel() if i >= 0}))
    x = dict(zip(reads, placed("x", [layer.source_kifs[i] for i in reads])))
    lines, choice_bits = phase_counter(phases), 0
    choices: dict[tuple, str] = {}
    for copy in range(n_copies):
        more, bits = _copy(copy, inner, sources[copy::n_copies], x, phase_bits(phases), choices)
        lines += more
        choice_bits += bits
    out_kifs = inner.pipeline.output_kifs
    by_phase, own, wanted = [], [], set(outputs)
    for phase in range(phases):
        values = []
        for copy, place in enumerate(places[phase * n_copies : (phase + 1) * n_copies]):
            results = placed(f"z{copy}", out_kifs)
            values += [results[n] for n, f in enumerate(chosen) if place * n_filters + f in wanted]
        by_phase.append(values)
        own += [value.kif for value in values]
    more, kept = collected(by_phase, steady)
    name = f"{link.name}_mux"
    n_in = sum(bits.width for bits in x.values())
    text = [*header(name, n_in, sum(map(sum, own)), phases), *lines, *more, "", "endmodule", ""]
    registers = kept + phase_bits(phases) + n_copies * sum(map(sum, inner.pipeline.input_kifs))
    luts = LUTS_PER_CHOICE * choice_bits
    return SharedModule(
        name, "\n".join(text), inner, n_copies, phases, 0, inner.n_stages + 1, reads, tuple(own),
        luts + n_copies * comb.cost, registers, counts(selections=luts, registers=registers),
    )  # fmt: skip


def _copy(copy: int, inner: Segment, sources: np.ndarray, x, bits: int, choices) -> tuple[list[str], int]:
    """Lines of one copy: the window that the phase selects from `sources` (phases, taps), its logic; bits of choices."""
    tap_kifs, out_kifs = inner.pipeline.input_kifs, inner.pipeline.output_kifs
    lines: list[str] = []
    parts, choice_bits = [], 0
    for kif, column in zip(tap_kifs, sources.T):
        leaves = tuple(_leaf(int(i), x, kif) for i in column)
        text, more = _choice(leaves, bits - 1, sum(kif), choices, lines)
        choice_bits += more
        if sum(kif):
            parts.append(text)
    clock = ".clk(clk), " if inner.clocked else ""
    lines += [
        f"    reg [{sum(map(sum, tap_kifs)) - 1}:0] w{copy};",
        f"    always @(posedge clk) w{copy} <= {joined(reversed(parts))};",
        f"    wire [{sum(map(sum, out_kifs)) - 1}:0] z{copy};",
        f"    {inner.name} _inst_{inner.name}_{copy} ({clock}.model_inp(w{copy}), .model_out(z{copy}));",
    ]
    return lines, choice_bits


def _leaf(source: int, x: dict[int, Bits], kif: Kif) -> str:
    return aligned(x[source], kif) if source >= 0 else zeros(sum(kif))


def _choice(
    leaves: tuple[str, ...], bit: int, width: int, known: dict[tuple, str], lines: list[str]
) -> tuple[str, int]:
    """An expression of what the phase selects from `leaves`, by its bits up to `bit`, and bits of new choices.

    Phases that do not come up have no leaf: they take what their neighbours do. Equal choices are made once.
    """
    if bit < 0 or len(set(leaves)) == 1:
        return leaves[0], 0
    half = 1 << bit
    if len(leaves) <= half:
        return _choice(leaves, bit - 1, width, known, lines)
    key = (leaves, bit, width)
    if key in known:
        return known[key], 0
    low, low_bits = _choice(leaves[:half], bit - 1, width, known, lines)
    high, high_bits = _choice(leaves[half:], bit - 1, width, known, lines)
    if low == high:
        known[key] = low
        return low, low_bits + high_bits
    known[key] = f"m{len(known)}"
    lines.append(f"    wire [{width - 1}:0] {known[key]} = phase[{bit}] ? {high} : {low};")
    return known[key], low_bits + high_bits + width
