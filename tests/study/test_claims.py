"""One worker trains a batch, the others wait for it, and a dead one's batch is taken over."""

import os
import signal
import time

import pytest
from study.examples import SIZE, assert_once, place, trials
from study.workers import FORK, at_once, start, together

from flow.errors import Storage
from flow.study import claim_batch
from flow.study.claims import is_claimed


def test_one_trains_and_what_is_done_is_not_done_again(tmp_path):
    with claim_batch(tmp_path, "x") as mine:
        assert mine and is_claimed(tmp_path, "x")
        with claim_batch(tmp_path, "x", done=lambda: True) as other:
            assert not other
        with claim_batch(tmp_path, "y") as another:
            assert another
    assert not is_claimed(tmp_path, "x") and list(tmp_path.iterdir()) == []
    with claim_batch(tmp_path, "x", done=lambda: True) as mine:
        assert not mine


def test_done_is_asked_again_when_the_claim_was_won(tmp_path):
    """Another worker ended between the first look and the claim."""
    said = iter([False, True])
    with claim_batch(tmp_path, "x", done=lambda: next(said)) as mine:
        assert not mine
    assert list(tmp_path.iterdir()) == []


def test_an_error_frees_the_claim(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with claim_batch(tmp_path, "x"):
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_can_not_be_written(tmp_path):
    (tmp_path / "x").write_text("a file")
    with pytest.raises(Storage, match="can't be written there"):
        with claim_batch(tmp_path / "x" / "claims", "y"):
            pass


def hold(folder, told):
    with claim_batch(folder, "x") as mine:
        told.put(mine)
        time.sleep(600)


def test_a_batch_whose_worker_was_killed_is_taken_over(tmp_path):
    told = FORK.Queue()
    holder = FORK.Process(target=hold, args=(tmp_path, told), daemon=True)
    holder.start()
    assert told.get(timeout=300) is True
    waiter = FORK.Process(target=hold, args=(tmp_path, told), daemon=True)
    waiter.start()
    time.sleep(0.5)
    assert told.empty()
    os.kill(holder.pid, signal.SIGKILL)
    assert told.get(timeout=300) is True
    waiter.kill()
    for process in (holder, waiter):
        process.join()


def test_waiting_workers_do_nothing_twice(tmp_path):
    at = place(tmp_path)
    workers = [start(tmp_path, at, "jets", 4, 0.05, False) for _ in range(4)]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted((tmp_path / "log").read_text().split()) == list("0123")


@pytest.mark.slow
def test_workers_that_are_killed_lose_and_double_nothing(tmp_path):
    assert_once(together(tmp_path, ""), trials(4 * SIZE))


@pytest.mark.slow
def test_workers_of_a_journal_that_are_killed_lose_and_double_nothing(tmp_path):
    assert_once(together(tmp_path, "journal:x.log", batches=20, kills=20, pause_s=0.1), trials(20 * SIZE))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "journal:x.log"], ids=["sqlite", "journal"])
def test_many_bring_one_study_up_at_once(tmp_path, text):
    assert_once(at_once(tmp_path, text), trials(24))
