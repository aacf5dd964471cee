"""The report's tables, one function each: a result in, a table out, or None where the data is missing."""

from typing import Any

from flow.report.blocks import Cell, Table
from flow.report.names import bits_of, describe, short
from flow.report.values import (
    ABSENT,
    at,
    compact,
    figure_cell,
    known,
    label,
    number,
    percent,
    source,
    stage,
    unit_of,
    value,
    word,
)  # fmt: skip

COMPARED = ("lut", "ff", "latency_ns")
COSTS = ("bits", "macs", "ebops", "bops", "energy", "power_w", "energy_fpga")


def budget(result: dict) -> Table | None:
    """Limit, reported value, margin, tool and stage of each budgeted figure."""
    limits = result.get("budget") or {}
    rows = []
    for name, limit in limits.items():
        shown = at(result, "chosen", "figures", name)
        reported = value(at(result, "chosen", "margins", name, "value"))
        reported = value(shown) if reported is None else reported
        unit = at(shown, "unit") or unit_of(name)
        margin = None if reported is None or value(limit) is None else limit - reported
        mark = "" if margin is None else "good" if margin >= 0 else "bad"
        share = percent(margin / limit, signed=True) if margin is not None and limit else ""
        closed = value(at(result, "chosen", "figures", "wns_ns")) is not None
        remark = f"cycles × period{'' if closed else '; timing closure not shown'}" if name == "latency_ns" else ""
        rows.append(
            (
                Cell(label(name)),
                Cell(number(limit, unit), number=True),
                Cell(number(reported, unit), stage(shown), True),
                Cell(number(margin, unit), share, True, mark),
                Cell(source(shown) or ABSENT, remark),
            )
        )
    if not rows:
        return None
    caption = "Budget of the chosen design" if result.get("chosen") else "Budget; no design is chosen yet"
    return Table(caption, ("figure", "limit", "reported", "margin", "tool and stage"), tuple(rows))


def built(result: dict) -> Table | None:
    """Every design with a report: what it reaches, what it costs, whether it is inside the budget."""
    metric, rows = result.get("metric"), []
    for item in result.get("baselines") or ():
        rows.append(_built_row(str(item.get("name", "")), "baseline", at(item, "figures", metric), item, result))
    for turn in result.get("rounds") or ():
        for item in turn.get("built") or ():
            rows.append(
                _built_row(
                    str(item.get("digest", "")), f"round {word(turn.get('round'))}", item.get("metric"), item, result
                )
            )
    header = ("design", "from", f"{label(metric)}, validation", "LUT", "FF", "DSP", "latency", "inside the budget")
    return Table("Built designs and baselines", header, tuple(rows), physics=True) if rows else None


def _built_row(name: str, origin: str, metric: Any, item: dict, result: dict) -> tuple[Cell, ...]:
    chosen = item.get("digest") is not None and item["digest"] == at(result, "chosen", "digest")
    report = item.get("report")
    figures = [
        at(report, key) or (at(item, "figures", key) if report is None else None)
        for key in ("lut", "ff", "dsp", "latency_ns")
    ]
    return (
        Cell(name, "chosen" if chosen else ""),
        Cell(origin),
        figure_cell(metric),
        *(figure_cell(row) for row in figures),
        _verdict(item),
    )


def _verdict(item: dict) -> Cell:
    failed = item.get("failed") or item.get("note")
    if failed:
        return Cell(f"failed: {failed}", mark="bad")
    inside = item.get("inside_budget")
    if inside is None:
        return Cell("no report" if not item.get("report") else ABSENT)
    return Cell("yes", mark="good") if inside else Cell("no", mark="bad")


def costs(result: dict) -> Table | None:
    """Operations, bits, power and energy of the chosen design."""
    figures = at(result, "chosen", "figures") or {}
    rows = [(Cell(label(name)), figure_cell(figures[name])) for name in COSTS if name in figures]
    return Table("What an inference of the chosen design costs", ("", "value"), tuple(rows)) if rows else None


def _about(described: str, item: dict) -> str:
    """What a layer is, with what the design says of its units and its reuse."""
    own = [described]
    if value(item.get("width")) not in (None, 1.0):
        own.append(f"{item['width']:g} times the units")
    if value(item.get("reuse")) is not None:
        own.append(f"reuse factor {item['reuse']:g}")
    return ", ".join(part for part in own if part)


