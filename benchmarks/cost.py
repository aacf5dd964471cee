"""How good and how fast the cost models are: `python benchmarks/cost.py [--records FOLDER] [--peers FOLDER]`.

- hls4ml designs: each record predicted by a model fitted on the records of all other architectures, and, with
  `--unseen`, other files predicted by the model that ships. With `--peers`, rule4ml on the same rows.
- C synthesis to logic synthesis: the learned ratio on convolutions, whose records don't say the layers' shapes.
- feasibility: the probability that a synthesis ends, likewise without the architecture.
- Verilog: with `--rtl`, both forms of the model on Yosys reports, without the network.
- speed: designs a second on one core, and the seconds of the import.

The records: dense.csv, conv.csv and dense_never_finished.csv below FOLDER, or below the environment's
FLOW_SYNTH_RECORDS. Counts are scored as predicted, unrounded, apart from `exact`. SMAPE is 200 |p - r| / (|p| + |r|)
in percent, 0 where both are 0; R² log is that of log(1 + count); an interval holds a report that it reaches within
half a count.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from flow.cost import hls, records, rtl
from flow.cost.hls import fit
from flow.cost.records import Row
from flow.design import Design, LayerDesign
from flow.errors import BadInput, FlowError
from flow.formats import Format, parse
from flow.store import versions
from flow.topology import Dense, Topology

RECORDS = "FLOW_SYNTH_RECORDS"
DENSE, UNFINISHED, CONV = "dense.csv", "dense_never_finished.csv", "conv.csv"
FIGURES = ("lut", "ff", "dsp", "bram_18k", "uram", "latency_cycles", "interval_cycles")
CYCLES = FIGURES[-2:]
LIBRARIES = ("OMP", "OPENBLAS", "MKL", "TF_NUM_INTRAOP", "TF_NUM_INTEROP")
ONE_CORE = {f"{name}_THREADS" if name.startswith("TF") else f"{name}_NUM_THREADS": "1" for name in LIBRARIES}
ALL, UNUSABLE = "all", "left out of fits"
POPULATION = 10_000
REPEATS = 5
BINS = (0.0, 0.02, 0.1, 0.3, 0.7, 0.9, 0.98, 1.0)  # of predicted probabilities

Scores = dict[str, float | int | None]


@dataclass(frozen=True)
class Point:
    """A reported figure beside its prediction, and where it belongs in the tables."""

    file: str
    line: int
    source: str
    part: str
    stage: str
    figure: str
    reported: float
    value: float
    low: float
    high: float

    @property
    def group(self) -> tuple[str, str, str, str]:
        return self.source, self.part, self.stage, self.figure


# --- scores ----------------------------------------------------------------------------------------------------------


def scores(reported: Sequence[float], value: Sequence[float], low=None, high=None) -> Scores:
    """What a table says of predictions (n,) of reports (n,); None where it is not defined."""
    r, p = np.asarray(reported, dtype=float), np.asarray(value, dtype=float)
    some = r > 0
    bias = float(np.median(p[some] / r[some])) if some.any() else None
    error = np.abs(p - r)
    found = {
        "n": len(r),
        "r2_log": r2(np.log1p(r), np.log1p(np.maximum(p, 0.0))),
        "r2": r2(r, p),
        "smape": smape(r, p),
        "smape_without_bias": smape(r, p / bias) if bias else None,
        "bias": bias,
        "median_error": float(np.median(error)),
        "median_relative_error": float(np.median(error / np.maximum(r, 1.0))),
        "exact": float(np.mean(np.round(p) == r)),
        "close": float(np.mean(error <= np.maximum(2.0, 0.05 * r))),  # within 2 counts or 5 %
        "coverage": None,
        "half_width": None,
    }
    if low is not None and high is not None:
        low, high = np.asarray(low), np.asarray(high)
        found["coverage"] = float(np.mean((low - 0.5 <= r) & (r <= high + 0.5)))
        found["half_width"] = float(np.median((high - low) / 2 / np.maximum(p, 1.0)))
    return found


def r2(reported: np.ndarray, value: np.ndarray) -> float | None:
    """The coefficient of determination; None where the reports don't differ."""
    spread = ((reported - reported.mean()) ** 2).sum()
    return float(1 - ((reported - value) ** 2).sum() / spread) if spread > 0 else None


