"""The tuners of AutoQKeras: who proposes, given the trials of a stage and their scores.

`own`: the trials of this part of the space, their one value the score; `trials`: how many the stage gets (None: as many as
are asked for).
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

from flow.search.asking import ask
from flow.search.autoqkeras import hyperband
from flow.search.places import fresh, random_designs
from flow.search.problem import Past, Problem, Proposal

TRIES = 4  # draws for each proposal of a model, before chance takes over: a block may be nearly used up
Tuner = Callable[[Problem, Sequence[Past], int, int | None, Mapping[str, object], int], list[Proposal]]


def random(problem, own, n, trials, asked, seed) -> list[Proposal]:
    """Unseen designs, each as likely as any other."""
    return _random(problem, own, _room(own, n, trials), seed)


def bayesian(problem, own, n, trials, asked, seed) -> list[Proposal]:
    """A model of the score after random trials: three for each dimension as KerasTuner has it, but at most a third of the
    stage's. The model is TPE; KerasTuner's is a Gaussian process with a lower confidence bound."""
    import optuna

    first = startup(sum(len(options) > 1 for options in problem.parameters.values()), trials or problem.trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, multivariate=True, constant_liar=True)
    room = _room(own, n, trials)
    found = ask(sampler, problem, own, room, TRIES * room)
    known = [*own, *(Past(-1, proposal.chosen, ()) for proposal in found)]
    return found + _random(problem, known, room - len(found), seed)


def startup(dimensions: int, trials: int) -> int:
    """Random trials before the model: `max(3 * dimensions, 3)` of KerasTuner's `BayesianOptimizationOracle`, cut."""
    return max(min(3 * dimensions, trials // 3), 3)


def _random(problem: Problem, known: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    import numpy as np

    rng = np.random.default_rng(seed)
    return fresh(problem, known, n, lambda: next(iter(random_designs(problem, 1, rng)), None))


def _room(own: Sequence[Past], n: int, trials: int | None) -> int:
    return n if trials is None else max(min(n, trials - len(own)), 0)


TUNERS: dict[str, Tuner] = {"random": random, "bayesian": bayesian, "hyperband": hyperband.propose}
