"""What the report says, section by section, in the order of the page. Data that is missing leaves a sentence."""

import json
from collections.abc import Callable

from flow.report import figures, tables
from flow.report.blocks import Block, Code, Picture, Pictures, Section, Table, Text
from flow.report.values import ABSENT, STAND_IN, at, compact, label, number, percent, show, value, word

_READING = (
    "Behind each figure stands how it came to be: model (closed form, from the design alone), weights (the same, with what"
    " its trained weights say), traced (from the real weights), csynth (C synthesis), synth (logic synthesis, before"
    " layout), route (place and route), measured (on events). A figure after ± is one standard deviation."
)
_UNROLLED = (
    "Figures of fidelity model are those of the unrolled network in as few cycles as the clock allows; the reports are of"
    " what was built. The cost model does not learn from them."
)
_BEFORE_LAYOUT = (
    "Resources are the synthesis tool's counts before layout. Latency is clock cycles times the clock period; that"
    " timing closes is not shown."
)


def sections(result: dict) -> tuple[Section, ...]:
    """All sections of the page."""
    makers: tuple[Callable[[dict], Section], ...] = (
        _head,
        _budget,
        _front,
        _design,
        _physics,
        _prediction,
        _equivalence,
        _data,
    )
    return tuple(maker(result) for maker in makers)


def verdict(result: dict) -> str:
    """The outcome in one sentence."""
    chosen = result.get("chosen")
    if not chosen:
        near, excess = result.get("nearest") or {}, value(at(result, "nearest", "excess"))
        hint = (
            "" if excess is None else f"; the nearest, {word(near.get('digest'))}, exceeds a limit by {percent(excess)}"
        )
        return f"No design is chosen: no report shows one inside the budget yet{hint}."
    inside = {True: "is inside the budget by its report", False: "misses the budget by its report"}.get(
        chosen.get("inside_budget"), "has no report to hold against the budget"
    )
    return f"Design {chosen.get('digest', '')} {inside} and reaches {_reached(result)}."


def _reached(result: dict) -> str:
    metric = result.get("metric")
    for key, sample in (("test", "test"), ("figures", "validation")):
        own, full = at(result, "chosen", key, metric), at(result, "float", key, metric)
        if value(own) is not None:
            text = f"{label(metric)} {show(own)} on the {sample} sample"
            return text + (f", against {show(full)} for the float network" if value(full) is not None else "")
    return f"a {label(metric)} that is not measured yet"


def _head(result: dict) -> Section:
    blocks: list[Block] = [Text(verdict(result), "verdict")]
    if result.get("stand_in"):
        blocks.append(
            Text(
                f"All physics figures are measured {STAND_IN}; they compare with figures of the same file only.", "note"
            )
        )
    target = result.get("target") or {}
    if target:
        blocks.append(Text(_target(target, result.get("firmware") or {})))
    if (result.get("firmware") or {}).get("plain") is False:
        blocks.append(Text(_UNROLLED, "note"))
    trials = result.get("trials") or {}
    if trials:
        counted = ", ".join(f"{count} {state}" for state, count in trials.items())
        strategy = at(result, "search", "strategy")
        by = f" Proposed by the strategy {strategy}." if isinstance(strategy, str) else ""
        blocks.append(Text(f"Designs by state: {counted}; {len(result.get('rounds') or ())} rounds.{by}"))
    blocks.append(Text(_READING))
    return Section("head", str(result.get("task") or "task"), tuple(blocks))


def _target(target: dict, firmware: dict) -> str:
    clock = " / ".join(filter(None, (_unit(target.get("clock_mhz"), "MHz"), _unit(target.get("clock_ns"), "ns"))))
    parts = {
        "part": target.get("part"),
        "clock": clock,
        "interval": target.get("interval"),
        "backend": target.get("backend"),
        "tool": target.get("tool"),
        **{name.replace("_", " "): item for name, item in firmware.items() if name != "plain" and item},
    }
    return "Target: " + ", ".join(f"{name} {item}" for name, item in parts.items() if item not in (None, "")) + "."


def _unit(x: object, unit: str) -> str:
    return "" if value(x) is None else f"{x:g} {unit}"


def _budget(result: dict) -> Section:
    missing = "No design with a report is chosen, so nothing can be held against the limits."
    return _section(
        "budget", "Budget",
        _picture("Share of each limit", figures.budget(result), missing),
        _table(tables.budget(result), "The task sets no limits."),
        Text(_timing(result)),
    )  # fmt: skip


def _timing(result: dict) -> str:
    """What the reports say, and don't, of the clock."""
    slack = at(result, "chosen", "figures", "wns_ns")
    if value(slack) is None:
        return _BEFORE_LAYOUT
    return f"Latency is clock cycles times the clock period. The worst slack of the clock is {show(slack)}; below 0 it does not close."


def _front(result: dict) -> Section:
    caption = f"{label(result.get('metric'))} against {label(result.get('cost') or 'lut')}"
    missing = "No design has been trained yet: there are no points to show."
    return _section(
        "front", "Front",
        _picture(caption, figures.front(result), missing, physics=True),
        _cut(result),
        _table(tables.built(result), "No design has been built yet."),
    )  # fmt: skip