def smape(reported: np.ndarray, value: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, from 0 to 200."""
    both = np.abs(reported) + np.abs(value)
    return float(200 * np.mean(np.abs(reported - value) / np.where(both > 0, both, 1.0)))


def by_group(points: Iterable[Point]) -> dict[tuple, list[Point]]:
    """Points by source, part, stage and figure, in the order of the tables."""
    found: dict[tuple, list[Point]] = {}
    for point in points:
        found.setdefault(point.group, []).append(point)
    order = {name: i for i, name in enumerate(FIGURES)}
    return dict(sorted(found.items(), key=lambda item: (*item[0][:3], order[item[0][3]])))


def with_whole(points: Sequence[Point]) -> list[Point]:
    """The points, and where a source has several parts all of them again as one."""
    usable = [point for point in points if point.part != UNUSABLE]
    parts: dict[tuple[str, str], set[str]] = {}
    for point in usable:
        parts.setdefault((point.source, point.stage), set()).add(point.part)
    whole = [replace(point, part=ALL) for point in usable if len(parts[point.source, point.stage]) > 1]
    return [*whole, *points]


def group_scores(points: Sequence[Point]) -> list[dict]:
    """A row of scores for each group."""
    rows = []
    for (source, part, stage, figure), members in by_group(with_whole(points)).items():
        columns = zip(*((p.reported, p.value, p.low, p.high) for p in members))
        row = {"source": source, "part": part, "stage": stage, "figure": figure} | scores(*columns)
        if figure != "uram" or any(p.reported for p in members):
            rows.append(row)
    return rows


# --- records and the hls4ml model ------------------------------------------------------------------------------------


def part_of(row: Row) -> str:
    """How a source is split: single layers by strategy and reuse, and what the fits leave out."""
    if fit.unusable(row):
        return UNUSABLE
    first, *others = row.network.layers
    if others:
        return "networks"
    strategy = first.strategy.value if first.strategy else "strategy unknown"
    return f"{strategy}, reuse {'1' if first.reuse_factor == 1 else 'above 1'}"


def points_of(row: Row, file: str, stage: str, predicted: Mapping[str, tuple[float, float, float]]) -> list[Point]:
    """The points of a record at a stage. Cycles are those of C synthesis at any stage: they count at the first one."""
    first = next(iter(row.observed))
    return [
        Point(file, row.line, row.source, part_of(row), stage, figure, reported, *predicted[figure])
        for figure, reported in row.observed[stage].items()
        if reported is not None and (figure not in CYCLES or stage == first)
    ]


def held_out(rows: Sequence[Row], pairs: Sequence, file: str) -> list[Point]:
    """Leave one architecture out; `pairs` of reports on other networks stay in."""
    predicted = fit.leave_one_architecture_out(rows, pairs)
    return [point for item in predicted for point in points_of(item.row, file, item.stage, item.predicted)]


def shipped(rows: Sequence[Row], file: str) -> list[Point]:
    """Predictions by the model that ships."""
    points = []
    for stage in ("csynth", "synth", "route"):
        chosen = [row for row in rows if stage in row.observed]
        found = hls.predict(hls.prior(), [row.network for row in chosen], stage) if chosen else {}
        for i, row in enumerate(chosen):
            one = {name: (float(p.value[i]), float(p.low[i]), float(p.high[i])) for name, p in found.items()}
            points += points_of(row, file, stage, one)
    return points


# --- feasibility -----------------------------------------------------------------------------------------------------


def feasibility_scores(rows: Sequence[Row]) -> dict:
    """ROC AUC, Brier score and calibration of the probability that a synthesis ends, by architectures left out."""
    rows = [row for row in rows if not row.finished or (row.observed and not fit.unusable(row))]
    groups = np.array([fit.architecture(row.network) for row in rows])
    ended = np.array([row.finished for row in rows])
    probability = np.zeros(len(rows))
    for group in np.unique(groups):
        inside = groups == group
        others = fit.fit_feasibility([row for row, out in zip(rows, inside) if not out])
        model = replace(hls.prior(), feasibility=others)
        probability[inside] = hls.finishes(model, [row.network for row, out in zip(rows, inside) if out])
    by_source = {}
    for source in sorted({row.source for row in rows}):
        of_source = np.array([row.source == source for row in rows])
        by_source[source] = _probability_scores(ended[of_source], probability[of_source])
    return {"all": _probability_scores(ended, probability), "by_source": by_source}


def _probability_scores(ended: np.ndarray, probability: np.ndarray) -> dict:
    bins = np.clip(np.digitize(probability, BINS[1:-1]), 0, len(BINS) - 2)
    table = [
        {"from": BINS[i], "to": BINS[i + 1], "n": int(inside.sum()), "predicted": float(probability[inside].mean())}
        | {"ended": float(ended[inside].mean())}
        for i in range(len(BINS) - 1)
        if (inside := bins == i).any()
    ]
    rate = ended.mean()
    return {
        "n": len(ended),
        "ended": int(ended.sum()),
        "roc_auc": roc_auc(ended, probability),
        "brier": float(np.mean((probability - ended) ** 2)),
        "brier_of_rate": float(rate * (1 - rate)),  # of saying the mean to all
        "calibration": table,
    }


def roc_auc(happened: np.ndarray, score: np.ndarray) -> float | None:
    """The probability that one that happened has the higher score, ties half (Mann-Whitney)."""
    from scipy.stats import rankdata

    n, m = int(happened.sum()), int((~happened).sum())
    if not n or not m:
        return None
    return float((rankdata(score)[happened].sum() - n * (n + 1) / 2) / (n * m))


# --- rule4ml ---------------------------------------------------------------------------------------------------------


def ask_rule4ml(folder: Path, files: Sequence[Path]) -> dict:
    """rule4ml's answers to the rows of `files`, from its environment in `folder` (made where it is missing)."""
    peers = Path(__file__).resolve().parent / "peers"
    sys.path.append(str(peers))
    from environment import python_of

    python = python_of("rule4ml", folder)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "rule4ml.json"
        command = [str(python), str(peers / "rule4ml.py"), "--records", *map(str, files), "--out", str(out)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | ONE_CORE)
        if done.returncode:
            raise SystemExit(f"rule4ml: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
        return json.loads(out.read_text())


def beside_rule4ml(points: Sequence[Point], answer: Mapping) -> list[dict]:
    """Scores of both on the rows that rule4ml took, by group; of its answers by weight and by data width the better.

    The better is the one with the smaller SMAPE of LUTs in a source and part, so that it is one for all figures.
    """
    given = {(row["file"], row["line"]): row for row in answer["rows"]}
    groups = by_group(p for p in with_whole(points) if (p.file, p.line) in given and p.part != UNUSABLE)
    chosen: dict[tuple, str] = {}
    rows = []
    for group, members in groups.items():  # LUTs come first in each source, part and stage
        answers = [given[point.file, point.line] for point in members]
        kinds = set.intersection(*(set(row["by_width"]) for row in answers))
        theirs = {kind: [row["by_width"][kind].get(group[3]) for row in answers] for kind in sorted(kinds)}
        reported = [point.reported for point in members]
        if None in next(iter(theirs.values())):  # it has no URAM
            continue
        best = min(theirs, key=lambda kind: smape(np.array(reported), np.array(theirs[kind])))
        kind = chosen.setdefault(group[:2], best)
        ours = zip(*((p.reported, p.value, p.low, p.high) for p in members))
        rows.append(
            dict(zip(("source", "part", "stage", "figure"), group))
            | {"ours": scores(*ours), "rule4ml": scores(reported, theirs[kind]), "width": kind}
            | {"stand_ins": sum(bool(row["stand_ins"]) for row in answers)}
            | {"beyond": sum(bool(row["beyond"]) for row in answers)}
        )
    return rows


# --- tables ----------------------------------------------------------------------------------------------------------

LABELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM18", "uram": "URAM"} | {
    "latency_cycles": "latency",
    "interval_cycles": "interval",
}


def print_groups(title: str, rows: Sequence[Mapping]) -> None:
    print(f"\n{title}")
    print(
        f"{'':45}{'n':>5}{'R² log':>8}{'R²':>7}{'SMAPE %':>9}{'bias':>9}{'|error|':>9}{'in %':>10}{'exact %':>9}"
        f"{'2 or 5 %':>10}{'in 68 %':>9}{'± %':>7}"
    )
    place = None
    for row in rows:
        if place != (place := (row["source"], row["part"], row["stage"])):
            print(", ".join(place))
        print(
            f"    {LABELS[row['figure']]:41}{row['n']:5}{_cell(row['r2_log'], 8, 3)}{_cell(row['r2'], 7, 2)}"
            f"{_cell(row['smape'], 9, 1)}{_cell(row['bias'], 9, 2)}{_cell(row['median_error'], 9, 0)}"
            f"{_cell(100 * row['median_relative_error'], 10, 1)}"
            f"{_percent(row['exact'], 9)}{_percent(row['close'], 10)}{_percent(row['coverage'], 9)}"
            f"{_percent(row['half_width'], 7)}"
        )


def print_beside(rows: Sequence[Mapping], answer: Mapping) -> None:
    print("\nBeside rule4ml, on the rows that it takes (ours without the architecture, rule4ml as it is pretrained)")
    print(f"{'':45}{'n':>5}{'R² log':>16}{'SMAPE %':>16}{'bias':>16}{'SMAPE, unbiased':>18}")
    print(f"{'':50}{'ours  rule4ml':>16}{'ours  rule4ml':>16}{'ours  rule4ml':>16}{'ours  rule4ml':>18}")
    place = None
    for row in rows:
        if place != (place := (row["source"], row["part"], row["stage"])):
            said = f"{row['stand_ins']} with stand-ins, {row['beyond']} beyond its training, {row['width']} width"
            print(f"{', '.join(place)} ({said})")
        pairs = [
            (row["ours"][name], row["rule4ml"][name]) for name in ("r2_log", "smape", "bias", "smape_without_bias")
        ]
        cells = [_cell(a, 8, d) + _cell(b, 8, d) for (a, b), d in zip(pairs, (2, 1, 2, 1))]
        print(f"    {LABELS[row['figure']]:41}{row['ours']['n']:5}{cells[0]}{cells[1]}{cells[2]}  {cells[3]}")
    reasons: dict[str, int] = {}
    for row in answer["left_out"]:
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"  rule4ml can't be asked about {count} rows: {reason}")
    stand_ins = sorted({text for row in answer["rows"] for text in row["stand_ins"]})
    print(f"  stand-ins: {'; '.join(stand_ins) or 'none'}")
    for reason in sorted({row["beyond"] for row in answer["rows"] if row["beyond"]}):
        print(f"  beyond: {reason}")


