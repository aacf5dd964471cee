"""NSGA-III (Deb and Jain, IEEE TEC 18 (2014) 577; with constraints: Jain and Deb, the same, 602), by Optuna.

NSGA-II for three objectives and more: where nearly every design is on the front, those stay that lie near different
reference directions. With two objectives `nsga2` does as well.
"""

import warnings
from collections.abc import Sequence
from math import comb

from flow.search.asking import ask
from flow.search.places import told
from flow.search.problem import Past, Problem, Proposal

POPULATION = 24  # parents; a search has few generations, so few of all trials are


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Children of the best trials so far: uniform crossover, then mutation of about one parameter."""
    import optuna

    population = min(POPULATION, max(2, len(told(past))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIIISampler(
            seed=seed,
            population_size=population,
            dividing_parameter=divisions(len(problem.objectives), population),
        )
    return ask(sampler, problem, past, n)


def divisions(objectives: int, population: int) -> int:
    """The fewest parts of each axis that give at least one reference direction for each member of the population:
    there are comb(objectives + p - 1, p) of them (Das and Dennis)."""
    if objectives < 2:
        return 1
    p = 1
    while comb(objectives + p - 1, p) < population:
        p += 1
    return p
