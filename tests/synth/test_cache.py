"""The cache of runs: found again, shared by racing processes, taken over, never wrong for a damaged record."""

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flow import claim, process
from flow.errors import BadInput, Storage, ToolFailed, Trouble
from flow.store import digest_of
from flow.synth import cache as cache_module
from flow.synth.cache import Cache, root
from flow.synth.entry import LOG_BYTES
from flow.synth.outcome import State
from flow.synth.report import Report, Stage
from flow.synth.tools.tool import Limits

FORK = multiprocessing.get_context("fork")
AT = ("yosys", "place1", "key1")


def until(condition, seconds=20.0):
    """Wait for something that must come, however slow the machine is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def report(lut=7, path="out/stat.json", **values):
    return Report(path, "yosys", "0.70", "rtl", Stage.SYNTH, "xc7a35tcpg236-1", lut=lut, **values)


def succeeds(lut=7, path="out/stat.json", keep=("out/*",), **values):
    def run(work: Path):
        assert list(work.iterdir()) == []
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(f"{lut} look-up tables\n")
        (work / "netlist.v").write_text("large")
        return report(lut, path, **values), keep

    return run


def fails(trouble, message="it broke"):
    def run(work: Path):
        (work / "tool.log").write_text("first\nERROR: it broke\n")
        raise ToolFailed(message, work / "tool.log", 2, trouble)

    return run


def never(work: Path):
    raise AssertionError("it was run again")


def compute(cache, run, at=AT, limits=Limits(), **options):
    return cache.compute(*at, run, tool_version="0.70", limits=limits, **options)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def entry(cache):
    return cache.root.joinpath(*AT)


@pytest.fixture
def quick(monkeypatch):
    """Waiting, beats and the patience with silent owners in fractions of a second."""
    monkeypatch.setattr(cache_module, "POLL_S", 0.05)
    monkeypatch.setattr(claim, "BEAT_S", 0.05)
    monkeypatch.setattr(claim, "LOST_S", 0.5)


def started(target, *arguments):
    child = FORK.Process(target=target, args=arguments)
    child.start()
    return child


# What was run once is there


def test_a_run_is_kept_and_found(cache, entry):
    assert cache.find(*AT) is None
    done = compute(cache, succeeds(messages=("fine",)))
    assert done.state is State.DONE and not done.cached and done.attempts == 1
    assert (done.report.lut, done.report.path, done.folder) == (7, "out/stat.json", entry)
    assert (done.host, done.pid) == (claim.here().host, os.getpid())
    assert (done.folder / done.report.path).read_text() == "7 look-up tables\n"
    assert files(cache.root) == ["yosys/place1/key1/out/stat.json", "yosys/place1/key1/outcome.json"]
    for found in (cache.find(*AT), compute(cache, never), compute(cache, never, again=True)):
        assert found == replace(done, cached=True)
    assert Cache(cache.root).find(*AT) == replace(done, cached=True)


def test_another_key_place_or_tool_is_another_run(cache):
    compute(cache, succeeds(1))
    others = [("yosys", "place1", "key2"), ("yosys", "place2", "key1"), ("vivado", "place1", "key1")]
    for lut, at in enumerate(others, 2):
        assert cache.find(*at) is None
        assert compute(cache, succeeds(lut), at).report.lut == lut
    assert [cache.find(*at).report.lut for at in (AT, *others)] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", ".hidden", "a\0b", "a b", "x" * 200])
@pytest.mark.parametrize("position", range(3))
def test_names_that_could_lead_elsewhere_are_refused(cache, name, position):
    at = list(AT)
    at[position] = name
    with pytest.raises(BadInput, match="is no name of a tool, place or key"):
        compute(cache, never, at)
    with pytest.raises(BadInput):
        cache.find(*at)


def test_slots_is_no_tool(cache):
    with pytest.raises(BadInput, match="slots"):
        cache.find("slots", "place1", "key1")


def test_any_version_is_the_newest(cache):
    assert cache.any_version("yosys", "place1") is None
    for number, version in enumerate(["2023.2", None, "2023.10", "2023.9.1"]):
        cache.compute(
            "yosys", "place1", f"key{number}", succeeds(number), tool_version=version, limits=Limits()
        )  # fmt: skip
    cache.compute("yosys", "place1", "key9", fails(Trouble.CRASH), tool_version="2030.1", limits=Limits())
    (cache.root / "yosys/place1/key2/outcome.json").write_text("{}")
    found = cache.any_version("yosys", "place1")
    assert (found.tool_version, found.report.lut, found.cached) == ("2023.9.1", 3, True)
    (cache.root / "yosys/place1/not a key").mkdir()
    assert cache.any_version("yosys", "place1") == found


# What is kept of a run


def test_only_files_of_the_run_itself_are_kept(cache, entry, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a.txt").write_text("secret")

    def run(work):
        result = succeeds()(work)
        (work / "out/link.txt").symlink_to(secret / "a.txt")
        (work / "out/inner.txt").symlink_to(work / "out/stat.json")
        (work / "away").symlink_to(secret)
        (work / "deep/er").mkdir(parents=True)
        (work / "deep/er/b.rpt").write_text("b")
        (work / "outcome.json").write_text("{}")
        os.mkfifo(work / "out/pipe.txt")
        return result[0], ("out/*", "away/*", "**/*.rpt", "*.json", "deep")

    compute(cache, run)
    assert files(entry) == ["deep/er/b.rpt", "out/stat.json", "outcome.json"]


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "out/../../*"])
def test_patterns_that_lead_out_are_refused(cache, entry, pattern):
    with pytest.raises(BadInput, match="leads out of the folder"):
        compute(cache, succeeds(keep=(pattern,)))
    assert files(cache.root) == [] and not list(entry.parent.iterdir())


def test_the_report_itself_is_always_kept_and_told_relative(cache):
    def run(work):
        found, _ = succeeds(messages=(f"{work}/out/stat.json: a warning",))(work)
        return replace(found, path=str(work / found.path)), ()

    done = compute(cache, run)
    assert done.report.path == "out/stat.json"
    assert done.report.messages == (f"{done.folder}/out/stat.json: a warning",)
    assert cache.find(*AT).report == done.report


@pytest.mark.parametrize("path", ["out/none.rpt", "../key1", "/etc/hostname", "out"])
def test_a_run_that_left_no_report_has_failed(cache, path):
    def run(work):
        return replace(succeeds()(work)[0], path=path), ()

    failed = compute(cache, run)
    assert failed.trouble is Trouble.REPORT and "missing or empty" in failed.message


# Failures


def test_a_failure_tells_log_and_line_and_keeps_what_tells_why(cache, entry):
    def run(work):
        (work / "deep").mkdir()
        for name in ("a.rpt", "deep/b.txt", "c.v", "d.xml", "netlist.il"):
            (work / name).write_text(name)
        with (work / "huge.txt").open("wb") as stream:
            stream.truncate(LOG_BYTES)
        fails(Trouble.CRASH, f"{work}/top.v: line 3 is wrong")(work)

    failed = compute(cache, run)
    assert (failed.state, failed.trouble, failed.log, failed.line) == (State.FAILED, Trouble.CRASH, "tool.log", 2)
    assert failed.message == f"{entry}/top.v: line 3 is wrong"
    assert failed.error.log.read_text().splitlines()[failed.line - 1] == "ERROR: it broke"
    assert files(entry) == ["a.rpt", "d.xml", "deep/b.txt", "outcome.json", "tool.log"]
    assert cache.find(*AT) == replace(failed, cached=True)


def test_a_log_of_another_suffix_or_elsewhere(cache, entry, tmp_path):
    def run(work, log):
        (work / "transcript").write_text("it broke\n")
        raise ToolFailed("it broke", log or work / "transcript", 1)

    assert compute(cache, lambda work: run(work, None)).log == "transcript"
    assert (entry / "transcript").exists()
    outside = tmp_path / "outside.log"
    outside.write_text("it broke\n")
    failed = compute(cache, lambda work: run(work, outside), ("yosys", "place1", "key2"))
    assert failed.log is None and outside.exists()


@pytest.mark.parametrize("trouble", [Trouble.CRASH, Trouble.REPORT])
def test_a_failure_that_no_second_try_mends_is_remembered_unless_asked(cache, trouble):
    compute(cache, fails(trouble))
    again = compute(cache, never)
    assert again.cached and again.trouble is trouble and again.attempts == 1
    mended = compute(cache, succeeds(), again=True)
    assert mended.state is State.DONE and mended.attempts == 2
    assert compute(cache, never).report.lut == 7


@pytest.mark.parametrize("trouble", [t for t in Trouble if t.may_pass] + [Trouble.MISSING])
def test_a_failure_that_may_pass_is_recorded_but_run_again(cache, entry, trouble):
    assert compute(cache, fails(trouble)).attempts == 1
    assert cache.find(*AT).trouble is trouble
    assert compute(cache, fails(trouble)).attempts == 2
    assert cache.find(*AT).attempts == 2
    done = compute(cache, succeeds())
    assert done.attempts == 3 and not done.cached
    assert files(entry) == ["out/stat.json", "outcome.json"]  # nothing of the failed run is left


@pytest.mark.parametrize(
    "trouble, under, same, larger",
    [
        (Trouble.TIMEOUT, Limits(10.0), Limits(5.0, 1.0), Limits(11.0)),
        (Trouble.TIMEOUT, Limits(10.0, 1.0), Limits(10.0), Limits(10.5, 1.0)),
        (Trouble.MEMORY, Limits(10.0, 2.0), Limits(99.0, 2.0), Limits(10.0, 2.5)),
        (Trouble.MEMORY, Limits(10.0, 2.0), Limits(10.0, 1.0), Limits(10.0, None)),
        (Trouble.MEMORY, Limits(10.0, None), Limits(10.0, None), None),
    ],
)
def test_a_limit_that_was_reached_is_remembered_up_to_that_limit(cache, trouble, under, same, larger):
    failed = compute(cache, fails(trouble), limits=under)
    assert failed.state is (State.TIMED_OUT if trouble is Trouble.TIMEOUT else State.FAILED)
    assert (failed.timeout_s, failed.memory_gb) == (under.timeout_s, under.memory_gb)
    assert compute(cache, never, limits=same).trouble is trouble
    if larger is not None:
        assert compute(cache, succeeds(), limits=larger).attempts == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, process.Stopped, BadInput, ValueError])
def test_what_is_no_failure_of_the_tool_is_raised_on_and_leaves_nothing(cache, entry, error):
    def run(work):
        (work / "half").write_text("half")
        raise error("stop")

    with pytest.raises(error):
        compute(cache, run)
    assert list(entry.parent.iterdir()) == [] and cache.find(*AT) is None
    assert compute(cache, succeeds()).attempts == 1


# Records that can't be trusted


def edited(path: Path, change) -> None:
    row = json.loads(path.read_text())
    change(row)
    path.write_text(json.dumps(row))


def signed(path: Path, change) -> None:
    """Edited by a program of another version, which signs what it writes."""
    row = json.loads(path.read_text())
    del row["digest"]
    change(row)
    path.write_text(json.dumps(row | {"digest": digest_of(row)}))


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "no JSON": lambda path: path.write_bytes(b"\x00\xff garbage"),
    "a list": lambda path: path.write_text("[1]"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "a number": lambda path: edited(path, lambda row: row["report"].update(lut=8)),
    "a digest": lambda path: edited(path, lambda row: row.update(digest="0" * 16)),
    "no digest": lambda path: edited(path, lambda row: row.pop("digest")),
    "a flipped bit": lambda path: path.write_bytes(path.read_bytes().replace(b'"lut": 7', b'"lut": 5')),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_not_there_and_is_laid_aside(cache, entry, damage):
    compute(cache, succeeds())
    for number in (1, 2):
        damage(entry / "outcome.json")
        left = (entry / "outcome.json").read_bytes()
        assert cache.find(*AT) is None and cache.any_version(*AT[:2]) is None
        assert compute(cache, succeeds(9)).report.lut == 9
        assert cache.find(*AT).report.lut == 9
        assert (entry / f"outcome.json.damaged-{number}").read_bytes() == left
        compute(cache, never)
        cache.compute(*AT, never, tool_version="0.70", limits=Limits())
        if number == 1:
            (entry / "outcome.json").unlink()
            compute(cache, succeeds())


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(surprise=1),
        lambda row: row["report"].update(surprise=1),
        lambda row: row["report"].update(lut=-1),
        lambda row: row.update(state="unheard of"),
        lambda row: row.update(trouble="unheard of"),
        lambda row: row.update(report=None),
        lambda row: row.update(report="text"),
        lambda row: row.update(entry="yosys/place1/key2"),
        lambda row: row["report"].update(path="../../secret"),
    ],
)
def test_a_whole_record_that_this_version_can_not_read_is_not_there(cache, entry, change):
    compute(cache, succeeds())
    signed(entry / "outcome.json", change)
    assert cache.find(*AT) is None
    assert compute(cache, succeeds(9)).report.lut == 9


def test_a_record_in_another_entry_is_not_its_record(cache, entry):
    compute(cache, succeeds())
    entry.rename(entry.with_name("key2"))
    assert cache.find(*AT) is None and cache.find("yosys", "place1", "key2") is None


@pytest.mark.parametrize("how", ["gone", "empty", "link", "folder link", "folder"])
def test_an_entry_whose_report_is_gone_is_computed_again(cache, entry, tmp_path, how):
    compute(cache, succeeds())
    kept = entry / "out/stat.json"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stat.json").write_text("7 look-up tables\n")
    kept.unlink()
    if how == "empty":
        kept.touch()
    elif how == "link":
        kept.symlink_to(elsewhere / "stat.json")
    elif how == "folder link":
        kept.parent.rmdir()
        kept.parent.symlink_to(elsewhere)
    elif how == "folder":
        kept.mkdir()
    assert cache.find(*AT) is None
    assert compute(cache, succeeds(9)).report.lut == 9
    assert (elsewhere / "stat.json").read_text() == "7 look-up tables\n"  # nothing was written through a link


@pytest.mark.parametrize("what", ["record", "entry", "pipe", "folder"])
def test_links_and_pipes_in_place_of_a_record_are_not_read(cache, entry, tmp_path, what):
    compute(cache, succeeds())
    record = entry / "outcome.json"
    away = tmp_path / "away"
    if what == "record":
        record.rename(away)
        record.symlink_to(away)
    elif what == "entry":
        entry.rename(away)
        entry.symlink_to(away)
    else:
        record.unlink()
        os.mkfifo(record) if what == "pipe" else record.mkdir()
    assert cache.find(*AT) is None
    assert compute(cache, succeeds(9)).report.lut == 9
    assert not entry.is_symlink() and cache.find(*AT).report.lut == 9
    if what == "entry":
        assert (away / "out/stat.json").read_text() == "7 look-up tables\n"


# Two at once


def racer(cache, told, seconds, run=None):
    """Compute the entry slowly, and say in ``ran`` that it was this process that ran."""

    def slow(work):
        with (cache.root.parent / "ran").open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        log = work / "tool.log"
        log.write_text("going on\n")
        time.sleep(seconds)
        log.unlink()
        return (run or succeeds(11))(work)

    outcome = compute(cache, slow)
    told.put((outcome.state.value, outcome.report and outcome.report.lut, outcome.cached, outcome.pid))


def ran(cache) -> int:
    return len((cache.root.parent / "ran").read_text().splitlines())


def test_of_those_who_come_at_once_one_runs_and_all_get_its_outcome(cache, quick):
    told = FORK.Queue()
    children = [started(racer, cache, told, 0.3) for _ in range(4)]
    got = [told.get(timeout=300) for _ in children]
    for child in children:
        child.join()
    assert ran(cache) == 1
    assert {row[:2] for row in got} == {("done", 11)}
    assert len({row[3] for row in got}) == 1  # all tell the same run
    assert sorted(row[2] for row in got) == [False, True, True, True]
    assert files(cache.root) == ["yosys/place1/key1/out/stat.json", "yosys/place1/key1/outcome.json"]


def test_who_waited_takes_a_failure_too_even_one_that_may_pass(cache, quick):
    """Else each of a hundred who wait would ask the licence server once more."""
    told = FORK.Queue()
    children = [started(racer, cache, told, 0.4, fails(Trouble.LICENCE)) for _ in range(3)]
    got = [told.get(timeout=300) for _ in children]
    for child in children:
        child.join()
    assert ran(cache) == 1 and {row[0] for row in got} == {"failed"}


def test_who_waited_with_a_larger_limit_runs_again(cache, quick):
    def first():
        compute(cache, lambda work: (time.sleep(0.3), fails(Trouble.TIMEOUT)(work)), limits=Limits(1.0))

    child = started(first)
    until(lambda: cache.find(*AT) is not None)
    done = compute(cache, succeeds(), limits=Limits(100.0))
    child.join()
    assert done.state is State.DONE and done.attempts == 2


def test_a_run_that_goes_on_is_seen_and_taken_over_when_its_owner_is_killed(cache, entry, quick):
    told = FORK.Queue()
    child = started(racer, cache, told, 60)
    until(lambda: (found := cache.find(*AT)) is not None and found.log is not None)
    going = cache.find(*AT)
    assert (going.state, going.pid, going.host) == (State.STARTED, child.pid, claim.here().host)
    assert (going.folder / going.log).read_text() == "going on\n"
    child.kill()
    child.join()
    assert cache.find(*AT) is None
    assert compute(cache, succeeds()).report.lut == 7
    assert files(cache.root) == ["yosys/place1/key1/out/stat.json", "yosys/place1/key1/outcome.json"]
    assert [p.name for p in entry.parent.iterdir()] == ["key1"]


def test_a_failure_that_is_being_run_again_is_told_as_started(cache, quick):
    compute(cache, fails(Trouble.LICENCE))
    child = started(racer, cache, FORK.Queue(), 60)
    until(lambda: cache.find(*AT).state is State.STARTED)
    child.kill()
    child.join()
    assert cache.find(*AT).trouble is Trouble.LICENCE


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["well", "badly", "broken"])
def test_an_owner_elsewhere_that_was_given_up_comes_back(cache, entry, quick, ends):
    """It is stopped, taken over, and goes on: the successor's outcome stays, and it takes that."""
    told = FORK.Queue()

    def elsewhere():
        def run(work):
            (work / "tool.log").write_text("going on\n")
            time.sleep(0.5)
            if ends == "broken":  # its folder was swept meanwhile
                (work / "netlist.v").read_text()
            (work / "tool.log").unlink(missing_ok=True)
            return (succeeds(1) if ends == "well" else fails(Trouble.CRASH))(work)

        outcome = compute(Cache(cache.root, host="elsewhere"), run)
        told.put((outcome.state, outcome.report and outcome.report.lut, outcome.cached))

    child = started(elsewhere)
    until(lambda: (found := cache.find(*AT)) is not None and found.log is not None)
    assert cache.find(*AT).host == "elsewhere"
    os.kill(child.pid, signal.SIGSTOP)
    assert compute(cache, succeeds(2)).report.lut == 2
    os.kill(child.pid, signal.SIGCONT)
    assert told.get(timeout=300) == (State.DONE, 2, True)
    child.join()
    assert cache.find(*AT).report.lut == 2
    assert [p.name for p in entry.parent.iterdir()] == ["key1"]


