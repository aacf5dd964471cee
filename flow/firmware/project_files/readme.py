"""The project's README for a firmware engineer, and the one of its test vectors."""

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.firmware.project_files.facts import Facts
from flow.firmware.project_files.makefile import TOOLS
from flow.firmware.settings import Backend, IoType, Language, Output
from flow.formats import Format

_TEXT = """# {task}, design {digest}

A neural network as firmware, twice: `hls/` is an hls4ml project (top function `{top}`), `rtl/` the same
arithmetic as pipelined {language} (top module `{top}`). Both give the same bits, those of the trained model in
`model.keras`; `vectors/` has inputs and expected outputs. Part {part}, clock period {clock_ns:g} ns.

## Input

{n_in} words of type `{input_type}`. The word of a feature is the feature times its scale,
rounded to the nearest step (ties to even) and saturated; its least significant bit is worth "LSB" in the feature's
own unit. Scales are powers of two. The firmware subtracts "offset" (in units of the word's value) itself.{order}

| # | feature | scale | LSB | offset |
|---|---|---|---|---|
{features}

## Output

{output}

## Timing

{timing}

## Formats

Names are QKeras' own; `truncated_*` drops the low bits, `half_up_*` adds half a step first. The input quantizer,
behind the offset, is `{input_grid}`. Where there is no activation format, sums are handed on as they are.

| layer | kernel | bias | activation |
|---|---|---|---|
{layers}

## What is where

| | |
|---|---|
{places}

## How to build and check

`make help` lists the targets and the tool that each needs; `LAUNCHER` goes before each tool:
`make csynth LAUNCHER='srun -c 8'`. A target runs again only where a file that it reads has changed.

{checks}

`metadata.json` has what this was built for, the versions and seeds it was made with, and the SHA-256 digest of every
file; `SHA256SUMS` has the digests for `make verify-digests`.
"""

_VECTORS = """# Test vectors

`inputs.txt` and `{expected}` are plain text: one line for each vector, integers separated by blanks.

- `inputs.txt`: the input words, in the order of the features in `../README.md`. Type `{input_type}`.
- `{expected}`: {what} expected for the same line. Type `{output_type}`.

An integer is the word's two's complement; its value is the integer times 2 to the power of minus the type's
fractional bits, and `ap_fixed<W,I>` has W - I of those.
The first of them are in `../hls/tb_data` too, where the cosimulation's test bench looks for them, and all of them in
`../rtl/tb`, packed as the ports are.
"""

_OUTPUTS = {
    Output.LOGITS: "{n_out} logits of type `{type}`, exact sums: no rounding, no overflow. The largest is the likeliest\n"
    "class.",
    Output.ARGMAX: "One word of type `{type}`: the index of the largest logit, the first of equal ones.",
    Output.SOFTMAX: "{n_out} words of type `{type}`: the softmax of the logits, from tables; {error}.",
    Output.SIGMOID: "{n_out} words of type `{type}`: the sigmoid of each logit, from tables; {error}.",
    Output.TANH: "{n_out} words of type `{type}`: the tanh of each logit, from tables; {error}.",
}


def readme(facts: Facts, scaling: InputScaling, design: Design) -> str:
    """The project's README; the offsets it shows are subtracted by the firmware itself."""
    target = facts.target
    shape = " x ".join(map(str, facts.input_shape))
    return _TEXT.format(
        task=facts.task,
        digest=facts.digest,
        top=facts.top,
        language="VHDL" if target.language == Language.VHDL else "Verilog",
        part=target.part,
        clock_ns=target.clock_ns,
        n_in=facts.n_in,
        input_type=facts.input_type,
        order=f" They are the values of an input of {shape} in one row, the last axis fastest." if "x" in shape else "",
        features=_features(scaling),
        output=_output(facts),
        timing=_timing(facts),
        input_grid=design.input,
        layers="\n".join(
            f"| {name} | {_named(item.kernel)} | {_named(item.bias)} | {_named(item.activation)} |"
            for name, item in design.layers
        ),
        places="\n".join(f"| `{place}` | {what} |" for place, what in _places(facts)),
        checks=_checks(facts),
    )


def vectors(facts: Facts) -> str:
    what = f"the {facts.n_out} outputs" if facts.n_out > 1 else "the output"
    return _VECTORS.format(
        expected=facts.expected,
        input_type=facts.input_type,
        output_type=facts.output_type,
        what=what,
    )


