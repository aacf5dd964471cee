"""The model of hls4ml designs on records of synthesised networks."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from costs.scores import FIGURES, UNUSABLE, Point

from flow.cost import hls
from flow.cost.hls import fit
from flow.cost.records import Row

CYCLES = FIGURES[-2:]


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
