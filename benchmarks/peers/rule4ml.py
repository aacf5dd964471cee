"""rule4ml: its pretrained estimators on records of synthesised networks, each row as far as it can take it.

Runs in the environment `rule4ml`. The estimators know dense networks by their sizes, one width, one reuse factor, a
strategy, a board and two versions; what a row has beyond that is lost on them, and said in the result: `left_out` for
rows that they can't be asked about, `stand_ins` for what a row was given in place of its own, `beyond` for what lies
outside of the ranges that they were trained in.
"""

import argparse
import csv
import functools
import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

# rule4ml and its frameworks are imported by `Estimators`, when the arguments are right: it takes 15 s.

BOARDS = {  # part (less its package and grade) → the board that the estimators know
    "xc7z020": "pynq-z2",
    "xczu9eg": "zcu102",
    "xcu200": "alveo-u200",
    "xcu250": "alveo-u250",
}
BOARD = "alveo-u250"  # for other parts: the one that most of the training data is for
HLS4ML = ("0.8.1", "1.1.0")
TOOLS = tuple(f"{year}.{half}" for year in range(2019, 2025) for half in (1, 2))
FIGURES = {
    "LUT": "lut",
    "FF": "ff",
    "DSP": "dsp",
    "BRAM": "bram_18k",
    "CYCLES": "latency_cycles",
    "INTERVAL": "interval_cycles",
}
TIMED = 10  # configurations asked for one at a time, for their seconds
COLUMNS = ("arch", "weight_bits", "data_bits", "reuse_factor", "strategy", "io_type", "tool_version", "part")


@dataclass(frozen=True)
class Row:
    """A row that can be asked about: sizes of the dense layers, input first, and what the estimators are told."""

    file: str
    line: int
    source: str
    sizes: tuple[int, ...]
    widths: dict[str, int]  # "weight", "data"
    strategy: str
    reuse: int
    board: str
    hls4ml: str
    tool: str
    stand_ins: tuple[str, ...]

    @property
    def beyond(self) -> str | None:
        """What lies outside of both training sets: rule4ml's own (by its generator), wa-hls4ml (by its data card)."""
        largest = max(a * b for a, b in zip(self.sizes, self.sizes[1:]))
        if len(self.sizes) < 3:
            return "one dense layer: both have two or more"
        if largest <= 4096 and self.reuse <= 64:  # layers of up to 4,096 weights
            return None
        if 8 <= min(self.sizes) and max(self.sizes) <= 128 and self.reuse <= 4093:
            return None
        return "layers above 4,096 weights or reuse above 64, and sizes outside of 8 to 128 or reuse above 4,093"


def read(path: Path) -> Iterator[Row | tuple[int, str, str]]:
    """The rows of a file; for one that can't be asked about its line, its source and the reason."""
    if not path.exists():
        raise SystemExit(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        line = 2
        for cells in reader:
            try:
                yield _row(path.name, line, cells)
            except ValueError as error:
                yield line, cells.get("source") or "", str(error)
            line = reader.line_num + 1


def _row(file: str, line: int, cells: dict) -> Row:
    if missing := [name for name in COLUMNS if name not in cells]:
        raise ValueError(f"no column {', '.join(missing)}")
    if not re.fullmatch(r"\d+(-\d+)+", cells["arch"] or ""):
        raise ValueError(f"arch {cells['arch']!r}: the layers can't be told from it")
    if cells["strategy"] not in ("latency", "resource"):
        raise ValueError(f"strategy {cells['strategy']!r}: latency and resource only")
    if cells["io_type"] not in ("io_parallel", ""):
        raise ValueError(f"io_type {cells['io_type']!r}: trained on io_parallel for dense layers")
    widths = {kind: _whole(cells, f"{kind}_bits") for kind in ("weight", "data") if cells[f"{kind}_bits"]}
    if not widths:
        raise ValueError("neither weight_bits nor data_bits")
    board = BOARDS.get(re.split(r"[-_]", cells["part"])[0].removesuffix("clg400").lower())
    hls4ml = cells.get("hls4ml_version") or ""
    given = {"board": board or BOARD, "hls4ml": hls4ml if hls4ml in HLS4ML else HLS4ML[0], "tool": _tool(cells)}
    said = {"board": cells["part"], "hls4ml": hls4ml, "tool": cells["tool_version"]}
    same = {"board": board is not None, "hls4ml": hls4ml in HLS4ML, "tool": given["tool"] == said["tool"]}
    stand_ins = tuple(f"{given[key]} for {said[key] or 'no ' + key}" for key in given if not same[key])
    sizes = tuple(map(int, cells["arch"].split("-")))
    source = cells.get("source") or ""
    return Row(
        file,
        line,
        source,
        sizes,
        widths,
        cells["strategy"],
        _whole(cells, "reuse_factor"),
        **given,
        stand_ins=stand_ins,
    )


def _whole(cells: dict, name: str) -> int:
    try:
        number = float(cells[name])
        if number < 1 or number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"{name} {cells[name]!r}: a whole number from 1 is needed") from None
    return int(number)


def _tool(cells: dict) -> str:
    """The version that the estimators know: the same, or the nearest in time."""
    said = re.match(r"\d{4}\.\d", cells["tool_version"])
    if said is None:
        return TOOLS[-1]
    return min(TOOLS, key=lambda known: abs(float(known) - float(said.group())))


