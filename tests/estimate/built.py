"""Folders as a build leaves them, with reports, small and made for the tests."""

import json
from pathlib import Path

from designs import example_design, example_scaling
from networks import NETWORKS

from flow.cost import rtl
from flow.synth.report import Report, Stage

TOPOLOGY = NETWORKS["dense"]
TARGET = {
    "part": "xcvu9p-flga2104-2L-e",
    "clock_ns": 5.0,
    "backend": "Vitis",
    "strategy": "Latency",
    "io_type": "io_parallel",
    "reuse_factor": 1,
}
TRACED = {"latency_cycles": 5, "counts": {}}


def project(folder: Path, seed: int = 0, lut: int | None = 320, **more) -> Path:
    """The folder of a built design; with `lut`, with a Yosys report that says so."""
    design, scaling = example_design(TOPOLOGY, seed), example_scaling(TOPOLOGY)
    place = folder / design.digest
    (place / "rtl" / "synth").mkdir(parents=True)
    (place / "hls").mkdir()
    files = {
        "topology.json": TOPOLOGY.to_json(),
        "design.json": design.to_json(),
        "scaling.json": scaling.to_json(),
        "metadata.json": {"target": TARGET},
        "rtl/rtl.json": {"traced": TRACED},
    }
    if lut is not None:
        files["rtl/synth/report.json"] = yosys_report(lut, **more).to_json()
    for name, content in files.items():
        (place / name).write_text(json.dumps(content))
    return place


def expected(seed: int) -> float:
    """The LUTs that are predicted of the design before any report."""
    design, word = example_design(TOPOLOGY, seed), example_scaling(TOPOLOGY).word
    return rtl.predict(rtl.prior(), TOPOLOGY, design, word, TARGET["clock_ns"])["lut"].value


def yosys_report(lut: int, ff: int = 180, stage: Stage = Stage.SYNTH, by_layer: dict | None = None) -> Report:
    return Report(
        "rtl/synth/stat.json",
        "yosys",
        "0.70",
        "rtl",
        stage,
        TARGET["part"],
        clock_target_ns=TARGET["clock_ns"],
        lut=lut,
        ff=ff,
        dsp=0,
        bram_18k=0,
        latency_cycles=(5, 5),
        interval_cycles=(1, 1),
        by_layer=by_layer or {},
    )


__all__ = ["TARGET", "TOPOLOGY", "TRACED", "expected", "project", "yosys_report"]
