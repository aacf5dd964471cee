"""Tree-structured Parzen estimators, multi-objective and constrained (Ozaki et al., JAIR 73 (2022) 1209), by Optuna."""

import warnings
from collections.abc import Sequence

from flow.search.asking import ask
from flow.search.problem import Past, Problem, Proposal


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Draws where good trials are dense and bad ones are not; running proposals count as bad, which spreads a batch."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True, constant_liar=True)
    return ask(sampler, problem, past, n)
