"""A study on a real PostgreSQL: many workers, wrong passwords, a server that goes away and comes back."""

import threading
import time

import pytest
from study.examples import SIZE, assert_once, place, read, states, study, trials
from study.server import PASSWORD, server  # noqa: F401 - a fixture
from study.workers import at_once, together

from flow.errors import Storage
from flow.study import OtherStudy, check, claim_batch
from flow.study import study as study_module
from flow.study.storage import opened

pytestmark = pytest.mark.slow


@pytest.fixture
def up(server):  # noqa: F811
    """The server, running."""
    if not server.running():
        server.start()
    return server


@pytest.fixture
def mine(up, tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "PAUSE_S", 0.05)
    return study(place(tmp_path, up.url()), tmp_path, name=f"jets-{tmp_path.name}")


def hidden(line: str) -> bool:
    return PASSWORD not in line and "se%25cret" not in line and "\n" not in line


def test_a_batch_from_its_proposal_to_its_end(mine):
    mine.open()
    with claim_batch(mine.claims, mine.batch_name(0)):
        assert mine.sync(trials(0, 4)) == ""
        assert states(mine) == ["RUNNING"] * 4
    assert mine.sync(trials(0, 4)) == "" and states(mine) == ["WAITING"] * 4
    assert mine.sync(trials(4)) == "" and mine.sync(trials(4)) == ""
    assert_once(mine, trials(4))
    with opened(mine.place) as storage:
        said = str(storage.get_study_user_attrs(storage.get_study_id_from_name(mine.name)))
        assert PASSWORD not in said + str([row.user_attrs for row in read(mine)])


def test_a_wrong_password_and_a_database_that_is_not_there(up, tmp_path):
    for url, said in ((up.url("other/wrong"), "password authentication failed"), (up.url(database="no"), "not exist")):
        with pytest.raises(Storage, match=said) as caught:
            check(place(tmp_path, url))
        line = str(caught.value)
        assert hidden(line) and "other" not in line


def test_a_study_of_another_task(mine, tmp_path):
    mine.sync(trials(1))
    other = study(mine.place, tmp_path, name=mine.name, notes={"task": "mnist"})
    with pytest.raises(OtherStudy, match="optuna delete-study") as caught:
        other.open()
    assert hidden(str(caught.value))


def test_workers_that_are_killed_lose_and_double_nothing(up, tmp_path):
    assert_once(together(tmp_path, up.url(), name="killed"), trials(4 * SIZE))


def test_many_bring_one_study_up_at_once(up, tmp_path):
    assert_once(at_once(tmp_path, up.url(), name="at-once"), trials(24))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_goes_away_and_comes_back(mine, up, mode):
    assert mine.sync(trials(2)) == ""
    up.stop(mode)
    line = mine.sync(trials(3))
    assert hidden(line) and "refused" in line and "the search goes on" in line
    assert mine.sync(trials(4)) == "" and mine.behind  # said once
    with pytest.raises(Storage) as caught:
        mine.open()
    assert hidden(str(caught.value))
    up.start()
    assert mine.sync(trials(5)) == "" and not mine.behind
    assert_once(mine, trials(5))


def test_a_server_that_dies_in_the_middle_of_writing(mine, up):
    """Killed at several moments of a sync; what it says is one line, and nothing is lost or doubled afterwards."""
    lines = []
    for count, wait in ((8, 0.05), (16, 0.3), (24, 0.6)):
        syncing = threading.Thread(target=lambda: lines.append(mine.sync(trials(count))))
        syncing.start()
        time.sleep(wait)
        up.stop("immediate")
        syncing.join(120)
        assert not syncing.is_alive()
        up.start()
    assert all(hidden(line) for line in lines) and any(lines)
    assert mine.sync(trials(24)) == ""
    assert_once(mine, trials(24))


def test_a_server_that_comes_back_within_a_sync(mine, up, monkeypatch):
    """It is tried again a few times."""
    monkeypatch.setattr(study_module, "PAUSE_S", 2.0)
    up.stop()
    back = threading.Timer(0.5, up.start)
    back.start()
    assert mine.sync(trials(2)) == ""
    back.join()
    assert_once(mine, trials(2))
