"""The Optuna study that is made from trials: each once, brought up to date, and refused where it is another's."""

from dataclasses import replace
from itertools import count

import optuna
import pytest
from study.examples import (
    LIMITS,
    NOTES,
    OBJECTIVES,
    PARAMETERS,
    assert_once,
    numbers,
    place,
    read,
    states,
    study,
    trial,
    trials,
)

from flow.errors import Storage
from flow.metrics import Fidelity, figure
from flow.search.problem import Objective
from flow.study import OtherStudy, State, check, claim_batch
from flow.study import study as study_module
from flow.study.storage import opened

SQLITE = pytest.param("", marks=pytest.mark.slow, id="sqlite")  # each takes a second
JOURNAL = pytest.param("journal:x.log", id="journal")


@pytest.fixture(params=[SQLITE, JOURNAL])
def mine(request, tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "PAUSE_S", 0.01)
    return study(place(tmp_path, request.param), tmp_path)


def attributes(mine) -> dict:
    with opened(mine.place) as storage:
        return optuna.load_study(study_name=mine.name, storage=storage).user_attrs


def test_a_batch_from_its_proposal_to_its_end(mine):
    mine.open()
    assert states(mine) == []
    with claim_batch(mine.claims, mine.batch_name(0)) as ours:
        assert ours and mine.sync(trials(0, 4)) == ""
        assert states(mine) == ["RUNNING"] * 4
    done = [*trials(3), trial(3, State.FAILED, figures={}, reason="no numbers any more in epoch 2", epochs=2)]
    assert mine.sync(done) == ""
    assert_once(mine, done)
    rows = read(mine)
    assert rows[3].user_attrs["reason"] == "no numbers any more in epoch 2" and rows[3].user_attrs["epochs"] == 2
    assert [row.number for row in rows] == [0, 1, 2, 3]  # Optuna's numbers are ours


def test_trials_that_are_over_at_once_say_the_same(mine, tmp_path):
    """A study made anew from the steps is as one that was there all the time."""
    other = replace_place(mine, tmp_path, "other")
    with claim_batch(mine.claims, mine.batch_name(0)):
        mine.sync(trials(0, 4))
    mine.sync(trials(4))
    other.sync(trials(4))
    for row, anew in zip(read(mine), read(other), strict=True):
        assert (row.params, row.distributions, row.values) == (anew.params, anew.distributions, anew.values)
        assert (row.user_attrs, row.system_attrs, row.state) == (anew.user_attrs, anew.system_attrs, anew.state)


def replace_place(mine, folder, name):
    text = f"journal:{name}" if not mine.place.url else f"sqlite:///{name}"
    return study(place(folder, text), folder)


def test_what_a_trial_says(mine):
    mine.sync(trials(6))
    row = read(mine)[5]
    assert row.params == trial(5).chosen
    assert row.distributions["fc0.keep"].choices == PARAMETERS["fc0.keep"]
    said = row.user_attrs
    assert (said["trial"], said["batch"], said["parent"], said["by"], said["seed"]) == (5, 4, 4, "random", 3)
    assert (said["epochs"], said["seconds"], said["round"]) == (12, 1.5, 1)
    assert said["digest"] == trial(5).design.digest and said["design"] == trial(5).design.to_json()
    assert said["figures"]["lut"] | {"error": 0} == {
        "name": "lut", "value": 105.0, "unit": "LUT", "fidelity": "model",
        "error": 0, "implementation": None, "tool": None,
    }  # fmt: skip
    assert (said["versions"], said["commit"]) == (NOTES["versions"], NOTES["commit"])
    assert said["excess"] == {"lut": pytest.approx(105 / 104 - 1)}
    assert (row.datetime_complete - row.datetime_start).total_seconds() == pytest.approx(1.5, abs=0.01)


