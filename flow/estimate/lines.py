"""Estimates and calibrations as lines for people."""

from collections.abc import Iterable, Mapping, Sequence

COLUMNS = ("lut", "ff", "dsp", "bram_18k", "latency_cycles", "interval_cycles", "energy_fpga")
HEADS = {
    "lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM18", "latency_cycles": "latency (cycles)",
    "interval_cycles": "interval (cycles)", "energy_fpga": "energy (nJ)",
}  # fmt: skip
COUNTED = ("LUT", "FF", "DSP", "BRAM18", "URAM", "cycle")
LAYER_COLUMNS = ("lut", "ff", "dsp", "bram_18k")


def estimated(answer: Mapping) -> list[str]:
    """The answer of `flow estimate` for one design."""
    rows = [*answer["estimates"], *answer["reports"]]
    found = [f"{answer['subject']} on {answer['part']}, clock {answer['clock_ns']:g} ns; ranges hold 68 %"]
    found += _table(
        ("", *(HEADS[name] for name in COLUMNS)),
        [(_label(row), *(_cell(row["figures"].get(name)) for name in COLUMNS)) for row in rows],
    )
    costs = ", ".join(
        f"{name} {item['value']:.6g}{' ' * bool(item['unit'])}{item['unit']}" for name, item in answer["costs"].items()
    )
    found += [f"closed forms (model): {costs}"] if costs else []
    for row in rows:
        if "finishes" in row:
            found.append(f"{_label(row)}: C synthesis ends with a probability of {row['finishes']:.2f} (model)")
        found += [f"  wide: {reason}" for reason in row["reasons"]]
    for kind in dict.fromkeys(row["implementation"] for row in rows):
        found += _by_layer(kind, [row for row in rows if row["implementation"] == kind and row["by_layer"]])
    return found + [f"left out: {line}" for line in answer["left_out"]]


def recorded(rows: Iterable[Mapping], stage: str) -> list[str]:
    """The answers for a table of records."""
    head = ("line", "case", *(HEADS[name] for name in COLUMNS[:-1]), "ends")
    body = [
        (str(row["line"]), row["case"], *(_cell(row[name]) for name in COLUMNS[:-1]), f"{row['finishes']:.2f}")
        for row in rows
    ]
    return [f"predictions (model) of {stage} reports; ranges hold 68 %", *_table(head, body)]


def calibrated(done: Mapping) -> list[str]:
    """What `flow calibrate` took in and what changed by it."""
    counts = done["reports"]
    found = [
        f"{done['state']}: {counts['new']} new reports, {counts['again']} known before, {counts['now']} now",
        *(f"left out: {line}" for line in done["left_out"]),
    ]
    if done["changes"]:
        head = ("implementation", "tool", "stage", "figure", "reports", "median error", "inside the 68 % range")
        found += _table(
            head,
            [
                (
                    row["implementation"], row["tool"], row["stage"], row["figure"], str(row["reports"]),
                    f"{row['error_before']:.1%} -> {row['error_after']:.1%}",
                    f"{row['inside_before']:.0%} -> {row['inside_after']:.0%}",
                )
                for row in done["changes"]
            ],
        )  # fmt: skip
    return found


def _label(row: Mapping) -> str:
    if row["fidelity"] in ("model", "weights", "traced"):
        return f"{row['implementation']}, {row['fidelity']} of {row['tool']} {row['stage']}"
    return f"{row['implementation']}, {row['stage']} report of {row['tool']}"


def _cell(item: Mapping | None) -> str:
    if item is None:
        return "-"
    sides = [item[side] for side in ("value", "low", "high")]
    counted = item["unit"] in COUNTED
    value, low, high = (f"{side:.0f}" if counted or side >= 100 else f"{side:.3g}" for side in sides)
    return value if sides[1] == sides[2] else f"{value} ({low}-{high})"


def _by_layer(kind: str, rows: Sequence[Mapping]) -> list[str]:
    """Predictions and reports of one implementation side by side, a line a layer; what no layer uses is left out."""
    names = dict.fromkeys(name for row in rows for name in row["by_layer"])
    told = [(c, row) for c in LAYER_COLUMNS for row in rows if any(layer.get(c) for layer in row["by_layer"].values())]
    if not told:
        return []
    head = (f"{kind}, by layer", *(f"{HEADS[c]} {row['fidelity']}" for c, row in told))
    body = [(name, *(_count(row["by_layer"].get(name, {}).get(c)) for c, row in told)) for name in names]
    return ["", *_table(head, body)]


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths)))
        for row in (head, *rows)
    ]