def _features(scaling: InputScaling) -> str:
    lsb = scaling.to_json()["least_significant_bit"]
    rows = zip(scaling.features, scaling.exponents, lsb, scaling.offsets)
    return "\n".join(
        f"| {i} | {feature} | {2.0**exponent!r} | {step!r} | {offset!r} |"
        for i, (feature, exponent, step, offset) in enumerate(rows)
    )


def _output(facts: Facts) -> str:
    error = f"off by no more than\n{facts.target.accuracy:g} from the function of the exact logits"
    return _OUTPUTS[facts.target.output].format(n_out=facts.n_out, type=facts.output_type, error=error)


def _timing(facts: Facts) -> str:
    latency_ns = facts.latency_cycles * facts.target.clock_ns
    language = "VHDL" if facts.target.language == Language.VHDL else "Verilog"
    between, behind = _cycles(facts.interval_cycles), _cycles(facts.latency_cycles)
    lines = [
        f"The {language} has an interval of {between} between inputs and a latency of\n{behind} ({latency_ns:g} ns)."
    ]
    if facts.start is not None:
        lines.append(f"`{facts.start}` is high for the one clock cycle in which a word is taken.")
    factors = {f"{name} {factor}" for name, factor in facts.target.reuse}
    reuse = f"reuse factor {facts.target.reuse_factor}" + (f" ({', '.join(sorted(factors))})" if factors else "")
    io = "all values at once" if facts.target.io_type == IoType.PARALLEL else "a stream of positions"
    lines.append(
        f"The HLS project is made with the strategy {facts.target.strategy}, {reuse}, and takes\n{io}"
        f" (`{facts.target.io_type}`); its latency and interval are in the report of its C synthesis."
    )
    return "\n".join(lines)


def _places(facts: Facts) -> list[tuple[str, str]]:
    backend = facts.target.backend
    firmware = "hls/src/firmware" if backend == Backend.ONEAPI else "hls/firmware"
    rows = [
        (firmware, "C++ of the network: layers, types (`defines.h`), settings (`parameters.h`), weights"),
        ("hls/csim.cpp", "the C simulation's program, of which `make csim` needs no vendor tool"),
        (_bench(facts), "the test bench of cosimulation: reads vectors, fails where an output differs"),
        ("rtl/src", f"Verilog of the network: {_modules(facts)}, and `{facts.top}.xdc`, its clock"),
        ("rtl/tb", "a self-checking test bench with its vectors"),
        ("rtl/PORTS.md", "bit positions and types of the ports, latency, interval, handshake"),
        ("rtl/rtl.json", "the same for programs"),
        ("vectors", "test vectors as integers"),
        ("model.keras", "the trained model; `design.json`, `topology.json`, `scaling.json` say what it is made of"),
        ("LICENSES", "whose files are copied in, and under which licence"),
    ]
    if facts.target.language == Language.VHDL:
        rows.insert(4, ("rtl/vhdl", "the same as VHDL-2008, which `make vivado` reads"))
    if backend == Backend.ONEAPI:
        rows.insert(1, ("hls/standin", "stand-ins for SYCL's headers, which `make csim` alone reads"))
    else:
        rows.insert(1, ("hls/tcl", "scripts for C synthesis, cosimulation, logic synthesis, place and route"))
    return rows


def _modules(facts: Facts) -> str:
    if facts.interval_cycles == 1:
        return "a module a pipeline stage"
    return (
        "a module each layer that is shared in time, which takes its values in turn, a module each pipeline stage of"
        " the others, a top module with the registers between them"
    )


def _bench(facts: Facts) -> str:
    return f"hls/{'src/' if facts.target.backend == Backend.ONEAPI else ''}{facts.top}_test.cpp"


def _checks(facts: Facts) -> str:
    tool = TOOLS[facts.target.backend][1]
    rows = [f"- `make cosim` the same for the RTL that C synthesis makes ({tool});"]
    if facts.csim_missing is None:
        rows.insert(0, "- `make csim` compares the C++ with the expected outputs on all vectors (a C++ compiler);")
    rows.append("- `make sim` simulates `rtl/` with its test bench (Verilator; others with `SIM=`, see `make help`);")
    rows.append("- `make verify-digests` tells which files were changed since.")
    return "Nothing is tolerated: one differing bit fails.\n\n" + "\n".join(rows)


def _named(form: Format | None) -> str:
    return "none" if form is None else f"`{form}`"


def _cycles(count: int) -> str:
    return f"{count} clock cycle{'' if count == 1 else 's'}"