def layers(result: dict) -> Table | None:
    """Formats, keep fraction and cost of the chosen design, layer by layer."""
    chosen = result.get("chosen") or {}
    design = chosen.get("design")
    if not at(design, "layers"):
        return None
    reported, predicted = chosen.get("by_layer") or {}, chosen.get("predicted_by_layer") or {}
    described = {at(row, "name"): describe(row) for row in at(result, "topology", "layers") or ()}
    stages = stage(at(chosen, "figures", "lut")) or "report"
    empty, blank = Cell(""), Cell("", number=True)

    def costs_of(name: str) -> tuple[Cell, ...]:
        found = [_count(at(reported, name, key), stages) for key in ("lut", "ff", "dsp")]
        return (*found, *(_count(at(predicted, name, key), "model") for key in ("lut", "ff")))

    rows = [(Cell("input"), empty, empty, Cell(short(design.get("input"))), blank, blank, *costs_of("input"))]
    for name, item in design["layers"].items():
        item = item or {}
        keep = value(item.get("keep")) if item.get("kernel") else None
        widths = " / ".join(str(bits_of(item.get(key))) for key in ("kernel", "bias", "activation"))
        rows.append(
            (
                Cell(name, _about(described.get(name, ""), item)),
                *(Cell(short(item.get(key))) for key in ("kernel", "bias", "activation")),
                Cell(ABSENT if keep is None else f"{keep:.3g}", number=True),
                Cell(widths, number=True),
                *costs_of(name),
            )
        )
    start = (empty, empty, empty, blank, blank)
    for name in reported:
        if name != "input" and name not in design["layers"]:
            rows.append((Cell(str(name)), *start, *costs_of(name)))
    rows.append((Cell("sum of the layers"), *start, *_sums(reported, predicted, stages)))
    whole = (_count(at(chosen, "figures", key), stage(at(chosen, "figures", key))) for key in ("lut", "ff", "dsp"))
    rows.append((Cell("whole design"), *start, *whole, blank, blank))
    header = (
        "layer",
        "kernel",
        "bias",
        "activation",
        "keep",
        "bits",
        "LUT",
        "FF",
        "DSP",
        "LUT predicted",
        "FF predicted",
    )
    return Table("The chosen design layer by layer", header, tuple(rows))


def _sums(reported: dict, predicted: dict, stages: str) -> tuple[Cell, ...]:
    def total(rows: dict, key: str, tag: str) -> Cell:
        values = [v for row in rows.values() if (v := value(at(row, key))) is not None]
        return _count(sum(values) if values else None, tag)

    whole = (total(reported, key, stages) for key in ("lut", "ff", "dsp"))
    return (*whole, *(total(predicted, key, "model") for key in ("lut", "ff")))


def layer_formats(result: dict) -> Table | None:
    """The firmware's own types by layer, as far as the result gives them."""
    formats = at(result, "chosen", "formats")
    if formats == known(at(result, "chosen", "design", "layers")):
        return None  # the design's own formats, which the table of the layers has
    rows = {name: row for name, row in formats.items() if isinstance(row, dict)} if isinstance(formats, dict) else {}
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    if not keys:
        return None
    body = tuple(
        (Cell(name), *(Cell(ABSENT if row.get(key) is None else compact(row[key])) for key in keys))
        for name, row in rows.items()
    )
    return Table("Number types in the firmware", ("layer", *(label(key) for key in keys)), body)


def ranges(result: dict) -> Table | None:
    """What values range over in front of each quantizer, and how many of them it saturates."""
    rows = []
    for row in at(result, "chosen", "ranges") or ():
        needed, integer = row.get("integer_needed"), row.get("integer")
        short_of = needed is not None and integer is not None and needed > integer
        rows.append(
            (
                Cell(f"{row.get('layer')}" if row.get("part") == "input" else f"{row.get('layer')} {row.get('part')}"),
                Cell(short(row.get("format"))),
                Cell(f"{number(row.get('low'))} to {number(row.get('high'))}", number=True),
                Cell(f"{number(row.get('smallest'))} to {number(row.get('largest'))}", number=True),
                Cell(percent(value(row.get("saturated"))), number=True),
                Cell(
                    ABSENT if integer is None else f"{integer} of {needed}" if short_of else str(integer), number=True
                ),
            )
        )
    header = (
        "quantizer",
        "format",
        "holds",
        "seen (measured, validation)",
        "saturated",
        "integer bits, of those needed",
    )
    return Table("What values range over, and what saturates", header, tuple(rows)) if rows else None


def bounds(result: dict) -> Table | None:
    """What the sums of each layer can reach for any event, and the bits that hold them."""
    rows = []
    for name, row in (at(result, "chosen", "bounds") or {}).items():
        reach = f"{number(at(row, 'low'))} to {number(at(row, 'high'))}"
        bits = (Cell(number(at(row, key)), number=True) for key in ("integer", "accumulator", "fraction"))
        rows.append((Cell(str(name)), Cell(reach, number=True), *bits))
    header = ("layer", "sums reach", "integer bits, sign apart", "accumulator bits", "fractional bits")
    return Table("What holds every value: intervals through the network", header, tuple(rows)) if rows else None


def physics(result: dict, sample: str) -> Table | None:
    """All figures measured on a sample ("validation" or "test") for float network, baselines and chosen design."""
    key = "figures" if sample == "validation" else "test"
    columns = {"float": at(result, "float", key), "chosen": at(result, "chosen", key)}
    for item in result.get("baselines") or ():
        columns[f"baseline {item.get('name', '')}"] = item.get(key)
    columns = {name: figures for name, figures in columns.items() if isinstance(figures, dict)}
    names = list(
        dict.fromkeys(n for f in columns.values() for n, row in f.items() if at(row, "fidelity") == "measured")
    )
    if not names:
        return None
    first = result.get("metric")
    names.sort(key=lambda name: name != first)
    rows = tuple((Cell(label(name)), *(figure_cell(f.get(name)) for f in columns.values())) for name in names)
    return Table(f"Physics figures on the {sample} sample", ("figure", *columns), rows, physics=True)


