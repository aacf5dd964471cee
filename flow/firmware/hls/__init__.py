"""A QKeras model as an hls4ml project, which `flow.firmware.hls.csim` compiles and simulates.

The project's bytes depend on nothing but the model and the arguments. Its weights are in headers alone, so that
the C simulation and C synthesis read the same numbers.
"""

import json
from pathlib import Path

from flow.errors import BadInput
from flow.firmware import hls4ml_qkeras, precision
from flow.firmware.hls import available, conversion, csim_text, graph
from flow.firmware.hls.available import csim_caveat, csim_unavailable, require, unavailable
from flow.firmware.hls.csim import COMPILER, FLAGS, TRACED_VECTORS, compile_sources, simulate, units
from flow.firmware.settings import Backend, IoType, Target
from flow.formats import Fixed

__all__ = [
    "COMPILER",
    "FLAGS",
    "TRACED_VECTORS",
    "compile_sources",
    "csim_caveat",
    "csim_unavailable",
    "require",
    "simulate",
    "unavailable",
    "units",
    "write",
]


def write(model, word: Fixed, folder: Path, name: str, target: Target, failure_log: Path | None = None) -> None:
    """Write the hls4ml project of a QKeras model, whose input words have the format `word`, into a new `folder`.

    `name` is the top function's. Raises BadInput for what is not supported, before anything is written, and
    ToolFailed where hls4ml fails, its log then at `failure_log` (beside `folder` unless given).
    """
    hls4ml_qkeras.check_name(name, "project")
    if folder.exists():
        raise BadInput(f"{folder}: a project is written into a new folder, and this one exists")
    stages = hls4ml_qkeras.stages(model, target)
    available.require(target, stages)
    n_in = model.inputs[0].shape[-1]
    types = available.adjusted(precision.types(stages, word, n_in), stages, target)
    shown = {layer.name for layer in model.layers} | {stages[-1].name}
    converted = conversion.convert(
        graph.layers(stages, n_in, types),
        _options(folder, name, target),
        graph.config(stages, types, word, target, shown),
        types,
        folder,
        target,
        failure_log or folder.with_name(f"{folder.name}.hls4ml.log"),
    )
    _write_csim(folder, name, n_in, word, types[stages[-1].name], converted, target)


def _options(folder: Path, name: str, target: Target) -> dict:
    """What hls4ml's backends are set up with."""
    options = {
        "output_dir": str(folder),
        "project_name": name,
        "part": _part(target),
        "clock_period": target.clock_ns,
        "backend": str(target.backend),
        "io_type": str(target.io_type),
    }
    if target.backend in (Backend.VITIS, Backend.VIVADO):
        options["write_weights_txt"] = False
    return options


def _part(target: Target) -> str:
    """The part that the project names: the one family for oneAPI that hls4ml names itself, where `target` has AMD's."""
    altera = target.backend == Backend.ONEAPI and target.part.lower().startswith("xc")
    return "Agilex7" if altera else target.part


def _write_csim(
    folder: Path,
    name: str,
    n_in: int,
    word: Fixed,
    last: precision.StageTypes,
    converted: conversion.Converted,
    target: Target,
) -> None:
    n_out, steps = last.low.size, (-word.fraction, -last.result.fraction)
    text = csim_text.program(
        name, n_in, n_out, steps, converted.shown, converted.kernel, target.io_type == IoType.STREAM
    )
    (folder / "csim.cpp").write_text(text)
    layers = [(layer.name, layer.size) for layer in converted.shown]
    interface = {
        "top": name,
        "inputs": n_in,
        "input_type": str(precision.word_type(word)),
        "outputs": n_out,
        "output_type": str(last.result),
        # hls4ml leaves out a last layer that changes no value: its output is then that of the layer in front of it.
        "layers": [*layers[:-1], (last.name, n_out)],
    }
    (folder / "csim.json").write_text(json.dumps(interface, indent=1) + "\n")
