"""The portfolio: several strategies share each batch, and those that push the front get more of the next one.

A strategy's gain in a batch is the hypervolume that the front after the batch would lack without its trials; what it
spent are the jets that they trained on (epochs, every epoch being the same jets) and, where a tool reported, its
syntheses. Gain by what was spent, older batches counting less, is its rate; a batch is shared in proportion to the
rates, with a floor for each strategy, since who is behind today may be ahead when the front has moved. The clock is
never looked at: the same trials give the same shares.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flow.search.options import Option, settings
from flow.search.pareto import excess_of, hypervolume, in_octaves, ranks, upward
from flow.search.places import chosen_at, fresh, sizes, told
from flow.search.problem import Past, Problem, Proposal, key_of

if TYPE_CHECKING:
    import numpy as np

STRATEGIES = ("neighbours", "nsga2", "tpe", "fit", "sensitivity", "evolve")  # the cheap ones first, for ties


def options(known: Sequence[str]) -> dict[str, Option]:
    """The settings, given the strategies that there are."""
    return {
        "strategies": Option(list(STRATEGIES), tuple(name for name in known if name != "auto"), "Who shares a batch."),
        "floor": Option(0.05, (0.0, 1.0), "Share of a batch that each strategy gets whatever its rate is."),
        "discount": Option(0.7, (0.0, 1.0), "What a batch's gain and spending count for when the next one is there."),
        "synthesis": Option(20.0, (0.0, 1e9), "Epochs that one synthesis counts for."),
    }


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Proposals of several strategies, each named in `by`; the option `strategies` says which."""
    from flow.search import STRATEGIES as KNOWN

    names = tuple(dict.fromkeys(_setting(problem, "strategies")))
    share, found = shares(problem, past, names, n), []
    for place, name in enumerate(names):
        if share[name] > 0:
            own = KNOWN[name](problem.of(name), [*past, *_pending(past, found)], share[name], seed + place)
            found += [replace(proposal, by=name) for proposal in _new(found, own)]
    return found + _random(problem, [*past, *_pending(past, found)], n - len(found), seed)


def shares(problem: Problem, past: Sequence[Past], names: Sequence[str], n: int) -> dict[str, int]:
    """How many of `n` proposals each strategy makes."""
    floor = _setting(problem, "floor")
    rate = rates(problem, past, names)
    total = sum(rate.values())
    level = min(floor, 1.0 / len(names))
    exact = {
        name: n * (level + (1.0 - level * len(names)) * (rate[name] / total if total > 0 else 1.0 / len(names)))
        for name in names
    }
    whole = {name: int(exact[name] + 1e-9) for name in names}
    rest = sorted(names, key=lambda name: (whole[name] - exact[name], names.index(name)))
    for name in rest[: n - sum(whole.values())]:
        whole[name] += 1
    return whole


def rates(problem: Problem, past: Sequence[Past], names: Sequence[str]) -> dict[str, float]:
    """Share of the batches' gains per epoch of each strategy, discounted; one without a trial counts as the best of
    the others. Shares, since gains shrink as the front nears its end, and late batches must tell as much as early ones.
    """
    discount = _setting(problem, "discount")
    volume = _Volume(problem, past)
    gained, spent = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for batch in sorted({item.batch for item in past}):
        gains = _gains(volume, [item for item in past if item.batch <= batch], batch, names)
        total = sum(gains.values())
        for name in names:
            mine = [item for item in past if item.batch == batch and item.by == name]
            gained[name] = discount * gained[name] + (gains[name] / total if total > 0 else 0.0)
            spent[name] = discount * spent[name] + _spent(problem, mine)
    known = {name: gained[name] / spent[name] for name in names if spent[name] > 0}
    return {name: known.get(name, max(known.values(), default=1.0)) for name in names}


def _gains(volume: "_Volume", known: Sequence[Past], batch: int, names: Sequence[str]) -> dict[str, float]:
    """What the front of `known`, the last of whose batches is `batch`, would lack without each strategy's trials in
    it."""
    whole = volume(known)
    found = dict.fromkeys(names, 0.0)
    for name in {item.by for item in known if item.batch == batch} & set(names):
        found[name] = whole - volume([item for item in known if item.batch < batch or item.by != name])
    return found


def _spent(problem: Problem, trials: Sequence[Past]) -> float:
    """Epochs that trials trained, syntheses counted in epochs among them."""
    synthesis = _setting(problem, "synthesis")
    return sum(item.epochs + synthesis * item.reported for item in trials)


class _Volume:
    """Hypervolume of the trials inside the budget, costs in octaves, each objective counted in the range of all
    trials."""

    def __init__(self, problem: Problem, past: Sequence[Past]):
        self.problem = problem
        points = self._points(past)
        self.low = points.min(axis=0) if len(points) else 0.0
        self.span = (points.max(axis=0) - self.low).clip(1e-12) if len(points) else 1.0

    def __call__(self, trials: Sequence[Past]) -> float:
        import numpy as np

        points = self._points(trials)
        if not len(points):
            return 0.0
        points = (points - self.low) / self.span + 0.05  # the ends of the front are worth something too
        return hypervolume(np.unique(points[ranks(points) == 0], axis=0), np.zeros(points.shape[1]))

    def _points(self, trials: Sequence[Past]) -> "np.ndarray":
        known = told(trials)
        return in_octaves(self.problem, upward(self.problem, known))[excess_of(known) <= 0.0]


def _setting(problem: Problem, name: str):
    from flow.search import OPTIONS

    return settings(OPTIONS["auto"], problem.options, "search.options.auto")[name]


def _pending(past: Sequence[Past], found: Sequence[Proposal]) -> list[Past]:
    """Proposals of this batch as trials without a result, so that nobody repeats them."""
    first = max((item.number for item in past), default=-1) + 1
    return [
        Past(first + i, p.chosen, (), epochs=p.epochs or 0, parent=p.parent, batch=first, by="pending")
        for i, p in enumerate(found)
    ]


def _random(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Designs at random in place of those that strategies had no idea for."""
    import numpy as np

    rng, room = np.random.default_rng(seed), sizes(problem)
    more = fresh(problem, past, n, lambda: chosen_at(problem, rng.integers(room)))
    return [replace(proposal, by="random") for proposal in more]


def _new(found: Sequence[Proposal], own: Sequence[Proposal]) -> list[Proposal]:
    """Those of a strategy's proposals that are not in the batch yet."""
    there = {key_of(proposal.chosen) for proposal in found}
    return [proposal for proposal in own if key_of(proposal.chosen) not in there]