def given_up(cache) -> None:
    """What another machine does to the claim of an owner that it thinks dead."""
    for path in cache.root.joinpath(*AT[:2]).glob(".key1.claim-*"):
        path.unlink()


def test_a_result_beats_the_failure_of_whoever_took_over(cache, quick):
    """The first owner ends well after all, while the second's run has failed: what was paid for is kept."""

    def run(work):
        given_up(cache)
        assert compute(cache, fails(Trouble.LICENCE)).trouble is Trouble.LICENCE
        work.mkdir()  # it was swept
        return succeeds()(work)

    done = compute(cache, run)
    assert done.state is State.DONE and cache.find(*AT).report.lut == 7


def test_the_first_of_two_results_stays(cache, quick):
    def run(work):
        given_up(cache)
        assert compute(cache, succeeds(2)).report.lut == 2
        work.mkdir()
        return succeeds(1)(work)

    done = compute(cache, run)
    assert done.report.lut == 2 and done.cached and cache.find(*AT).report.lut == 2


def test_a_failure_of_one_that_was_given_up_waits_for_its_successor(cache, quick):
    told = FORK.Queue()

    def run(work):
        given_up(cache)
        children.append(started(racer, cache, told, 0.3))
        until(lambda: cache.find(*AT) is not None and cache.find(*AT).pid == children[0].pid)
        return fails(Trouble.CRASH)(work)

    children = []
    assert compute(cache, run).report.lut == 11
    children[0].join()
    assert told.get(timeout=300)[:3] == ("done", 11, False)


