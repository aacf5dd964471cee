"""What the operations of a traced network must hold, exactly: look-up tables and registers by block.

The counts are those of alkaid's program once it is cut into stages (`flow.firmware.pipeline.Pipeline`). They follow
what logic synthesis does with it: an adder takes a look-up table where both operands have a bit, the carry alone
passes through where only one has; a register stays where something behind reads its bit, and once where two hold the
same one. Nothing of alkaid is imported: its operations are read as the tuples that they are.
"""

from collections.abc import Mapping
from enum import IntEnum
from itertools import pairwise

TRACED_LUT_FEATURES = ("overlapping", "subtracted", "carrying", "constants", "choices", "selections", "gates")
TRACED_FF_FEATURES = ("registers",)
COUNTS = (*TRACED_LUT_FEATURES, *TRACED_FF_FEATURES)


class Code(IntEnum):
    """alkaid's operation codes (its `docs/alir.md`)."""

    NEGATION = -2
    INPUT = -1
    ADDITION = 0
    SUBTRACTION = 1
    RECTIFIER = 2
    SLICE = 3
    CONSTANT_ADDITION = 4
    CONSTANT = 5
    CHOICE = 6
    UNARY = 9
    BINARY = 10


def count(pipeline) -> dict[str, dict[str, float]]:
    """Block → `COUNTS` of a network in stages. Registers at the ports count with the first and the
    last block; those in front of a block, with that block."""
    found = {module.block: dict.fromkeys(COUNTS, 0.0) for module in pipeline.modules}
    last = pipeline.modules[-1].block
    for module in pipeline.modules:
        _add_logic(module.comb, found[module.block])
    wanted = _wanted(pipeline)
    for module in pipeline.modules:
        below = wanted.get((module.block, module.stage + 1))
        if module.n_kept:
            found[module.block]["registers"] += _distinct(module, below[: module.n_kept])
    first = pipeline.modules[0]
    ports = wanted[first.block, first.stage][first.n_held :]
    found[first.block]["registers"] += sum(mask.bit_count() for mask in ports)
    found[last]["registers"] += sum(sum(kif) for kif in pipeline.output_kifs)
    return found