def print_feasibility(found: Mapping) -> None:
    print("\nWhether a synthesis ends, without the architecture")
    for name, row in [("all", found["all"]), *found["by_source"].items()]:
        print(
            f"  {name:28}{row['n']:5} rows, {row['ended']} ended; ROC AUC {_cell(row['roc_auc'], 0, 4)}, Brier score "
            f"{row['brier']:.4f} ({row['brier_of_rate']:.4f} for the mean)"
        )
    for row in found["all"]["calibration"]:
        print(
            f"    said {row['from']:.2f} to {row['to']:.2f}: {row['n']:5} rows, mean {row['predicted']:.3f}, "
            f"ended {row['ended']:.3f}"
        )


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def _percent(value: float | None, width: int) -> str:
    return _cell(None if value is None else 100 * value, width, 0)


# --- C synthesis to logic synthesis ----------------------------------------------------------------------------------

_STAGES = {
    "csynth": {"lut": "csynth_LUT", "ff": "csynth_FF", "dsp": "csynth_DSP", "bram_18k": "csynth_BRAM18"},
    "synth": {"lut": "vsynth_LUT", "ff": "vsynth_FF", "dsp": "vsynth_DSP", "bram_18k": "vsynth_BRAM36"},
}


def convolutions(path: Path, dense: Sequence[Row]) -> list[Point]:
    """What logic synthesis makes of a C synthesis: its figures times the ratio learned without the row's source."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(line, fields) for line, fields in enumerate(csv.DictReader(file), start=2)]
    reports = {line: {stage: _counts(fields, stage) for stage in _STAGES} for line, fields in rows}
    both = [(line, fields["source"]) for line, fields in rows if all(reports[line].values())]
    points = []
    for source in sorted({source for _, source in both}):
        ratios = fit.fit(dense, [reports[line] for line, other in both if other != source]).ratios["synth"]
        for line in (line for line, own in both if own == source):
            for figure, reported in reports[line]["synth"].items():
                value, variance = ratios[figure].predict(np.array([[reports[line]["csynth"][figure]]]))
                ends = (max(value[0] - np.sqrt(variance[0]), 0.0), value[0] + np.sqrt(variance[0]))
                place = (path.name, line, "convolutions", "C synthesis times the ratio", "synth", figure)
                points.append(Point(*place, reported, float(value[0]), *map(float, ends)))
    return points


def _counts(fields: Mapping[str, str], stage: str) -> dict[str, float]:
    """Figures of a stage in blocks of 18 kbit, none where one is missing."""
    read = {figure: fields[column] for figure, column in _STAGES[stage].items()}
    if not all(read.values()):
        return {}
    tiles = 2 if stage == "synth" else 1
    return {figure: float(text) * (tiles if figure == "bram_18k" else 1) for figure, text in read.items()}


# --- Verilog ---------------------------------------------------------------------------------------------------------


def verilog(folder: Path) -> list[Point]:
    """Both forms of the model on Yosys reports, each network by a model fitted on the others.

    `folder` is what `benchmarks/prior.py --out` made; its designs are built and traced again, which takes minutes, and
    synthesised where a report is missing.
    """
    import prior  # with TensorFlow, from this file's folder

    with redirect_stdout(sys.stderr):
        cases = chain(prior.random_cases(), prior.task_cases(folder))
        rows = [row for case in cases if (row := prior.measured(case, folder / "reports")) is not None]
        points = []
        for network in sorted({row.case.network for row in rows}):
            model = prior.fitted([row for row in rows if row.case.network != network])
            part = "trained tasks" if network in prior.TASKS else "random weights"
            for row in (row for row in rows if row.case.network == network):
                points += _verilog_points(model, row, network, part, len(points))
    return points


def _verilog_points(model: rtl.CostModel, row, network: str, part: str, line: int) -> list[Point]:
    case = row.case
    forms = {
        "instant form": rtl.predict(model, case.topology, case.design, case.scaling.word, case.clock_ns),
        "from the weights": rtl.predict_traced(model, row.counts, row.cycles, case.clock_ns),
    }
    known = {"latency_cycles": float(row.cycles)}
    if row.report is not None:
        known |= {figure: float(getattr(row.report, figure)) for figure in ("lut", "ff", "dsp", "bram_18k")}
    points = []
    for form, predicted in forms.items():
        for figure, reported in known.items():
            if figure == "latency_cycles" and form != "instant form":  # the program's own, not predicted
                continue
            value, error = predicted[figure].value, predicted[figure].error
            place = (network, line, f"Verilog, {form}", part, "synth", figure)
            points.append(Point(*place, reported, value, max(value - error, 0.0), value + error))
    return points


# --- speed -----------------------------------------------------------------------------------------------------------

IMPORT = """
import json, sys, time
start, busy = time.perf_counter(), time.process_time()
import flow.cost, flow.cost.hls, flow.cost.rtl
seconds, busy = time.perf_counter() - start, time.process_time() - busy
heavy = sorted({"tensorflow", "keras", "qkeras", "hls4ml", "torch"} & set(sys.modules))
print(json.dumps({"seconds": seconds, "processor": busy, "heavy": heavy}))
"""


def speed() -> dict:
    """Designs a second on one core, from a fresh process, and the import in another."""
    population = _fresh([__file__, "--population"])
    imports = [_fresh(["-c", IMPORT]) for _ in range(REPEATS)]
    return population | {
        "import_seconds": float(np.median([row["seconds"] for row in imports])),
        "import_processor_seconds": float(np.median([row["processor"] for row in imports])),
        "imported": imports[0]["heavy"],
    }


def _fresh(arguments: Sequence[str]) -> dict:
    done = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env=os.environ | ONE_CORE
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure_population() -> dict:
    """Designs a second of both models, the fastest and the median of some runs, on the first core that is allowed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(1)
    word, topology = parse("quantized_bits(13,5)"), _jet_tagger()
    return {
        "population": POPULATION,
        "hls": _rate(lambda many: hls.predict(hls.prior(), many, "csynth"), lambda: _network(rng)),
        "rtl": _rate(lambda many: rtl.predict_many(rtl.prior(), topology, many, word, 5.0), lambda: _design(rng)),
    }