def test_threads_of_one_process_share_a_run_too(cache, quick):
    runs, got = [], []

    def run(work):
        runs.append(1)
        time.sleep(0.2)
        return succeeds()(work)

    threads = [threading.Thread(target=lambda: got.append(compute(cache, run))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1 and [outcome.report.lut for outcome in got] == [7] * 3


def test_who_waits_can_be_stopped(cache, quick):
    """A worker's thread is ended while it waits for another's run; that run goes on."""
    child = started(racer, cache, FORK.Queue(), 60)
    until(lambda: cache.find(*AT) is not None)
    errors = []

    def wait():
        try:
            compute(cache, never)
        except process.Stopped as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    number = thread.ident
    process.end_thread(number)
    thread.join(20)
    process.reopen(number)
    assert len(errors) == 1 and cache.find(*AT).state is State.STARTED
    child.kill()
    child.join()


def crowd(cache, number, told):
    def run(work):
        running = cache.root.parent / "running"
        mine = running / str(number)
        mine.touch()
        most = 0
        for _ in range(10):
            most = max(most, len(list(running.iterdir())))
            time.sleep(0.02)
        told.put(most)
        mine.unlink()
        return succeeds(number)(work)

    assert compute(cache, run, ("vivado", "place1", f"key{number}"), slots=2).report.lut == number


def test_never_more_at_once_than_there_are_licences(cache, quick):
    (cache.root.parent / "running").mkdir()
    told = FORK.Queue()
    children = [started(crowd, cache, number, told) for number in range(5)]
    most = [told.get(timeout=300) for _ in children]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 5
    assert max(most) == 2
    assert list((cache.root / "slots/vivado").iterdir()) == []


def test_the_licence_of_a_killed_run_is_free_again(cache, quick):
    ready = FORK.Event()

    def hold():
        compute(cache, lambda work: (ready.set(), time.sleep(60)), slots=1)

    child = started(hold)
    assert ready.wait(300)
    child.kill()
    child.join()
    assert compute(cache, succeeds(), ("yosys", "place1", "key2"), slots=1).state is State.DONE


# Imported reports


def test_a_report_from_elsewhere_is_kept_with_its_files(cache, entry, tmp_path):
    raw = tmp_path / "util.rpt"
    raw.write_text("12 look-up tables")
    given = cache.put(*AT, report(12, "reports/util.rpt"), {"reports/util.rpt": raw, "run.log": raw}, "2023.2")
    assert given.imported and given.state is State.DONE and given.folder == entry
    assert cache.find(*AT) == replace(given, cached=True)
    assert cache.any_version(*AT[:2]).report.lut == 12
    assert (entry / "reports/util.rpt").read_text() == "12 look-up tables"
    assert compute(cache, never).imported
    same = cache.put(*AT, report(12, "reports/util.rpt"), {"reports/util.rpt": raw, "run.log": raw}, "2023.2")
    assert same.cached
    cache.put(*AT, report(13, "reports/util.rpt"), {"reports/util.rpt": raw}, "2023.2")
    assert cache.find(*AT).report.lut == 13
    assert files(entry) == ["outcome.json", "reports/util.rpt"]


@pytest.mark.parametrize("name", ["../util.rpt", "/tmp/util.rpt", "outcome.json", "a/../../b", "", "."])
def test_files_of_a_report_from_elsewhere_stay_in_the_entry(cache, tmp_path, name):
    raw = tmp_path / "util.rpt"
    raw.write_text("12")
    with pytest.raises(BadInput, match="can't be kept as"):
        cache.put(*AT, report(12, "util.rpt"), {"util.rpt": raw, name: raw}, None)
    with pytest.raises(BadInput, match="can't be kept as"):
        cache.put(*AT, report(12, "other.rpt"), {"util.rpt": raw}, None)
    assert cache.find(*AT) is None


# The folder


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOW_SYNTH_CACHE", str(tmp_path / "shared"))
    assert root() == tmp_path / "shared"
    monkeypatch.delenv("FLOW_SYNTH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert root() == tmp_path / "flow/synth"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert root() == tmp_path / ".cache/flow/synth"
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLOW_SYNTH_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="FLOW_SYNTH_CACHE: .*file is no folder"):
        root()


def test_a_file_where_the_cache_should_be(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file/cache"):
        assert Cache(folder).find(*AT) is None
        with pytest.raises(BadInput, match="must be a folder"):
            compute(Cache(folder), never)


@pytest.mark.parametrize("mode, shared", [(0o2775, True), (0o755, False)])
def test_the_group_may_what_it_may_in_the_root(tmp_path, mode, shared):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    before = os.umask(0o077)
    try:
        compute(Cache(folder), succeeds(), slots=1)
        raw = tmp_path / "raw"
        raw.write_text("raw")
        raw.chmod(0o600)
        Cache(folder).put("vivado", "place1", "key1", report(1, "deep/raw"), {"deep/raw": raw}, None)
    finally:
        os.umask(before)
    paths = list(folder.rglob("*"))
    assert len(paths) >= 12
    for path in paths:
        found = path.stat()
        wanted = 0o070 if stat.S_ISDIR(found.st_mode) else 0o060
        assert found.st_mode & wanted == (wanted if shared else 0), path
        assert found.st_mode & 0o007 == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a small file system can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    path = disk / "filler"
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1 << 8, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue
    return path


def test_a_full_disk_is_a_failure_that_passes(small_disk):
    cache = Cache(small_disk / "cache")
    compute(cache, succeeds(1), ("yosys", "place1", "key0"))
    filler = fill(small_disk)
    failed = compute(cache, succeeds())
    assert (failed.state, failed.trouble) == (State.FAILED, Trouble.DISK) and failed.trouble.may_pass
    assert "No space left on device" in failed.message and failed.host == claim.here().host
    assert cache.find("yosys", "place1", "key0").report.lut == 1
    filler.unlink()
    assert compute(cache, succeeds()).report.lut == 7
    assert sorted(p.name for p in (cache.root / "yosys/place1").iterdir()) == ["key0", "key1"]


@pytest.mark.parametrize("when", ["while it ran", "as it ended"])
def test_a_disk_that_fills_up(small_disk, when):
    cache = Cache(small_disk / "cache")

    def run(work):
        result = succeeds()(work)
        fill(small_disk)
        if when == "while it ran":
            (work / "more").write_bytes(b"x" * 100_000)
        return result

    failed = compute(cache, run)
    assert failed.trouble is Trouble.DISK and str(failed.folder) not in failed.message.replace(str(cache.root), "")
    assert ".work" not in failed.message
    (small_disk / "filler").unlink()
    kept = cache.find(*AT)
    assert kept is None or kept.trouble is Trouble.DISK
    assert compute(cache, succeeds()).report.lut == 7
    assert [p.name for p in (cache.root / "yosys/place1").iterdir()] == ["key1"]


def test_a_report_from_elsewhere_on_a_full_disk(small_disk, tmp_path):
    raw = tmp_path / "raw"
    raw.write_text("raw")
    cache = Cache(small_disk / "cache")
    compute(cache, succeeds())
    fill(small_disk)
    with pytest.raises(Storage, match="No space left"):
        cache.put("yosys", "place1", "key2", report(1, "raw"), {"raw": raw}, None)
    assert [p.name for p in (cache.root / "yosys/place1").iterdir()] == ["key1"]


def test_a_root_that_can_not_be_written_still_gives_what_it_has(small_disk):
    cache = Cache(small_disk / "cache")
    compute(cache, succeeds())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert compute(cache, never).report.lut == 7
    with pytest.raises(Storage, match="can't be written there"):
        compute(cache, never, ("yosys", "place2", "key1"))
    with pytest.raises(Storage, match="can't be written there"):
        compute(cache, never, ("yosys", "place1", "key2"))
