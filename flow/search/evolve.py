"""Ours: evolution between fronts, seeded by Fisher information, led by what all trials teach, with inherited weights.

The first batch is spread along the front of FIT and cost, with uniform and random designs beside it. After it, parents
come from the fronts of all trials, whoever proposed them; children take whole blocks from two parents and move a few
choices a step up or down, rather where the damage (FIT) that is won or lost pays for the cost. Many more children are
made than are trained: a Gaussian process, which has FIT, the choices and the epochs trained to go by, predicts their
metric, the closed form their cost, the best of them have children in turn, and those that are expected to add most
hypervolume are trained. Children and trials alike are judged by what the process says of them, as if trained as long as
the trial that was trained longest: neither luck nor weights that were handed down through many batches hide what a fresh
design is worth. A child starts from the weights of the nearest trial that it can inherit from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from flow.search import fit, surrogate
from flow.search.inherit import ages, heirs
from flow.search.offspring import Guide, children
from flow.search.options import Option, settings
from flow.search.pareto import crowding, excess_of, in_octaves, octaves, ranks, upward
from flow.search.places import chosen_at, fresh, places_of, sizes, taken, told
from flow.search.pricing import priced
from flow.search.problem import Key, Measure, Past, Problem, Proposal, key_of

if TYPE_CHECKING:
    import numpy as np

NAME = "evolve"
OPTIONS: dict[str, Option] = {
    "optimism": Option(0.0, (-10.0, 10.0), "Standard deviations that are added to predictions."),
    "inherit": Option(True, (True, False), "Whether designs start from the weights of the nearest trial."),
}
SEEDED = 0.7  # of the first batch: designs on the front of FIT and cost
GENERATIONS = 4  # of children that are predicted before any is trained
CHILDREN = 10  # in each generation, for each design that is trained
NEAR = 0.15  # how far outside the budget, relative, still counts as inside
SAME = 1e-6  # octaves: costs that differ by less are as the closed form says
NEXT = 1e-6  # weight of the metric itself: who comes next where nothing adds to the front
ENDS = 0.05  # of the front's span: how far beyond its ends the reference point lies


@dataclass(frozen=True)
class Settings:
    """What `OPTIONS` say."""

    optimism: float
    inherit: bool

    @staticmethod
    def of(problem: Problem) -> "Settings":
        return Settings(**settings(OPTIONS, problem.options, f"search.options.{NAME}"))


@dataclass(frozen=True)
class Known:
    """The trials as arrays: places (n, parameters), objectives upward with costs in octaves (n, objectives), excess
    over the budget (n,), and the epochs that their weights were trained (n,)."""

    trials: tuple[Past, ...]
    rows: "np.ndarray"
    points: "np.ndarray"
    excess: "np.ndarray"
    age: "np.ndarray"


@dataclass(frozen=True)
class Candidates:
    """Designs that may be trained: places (n, parameters), the place of the trial that each starts from (-1: none), its
    objectives as they are expected (n, objectives), and its excess."""

    rows: "np.ndarray"
    heir: "np.ndarray"
    points: "np.ndarray"
    excess: "np.ndarray"

    @staticmethod
    def joined(parts: "Sequence[Candidates]") -> "Candidates":
        import numpy as np

        names = [field.name for field in fields(Candidates)]
        return Candidates(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """The designs that are expected to push the front most."""
    import numpy as np

    rng, own = np.random.default_rng(seed), Settings.of(problem)
    known = _known(problem, past)
    if len(known.trials) < max(8, len(problem.parameters) // 2):
        return _first(problem, past, n, seed, rng)
    judge = _Judge(problem, known, own)
    known = replace(known, points=judge.expected(known.rows)[0])
    candidates = _candidates(problem, known, judge, taken(past), n, rng)
    best = [] if candidates is None else _best(problem, known, candidates, n, rng)
    found = [_proposal(problem, known, candidates, place) for place in best]
    mine, room = {key_of(proposal.chosen) for proposal in found}, sizes(problem)

    def draw() -> dict[str, str] | None:
        some = chosen_at(problem, rng.integers(room))
        return None if key_of(some) in mine else some

    more = fresh(problem, past, n - len(found), draw)
    return found + [Proposal(proposal.chosen, by=NAME) for proposal in more]


def _first(problem: Problem, past: Sequence[Past], n: int, seed: int, rng) -> list[Proposal]:
    """Designs on the front of FIT and cost, uniform ones, and random ones."""
    room = sizes(problem)
    seeded = [proposal.chosen for proposal in fit.propose(problem, past, max(1, round(SEEDED * n)), seed)]
    rungs = max(2, (n - len(seeded)) // 2)
    uniform = [chosen_at(problem, (room - 1) * (2 * k + 1) // (2 * rungs)) for k in range(rungs)]
    ready = iter([*seeded, *uniform])
    found = fresh(problem, past, n, lambda: next(ready, None) or chosen_at(problem, rng.integers(room)))
    return [Proposal(proposal.chosen, by=NAME) for proposal in found]


def _known(problem: Problem, past: Sequence[Past]) -> Known:
    import numpy as np

    trials, age = tuple(told(past)), ages(past)
    rows = places_of(problem, [item.chosen for item in trials])
    points = in_octaves(problem, upward(problem, trials))
    old = np.array([max(age[item.number], 1) for item in trials], float)
    return Known(trials, rows, points, excess_of(trials), old)


class _Judge:
    """What is expected of designs: closed-form prices, and surrogates of what the trials were beyond them.

    All are judged at one age, that of the trial that was trained longest: weights that were handed down through many
    batches would hide what a fresh design is worth.
    """

    def __init__(self, problem: Problem, known: Known, own: Settings):
        import numpy as np

        self.problem, self.known, self.own = problem, known, own
        self.damages = problem.knowledge.damages(Measure.FIT)
        self.hurts = _hurts(problem, self.damages)
        designs = [item.chosen for item in known.trials]
        self.horizon = float(known.age.max())
        lines, at = self._lines(designs, known.age), self._coordinates(known.rows)
        rest = known.points - self._priced(designs)  # what training decides, or reports said other than the closed form
        self.models = [surrogate.fit(at, lines, column) if np.abs(column).max() > SAME else None for column in rest.T]

    def new(self, rows: "np.ndarray") -> Candidates:
        """New designs at places (n, parameters)."""
        import numpy as np

        none = np.full(len(rows), -1)
        heir = heirs(self.problem, rows, self.known.rows, self.known.age) if self.own.inherit else none
        return Candidates(rows, heir, *self.expected(rows, self.own.optimism))

    def expected(self, rows: "np.ndarray", optimism: float = 0.0) -> "tuple[np.ndarray, np.ndarray]":
        """The objectives (n, objectives) of designs at places (n, parameters) at the horizon, so many standard deviations
        above what is predicted, and their excess (n,)."""
        designs = [chosen_at(self.problem, row) for row in rows]
        lines, found = self._lines(designs, self.horizon), self._priced(designs)
        for i, model in enumerate(self.models):
            if model is not None:
                mean, error = model.predict(self._coordinates(rows), lines)
                found[:, i] += mean + optimism * error
        return found, priced(self.problem, designs)[1]

    def _lines(self, designs, age: "np.ndarray | float") -> "np.ndarray":
        """What the surrogate's line goes by (designs, 3); age in epochs, by design or one for all."""
        import numpy as np

        damages = self.damages.of(self.problem.parameters, designs)
        damages = np.maximum(damages, 1e-30)
        trained = np.broadcast_to(np.log2(age / self.problem.epochs), len(designs))
        return np.stack([np.log(damages), np.sqrt(damages), trained], axis=1)

    def _coordinates(self, rows: "np.ndarray") -> "np.ndarray":
        import numpy as np

        return np.stack([hurt[rows[:, i]] for i, hurt in enumerate(self.hurts)], axis=1)

    def _priced(self, designs: Sequence) -> "np.ndarray":
        """What the closed form says of the objectives, upward, costs in octaves; 0 where it says nothing."""
        import numpy as np

        prices, found = self.problem.prices(designs), np.zeros((len(designs), len(self.problem.objectives)))
        for i, objective in enumerate(self.problem.objectives):
            if not objective.maximize and objective.name in prices:
                found[:, i] = -octaves(np.asarray(prices[objective.name], float), objective.name)
        return found


