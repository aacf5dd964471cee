"""Markov chains over designs: proposals layer by layer from softmax tables, accepted or not as Metropolis and Hastings do.

A chain minimises score = alpha·loss + beta·cost, as AMED does (Kimhi et al., arXiv 2205.15437): the loss is 1 - metric,
the cost is counted in budgets, and what lies outside the budget is penalised. Chains that differ in beta walk along the
front side by side, so that a batch trains all of them at once. A move redraws the choices of one block. It is accepted with
probability min(1, exp((score - score')/T)·q(old)/q(new)) (Hastings, Biometrika 57 (1970) 97), q being the softmax
table's probabilities. Whoever is accepted hands its weights on: a move trains a few epochs from the state's weights
(fast recovery).

Nothing is stored: where the chains stand follows from the trials of the strategy's name, batch by batch. The random
number that decides on a trial comes from its own number and choices, so that every later call decides alike.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flow.search.inherit import inherits
from flow.search.places import chosen_at, random_designs, taken, told
from flow.search.problem import Chosen, Past, Problem, Proposal, key_of

if TYPE_CHECKING:
    import numpy as np

CHAINS = 8
BETAS = (0.01, 0.3)  # loss that a whole budget of cost is worth: the first chain's, and the last one's
TEMPERATURE = 0.004  # of acceptance, in units of the loss
PROPOSING = 0.02  # of the softmax tables, likewise
RECOVERY = 1 / 3  # of the problem's epochs that a move trains
OUTSIDE = 1.0  # penalty of a budget exceeded once over
TRIES = 50  # moves drawn before a chain jumps

Table = Mapping[str, "np.ndarray"]  # parameter -> score of each of its choices (choices,), smaller better
Tables = Callable[[float, Sequence[Past]], Table]  # (beta, the trials known) -> the table of a chain


@dataclass(frozen=True)
class Settings:
    """What a strategy's options may change; the constants above say what each is."""

    chains: int = CHAINS
    alpha: float = 1.0
    beta: tuple[float, float] = BETAS
    temperature: float = TEMPERATURE
    proposing: float = PROPOSING
    recovery: float = RECOVERY

    @staticmethod
    def of(problem: Problem) -> "Settings":
        own = {key: value for key, value in problem.options.items() if key in Settings.__dataclass_fields__}
        if "beta" in own:
            values = own["beta"] if isinstance(own["beta"], (list, tuple)) else [own["beta"]] * 2
            own["beta"] = (float(values[0]), float(values[-1]))
        return Settings(**own)

    def betas(self) -> list[float]:
        """The chains' prices of cost, evenly spread in their logarithm."""
        import numpy as np

        return np.geomspace(*self.beta, self.chains).tolist()


def walk(problem: Problem, past: Sequence[Past], n: int, seed: int, by: str, tables: Tables) -> list[Proposal]:
    """The next moves of the chains of the strategy `by`: chain after chain, each from where it stands."""
    import numpy as np

    settings, rng = Settings.of(problem), np.random.default_rng(seed)
    unit = budget(problem, past)
    states = [_state(problem, past, by, chain, settings, unit, tables) for chain in range(settings.chains)]
    laws = [softmax(tables(beta, told(past)), settings.proposing) for beta in settings.betas()]
    seen, found = taken(past), []
    epochs = max(1, round(settings.recovery * problem.epochs))
    for place in range(n):
        chain = place % settings.chains
        state = states[chain]
        chosen = _move(problem, None if state is None else state.chosen, laws[chain], seen, rng)
        if chosen is None:
            break  # the space has run out
        seen.add(key_of(chosen))
        if state is not None and inherits(problem, chosen, state.chosen):
            found.append(Proposal(chosen, state.number, epochs, by))
        else:
            found.append(Proposal(chosen, by=by))
    return found


def budget(problem: Problem, past: Sequence[Past]) -> float:
    """What costs are counted in: the cost's limit, or without one the median of some random designs' costs."""
    import numpy as np

    name = problem.objectives[problem.cost].name
    if problem.limits.get(name):
        return float(problem.limits[name])
    some = random_designs(problem, 64, np.random.default_rng(0))
    return max(float(np.median(problem.prices(some)[name])), 1e-9) if some else 1.0


def score(problem: Problem, trial: Past, alpha: float, beta: float, unit: float) -> float:
    """alpha·loss + beta·cost of a trial, and the penalty of what is outside the budget; smaller is better."""
    over = max([0.0, *trial.excess.values()])
    loss, cost = 1.0 - trial.values[problem.metric], trial.values[problem.cost] / unit
    return alpha * loss + beta * cost + OUTSIDE * over


def softmax(table: Table, temperature: float) -> dict[str, "np.ndarray"]:
    """Probabilities of each parameter's choices: exp(-score/temperature), normalised."""
    import numpy as np

    found = {}
    for name, values in table.items():
        weights = np.exp(-(np.asarray(values, float) - np.min(values)) / temperature)
        found[name] = (weights + 1e-3) / (weights + 1e-3).sum()  # every choice stays within reach
    return found


def _state(problem, past, by: str, chain: int, settings: Settings, unit: float, tables: Tables) -> Past | None:
    """The trial at which a chain stands after all of its moves; None before the first."""
    beta, alpha, index = settings.betas()[chain], settings.alpha, {item.number: item for item in past}
    mine = [item for item in past if item.by == by]
    first = min((item.batch for item in mine), default=None)
    before = [item for item in told(past) if item.by != by and (first is None or item.number < first)]
    state = min(before, key=lambda item: (score(problem, item, alpha, beta, unit), item.number), default=None)
    for batch in sorted({item.batch for item in mine}):
        moves = sorted((item for item in mine if item.batch == batch), key=lambda item: item.number)
        law = softmax(tables(beta, [i for i in told(past) if i.number < batch]), settings.proposing)
        for item in moves[chain :: settings.chains]:
            if not item.values:
                continue
            origin = index.get(item.parent) if item.parent is not None else state
            if state is None or origin is None:
                state = item
                continue
            gain = score(problem, state, alpha, beta, unit) - score(problem, item, alpha, beta, unit)
            odds = gain / settings.temperature + _log_ratio(law, origin.chosen, item.chosen)
            if np_log(draw_of(item)) < odds:
                state = item
    return state


def _log_ratio(law, old: Chosen, new: Chosen, options=None) -> float:
    """log q(old)/q(new) of the choices that a move changed."""
    import math

    total = 0.0
    for name, weights in law.items():
        if old[name] != new[name]:
            total += math.log(weights[law.place(name, old[name])] / weights[law.place(name, new[name])])
    return total
