"""NSGA-II (Deb et al., IEEE TEC 6 (2002) 182) with constraint domination, by Optuna."""

from collections.abc import Mapping, Sequence

from flow.search.history import Past, ask


def propose(parameters: Mapping[str, tuple[str, ...]], past: Sequence[Past], n: int, seed: int) -> list[dict[str, str]]:
    """Children of the best trials so far: uniform crossover, then mutation of about one parameter."""
    import optuna

    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=min(32, max(2, len(past))))
    return ask(sampler, parameters, past, n)
