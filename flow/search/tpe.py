"""Tree-structured Parzen estimators, multi-objective and constrained (Ozaki et al., JAIR 73 (2022) 1209), by Optuna."""

import warnings
from collections.abc import Mapping, Sequence

from flow.search.history import Past, ask


def propose(parameters: Mapping[str, tuple[str, ...]], past: Sequence[Past], n: int, seed: int) -> list[dict[str, str]]:
    """Draws where good trials are dense and bad ones are not; running proposals count as bad, which spreads a batch."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True, constant_liar=True)
    return ask(sampler, parameters, past, n)
