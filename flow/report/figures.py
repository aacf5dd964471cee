"""The report's figures, one function each: a result in, SVG text out, or None where the data is missing."""

from flow.report.svg import BAD, FOUR, INK, LINE, MUTED, ONE, PAPER, SERIES, THREE, TWO, canvas, log_ticks, to_svg
from flow.report.values import at, error, label, number, source, stage, unit_of, value, word

# A fidelity keeps its marker in every figure.
MARKERS = {"model": "o", "weights": "v", "traced": "^", "csynth": "s", "synth": "D", "route": "P", "measured": "*"}


def budget(result: dict) -> str | None:
    """The chosen design's share of each limit, in percent."""
    margins = at(result, "chosen", "margins") or {}
    rows = [
        (name, row) for name, row in margins.items() if value(at(row, "value")) is not None and value(at(row, "limit"))
    ]
    if not rows:
        return None
    with canvas("budget", 6.4, 0.75 + 0.52 * len(rows)) as (figure, axes):
        shares = [100 * row["value"] / row["limit"] for _, row in rows]
        for position, ((name, row), share) in enumerate(zip(rows, shares)):
            axes.barh(position, share, height=0.34, color=BAD if share > 100 else ONE)
            unit = unit_of(name)
            shown = at(result, "chosen", "figures", name)
            text = f"{label(name)}: {number(row['value'])} of {number(row['limit'], unit)}"
            axes.text(0, position - 0.25, f"{text} ({stage(shown)})" if shown else text, va="bottom", fontsize=9.5)
        axes.axvline(100, color=INK, linewidth=1.2)
        axes.set(
            ylim=(len(rows) - 0.5, -0.8),
            xlim=(0, max(112.0, 1.05 * max(shares))),
            yticks=[],
            xlabel="percent of the limit",
        )
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        return to_svg(figure, "budget", "Each reported figure of the chosen design as a bar, in percent of its limit")


def front(result: dict) -> str | None:
    """The maximised figure on validation against the cost: predictions light, reports dark, never alike."""
    points = [row for row in result.get("points") or () if value(at(row, "metric")) is not None]
    predicted = [row for row in points if (value(at(row, "cost")) or 0) > 0]
    reported = [row for row in points if (value(at(row, "reported")) or 0) > 0]
    if not predicted and not reported:
        return None
    cost = result.get("cost") or "lut"
    with canvas("front", 6.4, 5.2) as (figure, axes):
        axes.set_xscale("log")
        for fidelity in sorted({at(row, "cost", "fidelity") or "model" for row in predicted}):
            rows = [row for row in predicted if (at(row, "cost", "fidelity") or "model") == fidelity]
            axes.plot(
                [row["cost"]["value"] for row in rows], [row["metric"]["value"] for row in rows], linestyle="none",
                marker=MARKERS.get(fidelity, "o"), markersize=4.5, markerfacecolor="none", markeredgecolor=ONE,
                alpha=0.6, label=f"predicted ({fidelity})",
            )  # fmt: skip
        _reported(axes, reported, TWO, "reported")
        _front_line(axes, result, cost)
        _baselines(axes, result, cost)
        _chosen(axes, result, cost)
        _lines(axes, result, cost)
        axes.set(
            xlabel=_cost_axis(result, cost, predicted, reported),
            ylabel=f"{label(result.get('metric'))} (measured, validation)",
        )
        _focus(axes, [row["metric"]["value"] for row in predicted])
        log_ticks(axes.xaxis)
        figure.legend(loc="outside lower center", ncols=2)
        return to_svg(figure, "front", f"{label(result.get('metric'))} on the validation sample against {label(cost)}")


