"""A dense layer on shared multipliers, as Verilog.

The outputs are dealt into lanes, each with a multiplier for every input; in each phase a lane computes one of its
outputs, with weights that the phase selects. Dealing outputs and not inputs leaves the inputs where they are, needs no
accumulators, and shares the activation as well: what has to be collected are its few bits, not sums.

Sums are pairwise and registered: logic synthesis would merge a plain one into a compressor tree four times as large.
"""

from dataclasses import dataclass

import numpy as np

from flow.firmware.multiplexed.chain import Shared, own_outputs
from flow.firmware.multiplexed.content import Dense, used_inputs
from flow.firmware.multiplexed.module import SharedModule, collected, counts, header
from flow.firmware.multiplexed.segment import Segment, logic, numbered
from flow.firmware.multiplexed.verilog import Bits, aligned, joined, phase_bits, phase_counter, placed, signed

TABLE_BITS = 64  # of a truth table that is one look-up table; lanes that have the same table share it
DSP_PRODUCT_BITS = 9  # from this width on logic synthesis takes a DSP


@dataclass(frozen=True)
class _Term:
    """A summand: a signed expression, and the least and largest it is in each phase (phases,)."""

    text: str
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class _Lane:
    lines: tuple[str, ...]
    total: Bits
    depth: int
    register_bits: int
    adder_bits: int
    product_bits: int
    tables: frozenset[tuple[int, ...]]