def summed(counts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The counts of all blocks together."""
    return {name: sum(row[name] for row in counts.values()) for name in COUNTS}


def _kif(op) -> tuple[int, int, int]:
    signed, integer, fraction = op.qint.kif
    return int(signed), int(integer), int(fraction)


def _add_logic(comb, row: dict[str, float]) -> None:
    """What choices and rectifiers hand to adders in the same module is taken into their look-up tables."""
    kifs = [_kif(op) for op in comb.ops]
    leaving = {_root(comb, i) for i in comb.out_idxs}
    for i, (op, kif) in enumerate(zip(comb.ops, kifs)):
        width = sum(kif)
        match op.opcode:
            case Code.ADDITION | Code.SUBTRACTION:
                _add_adder(op, kifs[op.addr[0]], kifs[op.addr[1]], kif, row)
            case Code.CONSTANT_ADDITION:
                row["constants"] += width
            case Code.CHOICE:
                constants = sum(comb.ops[j].opcode == Code.CONSTANT for j in op.addr[:2])
                if constants == 1:  # between two constants it is wiring
                    row["choices"] += width
                elif constants == 0 and i in leaving:
                    row["selections"] += width
            case Code.RECTIFIER if i in leaving and comb.ops[op.addr[0]].qint.min < 0:
                row["gates"] += width


def _root(comb, index: int) -> int:
    while comb.ops[index].opcode == Code.SLICE:
        index = comb.ops[index].addr[0]
    return index


def _add_adder(op, a: tuple[int, int, int], b: tuple[int, int, int], kif: tuple[int, int, int], row) -> None:
    """An adder's bits by what they do. Signed operands reach up to the top of the sum, unsigned ones end."""
    shift, top, bottom = op.data[0], kif[0] + kif[1], -kif[2]
    low_a, low_b = -a[2], shift - b[2]
    end_a = top if a[0] else min(a[1], top)
    end_b = top if b[0] else min(b[1] + shift, top)
    row["overlapping"] += max(0, min(end_a, end_b) - max(low_a, low_b, bottom))
    row["carrying"] += max(0, end_a - max(end_b, low_a, bottom))
    if op.opcode == Code.SUBTRACTION:  # bits that have to be inverted on their own
        above = max(0, end_b - max(end_a, low_b, bottom))
        below = max(0, min(low_a, b[0] + b[1] + shift) - max(low_b, bottom))
        row["subtracted"] += 0.5 * above + below


def _wanted(pipeline) -> dict[tuple[str, int], list[int]]:
    """(Block, stage) → for each input of the module, which of its bits something behind depends on, as a mask."""
    modules = {(module.block, module.stage): module for module in pipeline.modules}
    order = list(dict.fromkeys(module.block for module in pipeline.modules))
    behind = dict(pairwise(order))
    found: dict[tuple[str, int], list[int]] = {}
    for module in reversed(pipeline.modules):
        comb = module.comb
        masks = [0] * len(comb.ops)
        kept = found.get((module.block, module.stage + 1), [])[: module.n_kept]
        follower = modules.get((behind.get(module.block), module.stage))
        given = found[follower.block, follower.stage][follower.n_held :] if follower else []
        outputs = [*kept, *given] if module.block in behind else [*kept, *[-1] * (comb.shape[1] - module.n_kept)]
        for index, mask in zip(comb.out_idxs, outputs):
            masks[index] |= mask if mask >= 0 else (1 << sum(_kif(comb.ops[index]))) - 1
        _spread(comb, masks)
        inputs = {op.data[0]: mask for op, mask in zip(comb.ops, masks) if op.opcode == Code.INPUT}
        found[module.block, module.stage] = [inputs.get(i, 0) for i in range(comb.shape[0])]
    return found


def _spread(comb, masks: list[int]) -> None:
    """Masks of what is read, from results back to operands."""
    kifs = [_kif(op) for op in comb.ops]
    for i in range(len(comb.ops) - 1, -1, -1):
        op, mask = comb.ops[i], masks[i]
        if not mask or not op.addr:
            continue
        for position, j in enumerate(op.addr):
            masks[j] |= _read(op, position, mask, kifs[i], kifs[j], sum(kifs[j])) & ((1 << sum(kifs[j])) - 1)


def _read(op, position: int, mask: int, kif, source, width: int) -> int:
    """Which bits of an operand a result's bits depend on. Bits above an operand's are its sign."""
    sign = 1 << (width - 1) if width else 0
    match op.opcode:
        case Code.SLICE | Code.RECTIFIER:
            shift = source[2] - kif[2] - (op.data[0] if op.opcode == Code.SLICE else 0)
            bits = mask << shift if shift >= 0 else mask >> -shift
            extended = bits >> width or op.opcode == Code.RECTIFIER
            return bits | (sign if extended else 0)
        case Code.CHOICE if position == 2:
            return sign
        case Code.CHOICE:
            shift = source[2] - kif[2] - (op.data[0] if position == 1 else 0)
            bits = mask << shift if shift >= 0 else mask >> -shift
            return bits | (sign if bits >> width else 0)
        case Code.ADDITION | Code.SUBTRACTION | Code.CONSTANT_ADDITION | Code.NEGATION:
            return -1
    return -1


def _distinct(module, masks: list[int]) -> int:
    """Bits that the registers behind a module hold, each once where several are wired to one source."""
    comb = module.comb
    held = set()
    for index, mask in zip(comb.out_idxs[: module.n_kept], masks):
        held.update(_sources(comb, index, mask))
    return len(held)


def _sources(comb, index: int, mask: int) -> set[tuple[int, int]]:
    """(Operation, bit) that the bits `mask` of a result are wired to."""
    op = comb.ops[index]
    bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    while op.opcode == Code.SLICE:
        source = comb.ops[op.addr[0]]
        kif, below = _kif(op), _kif(source)
        shift, width = below[2] - kif[2] - op.data[0], sum(below)
        bits = [min(bit + shift, width - 1) for bit in bits]
        index, op = op.addr[0], source
    return {(index, bit) for bit in bits}
