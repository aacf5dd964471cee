"""Claims between real processes: owners that are killed, stopped, reborn, on another machine."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from flow import claim

FORK = multiprocessing.get_context("fork")


def until(condition, seconds=20.0):
    """Wait for something that must come, however slow the machine is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def hold(folder, told, host=None):
    """Claim ``x`` and keep it until killed."""
    mine = claim.take(folder, "x", claim.here(host))
    told.put(None if mine is None else mine.owner.token)
    while True:
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """Start a process that holds ``x`` in `tmp_path`."""
    children = []

    def start(host=None):
        told = FORK.Queue()
        child = FORK.Process(target=hold, args=(tmp_path, told, host), daemon=True)
        child.start()
        children.append(child)
        assert told.get(timeout=300) is not None
        return child

    yield start
    for child in children:
        child.kill()
        child.join()


@pytest.fixture
def quick(monkeypatch):
    """Owners elsewhere beat and are given up in fractions of a second."""
    monkeypatch.setattr(claim, "BEAT_S", 0.05)
    monkeypatch.setattr(claim, "LOST_S", 0.4)


def write(folder, owner, number=1, counter="0" * 12):
    """A claim as its owner left it."""
    path = folder / f".x.claim-{number}"
    path.write_text(json.dumps(asdict(owner) | {"counter": counter}))
    return path


def test_one_at_a_time(tmp_path):
    with claim.take(tmp_path, "x") as mine:
        assert mine.held
        assert claim.take(tmp_path, "x") is None
        found = claim.holder(tmp_path, "x")
        assert (found.pid, found.host, found.token) == (os.getpid(), claim.here().host, mine.owner.token)
        with claim.take(tmp_path, "y"):  # another name is free
            pass
    assert claim.holder(tmp_path, "x") is None
    assert list(tmp_path.iterdir()) == []
    claim.take(tmp_path, "x").release()


def test_names_that_begin_alike_are_different(tmp_path):
    with claim.take(tmp_path, "x"), claim.take(tmp_path, "x.claim-1"):
        assert claim.take(tmp_path, "x") is None
    assert claim.holder(tmp_path, "x") is None


def test_no_folder(tmp_path):
    assert claim.holder(tmp_path / "none", "x") is None
    with pytest.raises(FileNotFoundError):
        claim.take(tmp_path / "none", "x")


def test_another_process_holds_until_it_is_killed(tmp_path, holder):
    child = holder()
    assert claim.take(tmp_path, "x") is None
    assert claim.holder(tmp_path, "x").pid == child.pid
    child.kill()
    child.join()
    assert claim.holder(tmp_path, "x") is None
    with claim.take(tmp_path, "x") as mine:
        assert mine.held
        assert [p.name for p in tmp_path.iterdir()] == [".x.claim-2"]  # the dead one's is swept


def test_a_process_that_has_ended_but_was_not_waited_for_is_dead(tmp_path, holder):
    child = holder()
    child.kill()
    until(lambda: claim._start(child.pid) in ("ended", None))
    assert claim.holder(tmp_path, "x") is None


def test_a_number_that_was_given_to_another_process(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        living = replace(claim.here(), pid=other.pid, start=claim._start(other.pid))
        write(tmp_path, living)
        assert claim.take(tmp_path, "x") is None
        write(tmp_path, replace(living, start="1"))
        claim.take(tmp_path, "x").release()
    finally:
        other.kill()
        other.wait()


def test_a_claim_of_this_process_that_nobody_holds_any_more(tmp_path):
    write(tmp_path, claim.here())
    assert claim.holder(tmp_path, "x") is None
    claim.take(tmp_path, "x").release()


@pytest.mark.slow
def test_a_machine_elsewhere_is_believed_while_it_beats_and_given_up_when_it_stops(tmp_path, holder, quick):
    child = holder(host="elsewhere")
    end = time.monotonic() + 3 * claim.LOST_S
    while time.monotonic() < end:
        assert claim.holder(tmp_path, "x").host == "elsewhere"
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGSTOP)
    until(lambda: claim.holder(tmp_path, "x") is None)
    with claim.take(tmp_path, "x") as mine:
        os.kill(child.pid, signal.SIGCONT)  # it comes back, and must not touch what is ours now
        said = (tmp_path / ".x.claim-2").read_bytes()
        time.sleep(4 * claim.BEAT_S)
        assert [p.name for p in tmp_path.iterdir()] == [".x.claim-2"]
        assert json.loads(said)["token"] == mine.owner.token
        assert mine.held


def test_who_was_taken_for_dead_notices_and_leaves_the_successor_alone(tmp_path, quick, monkeypatch):
    late = claim.take(tmp_path, "x", claim.here("elsewhere"))
    late._ending.set()  # its beat stands still
    until(lambda: claim.holder(tmp_path, "x") is None)
    successor = claim.take(tmp_path, "x")
    assert not late.held and successor.held
    successor.release()
    again = claim.take(tmp_path, "x")  # begins at one: the file has the name that `late` had
    assert (tmp_path / ".x.claim-1").exists() and not late.held
    late.release()
    assert again.held
    again.release()


