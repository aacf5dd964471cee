"""NSGA-II (Deb et al., IEEE TEC 6 (2002) 182) with constraint domination, by Optuna."""

from collections.abc import Sequence

from flow.search.asking import ask
from flow.search.places import told
from flow.search.problem import Past, Problem, Proposal


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Children of the best trials so far: uniform crossover, then mutation of about one parameter."""
    import optuna

    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=min(32, max(2, len(told(past)))))
    return ask(sampler, problem, past, n)
