"""LUT, FF and latency of a design's RTL, predicted from formats and keep fractions alone.

The features are what the hardware must hold: the adders of a shift-and-add network (their number from
the canonical signed digits of a weight, their width from the data), the rounders and rectifiers of an
activation, the registers at stage boundaries. Coefficients come from `prior.json` (fitted on traced
designs by `benchmarks/prior.py`) and are refitted by every report.

A convolution is unrolled: it has the adders of one sum at each of its positions. What has no kernel (pooling,
merging, an activation on its own) belongs to the layer with a kernel in front of it, and is priced by the
coefficients of what it resembles: a comparison or a sum of two values is an adder that shares nothing, as those
of the input block are.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from flow.cost.calibration import Regression
from flow.design import Design, ValueFormat, data_formats, value_formats
from flow.formats import Fixed, Format
from flow.metrics import Fidelity, Figure, Implementation, figure
from flow.topology import (
    INPUT,
    Activation,
    Conv,
    Layer,
    Merge,
    Pool,
    Reshape,
    Topology,
    Weighted,
    accumulator_bits,
    same_padding,
)

LUT_FEATURES = ("fixed", "ternary", "binary", "activation", "output", "input")
FF_FEATURES = ("fixed", "ternary", "binary", "boundary", "output", "input")
LATENCY_FEATURES = ("adder_levels", "activations", "width")
TRACED_FEATURES = ("traced",)


@dataclass(frozen=True)
class CostModel:
    """The state of the prediction: one regression per figure for designs, one per figure for traced designs."""

    lut: Regression
    ff: Regression
    latency_cycles: Regression
    traced_lut: Regression
    traced_ff: Regression

    def to_json(self) -> dict:
        return {name: regression.to_json() for name, regression in vars(self).items()}

    @staticmethod
    def from_json(row: Mapping) -> "CostModel":
        return CostModel(**{name: Regression.from_json(value) for name, value in row.items()})


@lru_cache(maxsize=1)
def prior() -> CostModel:
    """The coefficients that ship with the program."""
    return CostModel.from_json(json.loads((Path(__file__).parent / "prior.json").read_text()))


def blocks(topology: Topology) -> dict[str, str]:
    """Layer → the block that it belongs to: itself with a kernel, else the layer with one in front of it.

    `INPUT` is the block that subtracts the offsets and puts the words onto the input grid.
    """
    found, block = {}, INPUT
    for layer in topology.layers:
        block = layer.name if isinstance(layer, Weighted) else block
        found[layer.name] = block
    return found


def block_names(topology: Topology) -> tuple[str, ...]:
    """The blocks that costs are told for, in the order of the data."""
    return (INPUT, *(layer.name for layer in topology.weighted))


def digits(form: Format) -> float:
    """Expected non-zero canonical signed digits of a weight: (b - 1)/3 + 1/9 of b bits, none for its share of zeros."""
    if form.kind.endswith(("binary", "po2")):
        return 1.0
    if form.kind.endswith("ternary"):
        return 2.0 / 3.0
    return (form.bits - 1) / 3.0 + 4.0 / 9.0


def adders(layer: Layer, design: Design) -> float:
    """Expected two-input adders of a layer's shift-and-add network, without sharing."""
    part = design[layer.name]
    return math.prod(layer.shape) * max(part.keep * layer.terms * _inside(layer) * digits(part.kernel), 0.5)


def lut_rows(topology: Topology, design: Design, word: Fixed) -> np.ndarray:
    """Features (blocks, k) of the input block and of each layer, in LUTs if each bit of an adder were one."""
    rows = _empty_rows(topology, LUT_FEATURES)
    rows[INPUT]["input"] = topology.n_in * max(word.bits, design.input.bits)
    values, data = value_formats(topology, design), data_formats(topology, design)
    for layer in topology.weighted:
        row = rows[layer.name]
        row[_kind(design[layer.name].kernel)] += adders(layer, design) * (data[layer.name].bits + 1)
        if topology.quantized(layer):
            row["activation"] += math.prod(layer.shape) * _sum_bits(layer, design, data)
    for layer, block, read in _others(topology, values):
        if isinstance(layer, Activation) and topology.quantized(layer):
            rows[block]["activation"] += math.prod(layer.shape) * read[0].bits
        rows[block]["input"] += _pairs(layer) * max(form.bits for form in read)
    rows[blocks(topology)[topology.output]]["output"] += _output_bits(topology, design)
    return _matrix(rows)


