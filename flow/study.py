"""The trials of a task: what was proposed, how it was trained, and how it went; mirrored into Optuna's storage.

The steps on disk are the record; the Optuna study (SQLite) is made from them, so that optuna-dashboard
and other tools can read it, and can be lost without loss.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from flow.design import Design
from flow.errors import Storage
from flow.metrics import Figure
from flow.search.history import Past


class State(Enum):
    """How far a trial has come."""

    PROPOSED = "proposed"
    TRAINED = "trained"
    BUILT = "built"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """A design, how it was proposed and trained, and its figures. `member` is its place in step `step`; `epochs`, how
    many it was trained; `reason`, why no more."""

    number: int
    round: int
    chosen: Mapping[str, str]
    design: Design
    state: State
    figures: Mapping[str, Figure]
    step: str = ""
    member: int = 0
    reason: str = ""
    epochs: int = 0

    def to_json(self) -> dict:
        return {
            "number": self.number,
            "round": self.round,
            "digest": self.design.digest,
            "chosen": dict(self.chosen),
            "design": self.design.to_json(),
            "state": self.state.value,
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            "reason": self.reason,
            "epochs": self.epochs,
        }


def excess(figures: Mapping[str, Figure], limits: Mapping[str, float]) -> dict[str, float]:
    """By how much figures exceed limits, relative to them (0 or less is inside)."""
    found = {}
    for name, limit in limits.items():
        found[name] = figures[name].value / limit - 1.0 if limit else figures[name].value
    return found


def inside(figures: Mapping[str, Figure], limits: Mapping[str, float]) -> bool:
    """True where no figure exceeds its limit; a figure that is missing is not inside."""
    return all(name in figures and figures[name].value <= limit for name, limit in limits.items())


def pasts(
    trials: Sequence[Trial],
    metric: str,
    cost: str,
    limits: Mapping[str, float],
    costs: Mapping[str, Mapping[str, Figure]],
) -> list[Past]:
    """What strategies see of finished trials. `costs`: digest → the figures that count now, reported before predicted."""
    found = []
    for trial in trials:
        if trial.state in (State.TRAINED, State.BUILT):
            now = costs[trial.design.digest]
            found.append(Past(trial.chosen, trial.figures[metric].value, now[cost].value, excess(now, limits)))
    return found


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points (metric up, cost down) that no other point beats in one and equals in the other."""
    order = sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0]))
    best, kept = float("-inf"), []
    for i in order:
        if points[i][0] > best:
            best = points[i][0]
            kept.append(i)
    return kept


@contextmanager
def storage_errors(path: Path):
    """What goes wrong with the study's file, said in one line (Storage)."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Storage(f"{path}: {reason}; the study is made anew from the steps if the file is removed") from None


def mirror(
    path: Path,
    name: str,
    trials: Sequence[Trial],
    parameters: Mapping[str, tuple[str, ...]],
    metric: str,
    cost: str,
    notes: Mapping[str, object],
) -> None:
    """Bring the Optuna study `name` in the SQLite file up to the finished `trials` (each is added once).

    `notes` (seed, epochs, versions, commit ...) are recorded with the study and with every trial.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=name, storage=f"sqlite:///{path}", directions=["maximize", "minimize"], load_if_exists=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([metric, cost])
    for key, value in notes.items():
        study.set_user_attr(key, value)
    known = {trial.user_attrs.get("trial") for trial in study.get_trials(deepcopy=False)}
    distributions = {n: optuna.distributions.CategoricalDistribution(options) for n, options in parameters.items()}
    for trial in trials:
        if trial.number in known or trial.state is State.PROPOSED:
            continue
        row = trial.to_json()
        failed = trial.state is State.FAILED
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
                params=dict(trial.chosen),
                distributions=distributions,
                values=None if failed else [trial.figures[metric].value, trial.figures[cost].value],
                user_attrs={"trial": trial.number, **notes}
                | {k: row[k] for k in ("round", "digest", "design", "figures", "reason", "epochs")},
            )
        )