class Estimators:
    """rule4ml's default models (version 2, graph networks), and the networks that they are asked about."""

    def __init__(self) -> None:
        start = time.perf_counter()
        import keras
        from rule4ml.models.wrappers import MultiModelWrapper
        from rule4ml.parsers import network_parser

        self._keras, self._parser = keras, network_parser
        self.import_seconds = time.perf_counter() - start
        start = time.perf_counter()
        self._models = MultiModelWrapper()
        self._models.load_default_models()
        self.load_seconds = time.perf_counter() - start
        self.network = functools.lru_cache(maxsize=None)(self._network)

    def predict(self, network, asked: list[tuple[Row, int]]) -> list[dict[str, float]]:
        """Figures of rows at a width, all of one network and the same versions: one call of rule4ml."""
        first = asked[0][0]
        configs = {(row.board, row.strategy, f"ap_fixed<{width}, 1>", row.reuse) for row, width in asked}
        names = ("strategy", "precision", "reuse_factor")
        found = self._models.predict(
            network,
            hls_configs=[{"board": board, "model": dict(zip(names, rest))} for board, *rest in sorted(configs)],
            hls4ml_versions=first.hls4ml,
            vivado_versions=first.tool,
        )
        by_config = {
            (row["Board"], row["Strategy"], row["Precision"], row["Reuse Factor"]): row
            for row in found.to_dict(orient="records")
        }
        answers = [by_config[row.board, row.strategy, f"ap_fixed<{width}, 1>", row.reuse] for row, width in asked]
        return [{name: float(answer[theirs]) for theirs, name in FIGURES.items()} for answer in answers]

    def remember_reuse(self) -> None:
        """Let rule4ml search the legal reuse factors of a layer once, not once a figure and configuration."""
        self._parser.get_closest_reuse_factor = functools.lru_cache(maxsize=None)(self._parser.get_closest_reuse_factor)

    def _network(self, sizes: tuple[int, ...]):
        """Dense layers without activations: the records don't say which they were."""
        layers = self._keras.layers
        x = inputs = layers.Input((sizes[0],))
        for units in sizes[1:]:
            x = layers.Dense(units)(x)
        model = self._keras.Model(inputs, x)
        model.build((None, sizes[0]))  # rule4ml reads the input's shape from what this leaves
        return model


def one_at_a_time(estimators: Estimators, rows: list[Row]) -> list[float]:
    """Seconds of single calls, on networks that are built already; a first call, which is slower, left out."""
    chosen = rows[:: max(1, len(rows) // TIMED)][:TIMED]
    seconds = []
    for row in [chosen[0], *chosen]:
        network = estimators.network(row.sizes)
        start = time.perf_counter()
        estimators.predict(network, [(row, max(row.widths.values()))])
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def all_at_once(estimators: Estimators, rows: list[Row]) -> tuple[list[dict], float]:
    """The figures of all rows by the width that was given, and the seconds it took, by network and versions."""
    groups: dict[tuple, list[tuple[int, str]]] = {}
    for index, row in enumerate(rows):
        for kind in row.widths:
            groups.setdefault((row.sizes, row.hls4ml, row.tool), []).append((index, kind))
    found: list[dict] = [{} for _ in rows]
    seconds = 0.0
    for (sizes, *_), members in groups.items():
        network = estimators.network(sizes)
        start = time.perf_counter()
        answers = estimators.predict(network, [(rows[index], rows[index].widths[kind]) for index, kind in members])
        seconds += time.perf_counter() - start
        for (index, kind), answer in zip(members, answers):
            found[index][kind] = answer
    return found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, nargs="+", required=True, help="CSV files with the records' columns")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows: list[Row] = []
    left_out = []
    for path in options.records:
        for row in read(path):
            if isinstance(row, Row):
                rows.append(row)
            else:
                line, source, reason = row
                left_out.append({"file": path.name, "line": line, "source": source, "reason": reason})
    if not rows:
        raise SystemExit("no row that rule4ml can be asked about")
    here = Path(__file__).resolve().parent
    sys.path = [path for path in sys.path if Path(path).resolve() != here]  # where this script would be `rule4ml`
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    estimators = Estimators()
    single = one_at_a_time(estimators, rows)
    estimators.remember_reuse()
    figures, seconds = all_at_once(estimators, rows)
    configurations = sum(len(row.widths) for row in rows)
    result = {
        "method": "rule4ml",
        "seconds": {
            "import": estimators.import_seconds,
            "load": estimators.load_seconds,
            "single": statistics.median(single),
            "batch": seconds / configurations,
            "configurations": configurations,
        },
        "rows": [
            {"file": row.file, "line": row.line, "source": row.source, "stand_ins": list(row.stand_ins)}
            | {"beyond": row.beyond, "by_width": answer}
            for row, answer in zip(rows, figures)
        ],
        "left_out": left_out,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("rule4ml", "torch", "torch-geometric", "tensorflow", "keras")},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"rule4ml: {len(rows)} rows in {seconds:.1f} s, {len(left_out)} left out")


if __name__ == "__main__":
    main()
