"""What a strategy may know of the past, and the way from there through Optuna's samplers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Past:
    """A finished trial: its choices, the metric (maximised), the cost (minimised), and by how much it
    exceeds each limit of the budget (relative; 0 or less is inside)."""

    chosen: Mapping[str, str]
    metric: float
    cost: float
    excess: Mapping[str, float] = field(default_factory=dict)


def ask(sampler, parameters: Mapping[str, tuple[str, ...]], past: Sequence[Past], n: int) -> list[dict[str, str]]:
    """`n` proposals of an Optuna sampler that has seen `past`; none repeats another or the past.

    The study lives in memory and is made anew from the trials, so that costs which reports have
    corrected count with their new values, and a resumed search proposes what an undisturbed one would.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    # Choices are listed in order of cost: as integers their neighbourhood counts.
    distributions = {n: optuna.distributions.IntDistribution(0, len(options) - 1) for n, options in parameters.items()}
    for trial in past:
        study.add_trial(
            optuna.trial.create_trial(
                params={name: options.index(trial.chosen[name]) for name, options in parameters.items()},
                distributions=distributions,
                values=[trial.metric, trial.cost],
                # Optuna's own places for constraints and for NSGA-II's generation: the whole past is the parents'.
                system_attrs={f"constraints:{name}": value for name, value in trial.excess.items()}
                | {"NSGAIISampler:generation": 0},
            )
        )
    seen = {tuple(sorted(trial.chosen.items())) for trial in past}
    found: list[dict[str, str]] = []
    for _ in range(20 * n):  # a small space may hold fewer than n unseen designs
        if len(found) == n:
            break
        places = study.ask(distributions).params
        chosen = {name: options[places[name]] for name, options in parameters.items()}
        key = tuple(sorted(chosen.items()))
        if key not in seen:
            seen.add(key)
            found.append(chosen)
    return found