def test_names_directions_and_constraints_are_optunas(mine):
    mine.sync(trials(6))
    with opened(mine.place) as storage:
        found = optuna.load_study(study_name=mine.name, storage=storage)
        assert found.metric_names == ["accuracy", "lut", "latency_ns"]
        assert [d.name for d in found.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
        # Every trial is on the front; those above the limit are not feasible, which Optuna sees.
        assert [row.number for row in found.best_trials] == [0, 1, 2, 3, 4]
        assert found.user_attrs["task"] == "jets" and found.user_attrs["limits"] == LIMITS


def test_optunas_samplers_go_on_from_it(mine):
    mine.sync(trials(8))
    with opened(mine.place) as storage:
        found = optuna.load_study(study_name=mine.name, storage=storage, sampler=optuna.samplers.TPESampler(seed=1))
        distributions = {n: optuna.distributions.CategoricalDistribution(o) for n, o in PARAMETERS.items()}
        assert set(found.ask(distributions).params) == set(PARAMETERS)


def test_again_and_again_writes_nothing(mine):
    with claim_batch(mine.claims, mine.batch_name(4)):
        report = {trial(1).design.digest: {"lut": figure("lut", 90.0, Fidelity.SYNTH, error=0.0, tool="yosys")}}
        mine.sync(trials(4, 2), report)
        before, time = mine.place.path.read_bytes(), mine.place.path.stat().st_mtime_ns
        for _ in range(2):
            assert mine.sync(trials(4, 2), report) == ""
        mine.open()
        check(mine.place)
        assert (mine.place.path.read_bytes(), mine.place.path.stat().st_mtime_ns) == (before, time)


def test_reports_stand_with_the_study(mine):
    """Optuna lets nobody change what is over."""
    mine.sync(trials(3))
    with opened(mine.place) as storage, pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_user_attr(storage.get_trial_id_from_study_id_trial_number(
            storage.get_study_id_from_name(mine.name), 1), "lut", 1)  # fmt: skip
    for value in (90.0, 95.0):
        report = {trial(1).design.digest: {"lut": figure("lut", value, Fidelity.SYNTH, error=0.0, tool="yosys 0.7")}}
        assert mine.sync([*trials(1), trial(1, State.TRAINED), trial(2)], report) == ""
        found = attributes(mine)["reported trial 1"]["lut"]
        assert (found["value"], found["fidelity"], found["tool"]) == (value, "synth", "yosys 0.7")
    assert_once(mine, trials(3))


def test_a_dead_workers_trials_wait_and_are_counted_once(mine):
    with claim_batch(mine.claims, mine.batch_name(0)):
        mine.sync(trials(0, 4))
    assert states(mine) == ["RUNNING"] * 4  # its worker is gone
    mine.sync(trials(0, 4))
    assert states(mine) == ["WAITING"] * 4
    with claim_batch(mine.claims, mine.batch_name(0)):
        mine.sync(trials(0, 4))
        assert states(mine) == ["RUNNING"] * 4
    mine.sync(trials(2, 2))
    assert states(mine) == ["COMPLETE"] * 2 + ["WAITING"] * 2
    mine.sync(trials(4))
    assert_once(mine, trials(4))


def test_what_another_worker_has_proposed_is_its_own(mine):
    """A worker that knows fewer trials leaves those of a living one, and has a dead one's wait."""
    with claim_batch(mine.claims, mine.batch_name(4)):
        mine.sync(trials(4, 4))
        mine.sync(trials(4))
        assert states(mine) == ["COMPLETE"] * 4 + ["RUNNING"] * 4
    mine.sync(trials(4))
    assert states(mine) == ["COMPLETE"] * 4 + ["WAITING"] * 4


def test_cut_short_anywhere(tmp_path, monkeypatch):
    """The storage fails at the nth write of a batch; the next sync adds what is missing, and nothing twice."""
    monkeypatch.setattr(study_module, "TRIES", 1)
    journal = optuna.storages.journal.JournalFileBackend
    append = journal.append_logs
    for step in count(1):
        mine = study(place(tmp_path, f"journal:{step}.log"), tmp_path)
        mine.sync(trials(0, 2))
        writes = count(1)

        def failing(self, logs):
            if next(writes) == step:
                raise OSError(28, "No space left on device")
            append(self, logs)

        with monkeypatch.context() as patch:
            patch.setattr(journal, "append_logs", failing)
            line = mine.sync(trials(4))
        if not line:
            break
        assert "No space left on device" in line and "the search goes on" in line
        assert mine.sync(trials(4)) == ""
        assert_once(mine, trials(4))
    assert step > 12


def test_a_double_is_ended_and_does_not_count(mine):
    """Only a worker that was taken for dead and comes back can make one."""
    mine.sync(trials(2, 1))
    with opened(mine.place) as storage:
        optuna.load_study(study_name=mine.name, storage=storage).add_trial(mine._new(trial(2, State.PROPOSED)))
    assert numbers(mine) == [0, 1, 2, 2]
    assert mine.sync(trials(3)) == ""
    assert states(mine) == ["COMPLETE"] * 3 + ["FAIL"]
    assert read(mine)[3].user_attrs["reason"] == "trial 2 again"


def test_trials_of_others_are_left_alone(mine):
    mine.sync(trials(1))
    with opened(mine.place) as storage:
        optuna.load_study(study_name=mine.name, storage=storage).enqueue_trial(trial(9).chosen)
    assert mine.sync(trials(2)) == ""
    assert states(mine) == ["COMPLETE", "WAITING", "COMPLETE"]


def test_an_objective_without_a_value_is_a_failed_trial(mine):
    odd = trial(1, figures=trial(1).figures | {"lut": figure("lut", float("nan"), Fidelity.MODEL)})
    infinite = trial(2, figures=trial(2).figures | {"lut": figure("lut", float("inf"), Fidelity.MODEL)})
    assert mine.sync([trial(0), odd, infinite]) == ""
    assert states(mine) == ["COMPLETE", "FAIL", "FAIL"]
    said = read(mine)[1].user_attrs
    assert said["reason"] == "an objective has no value" and said["figures"]["lut"]["value"] is None


def test_a_study_that_was_deleted_is_made_anew(mine):
    mine.sync(trials(3))
    with opened(mine.place) as storage:
        storage.delete_study(storage.get_study_id_from_name(mine.name))
    assert mine.sync(trials(4)) == ""
    assert_once(mine, trials(4))


def test_several_studies_share_a_place(mine, tmp_path):
    other = study(mine.place, tmp_path, name="other", objectives=OBJECTIVES[:2], notes={"task": "mnist"})
    mine.sync(trials(3))
    other.sync(trials(2))
    mine.sync(trials(4))
    assert_once(mine, trials(4))
    assert numbers(other) == [0, 1] and read(other)[1].values == [0.71, 101.0]


@pytest.mark.parametrize("more, said", [
    ({"notes": NOTES | {"task": "mnist"}}, "task is 'jets', not 'mnist'"),
    ({"objectives": OBJECTIVES[:2]}, "its objectives is"),
    ({"objectives": (Objective("accuracy", True), Objective("lut", True), OBJECTIVES[2])}, "its objectives is"),
    ({"limits": {"lut": 200.0}}, "its limits is {'lut': 104.0}"),
    ({"parameters": PARAMETERS | {"fc0.keep": ("0.2", "1")}}, "its parameters or their choices differ"),
])  # fmt: skip
def test_a_study_of_something_else(mine, tmp_path, more, said):
    mine.sync(trials(2))
    other = study(mine.place, tmp_path, **more)
    with pytest.raises(OtherStudy) as caught:
        other.open()
    line = str(caught.value)
    assert said in line and "jets-0123" in line and "made anew from the steps" in line and "\n" not in line
    assert other.sync(trials(3)) == line
    assert_once(mine, trials(2))


def test_a_study_of_an_older_schema(mine):
    """As it was written before studies said their schema: two objectives, and the task among the notes."""
    with opened(mine.place) as storage:
        old = optuna.create_study(study_name=mine.name, storage=storage, directions=["maximize", "minimize"])
        old.set_user_attr("task", "jets")
    with pytest.raises(OtherStudy, match="written in schema 1, and this program writes schema 2"):
        mine.open()


def test_an_empty_study_of_other_directions(mine):
    with opened(mine.place) as storage:
        optuna.create_study(study_name=mine.name, storage=storage, directions=["maximize"])
    with pytest.raises(OtherStudy, match="schema"):
        mine.open()


def test_a_study_that_was_just_being_made(mine):
    """Its maker was killed between two writes."""
    directions = ["maximize", "minimize", "minimize"]
    with opened(mine.place) as storage:
        begun = optuna.create_study(study_name=mine.name, storage=storage, directions=directions)
    mine.open()
    assert mine.sync(trials(1)) == ""
    with opened(mine.place) as storage:
        storage.delete_study(storage.get_study_id_from_name(mine.name))
        begun = optuna.create_study(study_name=mine.name, storage=storage, directions=directions)
        begun.set_user_attr("task", "jets")
    with pytest.raises(OtherStudy, match="schema 1"):
        mine.open()


def test_another_run_of_the_same_search(mine):
    mine.sync(trials(2))
    line = mine.sync([trial(0), replace(trial(2), number=1)])
    assert "trial 1" in line and trial(1).design.digest in line and "another run" in line and "\n" not in line
    assert_once(mine, trials(2))


def test_a_place_that_is_away_for_a_while(mine):
    """The search goes on, one line says so, and afterwards nothing is missing."""
    mine.sync(trials(2))
    aside = mine.place.path.with_name("aside")
    mine.place.path.rename(aside)
    mine.place.path.mkdir()
    line = mine.sync(trials(3))
    assert "the search goes on" in line and "\n" not in line and mine.behind
    assert mine.sync(trials(4)) == "" and mine.behind  # said once
    with pytest.raises(Storage):
        mine.open()
    mine.place.path.rmdir()
    aside.rename(mine.place.path)
    assert mine.sync(trials(5)) == "" and not mine.behind
    assert_once(mine, trials(5))


def test_studies_are_named_by_strategy_and_seed(tmp_path):
    """Searches of one task by several strategies and seeds stand side by side, each under a name that can be read."""
    names = [f"jets 2-{strategy}-{seed}-0123abcd" for strategy in ("evolve", "auto") for seed in (1, 12)]
    for name in names:
        own = study(place(tmp_path, "journal:x"), tmp_path, name=name)
        own.open()
        with claim_batch(own.claims, own.batch_name(0)) as ours:
            assert ours and own.sync(trials(2, 1)) == ""
        assert states(own) == ["COMPLETE", "COMPLETE", "RUNNING"]
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "x"))
    there = optuna.get_all_study_names(optuna.storages.JournalStorage(backend))
    assert sorted(there) == sorted(names)
