"""What a trained network costs and how accurate its logic is, the same for every method.

Traced: alkaid's LUT estimate, latency and registers of the network pipelined for one clock. Synthesised: Yosys' LUT
cells and flip-flops of the Verilog that is written from the same trace, through the program's cache of reports.
"""

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import networks
import numpy as np
from anatomy import anatomy
from events import GRID
from fronts import REFERENCE

from flow.errors import BadInput
from flow.firmware.settings import Target
from flow.store import file_digest, write_json

TARGET = Target("xcvu9p-flga2104-2L-e", 5.0)  # 200 MHz, as the jet tagger's task has it
SYNTHESIS_S = 1800.0
MARGIN = 1.6  # four standard deviations of predicted against traced LUTs, about
TOP = "jets"
SPAWN = get_context(
    "spawn"
)  # a fork of a process in which alkaid has solved waits for OpenMP's threads, which it lacks


def price(points: list[dict], folder: Path, data: Path, workers: int) -> list[dict]:
    """The points (`points.json` of `folder`) with what their networks cost and score.

    Each is a row {seconds, network, reported, validation, test, exact, lut, ff, cycles}; `reported` is the method's own
    validation accuracy, `validation` and `test` are those of the traced logic, and `exact` tells whether its logits
    equal those of the stored numbers on the validation sample. What no logic can be made of (all weights of a layer are
    zero), what is not above the reference accuracy, and what another point has beaten before by far more than the error of
    the prediction that the search itself had (`predicted_lut`), is left out. Each network is priced once with the events
    of `data`; its answer is kept beside it.
    """
    points = [point for point in points if point["accuracy"] > REFERENCE["accuracy"]]
    points = [point for point in points if not any(_beaten(point, other) for other in points)]
    names = [point["network"] for point in points]
    with ProcessPoolExecutor(workers, SPAWN) as pool:
        found = list(pool.map(_priced, [folder / name for name in names], repeat(data), repeat(file_digest(data))))
    return [
        {
            "seconds": point["seconds"],
            "network": point["network"],
            "reported": point["accuracy"],
            "predicted_lut": point.get("predicted_lut"),
            **row,
        }
        for point, row in zip(points, found)
        if row is not None
    ]


def _beaten(point: dict, other: dict) -> bool:
    """Whether another point was there no later, is no less accurate, and is predicted to cost far less."""
    mine, its = (row.get("predicted_lut") for row in (point, other))
    if mine is None or its is None:
        return False
    return other["seconds"] <= point["seconds"] and other["accuracy"] >= point["accuracy"] and MARGIN * its < mine


def _priced(path: Path, data: Path, digest: str) -> dict | None:
    kept = path.with_suffix(".json")
    with_what = version("alkaid").encode() + digest.encode() + Path(networks.__file__).read_bytes()
    key = hashlib.sha256(path.read_bytes() + with_what).hexdigest()[:16]
    if kept.exists() and (row := json.loads(kept.read_text())).pop("key") == key:
        return row or None
    row = _measured(path, data) or {}
    write_json(kept, {"key": key} | row)
    return row or None


def _measured(path: Path, data: Path) -> dict | None:
    from flow.firmware import rtl

    layers = networks.read(path)
    try:
        traced = networks.trace(layers, GRID)
        summary = rtl.summarise(traced, TARGET)
    except BadInput:
        return None
    with np.load(data, allow_pickle=False) as stored:
        x, y = ({part: stored[f"{kind}_{part}"] for part in ("val", "test")} for kind in ("x", "y"))
    logits = {part: traced.run(values.astype(np.float64))[traced.layers[-1]] for part, values in x.items()}
    hit = {part: float(np.mean(np.argmax(rows, axis=1) == y[part])) for part, rows in logits.items()}
    return {
        "validation": hit["val"],
        "test": hit["test"],
        "exact": bool(np.array_equal(logits["val"], networks.evaluate(layers, x["val"].astype(np.float64)))),
        "lut": max(summary.lut_estimate, 1.0),
        "ff": float(summary.register_bits),
        "cycles": summary.latency_cycles,
    }


def synthesise(rows: list[tuple[dict, Path]], work: Path) -> list[dict]:
    """The rows, each with the folder of its network, with what the network is made of, and with Yosys' figures in place of
    the traced ones, which stay as `traced_lut`; `failed` says why one has none."""
    from flow.firmware import rtl
    from flow.synth import cache
    from flow.synth.job import Job
    from flow.synth.jobs.run import run
    from flow.synth.jobs.settings import JobSettings
    from flow.synth.tools import TOOLS
    from flow.synth.tools.tool import Limits

    jobs = []
    for row, folder in rows:
        path = folder / row["network"]
        project = work / hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        if not (project / "rtl.json").exists():
            project.mkdir(parents=True, exist_ok=True)
            rtl.write(networks.trace(networks.read(path), GRID), project, TOP, TARGET)
        tool = TOOLS["yosys"]
        jobs.append(Job(project.resolve(), tool.name, tool.usual, Limits(SYNTHESIS_S), cache.root()))
    found = []
    for (row, folder), outcome in zip(rows, run(jobs, JobSettings()) if jobs else [], strict=True):
        row = row | anatomy(networks.read(folder / row["network"]))
        if outcome.report is None:
            found.append(row | {"failed": str(outcome.message)})
        else:
            report = {
                "lut": float(outcome.report.lut),
                "ff": float(outcome.report.ff),
                "dsp": float(outcome.report.dsp),
            }
            found.append(row | {"traced_lut": row["lut"]} | report)
    return found
