"""``PORTS.md`` of an RTL project: formats and bit positions of both words, timing, and the handshake as a table."""

from itertools import groupby

_TEXT = """# Ports of `{top}`

`{top}` is the network: registers at both ports, no reset, {start_text}.
`{wrapper}` is the same with valid signals and a synchronous reset. Clock: {clock_ns:g} ns ({mhz:.6g} MHz) on `{part}`, rising edge.

- Latency: {latency} cycles, from the cycle in which a word stands at `model_inp` to the first in which its answer stands
  at `model_out`; the registers at both ports are counted.
- Interval: {interval_text}.

## `model_inp` ({n_in_bits} bits)

{inputs}

## `model_out` ({n_out_bits} bits)

{meaning}{outputs}

Element j is the slice at the bits given, lowest bit first; its value is the slice, read as a two's complement
(`fixed`) or an unsigned (`ufixed`) integer, times the value of its lowest bit. `fixed<W,I>` is `ap_fixed<W,I>`: W bits,
of which I stand before the binary point, the sign among them.

## `{wrapper}`

| port | direction | bits | |
| --- | --- | --- | --- |
| `clk` | in | 1 | |
| `rst` | in | 1 | synchronous, active high: words on their way are forgotten |
| `in_valid` | in | 1 | a word stands at `model_inp` |
| `model_inp` | in | {n_in_bits} | |
{ready}| `out_valid` | out | 1 | an answer stands at `model_out`, {latency} cycles after its word was taken |
| `model_out` | out | {n_out_bits} | {stays} |

{taken}
There is no back pressure at the output: an answer is there for the cycle in which `out_valid` is high, in the order of
the words. `rst` need not be used: the registers of the valid signals begin at 0.

{wave}
"""


_MEANING = {
    "logits": "Element j is element j of the last layer, flattened in the order of Keras.",
    "argmax": "The index, from 0 on, of the largest element of the last layer; the first of equals.",
    "softmax": "Element j is the softmax, by tables, of element j of the last layer.",
    "sigmoid": "Element j is the sigmoid, by a table, of element j of the last layer.",
    "tanh": "Element j is the tanh, by a table, of element j of the last layer.",
}


def width(rows: list[dict]) -> int:
    """Bits of a packed port (``inputs`` or ``outputs`` of ``rtl.json``)."""
    return sum(row["bits"] for row in rows)


def text(description: dict) -> str:
    """The document; `description` is what ``rtl.json`` tells, the wrapper's name included."""
    interval, latency = description["interval_cycles"], description["latency_cycles"]
    start = description.get("start")
    every = "a word every cycle" if interval == 1 else f"a word every {interval} cycles, or at any longer distance"
    return _TEXT.format(
        top=description["top"],
        wrapper=description["wrapper"],
        part=description["part"],
        clock_ns=description["clock_ns"],
        mhz=1e3 / description["clock_ns"],
        latency=latency,
        interval_text=every,
        start_text=f"`{start}` is high for the one cycle in which a word is taken"
        if start
        else "a word in every cycle",
        n_in_bits=width(description["inputs"]),
        n_out_bits=width(description["outputs"]),
        meaning=f"{_MEANING[description['output']]}\n\n" if "output" in description else "",
        inputs=_elements(description["inputs"]),
        outputs=_elements(description["outputs"]),
        ready="| `in_ready` | out | 1 | a word can be taken in this cycle |\n" if interval > 1 else "",
        stays="" if interval == 1 else "stays until the next answer",
        taken="A word is taken in each cycle in which `in_valid` and `in_ready` are high; until then it has to stay."
        if interval > 1
        else "A word is taken in each cycle in which `in_valid` is high and `rst` is low.",
        wave=_wave(latency, interval),
    )


def type_name(row: dict) -> str:
    """``fixed<W,I>`` of an element of a port, as hls4ml writes it."""
    signed = int(row["signed"])
    return f"{'' if signed else 'u'}fixed<{row['bits']},{row['integer'] + signed}>"


def _elements(rows: list[dict]) -> str:
    """A table with one line for each run of elements of the same type."""
    lines = ["| element | bits | type | lowest bit | values |", "| --- | --- | --- | --- | --- |"]
    index = 0
    for _, run in groupby(rows, key=lambda row: (row["bits"], row["signed"], row["fraction"])):
        run = list(run)
        lines.append(_line(index, run))
        index += len(run)
    return "\n".join(lines)


def _line(index: int, run: list[dict]) -> str:
    first, bits, low = run[0], run[0]["bits"], run[0]["low_bit"]
    if len(run) == 1:
        element, place = f"{index}", f"{low + bits - 1}:{low}" if bits else "none"
    else:
        last, offset = index + len(run) - 1, low - index * bits
        element = f"j = {index} ... {last}"
        shift = f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else ""
        place = f"{bits}j{shift} and the {bits - 1} above" if bits > 1 else f"j{shift}"
        place = place if bits else "none"
    step = 2.0 ** -first["fraction"]
    top, bottom = 2 ** (bits - first["signed"]) - 1, -(2 ** (bits - 1)) if first["signed"] else 0
    values = f"{bottom * step:.10g} ... {top * step:.10g}" if bits else "0"
    return f"| {element} | {place} | `{type_name(first)}` | 2^{-first['fraction']} | {values} |"


def _wave(latency: int, interval: int) -> str:
    """Two words, A as soon as can be and B behind it, and their answers."""
    second = interval if interval > 1 else 2
    interesting = {0, 1, second, second + 1, latency - 1, latency, latency + 1, latency + second, latency + second + 1}
    cycles = sorted(interesting)
    held = interval > 1
    rows = {
        "cycle": [str(cycle) for cycle in cycles],
        "`in_valid`": [str(int(cycle in (0, second))) for cycle in cycles],
        "`model_inp`": [{0: "A", second: "B"}.get(cycle, "-") for cycle in cycles],
        "`out_valid`": [str(int(cycle in (latency, latency + second))) for cycle in cycles],
        "`model_out`": [_answer(cycle, latency, second, held) for cycle in cycles],
    }
    if held:
        ready = [str(int(cycle in (0, second) or cycle >= 2 * second)) for cycle in cycles]
        rows = {**{name: rows[name] for name in list(rows)[:3]}, "`in_ready`": ready, **rows}
    lines = ["| " + " | ".join([name, *values]) + " |" for name, values in rows.items()]
    lines.insert(1, "| --- " * (len(cycles) + 1) + "|")
    return "\n".join(lines)


def _answer(cycle: int, latency: int, second: int, held: bool) -> str:
    if cycle >= latency + second:
        return "f(B)" if held or cycle == latency + second else "-"
    return "f(A)" if cycle == latency or (held and cycle > latency) else "-"
