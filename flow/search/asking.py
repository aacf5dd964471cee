"""The way from the past through Optuna's samplers to proposals."""

import warnings
from collections.abc import Sequence

from flow.search.places import fresh, told
from flow.search.problem import Past, Problem, Proposal


def ask(sampler, problem: Problem, past: Sequence[Past], n: int, tries: int | None = None) -> list[Proposal]:
    """`n` proposals of an Optuna sampler that has seen `past`; none is forbidden, or repeats another or the past.

    The study lives in memory and is made anew from the trials, so that costs which reports have
    corrected count with their new values, and a resumed search proposes what an undisturbed one would.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = ["maximize" if objective.maximize else "minimize" for objective in problem.objectives]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(directions=directions, sampler=sampler)
    # Choices are listed in order of cost: as integers their neighbourhood counts.
    distributions = {
        name: optuna.distributions.IntDistribution(0, len(options) - 1) for name, options in problem.parameters.items()
    }
    for trial in told(past):
        study.add_trial(
            optuna.trial.create_trial(
                params={name: options.index(trial.chosen[name]) for name, options in problem.parameters.items()},
                distributions=distributions,
                values=list(trial.values),
                # Optuna's own places for constraints and for NSGA-II's generation: the whole past is the parents'.
                system_attrs={f"constraints:{name}": value for name, value in trial.excess.items()}
                | {f"{kind}:generation": 0 for kind in ("NSGAIISampler", "NSGAIIISampler")},
            )
        )

    def draw() -> dict[str, str]:
        places = study.ask(distributions).params
        return {name: options[places[name]] for name, options in problem.parameters.items()}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return fresh(problem, past, n, draw, tries)