def _rate(predict: Callable[[list], object], draw: Callable[[], object]) -> dict:
    """Designs a second, each population a new one: by the processor's time and by the clock, medians."""
    rates = []
    for _ in range(REPEATS + 1):
        population = [draw() for _ in range(POPULATION)]
        wall, busy = time.perf_counter(), time.process_time()
        predict(population)
        rates.append((POPULATION / (time.process_time() - busy), POPULATION / (time.perf_counter() - wall)))
    busy, wall = np.median(rates[1:], axis=0).tolist()  # the first one reads the coefficients
    return {"processor": busy, "clock": wall}


def _network(rng: np.random.Generator) -> hls.Network:
    """A dense network of two to five layers, each with widths, reuse and strategy of its own."""
    sizes = rng.integers(4, 129, rng.integers(3, 7)).tolist()
    layers = tuple(
        hls.Layer(
            hls.Kind.DENSE,
            n_in,
            n_out,
            f"fc{i}",
            weight_bits=int(rng.integers(2, 17)),
            data_bits=int(rng.integers(4, 17)),
            reuse_factor=int(2 ** rng.integers(0, 9)),
            strategy=(hls.Strategy.LATENCY, hls.Strategy.RESOURCE)[int(rng.integers(2))],
            activation="relu",
        )
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
    )
    return hls.Network(layers, hls.IoType.PARALLEL, hls.Tool.VITIS_HLS, "2023.2", "xcvu9p-flga2104-2L-e", 5.0)


