"""Strategies: who proposes designs. One file and one line here add one.

A strategy sees a `Problem` (what there is to choose, what it costs by closed form, how much it hurts), the trials so far
as numbers, how many to propose, and a seed; it knows nothing of networks or tools. The same arguments give the same
proposals.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence

from flow.errors import BadInput
from flow.search import (
    amed,
    auto,
    autoqkeras,
    evolve,
    fbm,
    fit,
    fitcompress,
    gp,
    grid,
    intervals,
    metropolis,
    neighbours,
    nsga2,
    nsga3,
    random,
    sensitivity,
    tpe,
)
from flow.search.options import Options, settings
from flow.search.problem import Past, Problem, Proposal, Propose

STRATEGIES: dict[str, Propose] = {
    "random": random.propose,
    "grid": grid.propose,
    "tpe": tpe.propose,
    "nsga2": nsga2.propose,
    "nsga3": nsga3.propose,
    "gp": gp.propose,
    "autoqkeras": autoqkeras.propose,
    "neighbours": neighbours.propose,
    "fit": fit.propose,
    "fitcompress": fitcompress.propose,
    "sensitivity": sensitivity.propose,
    "intervals": intervals.propose,
    "fbm": fbm.propose,
    "amed": amed.propose,
    "evolve": evolve.propose,
    "auto": auto.propose,
}


OPTIONS: dict[str, Options] = {  # of the strategies that have settings
    "autoqkeras": autoqkeras.OPTIONS,
    "fitcompress": fitcompress.OPTIONS,
    "sensitivity": sensitivity.OPTIONS,
    "fbm": metropolis.OPTIONS,
    "amed": metropolis.OPTIONS,
    "evolve": evolve.OPTIONS,
    "auto": auto.options(tuple(STRATEGIES)),
}


CHECKS: dict[str, Callable[[str], None]] = {  # of the strategies that can't run everywhere
    "gp": gp.check,
}


def strategy(name: str, where: str = "search.strategy") -> Propose:
    """The strategy of a name; BadInput lists the known ones for any other."""
    if name not in STRATEGIES:
        guess = difflib.get_close_matches(name, STRATEGIES, 1)
        hint = f"did you mean {guess[0]!r}? " if guess else ""
        raise BadInput(f"{where}: unknown strategy {name!r}; {hint}known: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def check_settings(asked: Mapping[str, Mapping[str, object]], where: str = "search.options", metric: str = "") -> None:
    """Raise BadInput for settings of a strategy that is unknown, or has no such setting, or not this value, or where
    the first maximised objective (`metric`) leaves them nothing to say."""
    for name, own in asked.items():
        strategy(name, where)
        settings(OPTIONS.get(name, {}), own, f"{where}.{name}")
        if name == "autoqkeras":
            autoqkeras.check_score(own, metric, f"{where}.{name}")


def check_here(
    name: str, asked: Mapping[str, Mapping[str, object]] | None = None, where: str = "search.strategy"
) -> None:
    """Raise BadInput, with `where` in front, where a strategy can't run here: before any work, not in its first batch.

    `asked`: the settings of strategies; the strategies that a portfolio is set to are checked too.
    """
    own = settings(OPTIONS.get(name, {}), (asked or {}).get(name, {}), f"search.options.{name}")
    for each in (name, *(own["strategies"] if name == "auto" else ())):
        if each in CHECKS:
            CHECKS[each](where)


def propose(name: str, problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Up to `n` proposals of the strategy of a name, with its own settings; fewer where the space has run out."""
    return strategy(name)(problem.of(name), past, n, seed)
