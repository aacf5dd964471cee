"""The Fisher information metric (Zandonati et al., arXiv 2210.08502) ranks thousands of designs that nobody trains.

Random designs and steps from the best are ranked by FIT and by cost; the designs that are best for their cost, near and
inside the budget, are proposed, spread over cost. As trials come in, the metric is predicted from FIT by a regression:
a line in log FIT, and by ridge regression what trials say of each place's own share and of width factors, as far as it
predicts trials that were left out. What training makes up for thus counts less.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flow.search.pareto import front, octaves
from flow.search.places import chosen_at, fresh, places_of, random_designs, sizes, step, taken, told
from flow.search.pricing import priced
from flow.search.problem import Measure, Past, Problem, Proposal, key_of

if TYPE_CHECKING:
    import numpy as np

    from flow.search.damages import Damages

RANDOM, STEPS, GENERATIONS = 2048, 512, 4  # designs ranked, steps from the best in each generation
NEAR = 0.25  # how far outside the budget, relative, is near
LEAST = 8  # trials from which on the metric is predicted from them
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # of the ridge regression, times a column's variance

Score = Callable[["np.ndarray"], "np.ndarray"]  # places (designs, parameters) -> merit (designs,), larger better


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """The designs that FIT, corrected by the trials, finds best for their cost."""
    import numpy as np

    rng = np.random.default_rng(seed)
    score = _score(problem, problem.knowledge.damages(Measure.FIT), told(past))
    start = places_of(problem, random_designs(problem, RANDOM, rng) + [item.chosen for item in told(past)])
    rows, cost, excess, merit = _ranked(problem, start, score, rng)
    seen = taken(past)
    unseen = np.array([key_of(chosen_at(problem, row)) not in seen for row in rows], bool)
    order = spread(cost, np.where(excess <= NEAR, merit, -np.inf), unseen, n)
    ready = iter([chosen_at(problem, rows[i]) for i in order])

    def draw() -> dict[str, str]:
        """The chosen ones; random designs where there are too few."""
        return next(ready, None) or chosen_at(problem, rng.integers(sizes(problem)))

    return fresh(problem, past, n, draw)


def spread(cost: "np.ndarray", merit: "np.ndarray", unseen: "np.ndarray", n: int) -> list[int]:
    """Up to `n` unseen points: of the front, evenly over log cost, and where it has too few, of the fronts behind
    it."""
    import numpy as np

    left, found = merit.copy(), []
    while len(found) < n and np.isfinite(left).any():
        here = front(cost, left)
        left[here] = -np.inf
        here = here[unseen[here]]
        wanted = n - len(found)
        if len(here) <= wanted:
            found += here.tolist()
            continue
        log = octaves(cost[here])
        chosen: list[int] = []
        for goal in np.linspace(log[0], log[-1], wanted):
            open_ = [i for i in range(len(here)) if i not in chosen]
            chosen.append(min(open_, key=lambda i: (abs(log[i] - goal), i)))
        found += here[sorted(chosen)].tolist()
    return found


def _ranked(problem: Problem, rows: "np.ndarray", score: Score, rng):
    """Designs with cost, excess and merit: `rows`, and generations of steps from the best of them."""
    import numpy as np

    rows = np.unique(rows, axis=0)
    cost, excess = priced(problem, [chosen_at(problem, row) for row in rows])
    merit, room = score(rows), sizes(problem)
    for _ in range(GENERATIONS):
        parents = rows[front(cost, np.where(excess <= NEAR, merit, -np.inf))]
        if not len(parents):  # nothing is near the budget yet: go there
            parents = rows[np.argsort(excess, kind="stable")[:8]]
        steps = [step(parents[rng.integers(len(parents))], room, rng) for _ in range(STEPS)]
        more = [row for row in np.unique(steps, axis=0) if problem.allowed(chosen_at(problem, row))]
        if not more:
            break
        known = {row.tobytes() for row in rows}
        more = [row for row in more if row.tobytes() not in known]
        if not more:
            break
        new_cost, new_excess = priced(problem, [chosen_at(problem, row) for row in more])
        rows = np.concatenate([rows, more])
        cost, excess = np.concatenate([cost, new_cost]), np.concatenate([excess, new_excess])
        merit = np.concatenate([merit, score(np.array(more))])
    return rows, cost, excess, merit


def widths_of(problem: Problem, rows: "np.ndarray") -> "np.ndarray":
    """Logs of the width factors (designs, widths) of designs at places (designs, parameters). Damage tells what goes;
    what a wider layer is good for, and what training makes up for, trials alone can tell."""
    import numpy as np

    columns = [(i, own) for i, (name, own) in enumerate(problem.parameters.items()) if problem.part(name) == "width"]
    found = [np.log(np.array([float(text) for text in own]))[rows[:, i]] for i, own in columns]
    return np.stack(found, axis=1) if found else np.zeros((len(rows), 0))


def _score(problem: Problem, damages: "Damages", past: Sequence[Past]) -> Score:
    """Merit of designs: minus log FIT, or the metric that trials let expect."""
    import numpy as np

    def features(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log FIT (designs,), and the logs of each term's part and of each width factor (designs, terms + widths)."""
        terms = damages.by_term(problem.parameters, rows)
        total = terms.sum(axis=1)
        parts = np.log(np.maximum(terms, 1e-12) + 1e-3 * np.median(total))
        return np.log(np.maximum(total, 1e-30)), np.concatenate([parts, widths_of(problem, rows)], axis=1)

    if len(past) < LEAST:
        return lambda rows: -features(rows)[0]
    log, parts = features(places_of(problem, [item.chosen for item in past]))
    metric = np.array([item.values[problem.metric] for item in past])
    slope, level = np.polyfit(log, metric, 1) if np.ptp(log) > 0 else (0.0, metric.mean())
    if slope >= 0:  # too few, or too noisy, to say: FIT itself
        return lambda rows: -features(rows)[0]
    mean, scale = parts.mean(axis=0), parts.std(axis=0) + 1e-9
    weights = _ridge((parts - mean) / scale, metric - slope * log - level)

    def expected(rows: np.ndarray) -> np.ndarray:
        own_log, own = features(rows)
        return slope * own_log + level + (own - mean) / scale @ weights

    return expected


def _ridge(columns: "np.ndarray", rest: "np.ndarray") -> "np.ndarray":
    """Weights (columns,) of a ridge regression whose penalty predicts left-out rows best; zeros where none helps."""
    import numpy as np

    best, weights = float(np.sum(rest**2)), np.zeros(columns.shape[1])
    for penalty in PENALTIES:
        inverse = np.linalg.inv(columns.T @ columns + penalty * np.eye(columns.shape[1]))
        found = inverse @ columns.T @ rest
        leverage = np.einsum("ij,jk,ik->i", columns, inverse, columns)
        error = float(np.sum(((rest - columns @ found) / (1.0 - leverage)) ** 2))
        if error < best:
            best, weights = error, found
    return weights
