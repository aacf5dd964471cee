"""LUT, FF and latency of a design's RTL, predicted before any tool has seen it.

`predict` takes formats and keep fractions alone (`columns`, `digits`, `features`), or what the real weights say of digits and
dead units (`weighed`); `predict_traced` the operations that
the tracer found for the real weights (`operations`). Both are linear in what the hardware must hold, with coefficients
from `prior.json` (fitted by `benchmarks/prior.py`) that every report corrects (`model`).
"""

from flow.cost.rtl.features import FF_FEATURES, LATENCY_FEATURES, LUT_FEATURES, block_names, blocks
from flow.cost.rtl.model import (
    CLOCK_NS,
    REGRESSIONS,
    STAGE,
    TOOL,
    CostModel,
    Counts,
    Prediction,
    Reported,
    calibrated,
    predict,
    predict_by_layer,
    predict_many,
    predict_traced,
    predict_traced_by_layer,
    prior,
)
from flow.cost.rtl.operations import COUNTS, TRACED_FF_FEATURES, TRACED_LUT_FEATURES, count, summed
from flow.cost.rtl.weighed import Weighed, weigh

__all__ = [
    "CLOCK_NS",
    "COUNTS",
    "FF_FEATURES",
    "LATENCY_FEATURES",
    "LUT_FEATURES",
    "REGRESSIONS",
    "STAGE",
    "TOOL",
    "TRACED_FF_FEATURES",
    "TRACED_LUT_FEATURES",
    "CostModel",
    "Counts",
    "Prediction",
    "Reported",
    "Weighed",
    "block_names",
    "blocks",
    "calibrated",
    "count",
    "predict",
    "predict_by_layer",
    "predict_many",
    "predict_traced",
    "predict_traced_by_layer",
    "prior",
    "summed",
    "weigh",
]
