"""LUT, FF and latency of a design's RTL: predicted from features, corrected by reports."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from flow.cost.calibration import Regression
from flow.cost.rtl.columns import population
from flow.cost.rtl.features import block_names, ff_features, latency_features, lut_features
from flow.cost.rtl.operations import summed
from flow.cost.rtl.weighed import Weighed
from flow.design import Design
from flow.formats import Fixed
from flow.metrics import Fidelity, Figure, Implementation, figure
from flow.topology import Topology

REGRESSIONS = ("lut", "ff", "latency_cycles", "traced_lut", "traced_ff")
TOOL, STAGE = "yosys", "synth"
"""What the prior was fitted on."""
UNSEEN = 3.0
"""How much less sure predictions are of a tool or a stage that has not reported yet: 30 to 40 % of the look-up tables,
which is what two tools differ by on one netlist."""
CLOCK_NS = 5.0
Counts = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class CostModel:
    """The state of the prediction: one regression per figure for designs, one per figure for traced designs.

    These speak of Yosys; `others` holds the same for each other tool and stage that has reported, as "vivado route".
    """

    lut: Regression
    ff: Regression
    latency_cycles: Regression
    traced_lut: Regression
    traced_ff: Regression
    others: Mapping[str, "CostModel"] = field(default_factory=dict)

    def of(self, tool: str, stage: str) -> "CostModel":
        """The regressions of a tool and stage; where it has never reported, those of Yosys, widened."""
        name = key(tool, stage)
        if name == key(TOOL, STAGE):
            return self
        if name in self.others:
            return self.others[name]
        wide = {name: getattr(self, name).widened(UNSEEN) for name in REGRESSIONS if name != "latency_cycles"}
        return replace(self, **wide, others={})

    def with_other(self, tool: str, stage: str, state: "CostModel") -> "CostModel":
        """This model with the regressions of a tool and stage in the place of those that it had."""
        if key(tool, stage) == key(TOOL, STAGE):
            return state
        return replace(self, others=dict(self.others) | {key(tool, stage): state})

    def to_json(self) -> dict:
        found = {name: getattr(self, name).to_json() for name in REGRESSIONS}
        return found | (
            {"others": {name: state.to_json() for name, state in self.others.items()}} if self.others else {}
        )

    @staticmethod
    def from_json(row: Mapping) -> "CostModel":
        states = {name: CostModel.from_json(state) for name, state in row.get("others", {}).items()}
        return CostModel(*(Regression.from_json(row[name]) for name in REGRESSIONS), states)


def key(tool: str, stage: str) -> str:
    return f"{tool.lower()} {stage}"


@lru_cache(maxsize=1)
def prior() -> CostModel:
    """The coefficients that ship with the program."""
    return CostModel.from_json(json.loads((Path(__file__).parents[1] / "prior.json").read_text()))


@dataclass(frozen=True)
class Prediction:
    """One figure of n designs: value, and the ends of the interval that holds 68 % of the reports, arrays (n,)."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def predict_many(
    model: CostModel,
    topology: Topology,
    designs: Sequence[Design],
    word: Fixed,
    clock_ns: float,
    tool: str = TOOL,
    stage: str = STAGE,
    weighed: Sequence[Mapping[str, Weighed]] | None = None,
) -> dict[str, Prediction]:
    """LUT, FF, DSP, BRAM18 and latency of designs of one network: figure → its predictions, at fidelity `model`, or
    `weights` where `weighed` tells what each one's real weights say."""
    state, columns = model.of(tool, stage), population(topology, designs, word, weighed)
    return _all(
        _totals(state.lut, lut_features(columns)),
        _totals(state.ff, ff_features(columns, clock_ns)),
        _totals(state.latency_cycles, latency_features(columns, clock_ns)),
        clock_ns,
    )


def predict(
    model: CostModel,
    topology: Topology,
    design: Design,
    word: Fixed,
    clock_ns: float,
    tool: str = TOOL,
    stage: str = STAGE,
    weighed: Mapping[str, Weighed] | None = None,
) -> dict[str, Figure]:
    """The same of one design, as figures with their errors."""
    rows = None if weighed is None else [weighed]
    found = predict_many(model, topology, [design], word, clock_ns, tool, stage, rows)
    return _figures(found, Fidelity.MODEL if weighed is None else Fidelity.WEIGHTS)


def predict_by_layer(
    model: CostModel, topology: Topology, design: Design, word: Fixed, clock_ns: float = CLOCK_NS
) -> dict[str, dict[str, float]]:
    """Block → predicted LUT and FF (fidelity `model`), and their errors as "lut_error" and "ff_error"."""
    columns = population(topology, [design], word)
    parts = {"lut": (model.lut, lut_features(columns)[0]), "ff": (model.ff, ff_features(columns, clock_ns)[0])}
    return _by_block(block_names(topology), parts)