def _jet_tagger() -> Topology:
    sizes = (16, 64, 32, 32, 5)
    layers = (
        Dense(f"fc{i}", n_in, n_out, "relu" if i < 3 else "linear") for i, (n_in, n_out) in enumerate(pairwise(sizes))
    )
    return Topology(tuple(layers))


def _design(rng: np.random.Generator) -> Design:
    """A design of the jet tagger with widths and keep fractions of their own in each layer."""
    bits, keep = rng.integers(2, 9, (4, 2)).tolist(), np.round(rng.uniform(0.1, 1.0, 4), 3).tolist()
    layers = tuple(
        (f"fc{i}", LayerDesign(_fixed(k), _fixed(8), _rectified(a) if i < 3 else None, keep[i]))
        for i, (k, a) in enumerate(bits)
    )
    return Design(_fixed(int(rng.integers(4, 9))), layers)


@cache
def _fixed(bits: int) -> Format:
    return parse(f"quantized_bits({bits},0,1,alpha=1.0)")


@cache
def _rectified(bits: int) -> Format:
    return parse(f"quantized_relu({bits},2)")


def print_speed(found: Mapping, answer: Mapping | None) -> None:
    print(f"\nSpeed, one core, {found['population']:,} designs at once")
    for name, label in (("hls", "hls4ml designs (networks to all figures)"), ("rtl", "Verilog, instant form")):
        rate = found[name]
        print(f"  {label:44}{rate['processor']:10,.0f} designs/s of processor time ({rate['clock']:,.0f} by the clock)")
    heavy = ", ".join(found["imported"]) or "no TensorFlow, Keras, QKeras, hls4ml or PyTorch"
    print(
        f"  {'import of flow.cost with both models':44}{found['import_processor_seconds']:10.2f} s of processor time "
        f"({found['import_seconds']:.2f} s by the clock; {heavy} with it)"
    )
    if answer:
        seconds = answer["seconds"]
        print(
            f"  rule4ml: {seconds['single']:.2f} s for one configuration, {seconds['batch']:.3f} s each of "
            f"{seconds['configurations']:,} in batches; import {seconds['import']:.1f} s, "
            f"loading {seconds['load']:.1f} s"
        )


