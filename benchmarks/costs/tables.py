"""The scores as tables for people."""

from collections.abc import Mapping, Sequence

LABELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram_18k": "BRAM18", "uram": "URAM"} | {
    "latency_cycles": "latency",
    "interval_cycles": "interval",
}


def print_groups(title: str, rows: Sequence[Mapping]) -> None:
    print(f"\n{title}")
    print(
        f"{'':45}{'n':>5}{'R² log':>8}{'R²':>7}{'SMAPE %':>9}{'bias':>9}{'|error|':>9}{'in %':>10}{'exact %':>9}"
        f"{'2 or 5 %':>10}{'in 68 %':>9}{'± %':>7}"
    )
    place = None
    for row in rows:
        if place != (place := (row["source"], row["part"], row["stage"])):
            print(", ".join(place))
        print(
            f"    {LABELS[row['figure']]:41}{row['n']:5}{_cell(row['r2_log'], 8, 3)}{_cell(row['r2'], 7, 2)}"
            f"{_cell(row['smape'], 9, 1)}{_cell(row['bias'], 9, 2)}{_cell(row['median_error'], 9, 0)}"
            f"{_cell(100 * row['median_relative_error'], 10, 1)}"
            f"{_percent(row['exact'], 9)}{_percent(row['close'], 10)}{_percent(row['coverage'], 9)}"
            f"{_percent(row['half_width'], 7)}"
        )


def print_beside(rows: Sequence[Mapping], answer: Mapping) -> None:
    print("\nBeside rule4ml, on the rows that it takes (ours without the architecture, rule4ml as it is pretrained)")
    print(f"{'':45}{'n':>5}{'R² log':>16}{'SMAPE %':>16}{'bias':>16}{'SMAPE, unbiased':>18}")
    print(f"{'':50}{'ours  rule4ml':>16}{'ours  rule4ml':>16}{'ours  rule4ml':>16}{'ours  rule4ml':>18}")
    place = None
    for row in rows:
        if place != (place := (row["source"], row["part"], row["stage"])):
            said = f"{row['stand_ins']} with stand-ins, {row['beyond']} beyond its training, {row['width']} width"
            print(f"{', '.join(place)} ({said})")
        pairs = [
            (row["ours"][name], row["rule4ml"][name]) for name in ("r2_log", "smape", "bias", "smape_without_bias")
        ]
        cells = [_cell(a, 8, d) + _cell(b, 8, d) for (a, b), d in zip(pairs, (2, 1, 2, 1))]
        print(f"    {LABELS[row['figure']]:41}{row['ours']['n']:5}{cells[0]}{cells[1]}{cells[2]}  {cells[3]}")
    reasons: dict[str, int] = {}
    for row in answer["left_out"]:
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"  rule4ml can't be asked about {count} rows: {reason}")
    stand_ins = sorted({text for row in answer["rows"] for text in row["stand_ins"]})
    print(f"  stand-ins: {'; '.join(stand_ins) or 'none'}")
    for reason in sorted({row["beyond"] for row in answer["rows"] if row["beyond"]}):
        print(f"  beyond: {reason}")


def print_feasibility(found: Mapping) -> None:
    print("\nWhether a synthesis ends, without the architecture")
    for name, row in [("all", found["all"]), *found["by_source"].items()]:
        print(
            f"  {name:28}{row['n']:5} rows, {row['ended']} ended; ROC AUC {_cell(row['roc_auc'], 0, 4)}, Brier score "
            f"{row['brier']:.4f} ({row['brier_of_rate']:.4f} for the mean)"
        )
    for row in found["all"]["calibration"]:
        print(
            f"    said {row['from']:.2f} to {row['to']:.2f}: {row['n']:5} rows, mean {row['predicted']:.3f}, "
            f"ended {row['ended']:.3f}"
        )


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def _percent(value: float | None, width: int) -> str:
    return _cell(None if value is None else 100 * value, width, 0)


def print_speed(found: Mapping, answer: Mapping | None) -> None:
    print(f"\nSpeed, one core, {found['population']:,} designs at once")
    for name, label in (("hls", "hls4ml designs (networks to all figures)"), ("rtl", "Verilog, instant form")):
        rate = found[name]
        print(f"  {label:44}{rate['processor']:10,.0f} designs/s of processor time ({rate['clock']:,.0f} by the clock)")
    heavy = ", ".join(found["imported"]) or "no TensorFlow, Keras, QKeras, hls4ml or PyTorch"
    print(
        f"  {'import of flow.cost with both models':44}{found['import_processor_seconds']:10.2f} s of processor time "
        f"({found['import_seconds']:.2f} s by the clock; {heavy} with it)"
    )
    if answer:
        seconds = answer["seconds"]
        print(
            f"  rule4ml: {seconds['single']:.2f} s for one configuration, {seconds['batch']:.3f} s each of "
            f"{seconds['configurations']:,} in batches; import {seconds['import']:.1f} s, "
            f"loading {seconds['load']:.1f} s"
        )
