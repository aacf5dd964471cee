"""LUT, FF and latency of a design's RTL, predicted from formats and keep fractions alone.

The features are what the hardware must hold: the adders of a shift-and-add network (their number from
the canonical signed digits of a weight, their width from the data), the rounders and rectifiers of an
activation, the registers at stage boundaries. Coefficients come from `prior.json` (fitted on traced
designs by `benchmarks/prior.py`) and are refitted by every report.
"""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Mapping

import numpy as np

from flow.cost.calibration import Regression
from flow.design import Design
from flow.formats import Fixed, Format
from flow.metrics import Fidelity, Figure, Implementation, figure
from flow.topology import Dense, Topology, accumulator_bits

INPUT = "input"  # the block that subtracts the offsets and puts the words onto the input grid

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


def digits(form: Format) -> float:
    """Expected non-zero canonical signed digits of a weight: (b - 1)/3 + 1/9 of b bits, none for its share of zeros."""
    if form.kind == "binary":
        return 1.0
    if form.kind == "ternary":
        return 2.0 / 3.0
    return (form.bits - 1) / 3.0 + 4.0 / 9.0


def adders(layer: Dense, design: Design) -> float:
    """Expected two-input adders of a layer's shift-and-add network, without sharing."""
    part = design[layer.name]
    return layer.n_out * max(part.keep * layer.n_in * digits(part.kernel), 0.5)


def lut_rows(topology: Topology, design: Design, word: Fixed) -> np.ndarray:
    """Features (1 + layers, k) of the input block and of each layer, in LUTs if each bit of an adder were one."""
    rows = [_row(LUT_FEATURES, input=topology.n_in * max(word.bits, design.input.bits))]
    for layer in topology.layers:
        part, data = design[layer.name], design.data_format(layer.name)
        sums = _sum_bits(layer, design)
        values = {_kind(part.kernel): adders(layer, design) * (data.bits + 1)}
        values["output" if part.activation is None else "activation"] = layer.n_out * sums
        rows.append(_row(LUT_FEATURES, **values))
    return np.array(rows)


def ff_rows(topology: Topology, design: Design, word: Fixed) -> np.ndarray:
    """Features (1 + layers, k) of the input block and of each layer, in register bits."""
    rows = [_row(FF_FEATURES, input=topology.n_in * (word.bits + design.input.bits))]
    for layer in topology.layers:
        part, data = design[layer.name], design.data_format(layer.name)
        values = {_kind(part.kernel): adders(layer, design) * (data.bits + 1)}
        if part.activation is None:
            values["output"] = layer.n_out * _sum_bits(layer, design)
        else:
            values["boundary"] = layer.n_out * part.activation.bits
        rows.append(_row(FF_FEATURES, **values))
    return np.array(rows)


def latency_rows(topology: Topology, design: Design) -> np.ndarray:
    """Features (1, k) of the whole pipeline, in levels of logic."""
    levels = sum(np.log2(1 + adders(layer, design) / layer.n_out) for layer in topology.layers)
    width = np.mean([_sum_bits(layer, design) for layer in topology.layers])
    return np.array([[levels, sum(layer.activation == "relu" for layer in topology.layers), width]])


def predict(model: CostModel, topology: Topology, design: Design, word: Fixed, clock_ns: float) -> dict[str, Figure]:
    """LUT, FF, DSP, BRAM18 and latency with their errors, at fidelity `model`."""
    lut, ff = model.lut.total(lut_rows(topology, design, word)), model.ff.total(ff_rows(topology, design, word))
    cycles = model.latency_cycles.total(latency_rows(topology, design))
    return _figures(Fidelity.MODEL, lut, ff, cycles, clock_ns)


def predict_by_layer(model: CostModel, topology: Topology, design: Design, word: Fixed) -> dict[str, dict[str, float]]:
    """Block → predicted LUT and FF (fidelity `model`)."""
    lut, _ = model.lut.predict(lut_rows(topology, design, word))
    ff, _ = model.ff.predict(ff_rows(topology, design, word))
    names = (INPUT, *topology.names)
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
        names = (INPUT, *topology.names)
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
    return {"quantized_bits": "fixed", "ternary": "ternary", "binary": "binary"}[form.kind]


def _sum_bits(layer: Dense, design: Design) -> int:
    part, data = design[layer.name], design.data_format(layer.name)
    terms = max(int(part.keep * layer.n_in), 1)
    return accumulator_bits(terms, data.bits, 1 if part.kernel.kind != "quantized_bits" else part.kernel.bits)


def _row(features: tuple[str, ...], **values: float) -> list[float]:
    return [float(values.get(name, 0.0)) for name in features]
