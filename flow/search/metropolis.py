"""Markov chains over designs: proposals layer by layer from softmax tables, accepted or not as Metropolis and Hastings
do.

A chain minimises score = alpha·loss + beta·cost, as AMED does (Kimhi et al., arXiv 2205.15437): the loss is 1 -
metric, the cost is counted in budgets, and what lies outside the budget is penalised. Chains that differ in beta walk
along the front side by side, so that a batch trains all of them at once. A move redraws the choices of one block. It
is accepted with probability min(1, exp((score - score')/T)·q(old)/q(new)) (Hastings, Biometrika 57 (1970) 97), q being
the softmax table's probabilities. Whoever is accepted hands its weights on: a move trains a few epochs from the
state's weights (fast recovery).

Nothing is stored: where the chains stand follows from the trials of the strategy's name, batch by batch. The random
number that decides on a trial comes from its own number and choices, so that every later call decides alike.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flow.search.inherit import inherits
from flow.search.options import Option, settings
from flow.search.places import random_designs, taken, told
from flow.search.problem import Chosen, Key, Past, Problem, Proposal, key_of

OPTIONS: dict[str, Option] = {  # of all strategies that walk
    "chains": Option(8, (1, 64), "Chains side by side."),
    "alpha": Option(1.0, (0.0, 1e6), "Weight of the loss, 1 - metric."),
    "beta": Option(0.01, (1e-9, 1e6), "Weight of the cost, in budgets, of the first chain."),
    "last_beta": Option(
        0.3, (1e-9, 1e6), "The same of the last chain; those between are evenly spread in its logarithm."
    ),
    "temperature": Option(0.004, (1e-9, 1e6), "Temperature at which moves are accepted, in units of the score."),
    "proposing": Option(0.02, (1e-9, 1e6), "Temperature of the softmax that proposes, likewise."),
    "recovery": Option(1 / 3, (0.0, 100.0), "Share of the epochs that a move trains."),
}
OUTSIDE = 1.0  # penalty of a budget exceeded once over
FLOOR = 1e-2  # of a choice's weight in a softmax, against the best one's
TRIES = 50  # draws before a chain jumps

Table = Mapping[str, Mapping[str, float]]  # parameter -> choice -> its score (smaller is better), or its probability
Tables = Callable[[float, Sequence[Past]], Table]  # (beta, the trials known) -> the scores that a chain goes by


@dataclass(frozen=True)
class Settings:
    """What `OPTIONS` say."""

    chains: int
    alpha: float
    beta: float
    last_beta: float
    temperature: float
    proposing: float
    recovery: float

    @staticmethod
    def of(problem: Problem, by: str) -> "Settings":
        """The settings of the strategy `by`; BadInput for what is not allowed."""
        return Settings(**settings(OPTIONS, problem.options, f"search.options.{by}"))

    def betas(self) -> list[float]:
        """The chains' prices of cost, evenly spread in their logarithm."""
        import numpy as np

        return np.geomspace(self.beta, self.last_beta, self.chains).tolist()


def walk(problem: Problem, past: Sequence[Past], n: int, seed: int, by: str, tables: Tables) -> list[Proposal]:
    """The next moves of the chains of the strategy `by`, the chains in turn, each from where it stands."""
    import numpy as np

    own, rng = Settings.of(problem, by), np.random.default_rng(seed)
    known, unit = told(past), budget(problem)
    states = [_state(problem, past, by, chain, own, unit, tables) for chain in range(own.chains)]
    laws = [softmax(tables(beta, known), own.proposing) for beta in own.betas()]
    epochs = max(1, round(own.recovery * problem.epochs))
    seen, found = taken(past), []
    for place in range(n):
        chain = place % own.chains
        state = states[chain]
        chosen = _move(problem, None if state is None else state.chosen, laws[chain], seen, rng)
        if chosen is None:
            break  # the space has run out
        seen.add(key_of(chosen))
        recovers = state is not None and inherits(problem, chosen, state.chosen)
        found.append(Proposal(chosen, state.number, epochs, by) if recovers else Proposal(chosen, by=by))
    return found