def _hurts(problem: Problem, damages) -> "list[np.ndarray]":
    """Where each choice stands (choices,) among its parameter's: half by its place, half by the log damage that it
    makes of the design in the middle, so that choices which hurt alike lie near each other."""
    import numpy as np

    middle = chosen_at(problem, (sizes(problem) - 1) // 2)
    found = []
    for name, options in problem.parameters.items():
        hurt = np.log(np.maximum(damages.of(problem.parameters, [middle | {name: c} for c in options]), 1e-30))
        found.append(hurt - hurt.min())
    unit = max(float(np.mean([np.ptp(hurt) for hurt in found])), 1e-9)
    return [0.5 * hurt / unit + 0.5 * np.linspace(0.0, 1.0, len(hurt)) for hurt in found]


def _candidates(problem: Problem, known: Known, judge: _Judge, seen: set[Key], n: int, rng) -> Candidates | None:
    """Children of the trials that nobody has proposed yet, and the best ones' children in turn; None where there are
    none."""
    import numpy as np

    found: list[Candidates] = []
    guide, rows, points, excess = Guide.of(problem), known.rows, known.points, known.excess
    for _ in range(GENERATIONS):
        born = children(problem, rows, _order(points, excess), guide, seen, CHILDREN * n, rng)
        if len(born):
            found.append(judge.new(born))
        rows = np.concatenate([known.rows, *(part.rows for part in found)])
        points = np.concatenate([known.points, *(part.points for part in found)])
        excess = np.concatenate([known.excess, *(part.excess for part in found)])
    return Candidates.joined(found) if found else None


def _order(points: "np.ndarray", excess: "np.ndarray") -> "np.ndarray":
    """Places of points, the best parents first: by front, and on a front by how lonely they are."""
    import numpy as np

    rank = ranks(points, np.maximum(excess - NEAR, 0.0))
    lonely = np.zeros(len(points))
    for front in range(rank.max(initial=-1) + 1):
        lonely[rank == front] = crowding(points[rank == front])
    return np.lexsort((-lonely, rank))


def _best(problem: Problem, known: Known, candidates: Candidates, n: int, rng) -> list[int]:
    """The candidates to train: one after another the one that is expected to add most to the front so far."""
    import numpy as np

    # Where hardly anything is near the budget, those that are nearest to it.
    least = np.sort(candidates.excess)[min(n, len(candidates.excess)) - 1]
    front, open_ = known.points[known.excess <= NEAR], candidates.excess <= max(NEAR, least)
    low = reference(problem, front if len(front) else candidates.points)
    found: list[int] = []
    while len(found) < n and open_.any():
        gains = gain(candidates.points, front, low, rng) + NEXT * candidates.points[:, problem.metric]
        gains = np.where(open_, gains, -np.inf)
        place = int(np.argmax(gains))
        if not open_[place]:
            break
        open_[place] = False
        found.append(place)
        front = np.concatenate([front, candidates.points[place : place + 1]])
    return found


def reference(problem: Problem, points: "np.ndarray") -> "np.ndarray":
    """The point (objectives,) above which hypervolume counts: the worst of what is minimised, and of what is maximised
    as far below the front's middle as the best is above it, since a cheap design that tells nothing is no gain."""
    import numpy as np

    front = points[ranks(points) == 0]
    best = front.max(axis=0)
    symmetric = best - 2.0 * (best - np.median(front, axis=0))
    return np.where(
        [o.maximize for o in problem.objectives], np.maximum(symmetric, front.min(axis=0)), front.min(axis=0)
    )


def gain(points: "np.ndarray", front: "np.ndarray", low: "np.ndarray", rng) -> "np.ndarray":
    """What each point (n, objectives), larger better, adds to the hypervolume of a front (m, objectives) a little
    below `low`: exactly for two objectives; for more, how far it is beyond the front along a direction drawn at random
    (Chebyshev's scalarization)."""
    import numpy as np

    span = np.maximum(np.concatenate([points, front]).max(axis=0) - low, 1e-9)
    own, there = (points - low) / span + ENDS, (front - low) / span + ENDS
    if points.shape[1] != 2:
        weights = np.maximum(rng.dirichlet(np.ones(points.shape[1])), 1e-3)
        best = (there / weights).min(axis=1).max(initial=0.0)
        return (own / weights).min(axis=1) - best
    # Between two neighbours on the second axis the front has one height.
    order = np.argsort(-there[:, 1], kind="stable")
    heights = np.concatenate([[0.0], np.maximum.accumulate(np.maximum(there[order, 0], 0.0))])
    edges = np.concatenate([[np.inf], np.maximum(there[order, 1], 0.0), [0.0]])
    widths = np.clip(np.minimum(own[:, 1:2], edges[None, :-1]) - edges[None, 1:], 0.0, None)
    return (widths * np.clip(own[:, :1] - heights[None], 0.0, None)).sum(axis=1)


def _proposal(problem: Problem, known: Known, candidates: Candidates, place: int) -> Proposal:
    heir = int(candidates.heir[place])
    parent = None if heir < 0 else known.trials[heir].number
    return Proposal(chosen_at(problem, candidates.rows[place]), parent, by=NAME)
