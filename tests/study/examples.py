"""Trials and studies small enough to check by hand."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from flow.design import Design, LayerDesign
from flow.formats import Fixed
from flow.metrics import Fidelity, figure
from flow.search.problem import Objective
from flow.study import Place, State, Study, Trial, storage_of

PARAMETERS = {
    "fc0.kernel": ("quantized_bits(2)", "quantized_bits(4)", "quantized_bits(6)"),
    "fc1.kernel": ("quantized_bits(2)", "quantized_bits(4)", "quantized_bits(6)"),
    "fc0.keep": ("0.2", "0.5", "1"),
}
OBJECTIVES = (Objective("accuracy", True), Objective("lut", False), Objective("latency_ns", False))
LIMITS = {"lut": 104.0}
NOTES = {"task": "jets", "strategy": "random", "seed": 3, "versions": {"flow": "1"}, "commit": "abc"}
SIZE = 4  # trials of a batch


def chosen(number: int) -> dict[str, str]:
    return {name: options[number // 3**i % 3] for i, (name, options) in enumerate(PARAMETERS.items())}


def design(number: int) -> Design:
    row = chosen(number)
    form = {name: Fixed(int(row[f"{name}.kernel"][-2]), 0) for name in ("fc0", "fc1")}
    return Design(
        Fixed(8, 3),
        (
            ("fc0", LayerDesign(form["fc0"], Fixed(6, 1), None, float(row["fc0.keep"]))),
            ("fc1", LayerDesign(form["fc1"], Fixed(6, 1), None)),
        ),
    )


def trial(number: int, state: State = State.TRAINED, **more) -> Trial:
    """Trial `number` (under 27), in batches of `SIZE`; LUTs grow with the number, and from 5 on exceed the limit."""
    figures = {
        "accuracy": figure("accuracy", 0.7 + number / 100, Fidelity.MEASURED, error=0.001),
        "lut": figure("lut", 100.0 + number, Fidelity.MODEL),
        "latency_ns": figure("latency_ns", 50.0 - number, Fidelity.MODEL),
    }
    return Trial(
        number,
        1,
        chosen(number),
        design(number),
        state,
        **{
            "figures": {} if state is State.PROPOSED else figures,
            "epochs": 0 if state is State.PROPOSED else 12,
            "seconds": 0.0 if state is State.PROPOSED else 1.5,
            "parent": number - 1 if number else None,
            "by": "random",
            "seed": 3,
            "batch": number // SIZE * SIZE,
        }
        | more,
    )


def trials(count: int, proposed: int = 0) -> list[Trial]:
    """`count` trained trials, and `proposed` more that are not trained yet."""
    states = [State.TRAINED] * count + [State.PROPOSED] * proposed
    return [trial(number, state) for number, state in enumerate(states)]


def place(folder: Path, storage: str = "") -> Place:
    return storage_of(storage, folder / "study.db", folder)


def study(at: Place, folder: Path, **more) -> Study:
    rest = {
        "name": "jets-0123",
        "objectives": OBJECTIVES,
        "parameters": PARAMETERS,
        "limits": LIMITS,
        "notes": NOTES,
        "claims": folder / "claims",
    }
    return Study(at, **rest | more)


def read(study: Study) -> list:
    """Its trials as Optuna reads them, by a way of its own."""
    import optuna

    if study.place.url:
        storage = optuna.storages.RDBStorage(study.place.url)
    else:
        backend = optuna.storages.journal.JournalFileBackend(str(study.place.path))
        storage = optuna.storages.JournalStorage(backend)
    found = optuna.load_study(study_name=study.name, storage=storage)
    rows = found.get_trials()
    if study.place.url:
        storage.remove_session()
        storage.engine.dispose()
    return rows


def states(study: Study) -> list[str]:
    return [row.state.name for row in read(study)]


def numbers(study: Study) -> list[int]:
    return [row.user_attrs["trial"] for row in read(study)]


def assert_once(study: Study, trials: Sequence[Trial]) -> None:
    """Every trial is there once, over, with its own values."""
    rows = read(study)
    assert [row.user_attrs["trial"] for row in rows] == [trial.number for trial in trials]
    for row, trial in zip(rows, trials):
        if trial.state is State.FAILED:
            assert row.state.name == "FAIL" and row.values is None
        else:
            assert row.state.name == "COMPLETE"
            assert row.values == [trial.figures[o.name].value for o in OBJECTIVES]


def rows_of(path: Path, query: str) -> list:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()
