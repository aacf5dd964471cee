"""Tables of synthesised networks (CSV): each row's network, and what the tools reported of it.

A row that can't be used is left out and named by file and line; the rest is read. Empty fields are unknown.
"""

import csv
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flow.cost.hls.layers import IoType, Kind, Layer, Network, Strategy, Tool
from flow.errors import BadInput

NEEDED = (
    "arch", "weight_bits", "weight_int", "data_bits", "data_int", "reuse_factor", "strategy", "io_type", "tool",
    "tool_version", "part", "target_clk_ns",
)  # fmt: skip

# Networks that records name instead of spelling out their sizes. The digit recognizer of hls4ml's example models
# has 12,704 weights (its DSPs times the reuse factor), and its first layer 12,544 (its longest loop): 784 x 16.
NAMED = {"KERAS_digit_recognizer_mlp": "784-16-10"}

_STRATEGIES = {"latency": Strategy.LATENCY, "resource": Strategy.RESOURCE} | dict.fromkeys(
    ("distributed_arithmetic", "da"), Strategy.DISTRIBUTED_ARITHMETIC
)
_IO_TYPES = {
    **dict.fromkeys(("io_parallel", "parallel"), IoType.PARALLEL),
    **dict.fromkeys(("io_stream", "stream"), IoType.STREAM),
}
_RESOURCES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM18", "uram": "URAM"}
_CSYNTH = {figure: f"csynth_{name}" for figure, name in _RESOURCES.items()}
_VSYNTH = {figure: f"vsynth_{name}" for figure, name in _RESOURCES.items()} | {"bram_18k": "vsynth_BRAM36"}
_CYCLES = {"latency_cycles": ("lat_max", "lat_min"), "interval_cycles": ("ii_max", "ii_min")}
_LARGEST = 1e12  # no count of a report comes near
_FAILED = ("synth_failed", "never finished", "timed out", "timeout")
# Words in a row's notes, and why fits then leave the row out.
_SUSPECT = {
    r"optimi[sz]ed\b.*\baway": "the tool optimised the design away",
    r"\bsuspect": "its notes call it suspect",
}


@dataclass(frozen=True)
class Row:
    """One record. `observed`: stage → figure → value, None where it is not told; upper ends of ranges.

    `finished` is False where the notes say that synthesis never ended; `suspect` says why fits leave the row out.
    """

    line: int
    network: Network
    observed: Mapping[str, Mapping[str, float | None]]
    finished: bool = True
    suspect: str | None = None
    source: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> tuple[list[Row], list[str]]:
    """The usable rows of a CSV file and a line on each problem. BadInput where the file can't be read."""
    path, rows, problems = Path(path), [], []
    for line, fields in _lines(path, problems):
        try:
            rows.append(_row(line, fields))
        except BadInput as error:
            problems.append(f"{path}, line {line}: {error}")
    return rows, problems


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line that a row starts in, its fields); columns that are missing and rows of another length are problems."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in NEEDED if name not in header]
            if missing:
                problems.append(f"{path}, line 1: no column {', '.join(missing)}; needed: {', '.join(NEEDED)}")
                return
            start = reader.line_num + 1
            for values in reader:
                line, start = start, reader.line_num + 1
                if len(values) == len(header):
                    yield line, dict(zip(header, map(str.strip, values)))
                elif values:
                    problems.append(f"{path}, line {line}: {len(values)} fields, the header has {len(header)}")
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: no text in UTF-8; a CSV file of records is needed") from None
    except csv.Error as error:
        problems.append(f"{path}: no CSV from line {reader.line_num} on ({error})")


def _row(line: int, fields: Mapping[str, str]) -> Row:
    notes = fields.get("notes", "")
    suspect = next((why for words, why in _SUSPECT.items() if re.search(words, notes.lower())), None)
    return Row(
        line=line,
        network=_network(fields, notes),
        observed=_observed(fields, notes),
        finished=not any(word in notes.lower() for word in _FAILED),
        suspect=suspect,
        source=fields.get("source", ""),
        fields=fields,
    )