def ff_rows(topology: Topology, design: Design, word: Fixed) -> np.ndarray:
    """Features (blocks, k) of the input block and of each layer, in register bits."""
    rows = _empty_rows(topology, FF_FEATURES)
    rows[INPUT]["input"] = topology.n_in * (word.bits + design.input.bits)
    values, data = value_formats(topology, design), data_formats(topology, design)
    for layer in topology.weighted:
        part, row = design[layer.name], rows[layer.name]
        row[_kind(part.kernel)] += adders(layer, design) * (data[layer.name].bits + 1)
        if topology.quantized(layer):
            row["boundary"] += math.prod(layer.shape) * part.activation.bits
    for layer, block, _ in _others(topology, values):
        if _pairs(layer) or topology.quantized(layer):
            rows[block]["boundary"] += math.prod(layer.shape) * values[layer.name].bits
    rows[blocks(topology)[topology.output]]["output"] += _output_bits(topology, design)
    return _matrix(rows)


def latency_rows(topology: Topology, design: Design) -> np.ndarray:
    """Features (1, k) of the whole pipeline, in levels of logic: those of its longest branch."""
    data = data_formats(topology, design)
    deepest = {INPUT: (0.0, 0)}
    for layer in topology.layers:
        levels, activations = max(deepest[name] for name in topology.sources[layer.name])
        if isinstance(layer, Weighted):
            levels += np.log2(1 + adders(layer, design) / math.prod(layer.shape))
        elif _pairs(layer):
            levels += np.log2(1 + _pairs(layer) / math.prod(layer.shape))
        deepest[layer.name] = (levels, activations + topology.quantized(layer))
    width = np.mean([_sum_bits(layer, design, data) for layer in topology.weighted])
    return np.array([[*deepest[topology.output], width]])


def predict(model: CostModel, topology: Topology, design: Design, word: Fixed, clock_ns: float) -> dict[str, Figure]:
    """LUT, FF, DSP, BRAM18 and latency with their errors, at fidelity `model`."""
    lut, ff = model.lut.total(lut_rows(topology, design, word)), model.ff.total(ff_rows(topology, design, word))
    cycles = model.latency_cycles.total(latency_rows(topology, design))
    return _figures(Fidelity.MODEL, lut, ff, cycles, clock_ns)


def predict_by_layer(model: CostModel, topology: Topology, design: Design, word: Fixed) -> dict[str, dict[str, float]]:
    """Block → predicted LUT and FF (fidelity `model`)."""
    lut, _ = model.lut.predict(lut_rows(topology, design, word))
    ff, _ = model.ff.predict(ff_rows(topology, design, word))
    names = block_names(topology)
    return {name: {"lut": float(l), "ff": float(f)} for name, l, f in zip(names, lut, ff)}


def predict_traced(
    model: CostModel, lut: float, register_bits: float, cycles: int, clock_ns: float
) -> dict[str, Figure]:
    """What a tool will report of a traced design: the tracer's counts, corrected by the reports so far."""
    return _figures(
        Fidelity.TRACED,
        model.traced_lut.total(np.array([[lut]])),
        model.traced_ff.total(np.array([[register_bits]])),
        (float(cycles), 0.0),
        clock_ns,
    )


@dataclass(frozen=True)
class Reported:
    """One report next to what the predictions start from. `by_layer`: block → {"lut", "ff"} (may be empty)."""

    design: Design
    lut: float
    ff: float
    latency_cycles: float
    by_layer: Mapping[str, Mapping[str, float]]
    traced_lut: float
    traced_ff: float


