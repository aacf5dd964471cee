"""Random search: every unseen design is as likely as any other. The line that others must beat."""

from collections.abc import Sequence

from flow.search.asking import ask
from flow.search.problem import Past, Problem, Proposal


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Uniform and independent draws; the past matters only in that nothing is proposed twice."""
    import optuna

    return ask(optuna.samplers.RandomSampler(seed=seed), problem, past, n)