def module(link: Shared, steady: bool, cutoff_ns: float) -> SharedModule:
    """The module of a dense layer; see `collected` for `steady`."""
    layer, outputs = link.layer, own_outputs(link)
    n_lanes = -(-len(outputs) // link.reuse)
    phases = -(-len(outputs) // n_lanes)
    used = used_inputs(layer, outputs)
    reads = tuple(dict.fromkeys(sorted(layer.inputs[i] for i in used)))
    kif_of = {layer.inputs[i]: layer.input_kifs[i] for i in used}
    x = dict(zip(reads, placed("x", [kif_of[i] for i in reads])))
    dealt = [
        [outputs[p * n_lanes + k] for p in range(phases) if p * n_lanes + k < len(outputs)] for k in range(n_lanes)
    ]
    depth = max(_depth(layer, lane) for lane in dealt)
    lanes = [_lane(k, layer, lane, phases, x, depth) for k, lane in enumerate(dealt)]
    name, inner = f"{link.name}_mux", None
    if layer.comb is not None and numbered(layer.comb).shape[0]:
        inner = logic(f"{link.name}_lane", layer.comb, (layer.sum_kif,), cutoff_ns)
    lines = [*phase_counter(phases)]
    for lane in lanes:
        lines += lane.lines
    results, kifs = [], dict(zip(link.live, link.kifs))
    for k, lane in enumerate(lanes):
        more, result = _finished(k, lane, layer, inner)
        lines += more
        results.append(result)
    by_phase, own = [], []
    for phase in range(phases):
        chosen = outputs[phase * n_lanes : (phase + 1) * n_lanes]
        formats = [kifs[len(link.passed) + j] for j in chosen]
        by_phase.append([Bits(results[k].signal, 0, kif) for k, kif in enumerate(formats)])
        own += formats
    more, kept = collected(by_phase, steady)
    text = [*header(name, sum(bits.width for bits in x.values()), sum(map(sum, own)), phases), *lines, *more]
    registers = kept + phase_bits(phases) + sum(lane.register_bits for lane in lanes)
    adders = sum(lane.adder_bits for lane in lanes)
    products = sum(lane.product_bits for lane in lanes)
    tables = len(frozenset().union(*(lane.tables for lane in lanes))) * -(-phases // TABLE_BITS) * (phases > 2)
    return SharedModule(
        name, "\n".join([*text, "", "endmodule", ""]), inner, n_lanes, phases, 1,
        depth + (inner.n_stages if inner else 1) + 1, reads, tuple(own),
        adders + products + tables + (n_lanes * layer.comb.cost if inner else 0.0), registers,
        counts(overlapping=adders + products, selections=tables, registers=registers),
    )  # fmt: skip


def _finished(k: int, lane: _Lane, layer: Dense, inner: Segment | None) -> tuple[list[str], Bits]:
    """The activation of a lane's sum, or the sum as it is."""
    width = sum(layer.sum_kif)
    lines = [f"    wire [{width - 1}:0] sum{k} = {aligned(lane.total, layer.sum_kif)};"]
    if layer.comb is None:
        return lines, Bits(f"sum{k}", 0, layer.sum_kif)
    kif = tuple(int(v) for v in layer.comb.out_qint[0].kif)
    result = Bits(f"z{k}", 0, kif)
    lines.append(f"    wire [{sum(kif) - 1}:0] z{k};")
    if inner is None:  # an activation that saturates whatever the sum is
        value = round(layer.comb.out_qint[0].min * 2.0 ** kif[2]) % (1 << sum(kif))
        return [*lines, f"    assign z{k} = {sum(kif)}'d{value};"], result
    clock = ".clk(clk), " if inner.clocked else ""
    lines.append(f"    {inner.name} _inst_{inner.name}_{k} ({clock}.model_inp(sum{k}), .model_out(z{k}));")
    return lines, result


def _depth(layer: Dense, outputs: list[int]) -> int:
    """Levels of adders that a lane needs."""
    terms = len(used_inputs(layer, outputs)) + bool(layer.bias[outputs].any())
    return (max(terms, 1) - 1).bit_length()


def _lane(k: int, layer: Dense, outputs: list[int], phases: int, x: dict[int, Bits], depth: int) -> _Lane:
    """One lane: weights by phase, products, their sum."""
    padded = outputs + outputs[:1] * (phases - len(outputs))  # what an idle lane computes is not kept
    tables: dict[tuple[int, ...], str] = {}
    body: list[str] = []
    declared: list[str] = []
    fraction = layer.sum_kif[2]
    terms, product_bits, register_bits = [], 0, 0
    for i in used_inputs(layer, padded):
        value = x[layer.inputs[i]]
        weights = layer.kernel[i, padded]
        low, high = _ends(value.kif)
        ends = np.stack([weights * low, weights * high])
        shift = fraction - layer.kernel_fraction - value.kif[2]
        weight, weight_bits = _selected(weights, f"t{k}", tables)
        term, bits = _register(
            f"p{k}_{i}", f"{signed(value)} * {weight}", ends.min(axis=0), ends.max(axis=0), declared, body
        )
        register_bits += bits
        if bits < DSP_PRODUCT_BITS and weight_bits:
            product_bits += value.width * weight_bits
        terms.append(_shifted(term, shift))
    if layer.bias[padded].any():
        bias = layer.bias[padded]
        text, _ = _selected(bias, f"t{k}", tables)
        term, bits = _register(f"b{k}", text, bias, bias, declared, body)
        register_bits += bits
        terms.append(term)
    total, more, adder_bits = _sum(k, terms, depth, phases, fraction, declared, body)
    choices = [f"        t{k}[{n}] <= {_looked_up(table, phase_bits(phases) - 1)};" for n, table in enumerate(tables)]
    head = [f"    reg [{len(tables) - 1}:0] t{k};"] if tables else []
    lines = [*head, *declared, "    always @(posedge clk) begin", *choices, *body, "    end"]
    if len(lines) == 2 + len(head):
        lines = head
    return _Lane(
        tuple(lines), total, depth, register_bits + more + len(tables), adder_bits, product_bits, frozenset(tables)
    )


def _sum(k: int, terms: list[_Term], depth: int, phases: int, fraction: int, declared, body):
    """Registered levels of adders; a term without a partner waits for the next level."""
    register_bits = adder_bits = 0
    if not terms:
        declared.append(f"    wire zero{k} = 1'b0;")
        return Bits(f"zero{k}", 0, (0, 1 - fraction, fraction)), 0, 0
    terms = sorted(terms, key=lambda term: int(term.high.max() - term.low.min()))
    for level in range(depth):
        following = []
        for n in range(0, len(terms), 2):
            pair = terms[n : n + 2]
            low, high = sum(term.low for term in pair), sum(term.high for term in pair)
            text = " + ".join(term.text for term in pair)
            term, bits = _register(f"s{k}_{level}_{n // 2}", text, low, high, declared, body)
            register_bits += bits
            adder_bits += bits * (len(pair) - 1)
            following.append(term)
        terms = following
    (last,) = terms
    is_signed = bool(last.low.min() < 0)
    width = _width(last.low, last.high)
    declared.append(f"    wire [{width - 1}:0] total{k} = {last.text};")
    return Bits(f"total{k}", 0, (int(is_signed), width - is_signed - fraction, fraction)), register_bits, adder_bits


def _register(name: str, text: str, low, high, declared: list[str], body: list[str]) -> tuple[_Term, int]:
    """A register for a signed expression whose range is known by phase, and its bits."""
    is_signed, width = bool(low.min() < 0), _width(low, high)
    declared.append(f"    reg {'signed ' if is_signed else ''}[{width - 1}:0] {name};")
    body.append(f"        {name} <= {text};")
    return _Term(name if is_signed else f"$signed({{1'b0, {name}}})", low, high), width


def _width(low: np.ndarray, high: np.ndarray) -> int:
    """Bits of a number between the least and the largest, with a sign where one can be negative."""
    least, largest = int(low.min()), max(int(high.max()), 0)
    return max(largest.bit_length(), (-least - 1).bit_length() if least < 0 else 0, 1 - (least < 0)) + (least < 0)


def _shifted(term: _Term, shift: int) -> _Term:
    if not shift:
        return term
    return _Term(f"$signed({{{term.text}, {shift}'d0}})", term.low << shift, term.high << shift)


def _ends(kif) -> tuple[int, int]:
    is_signed, integer, fraction = kif
    return -(1 << (integer + fraction)) * is_signed, (1 << (integer + fraction)) - 1


def _looked_up(table: tuple[int, ...], bit: int) -> str:
    """What a truth table over the phases says, as choices by the bits of the phase: synthesis indexes no constants."""
    if len(set(table)) == 1:
        return f"1'b{table[0]}"
    half = 1 << bit
    if len(table) <= half:
        return _looked_up(table, bit - 1)
    low, high = _looked_up(table[:half], bit - 1), _looked_up(table[half:], bit - 1)
    if low == high:
        return low
    plain = {("1'b0", "1'b1"): f"phase[{bit}]", ("1'b1", "1'b0"): f"~phase[{bit}]"}
    return plain.get((low, high), f"(phase[{bit}] ? {high} : {low})")


def _selected(numbers: np.ndarray, name: str, tables: dict[tuple[int, ...], str]) -> tuple[str, int]:
    """A signed expression of numbers (phases,) that the phase selects, and how many of its bits are not constant.

    Each bit is a truth table over the phases; equal ones are one register.
    """
    width = _width(np.minimum(numbers, 0), numbers) + (0 if numbers.min() < 0 else 1)
    bits, chosen = [], 0
    for bit in reversed(range(width)):
        table = tuple(int(number) >> bit & 1 for number in numbers)
        if len(set(table)) == 1:
            bits.append(f"1'b{table[0]}")
            continue
        chosen += 1
        bits.append(tables.setdefault(table, f"{name}[{len(tables)}]"))
    return f"$signed({joined(bits)})", chosen