def comparison(result: dict) -> Table | None:
    """Prediction beside report for each built design, round by round."""
    rows = []
    for turn in result.get("rounds") or ():
        for item in turn.get("built") or ():
            for name in COMPARED:
                reported = at(item, "report", name)
                guesses = [at(item, "predicted", kind, name) for kind in ("model", "traced")]
                if value(reported) is None and all(value(guess) is None for guess in guesses):
                    continue
                cells = [figure_cell(reported)]
                for guess in guesses:
                    cells += [figure_cell(guess), Cell(percent(_relative(guess, reported), signed=True), number=True)]
                rows.append(
                    (Cell(str(item.get("digest", ""))), Cell(word(turn.get("round"))), Cell(label(name)), *cells)
                )
    header = ("design", "round", "figure", "reported", "predicted", "off by", "predicted", "off by")
    return Table("Prediction and report of each built design", header, tuple(rows)) if rows else None


def prediction_errors(result: dict) -> Table | None:
    """The prediction's mean relative error, one round beside the next, for each figure and fidelity."""
    rounds = result.get("rounds") or ()
    kinds = ("prediction_error", "prediction_error_traced")
    keys = list(dict.fromkeys((kind, name) for kind in kinds for turn in rounds for name in turn.get(kind) or ()))
    if not keys:
        return None
    rows = []
    for kind, name in keys:
        found = [at(turn, kind, name) for turn in rounds]
        fidelity = next((stage(row) for row in found if stage(row)), "")
        cells = [Cell(percent(value(row)), number=True) for row in found]
        rows.append((Cell(label(name)), Cell(fidelity or ABSENT), *cells))
    header = ("figure", "predicted by", *(f"round {word(turn.get('round'))}" for turn in rounds))
    return Table("Mean of |predicted / reported − 1| by round", header, tuple(rows))


def calibration(result: dict) -> Table | None:
    """What the cost model held before and after it was refitted on each round's reports."""
    rows = []
    for turn in result.get("rounds") or ():
        for name, pair in (turn.get("calibration") or {}).items():
            before, after = at(pair, "before"), at(pair, "after")
            if not isinstance(before, dict):
                before, after = {"error": before}, {"error": after}
            for key, old in before.items():
                cells = (Cell(number(x), number=True) for x in (old, at(after, key)))
                rows.append((Cell(label(name)), Cell(word(turn.get("round"))), Cell(str(key)), *cells))
    header = ("prediction of", "refitted after round", "coefficient", "before", "after")
    return Table("The cost model before and after its refits", header, tuple(rows)) if rows else None


def equivalence(result: dict) -> Table | None:
    """The pairs of sides that were compared, vector by vector."""
    pairs = at(result, "equivalence", "pairs")
    if not pairs:
        return None
    rows = []
    for name, row in pairs.items():
        wrong = at(row, "mismatches")
        mark = "" if value(wrong) is None else "good" if wrong == 0 else "bad"
        rows.append(
            (Cell(str(name).replace("=", " = ")), _count(at(row, "vectors")), Cell(_count(wrong).text, "", True, mark))
        )
    return Table("Compared word by word", ("pair", "vectors", "mismatches"), tuple(rows))


def events(result: dict) -> Table | None:
    """Events by sample."""
    split = at(result, "data", "events")
    if not split:
        return None
    rows = tuple((Cell(str(name)), _count(count)) for name, count in split.items())
    return Table("Events", ("sample", "events"), rows)


def pairs(caption: str, tree: Any, columns: tuple[str, str] = ("name", "value")) -> Table | None:
    """A mapping as two columns; nested values on one line."""
    if not isinstance(tree, dict) or not tree:
        return None
    return Table(caption, columns, tuple((Cell(str(key)), Cell(compact(item))) for key, item in tree.items()))


def seconds(result: dict) -> Table | None:
    """Seconds by stage, and their sum."""
    spent = {name: value(x) for name, x in (result.get("seconds") or {}).items()}
    if not spent:
        return None
    spent["all"] = sum(x for x in spent.values() if x is not None)
    rows = tuple(
        (Cell(str(name)), Cell(number(None if x is None else round(x, 1), "s"), number=True))
        for name, x in spent.items()
    )
    return Table("Time by stage", ("stage", "seconds"), rows)


def _count(x: Any, tag: str = "") -> Cell:
    found = value(x)
    return Cell(ABSENT, number=True) if found is None else Cell(f"{found:,.0f}", tag, True)


def _relative(guess: Any, reported: Any) -> float | None:
    a, b = value(guess), value(reported)
    return None if a is None or not b else a / b - 1