def budget(problem: Problem) -> float:
    """What costs are counted in: the cost's limit, or without one the median of some random designs' costs."""
    import numpy as np

    name = problem.objectives[problem.cost].name
    if problem.limits.get(name):
        return float(problem.limits[name])
    some = random_designs(problem, 64, np.random.default_rng(0))
    return max(float(np.median(problem.prices(some)[name])), 1.0) if some else 1.0


def score(problem: Problem, trial: Past, alpha: float, beta: float, unit: float) -> float:
    """alpha·loss + beta·cost of a trial, and the penalty of what is outside the budget; smaller is better."""
    loss, cost = 1.0 - trial.values[problem.metric], trial.values[problem.cost] / unit
    return alpha * loss + beta * cost + OUTSIDE * trial.over


def softmax(table: Table, temperature: float) -> dict[str, dict[str, float]]:
    """Probabilities of each parameter's choices, exp(-score/temperature) normalised; every choice stays within
    reach."""
    found = {}
    for name, scores in table.items():
        least = min(scores.values())
        weights = {choice: math.exp(-(value - least) / temperature) + FLOOR for choice, value in scores.items()}
        found[name] = {choice: weight / sum(weights.values()) for choice, weight in weights.items()}
    return found


def _state(problem, past, by: str, chain: int, own: Settings, unit: float, tables: Tables) -> Past | None:
    """The trial at which a chain stands after all of its moves, begun at the best trial of others; None before any."""
    beta = own.betas()[chain]

    def badness(item: Past) -> float:
        return score(problem, item, own.alpha, beta, unit)

    known = told(past)
    moves = [item for item in past if item.by == by]
    first = min((item.batch for item in moves), default=math.inf)
    start = [item for item in known if item.by != by and item.number < first]
    state = min(start, key=lambda item: (badness(item), item.number), default=None)
    for batch in sorted({item.batch for item in moves}):
        mine = sorted((item for item in moves if item.batch == batch), key=lambda item: item.number)
        law = softmax(tables(beta, [item for item in known if item.number < batch]), own.proposing)
        stood = state
        for item in (item for item in mine[chain :: own.chains] if item.values):
            if state is None or stood is None:  # the chain's first trials: the best of them
                state = item if state is None or badness(item) < badness(state) else state
                continue
            odds = (badness(state) - badness(item)) / own.temperature
            odds += _log_ratio(law, stood.chosen, item.chosen)
            state = item if math.log(_draw(item)) < odds else state
    return state


def _log_ratio(law: Table, old: Chosen, new: Chosen) -> float:
    """log q(old)/q(new) of the choices that a move changed."""
    changed = [name for name in law if old[name] != new[name]]
    return sum(math.log(law[name][old[name]] / law[name][new[name]]) for name in changed)


def _draw(item: Past) -> float:
    """The random number in (0, 1) that decides on a trial."""
    text = f"{item.number} {key_of(item.chosen)}"
    return (zlib.crc32(text.encode()) + 0.5) / 2.0**32


def _move(problem: Problem, state: Chosen | None, law: Table, seen: set[Key], rng) -> dict[str, str] | None:
    """An unseen design that differs from the state in one block; where none is found, in any; None where all are
    seen."""
    for attempt in range(4 * TRIES):
        names = list(problem.parameters)
        if state is not None and attempt < TRIES:
            block = blocks_of(problem)[rng.integers(len(blocks_of(problem)))]
            names = list(block)
        uniform = attempt >= 2 * TRIES
        drawn = {}
        for name in names:
            options = problem.parameters[name]
            weights = None if uniform else [law[name][choice] for choice in options]
            drawn[name] = options[rng.choice(len(options), p=weights)]
        chosen = {**(state or {}), **drawn}
        if key_of(chosen) not in seen and problem.allowed(chosen):
            return chosen
    return None


def blocks_of(problem: Problem) -> list[tuple[str, ...]]:
    """The blocks that moves redraw: the problem's, and each parameter that stands in none as one of its own."""
    held = {name for block in problem.blocks for name in block}
    return [b for b in problem.blocks if b] + [(name,) for name in problem.parameters if name not in held]
