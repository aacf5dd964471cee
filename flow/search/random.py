"""Random search: every unseen design is as likely as any other. The line that others must beat."""

from collections.abc import Mapping, Sequence

from flow.search.history import Past, ask


def propose(parameters: Mapping[str, tuple[str, ...]], past: Sequence[Past], n: int, seed: int) -> list[dict[str, str]]:
    """Uniform and independent draws; the past matters only in that nothing is proposed twice."""
    import optuna

    return ask(optuna.samplers.RandomSampler(seed=seed), parameters, past, n)
