"""Whose resources a report's instances are: those of the network's layers, by the names that the generators give."""

import re
from collections.abc import Callable
from dataclasses import replace

from flow.metrics import Implementation
from flow.synth.report import Report
from flow.synth.subject import Subject

_PARAMETERS = ("firmware/parameters.h", "src/firmware/parameters.h")  # the latter of oneAPI
# hls4ml writes a layer's name above its configuration, whose number is in the names of the functions that use it.
_STRUCT = re.compile(r"^// (\w+)\nstruct (?:\w+_)?config(\d+)\b", re.MULTILINE)
_NUMBER = re.compile(r"config(\d+)")
_INPUT = ("input_offset", "input_grid")  # what built projects put in front of the network


def attributed(report: Report, read: Subject) -> Report:
    """The report with its rows by layer, instances of one layer added up; others keep their names."""
    if not report.by_layer:
        return report
    layer_of = _of_hls(read) if read.implementation is Implementation.HLS4ML else _of_rtl(read)
    found: dict[str, dict[str, int]] = {}
    for instance, counts in report.by_layer.items():
        row = found.setdefault(layer_of(instance), {})
        for name, count in counts.items():
            row[name] = row.get(name, 0) + count
    return replace(report, by_layer=found)


def _of_hls(read: Subject) -> Callable[[str], str]:
    """By the number of the layer's configuration; an activation behind a layer belongs to it."""
    text = "".join((read.folder / name).read_text(errors="replace") for name in _PARAMETERS if name in read.files)
    names = {number: name for name, number in _STRUCT.findall(text)}
    known = set(names.values())

    def layer_of(instance: str) -> str:
        number = _NUMBER.search(instance)
        name = names.get(number.group(1)) if number else None
        if name is None:
            return instance
        front = name.rpartition("_")[0]
        return "input" if name in _INPUT else front if front in known else name

    return layer_of


def _of_rtl(read: Subject) -> Callable[[str], str]:
    """By the modules of the layer's block."""
    blocks = {module: block for block, row in read.details["blocks"].items() for module in row["modules"]}
    return lambda instance: blocks.get(re.sub(r"^_inst_", "", instance), instance)
