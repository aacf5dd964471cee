"""The one place where numbers become text, and where a result's parts are looked up.

A figure is the JSON row of `flow.metrics.Figure`; any part of a result may be missing.
"""

import json
import math
from typing import Any

from flow.metrics import METRICS
from flow.report.blocks import Cell

STAND_IN = "on jets made with Pythia, a stand-in for the public set"
ABSENT = "—"

_LABELS = {
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "bram_18k": "BRAM (18 kbit)",
    "latency_cycles": "latency in cycles",
    "latency_ns": "latency",
    "critical_path_ns": "critical path",
    "wns_ns": "worst slack",
    "auc": "AUC",
    "mean_auc": "mean AUC",
    "ebops": "EBOPs",
    "macs": "MACs",
    "bops": "BOPs",
    "power_w": "power",
    "energy": "energy, 45 nm",
    "energy_fpga": "energy on the FPGA",
    "uram": "URAM",
    "interval_cycles": "interval in cycles",
}
_COUNTS = ("LUT", "FF", "DSP", "BRAM18", "cycle", "bit")
_STAGES = {"synth": "synth, pre-layout", "csynth": "csynth, pre-layout"}


def at(tree: Any, *keys: str | int) -> Any:
    """The value under nested keys, or None where any of them is missing."""
    for key in keys:
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def known(tree: Any) -> Any:
    """A result without what is None in it, so that null and absent are the same; designs stay as they are."""
    if isinstance(tree, dict):
        return {key: item if key == "design" else known(item) for key, item in tree.items() if item is not None}
    if isinstance(tree, list):
        return [known(item) for item in tree if item is not None]
    return tree


def word(item: Any) -> str:
    return ABSENT if item is None else str(item)


def value(row: Any) -> float | None:
    """A figure's finite value, or None."""
    return _finite(row.get("value")) if isinstance(row, dict) else _finite(row)


def error(row: Any) -> float | None:
    """A figure's error (one standard deviation), or None."""
    found = _finite(at(row, "error"))
    return found if found is None or found > 0 else None


def label(name: str | None) -> str:
    """How a figure is called in text: "auc_t" is the AUC of class t."""
    name = str(name or "figure")
    if name in _LABELS:
        return _LABELS[name]
    if name.startswith("auc_"):
        return f"AUC of {name.removeprefix('auc_')}"
    return name.replace("_", " ")


def unit_of(name: str) -> str:
    return METRICS[name].unit if name in METRICS else ""


def number(x: Any, unit: str = "", spread: float | None = None) -> str:
    """A number with the digits its error (two of them), its unit or its size make sensible."""
    x = _finite(x)
    if x is None:
        return ABSENT
    if spread:
        decimals = max(0, 1 - math.floor(math.log10(spread)))
        text = f"{x:,.{decimals}f} ± {spread:,.{decimals}f}"
    elif abs(x) >= 1000 or (unit in _COUNTS and (x == int(x) or abs(x) >= 10)):
        text = f"{x:,.0f}"
    elif unit == "" and abs(x) <= 1:
        text = f"{x:.4f}" if x != int(x) else f"{x:.0f}"
    else:
        text = f"{x:.4g}"
    return f"{text} {unit}".rstrip().replace("-", "\N{MINUS SIGN}")


def percent(x: float | None, signed: bool = False) -> str:
    """A fraction in percent."""
    if _finite(x) is None:
        return ABSENT
    return f"{100 * x:{'+' if signed else ''}.1f}\N{NO-BREAK SPACE}%".replace("-", "\N{MINUS SIGN}")


def stage(row: Any) -> str:
    """A figure's fidelity in words; a synthesis report is said to be from before layout."""
    fidelity = at(row, "fidelity")
    return _STAGES.get(fidelity, str(fidelity)) if fidelity else ""


def source(row: Any) -> str:
    """Implementation, tool and stage of a figure: "rtl, yosys, synth, pre-layout"."""
    return ", ".join(str(part) for part in (at(row, "implementation"), at(row, "tool"), stage(row)) if part)


def show(row: Any) -> str:
    """A figure in a sentence: value ± error, unit and fidelity."""
    if value(row) is None:
        return ABSENT
    text = number(row["value"], row.get("unit") or "", error(row))
    return f"{text} ({stage(row)})" if stage(row) else text


def figure_cell(row: Any, mark: str = "") -> Cell:
    """A figure in a table: its fidelity is the small print."""
    if value(row) is None:
        return Cell(ABSENT, number=True)
    return Cell(number(row["value"], row.get("unit") or "", error(row)), stage(row), True, mark)


def compact(item: Any) -> str:
    """Anything of a JSON document on one line."""
    if isinstance(item, str):
        return item
    if isinstance(item, list) and all(isinstance(part, (str, int)) for part in item):
        return ", ".join(str(part) for part in item)
    return json.dumps(item, sort_keys=True)


def _finite(x: Any) -> float | None:
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not math.isfinite(x):
        return None
    return x