def _network(fields: Mapping[str, str], notes: str) -> Network:
    sizes = _sizes(fields["arch"], f"{fields.get('case', '')} {notes}")
    weights = sum(a * b for a, b in itertools.pairwise(sizes))
    zeros = _number(fields, "n_zeros", 0, weights)
    common = {
        "weight_bits": _integer(fields, "weight_bits", 1, 64),
        "weight_int": _integer(fields, "weight_int", -64, 64),
        "data_bits": _integer(fields, "data_bits", 1, 64),
        "data_int": _integer(fields, "data_int", -64, 64),
        "reuse_factor": _integer(fields, "reuse_factor", 1, 10**9),
        "strategy": _choice(fields, "strategy", _STRATEGIES),
        "zeros": 0.0 if zeros is None else zeros / weights,
    }
    layers = [
        Layer(Kind.DENSE, a, b, f"dense{i}", activation="relu" if i + 2 < len(sizes) else None, **common)
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    ]
    return Network(
        tuple(layers),
        io_type=_choice(fields, "io_type", _IO_TYPES),
        tool=_tool(fields["tool"]),
        tool_version=fields["tool_version"] or None,
        part=fields["part"] or None,
        clock_ns=_number(fields, "target_clk_ns", 0.1, 1000),
        name=fields.get("case", ""),
        hls4ml_version=fields.get("hls4ml_version") or None,
    )


def _sizes(arch: str, described: str) -> list[int]:
    """Layer sizes, the input's first; `described` may name a network whose sizes are known."""
    if not arch:
        arch = next((sizes for name, sizes in NAMED.items() if name in described), "")
        if not arch:
            raise BadInput("arch is empty: the layers' sizes are needed, such as 16-64-32-5")
    if not re.fullmatch(r"\d{1,7}(-\d{1,7}){1,63}", arch) or not arch.isascii():
        raise BadInput(f"arch {arch[:60]!r} is none; layers' sizes are needed, such as 16-64-32-5")
    sizes = [int(size) for size in arch.split("-")]
    if 0 in sizes or any(a * b > 10**9 for a, b in itertools.pairwise(sizes)):
        raise BadInput(f"arch {arch[:60]!r}: a layer has at least 1 and at most 1,000,000,000 weights")
    return sizes


def _observed(fields: Mapping[str, str], notes: str) -> dict[str, dict[str, float | None]]:
    cycles = {name: _first(fields, columns) for name, columns in _CYCLES.items()}
    found = {}
    for stage, columns in (("csynth", _CSYNTH), (_stage(fields), _VSYNTH)):
        figures = {name: _number(fields, column, 0, _LARGEST) for name, column in columns.items()}
        if columns is _VSYNTH and figures["bram_18k"] is not None and "in 18K units" not in notes:
            figures["bram_18k"] *= 2  # tiles of 36 kbit
        if any(value is not None for value in figures.values()):
            found[stage] = figures | cycles
    return found


def _stage(fields: Mapping[str, str]) -> str:
    text = fields.get("vsynth_stage", "").lower()
    return "route" if re.search("rout|impl|place", text) else "synth"


def _first(fields: Mapping[str, str], columns: tuple[str, ...]) -> float | None:
    return next((v for v in (_number(fields, name, 0, _LARGEST) for name in columns) if v is not None), None)


def _tool(text: str) -> Tool | None:
    if not text:
        return None
    for tool in Tool:
        if text.lower().startswith(tool.value.lower().split()[0]):
            return tool
    raise BadInput(f"tool {text[:60]!r} is not known; known: {', '.join(tool.value for tool in Tool)}, or empty")


def _choice(fields: Mapping[str, str], name: str, known: Mapping):
    text = fields[name].lower()
    if text and text not in known:
        raise BadInput(f"{name} {fields[name][:60]!r} is not known; known: {', '.join(known)}, or empty")
    return known[text] if text else None


def _number(fields: Mapping[str, str], name: str, low: float, high: float) -> float | None:
    text = fields.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise BadInput(f"{name} {text[:60]!r} is no number from {low:g} to {high:g}")
    return value


def _integer(fields: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    value = _number(fields, name, low, high)
    if value is not None and value != int(value):
        raise BadInput(f"{name} {fields[name][:60]!r} is no whole number")
    return None if value is None else int(value)


def pairs(path: Path) -> list[dict[str, dict[str, float]]]:
    """Reports of one network at two stages (stage → figure → value) from a CSV file, whatever it says of the network.

    Rows that lack a stage, or hold no numbers, are left out. BadInput where the file can't be read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: can't be read as CSV ({error})") from None
    found = []
    for row in rows:
        fields = {name: (value or "").strip() for name, value in row.items() if isinstance(value, str) or value is None}
        try:
            observed = _observed(fields, fields.get("notes", ""))
        except BadInput:
            continue
        if len(observed) == 2:
            found.append(
                {stage: {k: v for k, v in figures.items() if v is not None} for stage, figures in observed.items()}
            )
    return found
