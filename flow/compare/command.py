"""`flow compare`: the contest's table, page and JSON."""

import json
import sys

import numpy as np

from flow.compare.contest import Outcome, Reference, compete
from flow.compare.page import came_to_be, shortfall, write
from flow.errors import BadInput
from flow.loop.context import Context
from flow.loop.prepare import read_data
from flow.loop.studies import check_storage
from flow.quantities import count, whole
from flow.search import STRATEGIES, check_here, check_settings, strategy
from flow.store import commit, locked, versions, write_json

STEPS = 24  # points of the curves over the budget


def run(options) -> int:
    """Compare strategies; prints a table, or JSON, and writes compare.html and compare.json beside the task's results."""
    seeds = _seeds(options.seeds)
    trials = count("--trials", options.trials, None)
    context = Context.of(options.task, options.out)
    task = context.task
    check_settings(task.search.options, f"{context.path}: search.options", metric=task.objective.maximize[0])
    names = _competitors(options.strategies, context)
    check_storage(context)
    with locked(context.out):
        context, reference, outcomes, budget = compete(options.task, options.out, names, seeds, trials)
        stand_in = bool(read_data(context).result["provenance"].get("stand_in", False))
        found = result(context, reference, outcomes, budget, stand_in)
        write_json(context.out / "compare.json", found)
        page = write(found, context.out)
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(lines(found)))
        print(f"page: {page}")
    return 0


def _competitors(text: str | None, context: Context) -> tuple[str, ...]:
    """The strategies that are named, or all that can run here; BadInput for one that is named and is none or can't."""
    asked = context.task.search.options
    if text is not None:
        names = _listed(text, "--strategies")
        for name in names:
            strategy(name, "--strategies")
            check_here(name, asked, "--strategies")
        return names
    found = []
    for name in STRATEGIES:
        try:
            check_here(name, asked, f"[{context.name}] left out")
        except BadInput as error:
            print(error, file=sys.stderr, flush=True)
        else:
            found.append(name)
    return tuple(found)


def _seeds(text: str) -> tuple[int, ...]:
    """Seeds from the smallest on, so that their order on the command line tells nothing."""
    found = sorted(whole("--seeds", part) for part in _listed(text, "--seeds"))
    if len(set(found)) < len(found):
        raise BadInput(f"--seeds {text!r}: each seed once is needed")
    return tuple(found)


def result(context: Context, reference: Reference, outcomes: list[Outcome], budget: float, stand_in: bool) -> dict:
    """Everything that is shown: hypervolumes by strategy and seed, against the budget, fronts, and what was compared."""
    grid = [budget * (i + 1) / STEPS for i in range(STEPS)]
    strategies = {}
    for name in dict.fromkeys(outcome.strategy for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.strategy == name]
        curves = np.array([[reference.volume(outcome.rows(spent)) for spent in grid] for outcome in own])
        strategies[name] = {
            "hypervolume": {
                "mean": float(curves[:, -1].mean()),
                "deviation": float(curves[:, -1].std(ddof=1)) if len(own) > 1 else None,
                "by_seed": {str(outcome.seed): float(value) for outcome, value in zip(own, curves[:, -1])},
            },
            "against_budget": [[spent, *map(float, column)] for spent, column in zip(grid, curves.T)],
            "spent": {str(outcome.seed): outcome.spent for outcome in own},
            "short": [str(outcome.seed) for outcome in own if outcome.spent < budget],
            "fronts": {str(outcome.seed): outcome.front(reference, budget) for outcome in own},
        }
    return {
        "task": context.name,
        "stand_in": stand_in,
        "objectives": {objective.name: _direction(objective.maximize) for objective in reference.objectives},
        "fidelity": {
            objective.name: sorted({outcome.fidelity[objective.name] for outcome in outcomes if outcome.fidelity})
            for objective in reference.objectives
        },
        "reference": reference.to_json(),
        "budget_events": budget,
        "unit": "of what is maximised, times octaves of what is minimised",
        "strategies": strategies,
        "versions": versions(),
        "commit": commit(),
    }


def lines(found: dict) -> list[str]:
    """The table for people, the best first."""
    names = sorted(found["strategies"], key=lambda name: -found["strategies"][name]["hypervolume"]["mean"])
    wide = max(len(name) for name in names)
    where = ", ".join(f"{name} {value:.4g}" for name, value in found["reference"].items())
    rows = [f"hypervolume above {where} ({came_to_be(found)})"]
    for name in names:
        volume = found["strategies"][name]["hypervolume"]
        error = "" if volume["deviation"] is None else f" ± {volume['deviation']:.4f}"
        mark = shortfall(found, name)
        rows.append(
            f"{name:{wide}}  {volume['mean']:.4f}{error}  ({len(volume['by_seed'])} seeds){mark and '; ' + mark}"
        )
    return [*rows, f"budget: {found['budget_events']:.3g} events trained by each with each seed"]


def _listed(text: str, option: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    if not all(found) or len(set(found)) < len(found):
        raise BadInput(f"{option} {text!r}: names divided by commas are needed, none twice")
    return found


def _direction(maximize: bool) -> str:
    return "maximize" if maximize else "minimize"
