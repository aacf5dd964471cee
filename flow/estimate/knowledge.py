"""The calibration file: the reports that a user's cost models have learned from, as readable JSON.

It holds reports, not coefficients: models are refitted from the priors that ship whenever it is read, so the order of
the reports does not matter, none counts twice, and a newer program's better prior is used at once.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flow.cost import hls, power
from flow.cost import rtl as rtl_cost
from flow.design import Design, check
from flow.errors import BadInput
from flow.estimate.files import json_object
from flow.estimate.observation import POWERS, Observation, traced_counts
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
    read = json_object(path)
    if read.get("format") != FORMAT or not isinstance(read.get("observations"), list):
        raise BadInput(f"{path}: no calibration file; `format` has to be {FORMAT!r}, `observations` a list")
    return tuple(_observation(row, f"{path}: observations[{i}]") for i, row in enumerate(read["observations"]))


def _observation(row: Mapping, where: str) -> Observation:
    """An entry of the file, with a network that the models can be asked about. BadInput names `where`."""
    item = Observation.from_json(row, where)
    try:
        if item.implementation is Implementation.HLS4ML:
            network_of(item)
        else:
            topology, design = design_of(item)
            check(design, topology)
            parse(item.network["word"])
            traced_counts(item.network.get("traced"))
    except (BadInput, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{where}: its network can't be read ({type(error).__name__}: {error})") from None
    return item


@contextmanager
def held(path: Path):
    """Hold a calibration file from reading to writing it: of two programs at once, the second waits for the first.

    The folder is locked, which leaves no file behind; where the file system has no locks, nobody waits.
    """
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # no folder yet, and so nothing to lose; what is wrong with the place is said when it is written
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def save(path: Path, observations: Iterable[Observation]) -> None:
    """Write a calibration file, sorted, so that the same reports give the same bytes."""
    rows = sorted((item.to_json() for item in observations), key=lambda row: (row["source"], json.dumps(row)))
    try:
        write_json(path, {"format": FORMAT, "observations": rows})
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BadInput(f"{path}: no place for a calibration file ({error.strerror})") from None


def models(observations: Iterable[Observation]) -> Models:
    """The priors that ship, after these reports."""
    rows = sorted(observations, key=lambda item: item.subject)
    return Models(verilog_model(rows), hls_model(rows), power_model(rows))


def verilog_model(observations: Iterable[Observation]) -> rtl_cost.CostModel:
    """The prior of Verilog designs after those of the reports that speak of such."""
    model = rtl_cost.prior()
    for item in sorted(observations, key=lambda item: item.subject):
        if item.implementation is Implementation.RTL and item.finished:
            topology, design = design_of(item)
            model = rtl_cost.calibrated(model, topology, parse(item.network["word"]), [_reported(item, design)])
    return model


def _reported(item: Observation, design: Design) -> rtl_cost.Reported:
    figures = item.figures
    return rtl_cost.Reported(
        design,
        *(figures.get(name) for name in ("lut", "ff", "latency_cycles")),
        item.by_layer,
        traced_counts(item.network.get("traced")),
        item.clock_ns or rtl_cost.CLOCK_NS,
        item.tool,
        item.stage,
    )


def hls_model(observations: Iterable[Observation]) -> hls.HlsModel:
    """The prior of hls4ml networks after those of the reports that speak of such."""
    every = sorted(observations, key=lambda item: item.subject)
    rows = [item for item in every if item.implementation is Implementation.HLS4ML]
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
    """The model of power after the reports that tell power and what the design used, on a part that is known."""
    told = [
        power.Observed(
            {name: item.figures[name] for name in power.RESOURCES},
            item.part,
            item.clock_ns,
            item.figures.get("dynamic_power_w"),
            item.figures.get("static_power_w"),
        )
        for item in rows
        if set(power.RESOURCES) <= set(item.figures)
        and set(POWERS) & set(item.figures)
        and item.clock_ns
        and hls.family(item.part) in power.FAMILIES
    ]
    return power.updated(power.prior(), told)


def network_of(item: Observation) -> hls.Network:
    """The network of an hls4ml observation."""
    return hls.Network.from_json(item.network)


def design_of(item: Observation) -> tuple[Topology, Design]:
    """Network and design of a Verilog observation."""
    return Topology.from_json(item.network["topology"]), Design.from_json(item.network["design"])
