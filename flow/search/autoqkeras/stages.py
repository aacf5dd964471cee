"""The order in which AutoQKeras searches a network: all of it at once, or block by block.

Nothing is kept between calls: the trials that differ from a stage's fixed choices nowhere are the stage's, and its best is
what the next stage fixes. A batch that fills a stage goes on with the next one, from the best that is known by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flow.search.autoqkeras import hyperband
from flow.search.autoqkeras.tuners import TUNERS
from flow.search.problem import Chosen, Objective, Past, Problem, Proposal

LEAST = 10  # trials of a block, whatever its cost is
Ties = Mapping[str, tuple[str, ...]]  # what the tuner chooses → the parameters that it chooses for


@dataclass(frozen=True)
class Stage:
    """A part of the space and how many trials it gets (None: as many as are asked for)."""

    free: Ties
    trials: int | None


@dataclass(frozen=True)
class View:
    """A stage as a problem of its own: maximise the score over `free`, everything else being `fixed`."""

    problem: Problem
    free: Ties
    fixed: Chosen

    def part(self, chosen: Chosen) -> Chosen | None:
        """A design's choices in this part, None where it is not of this part."""
        found = {name: chosen[members[0]] for name, members in self.free.items()}
        return found if self.whole(found) == dict(chosen) else None

    def whole(self, part: Chosen) -> dict[str, str]:
        return {**self.fixed, **{member: part[name] for name, members in self.free.items() for member in members}}


def propose(
    problem: Problem,
    past: Sequence[Past],
    scores: Mapping[int, float],
    asked: Mapping[str, object],
    n: int,
    seed: int,
) -> list[Proposal]:
    """Up to `n` proposals of the stages, in their order; when all have had their trials, the sweep starts again from the
    best design. Where no stage has anything new, the whole space is searched."""
    found: list[Proposal] = []
    base, before = reference(problem), None
    plan = stages(problem, asked)
    while before != (len(found), base):
        before = len(found), base
        for stage in plan:
            found, base = _stage(problem, past, scores, asked, stage, base, found, n, seed)
            if len(found) == n:
                return found
    whole = Stage(_ties(problem, tuple(problem.parameters), asked["tune_filters"]), None)
    return _stage(problem, past, scores, asked, whole, base, found, n, seed)[0]


def _stage(problem, past, scores, asked, stage, base, found, n, seed) -> tuple[list[Proposal], Chosen]:
    """What was found with what this stage adds, and the choices that the next stage starts from."""
    view = view_of(problem, stage.free, base)
    pending = [Past(-1 - i, proposal.chosen, ()) for i, proposal in enumerate(found)]
    parts = [(item, view.part(item.chosen)) for item in (*past, *pending)]
    own = [
        replace(item, chosen=part, values=(scores[item.number],) if item.number in scores else (), excess={})
        for item, part in parts
        if part is not None
    ]
    new = TUNERS[asked["tuner"]](view.problem, own, n - len(found), stage.trials, asked, seed + len(found))
    new = [replace(proposal, chosen=view.whole(proposal.chosen)) for proposal in new]
    best = max((item for item in own if item.values), key=lambda item: (item.values[0], -item.number), default=None)
    return found + new, base if best is None else view.whole(best.chosen)


def stages(problem: Problem, asked: Mapping[str, object]) -> tuple[Stage, ...]:
    """The stages of one sweep. A block gets trials as its cost has a share in that of all blocks."""
    everything = _ties(problem, tuple(problem.parameters), asked["tune_filters"])
    if asked["schedule_block"] == "none":
        return (Stage(everything, None),)
    found = [_ties(problem, block, asked["tune_filters"]) for block in blocks(problem)]
    found = [free for free in found if free]
    costs = block_costs(problem, found, asked["goal"])
    total = sum(costs) or 1.0
    if asked["schedule_block"] == "cost":
        order = sorted(range(len(found)), key=lambda i: -costs[i])
    else:
        order = range(len(found))
    if asked["tuner"] == "hyperband":  # which knows no number of trials
        size = hyperband.iteration(problem.epochs, asked["factor"])
        return tuple(Stage(found[i], size) for i in order)
    return tuple(Stage(found[i], trials(problem.trials, costs[i], total)) for i in order)


def trials(planned: int, cost: float, total: float) -> int:
    """Trials of a block: `AutoQKerasScheduler.fit`. There `total` is the reference times `stress`; here without it: what a
    design should cost does not say how long to look for it."""
    return int(max(LEAST, planned * cost / total))


def blocks(problem: Problem) -> list[tuple[str, ...]]:
    """The problem's blocks, each parameter in the first that has it, and one more of those that are in none."""
    found, seen = [], set()
    for block in (*problem.blocks, tuple(problem.parameters)):
        own = tuple(name for name in block if name in problem.parameters and name not in seen)
        seen.update(own)
        found += [own] if own else []
    return found


def block_costs(problem: Problem, found: Sequence[Ties], goal: str) -> list[float]:
    """What each block costs in the reference, beyond what its cheapest choices would, in the goal's unit."""
    base = reference(problem)
    cheap = [
        {**base, **{member: problem.parameters[member][0] for members in free.values() for member in members}}
        for free in found
    ]
    prices = problem.prices([base, *cheap])[goal]
    return [max(float(prices[0] - price), 0.0) for price in prices[1:]]


def reference(problem: Problem) -> dict[str, str]:
    """The widest choice everywhere; a width factor of 1 where there is one."""
    return {
        name: "1" if problem.part(name) == "width" and "1" in options else options[-1]
        for name, options in problem.parameters.items()
    }


def _ties(problem: Problem, names: Sequence[str], filters: str) -> Ties:
    """What the tuner chooses: each parameter, or one width factor for all that list the same ones, or no widths."""
    found: dict[str, tuple[str, ...]] = {}
    first: dict[tuple[str, ...], str] = {}
    for name in names:
        if problem.part(name) != "width" or filters == "layer":
            found[name] = (name,)
        elif filters == "block":
            one = first.setdefault(problem.parameters[name], name)
            found[one] = (*found.get(one, ()), name)
    return found


def view_of(problem: Problem, free: Ties, base: Chosen) -> View:
    """The part of a problem that is free where the rest is as in `base`."""
    of = {member: name for name, members in free.items() for member in members}
    fixed = {name: choice for name, choice in base.items() if name not in of}
    rules = (_rule(rule, of, fixed) for rule in problem.forbidden)
    part = replace(
        problem,
        parameters={name: problem.parameters[name] for name in free},
        objectives=(Objective("score", True),),
        limits={},
        forbidden=tuple(rule for rule in rules if rule is not None),
        blocks=(),
    )
    return View(part, free, fixed)


def _rule(rule: Mapping[str, tuple[str, ...]], of: Mapping[str, str], fixed: Chosen) -> Mapping | None:
    """A forbidden combination in terms of what is free; None where the fixed choices rule it out."""
    found: dict[str, tuple[str, ...]] = {}
    for name, some in rule.items():
        if name in fixed:
            if fixed[name] not in some:
                return None
        else:
            before = found.get(of[name], some)
            found[of[name]] = tuple(choice for choice in before if choice in some)
    return found
