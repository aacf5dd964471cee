"""LUT, FF, DSP, memories, latency and interval of networks that hls4ml builds, in closed form.

What hls4ml's templates unroll to is counted layer by layer (`structure`); what each count costs is a regression over
such physical features (`features`, `model`), which every report makes better (`update`).
"""

from flow.cost.hls.columns import family
from flow.cost.hls.feasibility import finishes, updated_feasibility
from flow.cost.hls.features import FIGURES
from flow.cost.hls.from_config import from_config, read_network
from flow.cost.hls.from_design import network
from flow.cost.hls.layers import IoType, Kind, Layer, Network, Strategy, Tool, Weights, checked
from flow.cost.hls.model import STAGES, HlsModel, prior
from flow.cost.hls.predict import Prediction, predict, predict_by_layer, reasons
from flow.cost.hls.update import Observation, updated

__all__ = [
    "FIGURES",
    "STAGES",
    "HlsModel",
    "IoType",
    "Kind",
    "Layer",
    "Network",
    "Observation",
    "Prediction",
    "Strategy",
    "Tool",
    "Weights",
    "checked",
    "family",
    "finishes",
    "from_config",
    "network",
    "predict",
    "predict_by_layer",
    "prior",
    "read_network",
    "reasons",
    "updated",
    "updated_feasibility",
]
