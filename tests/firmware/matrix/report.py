"""The tables of docs/matrix.md, as the cells came out."""

from collections.abc import Iterable, Mapping

from tests.firmware.matrix.cells import DESIGNS, SIMULATED, Job
from tests.firmware.matrix.run import Cells, State
from tests.firmware.matrix.subjects import WORDS

CROSSED = {
    "layers": f"""Every network of `tests/networks.py` (one for each kind of layer, or way to connect them), in two designs
({" and ".join(DESIGNS)}: formats of every kind drawn at random, and plain fixed point), on every backend and io type, in
the strategy Latency (oneAPI, which has none: Resource). The traced arithmetic runs for all of them; the Verilog is
simulated for {", ".join(f"*{name}*" for name in SIMULATED)}, in the mixed design.""",
    "quantizers of dense layers": """Every quantizer of QKeras and every one of ours, with its variants, as kernel, as bias
and as activation. A few at a time stand side by side in one network, and are compared by their own layer's values.""",
    "quantizers of two-dimensional convolutions": "The same quantizers in convolutions; their Verilog is traced.",
    "strategies": """The networks *dense* and *conv2d valid*, mixed design, in every strategy; with shared multipliers
(each layer with the smallest reuse factor above 1 that hls4ml takes); and as Verilog with time-multiplexed layers.""",
    "outputs": "What a project puts out behind the logits, on the network *dense*. Tables: the largest difference from the"
    " float64 function of the exact logits, within the accuracy 2^-8 that is asked for; the bits are those of the traced"
    " arithmetic everywhere.",
}

_HEAD = """# The matrix

Layer x quantizer x backend x io type, as it came out: `make test-matrix` computes every cell and writes this page.
Generated; don't edit.

- **exact**: all values of all layers that are compared equal those of the QKeras model, to the last bit, on
  at least {words} vectors: corners (ends, ties, saturation), random ones. For backends that is hls4ml's code compiled by g++
  (for oneAPI and Catapult with the types and stand-ins that a project carries, without the vendor's compiler).
- **within x**: the largest difference is x, and smaller than what is allowed. For QKeras' own inference in float32 this
  is its rounding: everything else is held against the model evaluated in float64.
- **generated**: the code was generated; no C simulation runs here.
- **refused**, **unavailable**: by name, before a file is written; unavailable is what hls4ml or a backend has not.
- an empty cell: not part of the matrix.

{counts}

Computed with {versions}.
"""


def page(jobs: Iterable[Job], found: Mapping[str, Cells], versions: Mapping[str, str]) -> str:
    """The whole page. `found`: the cells by the name of their job."""
    tables: dict[str, dict[str, dict[str, object]]] = {}
    columns: dict[str, list[str]] = {}
    for job in jobs:
        rows, heads = tables.setdefault(job.table, {}), columns.setdefault(job.table, [])
        for column in job.columns:
            if column.name not in heads:
                heads.append(column.name)
            for row, outcome in sorted(found[job.name][column.name].items(), key=lambda item: item[0]):
                rows.setdefault(row, {})[column.name] = outcome
    text = [_HEAD.format(words=WORDS, counts=_counts(tables), versions=_versions(versions))]
    text += [_table(name, tables[name], columns[name]) for name in tables]
    return "\n".join(text)


def failures(found: Mapping[str, Cells]) -> list[str]:
    """A line for each cell that failed."""
    return [
        f"{name}; {column}; {row}: {outcome.state}: {outcome.said}"
        for name, cells in found.items()
        for column, rows in cells.items()
        for row, outcome in rows.items()
        if outcome.failed
    ]


def _table(name: str, rows: Mapping[str, Mapping], columns: list[str]) -> str:
    """A table, and below it the reasons that its cells refer to by number."""
    columns = sorted(columns, key=_place)
    notes: dict[str, int] = {}
    lines = [f"## {name[0].upper()}{name[1:]}\n", CROSSED[name] + "\n"]
    lines += [f"| | {' | '.join(columns)} |", f"|{' --- |' * (len(columns) + 1)}"]
    for row, cells in rows.items():
        shown = [_cell(cells[column], notes) if column in cells else "" for column in columns]
        lines.append(f"| {_plain(row)} | {' | '.join(shown)} |")
    lines += ["", *(f"{number}. {said}" for said, number in notes.items())]
    return "\n".join(lines) + "\n"


def _cell(outcome, notes: dict[str, int]) -> str:
    if outcome.state is State.EXACT:
        return "exact"
    if outcome.state is State.WITHIN:
        return f"within {outcome.said}"
    number = notes.setdefault(_plain(outcome.said), len(notes) + 1)
    return f"{outcome.state} ({number})"


def _place(column: str) -> int:
    """Columns that compute in QKeras come first, those of the RTL last."""
    return {"QKeras": 0, "RTL": 2}.get(column.split()[0], 1)


def _counts(tables: Mapping[str, Mapping[str, Mapping]]) -> str:
    found = [outcome.state for rows in tables.values() for cells in rows.values() for outcome in cells.values()]
    counts = [f"{found.count(state):,} {state}" for state in State if state in found]
    return f"{len(found):,} cells: {', '.join(counts)}."


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _plain(text: str) -> str:
    """One line that a table's cell can hold."""
    return " ".join(text.split()).replace("|", "\\|")