def _focus(axes, values: list[float]) -> None:
    """Leave the worst trials, a quarter of them at most, below the axis where they would flatten all others."""
    ordered = sorted(values)
    if len(ordered) < 8:
        return
    quartile, top = ordered[len(ordered) // 4], ordered[-1]
    if quartile - ordered[0] > top - quartile:
        below = sum(value < quartile for value in ordered)
        axes.set_ylim(bottom=quartile - 0.1 * (top - quartile))
        axes.annotate(
            f"{below} trials lie below", (0.01, 0.01), xycoords="axes fraction", fontsize="small", alpha=0.8
        )  # fmt: skip


def roc(result: dict) -> str | None:
    """Background against signal efficiency on the test sample, with the operating points."""
    curves = {name: at(result, "roc", name) for name in ("float", "chosen")}
    curves = {name: pairs for name, curve in curves.items() if (pairs := _above_zero(curve))}
    if not curves:
        return None
    names = {"float": "float network", "chosen": "chosen design"}
    with canvas("roc", 6.4, 4.8) as (figure, axes):
        for name, pairs in curves.items():
            colour, style = (MUTED, "--") if name == "float" else (ONE, "-")
            axes.plot(*zip(*pairs), color=colour, linestyle=style, linewidth=1.6, label=names[name])
            s, b = (at(result, "roc", name, "point", side) for side in ("signal", "background"))
            if value(s) is not None and (value(b) or 0) > 0:
                axes.errorbar(
                    value(s), value(b), xerr=error(s), yerr=error(b), color=colour, marker=MARKERS["measured"],
                    markersize=9, capsize=3, linestyle="none", label=f"operating point, {names[name]}",
                )  # fmt: skip
        target = value(at(result, "operating_point", "background_efficiency"))
        if target:
            axes.axhline(target, color=INK, linewidth=0.9, linestyle=":", label=f"background efficiency {target:g}")
        lowest = min(b for pairs in curves.values() for _, b in pairs)
        axes.set(yscale="log", xlim=(0, 1), ylim=(max(lowest, 1e-4), 1.2))
        axes.set(xlabel="signal efficiency (measured, test)", ylabel="background efficiency (measured, test)")
        log_ticks(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=2)
        return to_svg(figure, "roc", "Background efficiency against signal efficiency on the test sample")


def scatter(result: dict, name: str) -> str | None:
    """Predicted against reported values of one figure, by round: on the line, prediction and report agree."""
    series = prediction_pairs(result, name)
    if not series:
        return None
    with canvas(f"scatter-{name}", 4.4, 4.5) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        for (round_name, fidelity), pairs in series.items():
            axes.plot(
                *zip(*pairs), linestyle="none", marker=MARKERS.get(fidelity, "o"), markeredgecolor=_round_colour(round_name),
                markerfacecolor=_round_colour(round_name) if fidelity == "model" else "none", alpha=0.85,
                label=f"round {word(round_name)}, {fidelity}",
            )  # fmt: skip
        values = [x for pairs in series.values() for pair in pairs for x in pair]
        low, high = 0.85 * min(values), 1.18 * max(values)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle="--", label="prediction = report")
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        unit = f", {unit_of(name)}" if unit_of(name) not in ("", label(name)) else ""
        stages = {stage(at(item, "report", name)) for turn in result["rounds"] for item in turn.get("built") or ()}
        axes.set(
            xlabel=f"{label(name)}{unit} (reported: {'; '.join(sorted(filter(None, stages)))})",
            ylabel=f"{label(name)}{unit} (predicted)",
        )
        log_ticks(axes.xaxis)
        log_ticks(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=2)
        return to_svg(
            figure,
            f"scatter-{name}",
            f"{label(name)}: predicted against reported values of the built designs, by round",
        )


def prediction_error(result: dict) -> str | None:
    """The prediction's mean relative error by round, a line for each figure and fidelity."""
    rounds, lines = result.get("rounds") or (), {}
    for kind, fidelity in (("prediction_error", "model"), ("prediction_error_traced", "traced")):
        for turn in rounds:
            for name, row in (turn.get(kind) or {}).items():
                if value(row) is not None and value(turn.get("round")) is not None:
                    key = (name, at(row, "fidelity") or fidelity)
                    lines.setdefault(key, []).append((turn["round"], 100 * value(row)))
    if not lines:
        return None
    names = list(dict.fromkeys(name for name, _ in lines))
    with canvas("prediction-error", 4.4, 4.5) as (figure, axes):
        for (name, fidelity), pairs in lines.items():
            axes.plot(
                *zip(*pairs), color=SERIES[names.index(name) % 4], marker=MARKERS.get(fidelity, "o"), linewidth=1.5,
                linestyle="-" if fidelity == "model" else ":", markerfacecolor=None if fidelity == "model" else "none",
                label=f"{label(name)} ({fidelity})",
            )  # fmt: skip
        numbers = sorted({x for pairs in lines.values() for x, _ in pairs})
        axes.set(xticks=numbers, xlim=(numbers[0] - 0.3, numbers[-1] + 0.3), xlabel="round")
        axes.set_ylabel("mean |predicted / reported − 1| (percent)")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=2)
        return to_svg(figure, "prediction-error", "The error of the cost prediction by round")


def prediction_pairs(result: dict, name: str) -> dict[tuple[int, str], list[tuple[float, float]]]:
    """(round, fidelity) -> (reported, predicted) of the built designs, where both are known and above 0."""
    series: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for row in result.get("rounds") or ():
        for built in row.get("built") or ():
            report = value(at(built, "report", name))
            for fidelity, figures in (built.get("predicted") or {}).items():
                guess = value(at(figures, name))
                if report and guess and report > 0 and guess > 0:
                    series.setdefault((row.get("round"), fidelity), []).append((report, guess))
    return series


