"""The contest's page: hypervolumes with error bars, their growth, and the fronts."""

from pathlib import Path

import numpy as np

from flow.report.blocks import Cell, Picture, Section, Table, Text
from flow.report.render import page
from flow.report.svg import FOUR, INK, MUTED, ONE, THREE, TWO, canvas, log_ticks, to_svg
from flow.report.values import label
from flow.store import write_text

COLOURS = (ONE, TWO, THREE, FOUR, INK)
DASHES = ("-", "--", ":", "-.")
WAYS = {  # how figures of a fidelity came to be
    "measured": "measured on the validation sample",
    "weights": "by closed form from the trained weights",
    "model": "by closed form from the design",
}


def write(found: dict, folder: Path) -> Path:
    """Write `folder`/compare.html and return its path."""
    physics = bool(found["stand_in"])
    order = sorted(found["strategies"], key=lambda name: -found["strategies"][name]["hypervolume"]["mean"])
    where = ", ".join(f"{label(name)} {value:.4g}" for name, value in found["reference"].items())
    head = Section(
        "top",
        f"{found['task']}: strategies compared",
        (
            Text(f"Best: {order[0]}.", "verdict"),
            Text(
                f"Hypervolume above the reference point {where}: the product of what is gained in each objective, costs"
                f" in octaves; {came_to_be(found)}. Every strategy could train {found['budget_events']:.3g} events with"
                f" each seed{_who_stopped(found, order)}."
            ),
        ),
    )
    pictures = Section(
        "volume",
        "Hypervolume",
        (
            Picture("By strategy: mean and standard deviation over seeds.", "Hypervolume by strategy", bars(found, order), physics),
            Picture("While the budget is spent: mean over seeds.", "Hypervolume against events", curves(found, order), physics),
            _table(found, order),
        ),
    )  # fmt: skip
    fronts = Section(
        "fronts", "Fronts", (Picture("Of all seeds together.", "Fronts by strategy", front(found, order), physics),)
    )
    path = folder / "compare.html"
    write_text(path, page(f"{found['task']}: strategies", (head, pictures, fronts), physics))
    return path


def came_to_be(found: dict) -> str:
    """How the objectives' figures came to be, those of one way together."""
    ways: dict[str, list[str]] = {}
    for name, fidelities in found["fidelity"].items():
        way = " or ".join(WAYS.get(fidelity, fidelity) for fidelity in fidelities) or "of no design"
        ways.setdefault(way, []).append(label(name))
    return ", ".join(f"{' and '.join(names)} {way}" for way, names in ways.items())


def shortfall(found: dict, name: str) -> str:
    """Which seeds of a strategy stopped before the budget was spent, and where; empty where none did."""
    own = found["strategies"][name]
    parts = [f"{own['spent'][seed] / found['budget_events']:.0%} with seed {seed}" for seed in own["short"]]
    return f"stopped short of the budget: {', '.join(parts)}" if parts else ""


def _who_stopped(found: dict, order: list[str]) -> str:
    names = [name for name in order if found["strategies"][name]["short"]]
    return f"; {', '.join(names)} stopped before, having nothing more to propose" if names else ""


def bars(found: dict, order: list[str]) -> str:
    """Mean hypervolume of each strategy, with its standard deviation over the seeds."""
    with canvas("volumes", 6.4, 0.9 + 0.34 * len(order)) as (figure, axes):
        for place, name in enumerate(order):
            volume = found["strategies"][name]["hypervolume"]
            axes.errorbar(volume["mean"], place, xerr=volume["deviation"], color=ONE, marker="o", capsize=4)
            axes.plot(list(volume["by_seed"].values()), [place] * len(volume["by_seed"]), "|", color=MUTED)
        axes.set(yticks=range(len(order)), yticklabels=order, ylim=(len(order) - 0.5, -0.5), xlabel="hypervolume")
        return to_svg(figure, "volumes", "Hypervolume by strategy, with error bars")


def curves(found: dict, order: list[str]) -> str:
    """Mean hypervolume against the events trained."""
    with canvas("growth", 6.4, 4.4) as (figure, axes):
        for i, name in enumerate(order):
            rows = np.array(found["strategies"][name]["against_budget"])
            style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i // len(COLOURS) % len(DASHES)]}
            axes.plot(rows[:, 0], rows[:, 1:].mean(1), label=name, linewidth=1.5, **style)
        axes.set(xlabel="events trained (events times epochs, all designs)", ylabel="hypervolume")
        figure.legend(loc="outside lower center", ncols=4)
        return to_svg(figure, "growth", "Hypervolume against the events trained, by strategy")


def front(found: dict, order: list[str]) -> str:
    """The first maximised against the first minimised objective, the non-dominated points of each strategy."""
    names = list(found["objectives"])
    x = next(i for i, name in enumerate(names) if found["objectives"][name] == "minimize")
    with canvas("fronts", 6.4, 4.6) as (figure, axes):
        for i, name in enumerate(order):
            rows = np.array([row for rows in found["strategies"][name]["fronts"].values() for row in rows], float)
            if len(rows):
                rows = rows[np.argsort(rows[:, x])]
                rows = rows[rows[:, 0] >= np.maximum.accumulate(rows[:, 0])]
                style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i // len(COLOURS) % len(DASHES)]}
                axes.plot(rows[:, x], rows[:, 0], marker=".", label=name, linewidth=1.2, **style)
        shown = [f"{label(name)} ({', '.join(found['fidelity'][name])})" for name in names]
        axes.set(xscale="log", xlabel=shown[x], ylabel=shown[0])
        log_ticks(axes.xaxis)
        figure.legend(loc="outside lower center", ncols=4)
        return to_svg(figure, "fronts", "Fronts by strategy")


def _table(found: dict, order: list[str]) -> Table:
    rows = []
    for name in order:
        own = found["strategies"][name]
        volume = own["hypervolume"]
        error = "" if volume["deviation"] is None else f" ± {volume['deviation']:.4f}"
        points = sum(len(rows) for rows in own["fronts"].values())
        rows.append(
            (Cell(name), Cell(f"{volume['mean']:.4f}{error}", number=True), Cell(str(len(volume["by_seed"])), number=True),
             Cell(str(points), number=True), _spent(found, name))
        )  # fmt: skip
    header = ("strategy", "hypervolume", "seeds", "points on the fronts", "events trained")
    return Table("Final hypervolume of each strategy", header, tuple(rows), bool(found["stand_in"]))


def _spent(found: dict, name: str) -> Cell:
    """The fewest and the most events that a seed trained, and whether one stopped short."""
    spent = sorted(found["strategies"][name]["spent"].values())
    ends = dict.fromkeys(f"{value:.3g}" for value in (spent[0], spent[-1]))
    return Cell(" to ".join(ends), shortfall(found, name), number=True)