def predict_traced(
    model: CostModel,
    counts: Counts,
    cycles: int,
    clock_ns: float,
    tool: str = TOOL,
    stage: str = STAGE,
) -> dict[str, Figure]:
    """What a tool will report of a traced design: `counts` of its operations by block, and its latency, are known."""
    state, whole, exact = model.of(tool, stage), summed(counts), np.array([float(cycles)])
    found = _all(
        _totals(state.traced_lut, _traced_row(state.traced_lut, whole)[None]),
        _totals(state.traced_ff, _traced_row(state.traced_ff, whole)[None]),
        Prediction(exact, exact, exact),
        clock_ns,
    )
    return _figures(found, Fidelity.TRACED)


def predict_traced_by_layer(model: CostModel, counts: Counts) -> dict[str, dict[str, float]]:
    """Block → predicted LUT and FF (fidelity `traced`), and their errors as "lut_error" and "ff_error"."""
    parts = {
        name: (state, np.concatenate([_traced_row(state, row) for row in counts.values()]))
        for name, state in (("lut", model.traced_lut), ("ff", model.traced_ff))
    }
    return _by_block(tuple(counts), parts)


@dataclass(frozen=True)
class Reported:
    """One report next to what the predictions start from; None is what it does not say.

    `by_layer`: block → {"lut", "ff"}, empty where the report has no layers; `counts` are those of the traced design by
    block, empty where it was not traced.
    """

    design: Design
    lut: float | None
    ff: float | None
    latency_cycles: float | None
    by_layer: Mapping[str, Mapping[str, float]]
    counts: Counts = field(default_factory=dict)
    clock_ns: float = CLOCK_NS
    tool: str = TOOL
    stage: str = STAGE


def calibrated(model: CostModel, topology: Topology, word: Fixed, reports: Sequence[Reported]) -> CostModel:
    """The model after all of `reports`: by layer where a report has layers, by its totals elsewhere."""
    for report in reports:
        state = _after(model.of(report.tool, report.stage), topology, word, report)
        model = model.with_other(report.tool, report.stage, state)
    return model


def _after(state: CostModel, topology: Topology, word: Fixed, report: Reported) -> CostModel:
    columns, changed = population(topology, [report.design], word), {}
    whole = set(report.by_layer) <= set(block_names(topology))  # no block of an output behind the logits
    features = {"lut": lut_features(columns)[0], "ff": ff_features(columns, report.clock_ns)[0]}
    for name, x in features.items():
        total = getattr(report, name)
        if total is None:
            continue
        changed[name] = getattr(state, name).updated(*_told(x, float(total), name, topology, report))
        if report.counts:
            traced = getattr(state, f"traced_{name}")
            row = _traced_row(traced, summed(report.counts))
            changed[f"traced_{name}"] = traced.updated(row, np.array([float(total)]))
    if report.latency_cycles is not None and whole:
        x = latency_features(columns, report.clock_ns)[0]
        changed["latency_cycles"] = state.latency_cycles.updated(x, np.array([float(report.latency_cycles)]))
    return replace(state, **changed)


def _told(
    x: np.ndarray, total: float, name: str, topology: Topology, report: Reported
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of features and what they were reported to cost."""
    names = block_names(topology)
    if not set(names) <= set(report.by_layer):
        return x.sum(axis=0, keepdims=True), np.array([total])
    parts = np.array([report.by_layer[block][name] for block in names], dtype=float)
    total -= sum(row[name] for block, row in report.by_layer.items() if block not in names)  # an output's, not priced
    # What a tool shares between layers belongs to none of them: spread it, so that the total comes out.
    return x, parts * total / max(parts.sum(), 1.0)


def _traced_row(state: Regression, counts: Mapping[str, float]) -> np.ndarray:
    """Features (1, k) of counts by name."""
    return np.array([[counts[name] for name in state.features]], dtype=float)


def _totals(state: Regression, x: np.ndarray) -> Prediction:
    value, error = state.totals(x)
    return Prediction(value, np.maximum(value - error, 0.0), value + error)


def _by_block(names: Sequence[str], parts: Mapping[str, tuple[Regression, np.ndarray]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for figure_name, (state, x) in parts.items():
        for name, value, variance in zip(names, *state.predict(x)):
            found[name] |= {figure_name: float(value), f"{figure_name}_error": float(np.sqrt(variance))}
    return found


def _all(lut: Prediction, ff: Prediction, cycles: Prediction, clock_ns: float) -> dict[str, Prediction]:
    # Shift-and-add networks multiply nothing and keep their weights in logic.
    none = Prediction(*(np.zeros_like(lut.value) for _ in range(3)))
    nanoseconds = Prediction(cycles.value * clock_ns, cycles.low * clock_ns, cycles.high * clock_ns)
    return {"lut": lut, "ff": ff, "dsp": none, "bram_18k": none, "latency_cycles": cycles, "latency_ns": nanoseconds}


def _figures(found: Mapping[str, Prediction], fidelity: Fidelity) -> dict[str, Figure]:
    return {
        name: figure(
            name,
            float(one.value[0]),
            fidelity,
            error=float(one.high[0] - one.value[0]),
            implementation=Implementation.RTL,
        )
        for name, one in found.items()
    }