def _above_zero(curve: dict | None) -> list[tuple[float, float]]:
    """(signal, background) where a logarithmic axis can show it."""
    pairs = zip(at(curve, "signal") or (), at(curve, "background") or ())
    return [(s, b) for s, b in pairs if value(s) is not None and (value(b) or 0) > 0]


def _round_colour(number_of_round: int) -> str:
    return SERIES[(number_of_round - 1) % 4] if isinstance(number_of_round, int) else MUTED


def _reported(axes, rows: list[dict], colour: str, name: str) -> None:
    for text in sorted({source(row["reported"]) for row in rows}):
        chosen = [row for row in rows if source(row["reported"]) == text]
        metrics = [row.get("built_metric") or row["metric"] for row in chosen]
        axes.errorbar(
            [row["reported"]["value"] for row in chosen], [value(m) for m in metrics], yerr=[error(m) or 0.0 for m in metrics],
            linestyle="none", marker=MARKERS.get(at(chosen[0], "reported", "fidelity"), "D"), color=colour,
            markeredgecolor=PAPER, markeredgewidth=0.6, markersize=7, elinewidth=1, capsize=2.5, label=f"{name} ({text})",
        )  # fmt: skip


def _front_line(axes, result: dict, cost: str) -> None:
    """The front as steps; one line for each fidelity, for only points of one fidelity have an order."""
    metric = result.get("metric")
    figures = [
        row["figures"]
        for row in result.get("front") or ()
        if value(at(row, "figures", cost)) and value(at(row, "figures", metric))
    ]
    for fidelity in sorted({at(row, cost, "fidelity") or "" for row in figures}):
        pairs = sorted(
            (value(row[cost]), value(row[metric])) for row in figures if (at(row, cost, "fidelity") or "") == fidelity
        )
        style, colour = ("-", TWO) if fidelity not in ("model", "weights", "traced") else (":", ONE)
        if len(pairs) > 1:
            axes.step(
                *zip(*pairs),
                where="post",
                color=colour,
                linestyle=style,
                linewidth=1,
                alpha=0.7,
                label=f"front ({fidelity})",
            )


def _baselines(axes, result: dict, cost: str) -> None:
    metric, named = result.get("metric"), set()
    for row in result.get("baselines") or ():
        shown, y = at(row, "report", cost) or at(row, "figures", cost), at(row, "figures", metric)
        if (value(shown) or 0) <= 0 or value(y) is None:
            continue
        text = f"baseline ({source(shown)})"
        axes.errorbar(
            value(shown), value(y), yerr=error(y), linestyle="none", color=THREE, capsize=2.5, elinewidth=1, markersize=7,
            marker=MARKERS.get(at(shown, "fidelity"), "o"), markerfacecolor=THREE if at(row, "report", cost) else "none",
            label="_again" if text in named else text, zorder=4,
        )  # fmt: skip
        axes.annotate(
            str(row.get("name", "")),
            (value(shown), value(y)),
            (-7, -14),
            textcoords="offset points",
            fontsize=8.5,
            color=THREE,
            ha="center",
        )
        named.add(text)


def _chosen(axes, result: dict, cost: str) -> None:
    figures = at(result, "chosen", "figures")
    x, y = value(at(figures, cost)), value(at(figures, result.get("metric")))
    if x and y is not None:
        axes.plot(x, y, linestyle="none", marker="o", markersize=15, markerfacecolor="none", markeredgecolor=FOUR,
                  markeredgewidth=1.8, zorder=6, label=f"chosen ({stage(at(figures, cost))})")  # fmt: skip


def _lines(axes, result: dict, cost: str) -> None:
    limit = value(at(result, "budget", cost))
    if limit:
        axes.axvline(limit, color=BAD, linewidth=1.2, linestyle="--", label=f"budget {number(limit, unit_of(cost))}")
    best = at(result, "float", "figures", result.get("metric"))
    if value(best) is not None:
        axes.axhline(value(best), color=MUTED, linewidth=1.2, linestyle="-.", label="float network (measured)")
        spread = error(best) or 0.0
        axes.axhspan(value(best) - spread, value(best) + spread, color=LINE, alpha=0.5, linewidth=0)


def _cost_axis(result: dict, cost: str, predicted: list[dict], reported: list[dict]) -> str:
    kinds = sorted({f"predicted: {at(row, 'cost', 'fidelity')}" for row in predicted})
    kinds += sorted({f"reported: {source(row['reported'])}" for row in reported})
    return f"{label(cost)} ({'; '.join(kinds)})"
