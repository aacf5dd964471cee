"""The search as an Optuna study, made from the trials, so that optuna-dashboard and other tools can read it.

The steps on disk are the record. The study is brought up to it, again and again, and can be lost without loss: `sync`
adds what is missing, ends what has ended, and says in one line where the storage is away.
"""

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flow.errors import Storage
from flow.metrics import Figure
from flow.search.problem import Objective
from flow.store import digest_of
from flow.study.claims import batch_name, is_claimed
from flow.study.place import Place
from flow.study.storage import opened
from flow.study.trials import State, Trial, excess, values

if TYPE_CHECKING:
    import optuna

SCHEMA = 2  # of what we write into a study
TRIES = 3  # of one sync
PAUSE_S = 0.5  # before the second try; twice as long before each one after it

_CONSTRAINTS = "constraints"  # Optuna's own place for a list of numbers, of which 0 and less are feasible


class OtherStudy(Storage):
    """The storage has a study of this name that is not this search's."""


@dataclass
class Study:
    """The study `name` at a place.

    `notes` (task, strategy, seed, versions, commit ...) are recorded with the study, those of `TRIAL_NOTES` with every
    trial too. `claims` is the folder in which workers claim batches.
    """

    place: Place
    name: str
    objectives: Sequence[Objective]
    parameters: Mapping[str, Sequence[str]]
    limits: Mapping[str, float]
    notes: Mapping[str, object]
    claims: Path
    _trouble: str = field(default="", init=False)  # what was said last, empty when all was well
    _over: set[int] = field(default_factory=set, init=False)  # trials that were found to be over there, and ours

    TRIAL_NOTES = ("versions", "commit")

    def batch_name(self, batch: int) -> str:
        """The name under which the batch whose first trial has this number is claimed."""
        return batch_name(self.name, batch)

    def open(self) -> None:
        """Make the study where there is none. Storage where the place can't be used, or its study is another's."""
        with opened(self.place) as storage:
            self._study(storage)

    def sync(self, trials: Sequence[Trial], reported: Mapping[str, Mapping[str, Figure]] | None = None) -> str:
        """Bring the study up to `trials`, each of which is in it once whatever was interrupted when.

        Proposed trials are running where a living worker has claimed their batch, and wait otherwise, as those do that
        a dead worker has left running. `reported`: design digest → what tools said of it; Optuna lets nobody change
        trials that are over, so that this stands with the study, as "reported trial N".

        Returns in one line why the storage could not be brought up to date, where that is news; empty otherwise. The
        next call tries again. Nothing is written where nothing is new.
        """
        before, self._trouble = self._trouble, self._try(trials, reported or {}, 1 if self.behind else TRIES)
        return "" if self._trouble == before else self._trouble

    @property
    def behind(self) -> bool:
        """Whether the last `sync` did not succeed."""
        return bool(self._trouble)

    def _try(self, trials: Sequence[Trial], reported: Mapping[str, Mapping[str, Figure]], tries: int) -> str:
        """Why the study is not up to date after some tries; empty where it is."""
        pause = PAUSE_S
        while True:
            try:
                with opened(self.place) as storage:
                    self._bring(storage, trials, reported)
                return ""
            except OtherStudy as error:
                return str(error)
            except Storage as error:
                tries -= 1
                if tries <= 0:
                    return f"{error}; the search goes on, and the study is brought up to date when it can be"
                time.sleep(pause)
                pause *= 2

    def _study(self, storage) -> "optuna.Study":
        """Our study, made if it isn't there; OtherStudy where one of its name is of something else."""
        import optuna

        directions = ["maximize" if objective.maximize else "minimize" for objective in self.objectives]
        try:  # a journal notes also the making of a study that is there
            study = optuna.load_study(study_name=self.name, storage=storage)
        except KeyError:
            study = optuna.create_study(
                study_name=self.name, storage=storage, directions=directions, load_if_exists=True
            )
        ours = {
            "schema": SCHEMA,  # the first to be written
            "task": self.notes.get("task", ""),
            "objectives": [f"{d} {o.name}" for d, o in zip(directions, self.objectives)],
            "limits": dict(self.limits),
            "parameters": digest_of({name: list(options) for name, options in self.parameters.items()}),
        }
        found, there = study.user_attrs, [direction.name.lower() for direction in study.directions]
        new = not found and there == directions and not study.get_trials(deepcopy=False)
        wrong = "" if new else self._differs(found, ours, there == directions)
        if wrong:
            raise OtherStudy(f"{self.place.named}: the study {self.name} there {wrong}; {self.place.mend}")
        for key, value in (ours | {k: v for k, v in _plain(dict(self.notes)).items() if k not in ours}).items():
            if key not in found or found[key] != value:
                study.set_user_attr(key, value)
        names = [objective.name for objective in self.objectives]
        if study.metric_names != names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(names)
        return study

    def _differs(self, found: Mapping, ours: Mapping, directions: bool) -> str:
        """How a study that was found is not this search's; empty where it is."""
        schema = found.get("schema", 1)
        if schema != SCHEMA:
            return f"was written in schema {schema}, and this program writes schema {SCHEMA}"
        for key in ("task", "objectives", "limits"):
            if found.get(key, ours[key]) != ours[key]:
                return f"is another one: its {key} is {found[key]!r}, not {ours[key]!r}"
        if not directions:
            return "is another one: its objectives go other ways"
        same = found.get("parameters", ours["parameters"]) == ours["parameters"]
        return "" if same else "is another one: its parameters or their choices differ"

    def _bring(self, storage, trials: Sequence[Trial], reported: Mapping[str, Mapping[str, Figure]]) -> None:
        study = self._study(storage)
        there = self._once(storage, study.get_trials(deepcopy=False))
        for trial in sorted(trials, key=lambda trial: trial.number):
            if trial.number not in there:
                study.add_trial(self._new(trial))
            else:
                self._advance(storage, there[trial.number], trial)
        ours = {trial.number for trial in trials}
        for number, row in there.items():  # of workers that are ahead of us
            if number not in ours and row.state.name == "RUNNING":
                self._place(storage, row, row.user_attrs.get("batch", number))
        self._report(study, trials, reported)

    def _once(self, storage, rows: Sequence) -> dict[int, object]:
        """Our number → its trial there; of doubles, which only a worker that was taken for dead can make, the first."""
        found: dict[int, object] = {}
        for row in rows:
            number = row.user_attrs.get("trial")
            if not isinstance(number, int):
                continue  # added by hand
            if number in found and not row.state.is_finished():
                self._end(storage, row, {"reason": f"trial {found[number].number} again"}, None)
            found.setdefault(number, row)
        return found

    def _new(self, trial: Trial):
        """A trial as Optuna adds it, in one transaction."""
        import optuna

        state, told, marks = self._state(trial)
        added = optuna.trial.create_trial(
            state=state,
            params=dict(trial.chosen),
            distributions={
                name: optuna.distributions.CategoricalDistribution(tuple(self.parameters[name]))
                for name in trial.chosen
            },
            values=told,
            user_attrs=self._proposed(trial) | (self._result(trial) | marks if state.is_finished() else {}),
            system_attrs=self._constraints(trial) if state.is_finished() else {},
        )
        if state.is_finished() and math.isfinite(trial.seconds):
            added.datetime_start = added.datetime_complete - timedelta(seconds=trial.seconds)
        return added

    def _advance(self, storage, row, trial: Trial) -> None:
        """Bring a trial that is there to where it is by now; what is over stays as it is."""
        if row.state.is_finished() and trial.number in self._over:
            return
        digest = row.user_attrs.get("digest")
        if digest != trial.design.digest:
            raise OtherStudy(
                f"{self.place.named}: trial {trial.number} of the study {self.name} there is the design {digest}, and"
                f" here {trial.design.digest}: it is of another run; {self.place.mend}"
            )
        if row.state.is_finished():
            self._over.add(trial.number)
            return
        if trial.state is State.PROPOSED:
            self._place(storage, row, trial.batch)
            return
        state, told, marks = self._state(trial)
        for key, value in self._constraints(trial).items():
            self._running(storage, row)
            storage.set_trial_system_attr(row._trial_id, key, value)
        self._end(storage, row, self._result(trial) | marks, told)

    def _end(self, storage, row, attributes: Mapping[str, object], told: Sequence[float] | None) -> None:
        """End a trial: its values, or failed without them. Cut short anywhere, the next sync does it again."""
        from optuna.trial import TrialState

        self._running(storage, row)
        for key, value in attributes.items():
            if key not in row.user_attrs or row.user_attrs[key] != value:
                storage.set_trial_user_attr(row._trial_id, key, value)
        storage.set_trial_state_values(row._trial_id, TrialState.FAIL if told is None else TrialState.COMPLETE, told)

    def _running(self, storage, row) -> None:
        """Optuna writes into running trials alone."""
        from optuna.trial import TrialState

        if row.state is TrialState.WAITING:
            storage.set_trial_state_values(row._trial_id, TrialState.RUNNING)
            row.state = TrialState.RUNNING

    def _place(self, storage, row, batch: int) -> None:
        """A trial runs where a living worker has its batch, and waits for one otherwise."""
        from optuna.trial import TrialState

        wanted = TrialState.RUNNING if is_claimed(self.claims, self.batch_name(batch)) else TrialState.WAITING
        if row.state is not wanted:
            storage.set_trial_state_values(row._trial_id, wanted)

    def _state(self, trial: Trial):
        """The state in Optuna's words, the values of a completed trial, and what is to be said of one that has none."""
        from optuna.trial import TrialState

        if trial.state is State.PROPOSED:
            running = is_claimed(self.claims, self.batch_name(trial.batch))
            return (TrialState.RUNNING if running else TrialState.WAITING), None, {}
        if trial.state is State.FAILED:
            return TrialState.FAIL, None, {}
        told = values(trial.figures, self.objectives)
        if not told:
            return TrialState.FAIL, None, {"reason": "an objective has no value"}
        return TrialState.COMPLETE, list(told), {}

    def _proposed(self, trial: Trial) -> dict:
        """What is known of a trial before it is trained."""
        row = trial.to_json()
        keys = ("round", "batch", "by", "parent", "seed", "digest", "design")
        return (
            {"trial": trial.number}
            | {key: row[key] for key in keys}
            | _plain({key: self.notes[key] for key in self.TRIAL_NOTES if key in self.notes})
        )

    def _result(self, trial: Trial) -> dict:
        """What is known of it after."""
        row = trial.to_json()
        known = {name: limit for name, limit in self.limits.items() if name in trial.figures}
        return _plain(
            {key: row[key] for key in ("figures", "epochs", "seconds")}
            | ({"reason": trial.reason} if trial.reason else {})
            | {"excess": excess(trial.figures, known)}
        )

    def _constraints(self, trial: Trial) -> dict[str, list[float]]:
        """The budget as numbers, in the order of `limits`: at most 0 is inside; nothing where a figure is missing."""
        if not self.limits or any(name not in trial.figures for name in self.limits):
            return {}
        found = list(excess(trial.figures, self.limits).values())
        return {_CONSTRAINTS: found} if all(math.isfinite(value) for value in found) else {}

    def _report(self, study, trials: Sequence[Trial], reported: Mapping[str, Mapping[str, Figure]]) -> None:
        known = study.user_attrs if reported else {}
        for trial in trials if reported else ():
            figures = reported.get(trial.design.digest)
            if figures:
                key = f"reported trial {trial.number}"
                value = _plain({name: figure.to_json() for name, figure in figures.items()})
                if known.get(key) != value:
                    study.set_user_attr(key, value)


def _plain(value):
    """A JSON value in which what is no number is null: what reads it in a browser knows no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