def test_a_gap_between_two_looks_is_not_silence(tmp_path, quick):
    """After a suspended machine or a file server that stood still, an owner gets the time to beat again."""
    write(tmp_path, replace(claim.here("elsewhere")))
    assert claim.holder(tmp_path, "x") is not None
    time.sleep(1.5 * claim.LOST_S)
    assert claim.holder(tmp_path, "x") is not None


def test_the_clock_of_files_counts_for_nothing(tmp_path, holder):
    """Whether the clock was set back or forward a year since: the living own, the dead don't."""
    child = holder()
    path = tmp_path / ".x.claim-1"
    for offset in (-3e7, 3e7):
        os.utime(path, (time.time() + offset, time.time() + offset))
        assert claim.take(tmp_path, "x") is None
    child.kill()
    child.join()
    claim.take(tmp_path, "x").release()


@pytest.mark.slow
def test_another_boot_or_another_container_is_another_machine(tmp_path, quick):
    """Their process numbers mean nothing here, so that only silence tells."""
    for other in (replace(claim.here(), boot="before"), replace(claim.here(), space="pid:[1]")):
        path = write(tmp_path, replace(other, pid=2**22 - 7))
        assert claim.holder(tmp_path, "x") is not None
        until(lambda: claim.holder(tmp_path, "x") is None)
        path.unlink()


@pytest.mark.parametrize("text", [b"", b'{"host": "a"', b"[]", b'{"host": 1}', b"\xff\xfe"])
def test_a_claim_that_is_being_written_holds_until_it_is_clear_that_it_is_not(tmp_path, quick, text):
    (tmp_path / ".x.claim-1").write_bytes(text)
    assert claim.take(tmp_path, "x") is None
    assert claim.holder(tmp_path, "x") == claim.Owner()
    until(lambda: claim.holder(tmp_path, "x") is None)
    claim.take(tmp_path, "x").release()


def test_a_link_in_place_of_a_claim_is_not_followed(tmp_path, quick):
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / ".x.claim-1").symlink_to(target)
    assert claim.take(tmp_path, "x") is None
    until(lambda: claim.holder(tmp_path, "x") is None)
    claim.take(tmp_path, "x").release()
    assert target.read_text() == "mine"


def contend(folder, turns):
    """Take ``x`` `turns` times; whoever finds another inside ends with an error."""
    for _ in range(turns):
        while (mine := claim.take(folder, "x")) is None:
            time.sleep(0.001)
        with mine:
            descriptor = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # fails where another is inside
            os.close(descriptor)
            with open(folder / "turns", "a") as stream:
                stream.write("x\n")
            os.unlink(folder / "inside")


def test_never_two_at_once(tmp_path):
    children = [FORK.Process(target=contend, args=(tmp_path, 20)) for _ in range(5)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 5
    assert (tmp_path / "turns").read_text().count("x") == 100
    assert sorted(p.name for p in tmp_path.iterdir()) == ["turns"]


def take_over(folder, gate, told):
    gate.wait()
    mine = claim.take(folder, "x")
    told.put(mine is not None)
    gate.wait()  # nobody lets go before all have tried


def test_one_of_many_takes_over(tmp_path, holder):
    for _ in range(5):
        child = holder()
        child.kill()
        child.join()
        gate, told = FORK.Barrier(5), FORK.Queue()
        children = [FORK.Process(target=take_over, args=(tmp_path, gate, told)) for _ in range(5)]
        for process in children:
            process.start()
        got = [told.get(timeout=300) for _ in children]
        for process in children:
            process.join()
        assert sum(got) == 1
    claim.take(tmp_path, "x").release()


def test_who_looked_long_ago_does_not_own_beside_another(tmp_path, monkeypatch):
    """It saw a dead owner of number 3; since then that was taken over, released, and claimed anew from 1."""
    with claim.take(tmp_path, "x") as mine:
        looks = iter([{3}])
        now = claim._numbers
        monkeypatch.setattr(claim, "_numbers", lambda *of: next(looks, None) or now(*of))
        assert claim.take(tmp_path, "x") is None
        assert mine.held
    assert list(tmp_path.iterdir()) == []


def test_the_group_may_read_a_claim_where_the_folder_is_the_groups(tmp_path):
    tmp_path.chmod(0o775)
    before = os.umask(0o077)
    try:
        with claim.take(tmp_path, "x"):
            assert (tmp_path / ".x.claim-1").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_the_file_of_a_claim_stays_json_while_it_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "BEAT_S", 0.02)
    with claim.take(tmp_path, "x") as mine:
        path = tmp_path / ".x.claim-1"
        until(lambda: int(json.loads(path.read_bytes())["counter"]) >= 3)
        assert json.loads(path.read_bytes())["token"] == mine.owner.token