def _cut(result: dict) -> Text | None:
    """What the points of designs that were not trained to the end show."""
    count = value(at(result, "trials", "cut"))
    if not count:
        return None
    return Text(
        f"{count:.0f} designs were cut in training, since another one was better beyond the noise and cost no more: their"
        f" points show the {label(result.get('metric'))} that they had by then."
    )


def _design(result: dict) -> Section:
    table = tables.layers(result)
    if table is None:
        return _section("design", "Chosen design", Text("No design is chosen yet.", "missing"))
    chosen = result["chosen"]
    digest, turn, project = (word(chosen.get(key)) for key in ("digest", "round", "project"))
    note = (
        "fixed(b,i): signed, b bits, i of them integer, the sign apart; relu(b,i): unsigned; bits: kernel / bias / activation."
        " What has no kernel, as pooling, counts with the layer in front of it. Cells that the tool can't attribute to a layer are in the whole design only."
    )
    return _section(
        "design", "Chosen design",
        Text(f"Design {digest}, round {turn}; project: {project}."),
        table,
        Text(note),
        tables.costs(result),
        None if chosen.get("predicted_by_layer") else Text("The model's prediction by layer is not in this result.", "missing"),
        tables.layer_formats(result),
        tables.ranges(result),
        tables.bounds(result),
        Code(tuple(json.dumps(chosen["design"], indent=1).splitlines()), "The design as data"),
    )  # fmt: skip


def _physics(result: dict) -> Section:
    point = result.get("operating_point") or {}
    said = (
        f"Signal: {compact(point.get('signal'))}; background: {compact(point.get('background'))};"
        f" operating point at background efficiency {value(point.get('background_efficiency')) or ABSENT}."
    )
    return _section(
        "physics", "Physics",
        Text(said) if point else None,
        _picture("ROC on the test sample", figures.roc(result), "There is no ROC on the test sample yet.", physics=True),
        _table(tables.physics(result, "test"), "Nothing has been measured on the test sample yet."),
        _table(tables.physics(result, "validation"), "Nothing has been measured on the validation sample yet."),
    )  # fmt: skip


def _prediction(result: dict) -> Section:
    pictures = [
        Picture(f"{label(name)}: prediction against report", f"{label(name)}: prediction against report", svg)
        for name in tables.COMPARED
        if (svg := figures.scatter(result, name))
    ]
    errors = figures.prediction_error(result)
    if errors:
        pictures.append(Picture("Error of the prediction by round", "Error of the prediction by round", errors))
    missing = "No built design has both a prediction and a report yet."
    return _section(
        "prediction", "Prediction against report",
        _table(tables.prediction_errors(result), "No round has been compared with its reports yet."),
        Pictures(tuple(pictures)) if pictures else Text(missing, "missing"),
        tables.comparison(result),
        tables.calibration(result),
    )  # fmt: skip


def _equivalence(result: dict) -> Section:
    found = result.get("equivalence") or {}
    table = tables.equivalence(result)
    if not table:
        return _section(
            "equivalence", "Equivalence", Text("The two ways to firmware have not been compared yet.", "missing")
        )
    wrong = found.get("mismatches")
    said = (
        "no mismatch"
        if wrong == 0
        else f"{number(wrong)} mismatches"
        if value(wrong) is not None
        else "mismatches not counted"
    )
    count = value(found.get("vectors"))
    text = f"{ABSENT if count is None else format(count, ',.0f')} vectors, {said}."
    deviation = value(found.get("float32_deviation"))
    if deviation is not None:
        text += f" The QKeras model's own float32 inference deviates from the exact logits by {deviation:.3g} at most."
    return _section("equivalence", "Equivalence", Text(text), table)


def _data(result: dict) -> Section:
    data = result.get("data") or {}
    provenance = tables.pairs("Where the data comes from", data.get("provenance"))
    lists = {key: data[key] for key in ("classes", "features") if data.get(key)}
    commands = tuple(str(line) for line in result.get("commands") or ())
    about = {"commit": result.get("commit"), "folder": result.get("folder"), **(result.get("versions") or {})}
    return _section(
        "data", "Data and how to repeat it",
        _table(provenance, "Nothing is known of where the data comes from."),
        _table(tables.events(result), "The numbers of events are not in this result."),
        tables.pairs("Classes and features", lists),
        tables.pairs("Versions", {key: item for key, item in about.items() if item}),
        tables.pairs("Seeds", result.get("seeds"), ("stage", "seed")),
        tables.seconds(result),
        Text("Commands that make this result again:") if commands else None,
        Code(commands) if commands else Text("The commands are not in this result.", "missing"),
    )  # fmt: skip


def _section(anchor: str, title: str, *blocks: Block | None) -> Section:
    return Section(anchor, title, tuple(block for block in blocks if block is not None))


def _table(table: Table | None, missing: str) -> Block:
    return table or Text(missing, "missing")


def _picture(caption: str, svg: str | None, missing: str, physics: bool = False) -> Block:
    return Picture(caption, caption, svg, physics) if svg else Text(missing, "missing")