def calibrated(model: CostModel, topology: Topology, word: Fixed, reports: list[Reported]) -> CostModel:
    """The model after all of `reports`: by layer where a report has layers, by its totals elsewhere."""
    for report in reports:
        lut_x, ff_x = lut_rows(topology, report.design, word), ff_rows(topology, report.design, word)
        names = block_names(topology)
        if set(names) <= set(report.by_layer):
            lut_y = np.array([report.by_layer[name]["lut"] for name in names], dtype=float)
            ff_y = np.array([report.by_layer[name]["ff"] for name in names], dtype=float)
            # What a tool shares between layers belongs to none of them: spread it, so that the total comes out.
            lut_y *= report.lut / max(lut_y.sum(), 1.0)
            ff_y *= report.ff / max(ff_y.sum(), 1.0)
        else:
            lut_x, ff_x = lut_x.sum(axis=0, keepdims=True), ff_x.sum(axis=0, keepdims=True)
            lut_y, ff_y = np.array([report.lut]), np.array([report.ff])
        model = replace(
            model,
            lut=model.lut.updated(lut_x, lut_y),
            ff=model.ff.updated(ff_x, ff_y),
            latency_cycles=model.latency_cycles.updated(
                latency_rows(topology, report.design), np.array([report.latency_cycles])
            ),
            traced_lut=model.traced_lut.updated(np.array([[report.traced_lut]]), np.array([report.lut])),
            traced_ff=model.traced_ff.updated(np.array([[report.traced_ff]]), np.array([report.ff])),
        )
    return model


def _figures(fidelity: Fidelity, lut, ff, cycles, clock_ns: float) -> dict[str, Figure]:
    rtl = {"implementation": Implementation.RTL}
    return {
        "lut": figure("lut", lut[0], fidelity, error=lut[1], **rtl),
        "ff": figure("ff", ff[0], fidelity, error=ff[1], **rtl),
        # Shift-and-add networks multiply nothing and keep their weights in logic.
        "dsp": figure("dsp", 0.0, fidelity, error=0.0, **rtl),
        "bram_18k": figure("bram_18k", 0.0, fidelity, error=0.0, **rtl),
        "latency_cycles": figure("latency_cycles", cycles[0], fidelity, error=cycles[1], **rtl),
        "latency_ns": figure("latency_ns", cycles[0] * clock_ns, fidelity, error=cycles[1] * clock_ns, **rtl),
    }


def _kind(form: Format) -> str:
    """The feature of a kernel's adders; powers of two shift like any weight."""
    return next((kind for kind in ("ternary", "binary") if form.kind.endswith(kind)), "fixed")


def _sum_bits(layer: Layer, design: Design, data: Mapping[str, ValueFormat]) -> int:
    kernel = design[layer.name].kernel
    terms = max(int(design[layer.name].keep * layer.terms), 1)
    return accumulator_bits(terms, data[layer.name].bits, kernel.width if _kind(kernel) == "fixed" else 1)


def _output_bits(topology: Topology, design: Design) -> int:
    """Bits of all logits."""
    last = topology[topology.output]
    if isinstance(last, Weighted):
        return math.prod(last.shape) * _sum_bits(last, design, data_formats(topology, design))
    return math.prod(last.shape) * value_formats(topology, design)[last.name].bits


def _inside(layer: Layer) -> float:
    """The share of a convolution's products that do not multiply padded zeros."""
    if not isinstance(layer, Conv) or layer.padding != "same":
        return 1.0
    share = 1.0
    for size, window, stride, positions in zip(layer.input_shape, layer.window, layer.strides, layer.shape):
        first = -same_padding(size, window, stride)[0]
        starts = [first + stride * i for i in range(positions)]
        share *= sum(min(start + window, size) - max(start, 0) for start in starts) / (positions * window)
    return share


def _others(topology: Topology, values: Mapping[str, ValueFormat]):
    """Layers without a kernel that need logic: (layer, block, the formats it reads)."""
    block = blocks(topology)
    for layer in topology.layers:
        if not isinstance(layer, (*Weighted, Reshape)):
            yield layer, block[layer.name], [values[name] for name in topology.sources[layer.name]]


def _pairs(layer: Layer) -> int:
    """Comparisons or sums of two values in a pooling or a sum of branches."""
    if isinstance(layer, Pool):
        return math.prod(layer.shape) * (math.prod(layer.window) - 1)
    if isinstance(layer, Merge) and layer.operation == "add":
        return math.prod(layer.shape) * (len(layer.inputs) - 1)
    return 0


def _empty_rows(topology: Topology, features: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {name: dict.fromkeys(features, 0.0) for name in block_names(topology)}


def _matrix(rows: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    return np.array([list(row.values()) for row in rows.values()], dtype=float)