# --- the command -----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, metavar="FOLDER", help=f"of the records (default: ${RECORDS})")
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], metavar="FILE", help="records never fitted to")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="of the peers' environments: ask rule4ml too")
    parser.add_argument("--rule4ml", type=Path, metavar="FILE", help="rule4ml's answers, from an earlier run of it")
    parser.add_argument("--rtl", type=Path, metavar="FOLDER", help="of benchmarks/prior.py --out: the RTL model too")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--population", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.population:
        print(json.dumps(measure_population()))
        return
    try:
        result = run(options)
    except FlowError as error:
        sys.exit(str(error))
    if options.json:
        options.json.write_text(json.dumps(result | {"versions": versions()}, indent=1) + "\n")


def run(options) -> dict:
    """Everything that the options ask for, printed as it comes."""
    folder = options.records or (Path(os.environ[RECORDS]) if os.environ.get(RECORDS) else None)
    if folder is None:
        raise BadInput(f"no records: name their folder with --records, or in the environment's {RECORDS}")
    if missing := [name for name in (DENSE, UNFINISHED, CONV) if not (folder / name).is_file()]:
        raise BadInput(f"{folder}: without {', '.join(missing)}")
    rows, problems = records.read(folder / DENSE)
    unfinished, more = records.read(folder / UNFINISHED)
    for problem in (*problems, *more):
        print(problem)
    points = held_out(rows, records.pairs(folder / CONV), DENSE)
    result: dict = {"hls": group_scores(points)}
    print_groups("hls4ml designs, by a model without the architecture", result["hls"])
    for path in options.unseen:
        others, problems = records.read(path)
        result.setdefault("unseen", []).append({"file": path.name, "rows": group_scores(shipped(others, path.name))})
        print_groups(f"hls4ml designs of {path.name}, by the model that ships", result["unseen"][-1]["rows"])
    result["ratio"] = group_scores(convolutions(folder / CONV, rows))
    print_groups("From C synthesis to logic synthesis, by a ratio without the source", result["ratio"])
    result["feasibility"] = feasibility_scores([*rows, *unfinished])
    print_feasibility(result["feasibility"])
    answer = json.loads(options.rule4ml.read_text()) if options.rule4ml else None
    if options.peers:
        answer = ask_rule4ml(options.peers, [folder / DENSE, folder / CONV])
    if answer:
        result["rule4ml"] = {name: answer[name] for name in ("seconds", "versions", "left_out")}
        result["rule4ml"]["rows"] = beside_rule4ml(points, answer)
        print_beside(result["rule4ml"]["rows"], answer)
    if options.rtl:
        result["rtl"] = group_scores(verilog(options.rtl))
        print_groups("Verilog, by a model without the network", result["rtl"])
    result["speed"] = speed()
    print_speed(result["speed"], answer)
    return result


if __name__ == "__main__":
    main()
