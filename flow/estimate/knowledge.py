"""The calibration file: the reports that a user's cost models have learned from, as readable JSON.

It holds reports, not coefficients: models are refitted from the priors that ship whenever it is read, so the order of
the reports does not matter, none counts twice, and a newer program's better prior is used at once.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flow.cost import hls, power
from flow.cost import rtl as rtl_cost
from flow.design import Design
from flow.errors import BadInput
from flow.estimate.observation import POWERS, Observation
from flow.formats import parse
from flow.metrics import Implementation
from flow.store import write_json
from flow.topology import Topology

FORMAT = "flow calibration 1"


@dataclass(frozen=True)
class Models:
    """The cost models of both implementations, and that of their power."""

    rtl: rtl_cost.CostModel
    hls: hls.HlsModel
    power: power.PowerModel


def load(path: Path) -> tuple[Observation, ...]:
    """The observations of a calibration file, none where there is no file. BadInput names the file and the entry."""
    if not path.exists():
        return ()
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    except ValueError as error:
        raise BadInput(f"{path}: no JSON ({error})") from None
    if not isinstance(read, dict) or read.get("format") != FORMAT or not isinstance(read.get("observations"), list):
        raise BadInput(f"{path}: no calibration file; `format` has to be {FORMAT!r}, `observations` a list")
    return tuple(Observation.from_json(row, f"{path}: observations[{i}]") for i, row in enumerate(read["observations"]))


def save(path: Path, observations: Iterable[Observation]) -> None:
    """Write a calibration file, sorted, so that the same reports give the same bytes."""
    rows = sorted((item.to_json() for item in observations), key=lambda row: (row["source"], json.dumps(row)))
    write_json(path, {"format": FORMAT, "observations": rows})


def models(observations: Iterable[Observation]) -> Models:
    """The priors that ship, after these reports."""
    rows = sorted(observations, key=lambda item: item.subject)
    hls4ml = [item for item in rows if item.implementation is Implementation.HLS4ML]
    return Models(verilog_model(rows), _hls(hls4ml), power_model(rows))


def verilog_model(observations: Iterable[Observation]) -> rtl_cost.CostModel:
    """The prior of Verilog designs after those of the reports that speak of such."""
    model = rtl_cost.prior()
    for item in sorted(observations, key=lambda item: item.subject):
        if item.implementation is Implementation.RTL and item.finished:
            topology, design = design_of(item)
            model = rtl_cost.calibrated(model, topology, parse(item.network["word"]), [_reported(item, design)])
    return model


def _reported(item: Observation, design: Design) -> rtl_cost.Reported:
    figures, traced = item.figures, item.network.get("traced") or {}
    return rtl_cost.Reported(
        design,
        *(figures.get(name) for name in ("lut", "ff", "latency_cycles")),
        item.by_layer,
        traced.get("counts", {}),
        item.clock_ns or rtl_cost.CLOCK_NS,
        item.tool,
        item.stage,
    )


def _hls(rows: list[Observation]) -> hls.HlsModel:
    told = [
        hls.Observation(network_of(item), item.stage, item.figures, item.by_layer) for item in rows if item.finished
    ]
    ended = {
        finished: [network_of(item) for item in rows if item.finished is finished and item.stage == "csynth"]
        for finished in (True, False)
    }
    model = hls.updated(hls.prior(), told)
    return hls.updated_feasibility(model, ended[True], ended[False]) if any(ended.values()) else model


def power_model(rows: Iterable[Observation]) -> power.PowerModel:
    """The model of power after the reports that tell power and what the design used."""
    told = [
        power.Observed(
            {name: item.figures[name] for name in power.RESOURCES},
            item.part,
            item.clock_ns,
            item.figures.get("dynamic_power_w"),
            item.figures.get("static_power_w"),
        )
        for item in rows
        if set(power.RESOURCES) <= set(item.figures) and set(POWERS) & set(item.figures)
    ]
    return power.updated(power.prior(), told)


def network_of(item: Observation) -> hls.Network:
    """The network of an hls4ml observation."""
    return hls.Network.from_json(item.network)


def design_of(item: Observation) -> tuple[Topology, Design]:
    """Network and design of a Verilog observation."""
    return Topology.from_json(item.network["topology"]), Design.from_json(item.network["design"])
