"""Places of studies: what names one, what is shown of it, and what goes wrong with it in one line."""

import gc
import importlib.util
import json
import os
import sqlite3
from pathlib import Path

import pytest
from study.examples import assert_once, place, rows_of, study, trials

from flow import claim
from flow.errors import BadInput, Storage
from flow.study import check, storage_of
from flow.study import storage as storage_module
from flow.study import study as study_module
from flow.study.place import Kind, connect_arguments


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(study_module, "PAUSE_S", 0.01)


needs_psycopg = pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed")


def refusal(text: str, folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        storage_of(text, folder / "study.db", folder, "task.yaml: search.storage")
    line = str(caught.value)
    assert "\n" not in line and line.startswith("task.yaml: search.storage: ")
    return line


def trouble(at) -> str:
    with pytest.raises(Storage) as caught:
        check(at)
    line = str(caught.value)
    assert "\n" not in line and at.shown in line
    return line


@pytest.mark.parametrize("text, kind, name", [
    ("", Kind.SQLITE, "study.db"),
    ("journal:x.log", Kind.JOURNAL, "x.log"),
    ("sqlite:///y.db", Kind.SQLITE, "y.db"),
    (" sqlite+pysqlite:///sub/y.db?timeout=3 ", Kind.SQLITE, "sub/y.db"),
])  # fmt: skip
def test_files_are_below_the_task(tmp_path, text, kind, name):
    found = place(tmp_path, text)
    assert (found.kind, found.path, found.shown) == (kind, tmp_path / name, str(tmp_path / name))
    check(found)
    assert found.path.is_file()


def test_an_absolute_path_stays(tmp_path):
    assert storage_of(f"sqlite:///{tmp_path}/y.db", Path("a"), Path("b")).path == tmp_path / "y.db"
    assert storage_of(f"journal:{tmp_path}/y", Path("a"), Path("b")).path == tmp_path / "y"


@pytest.mark.parametrize("text, said", [
    ("study.db", "'study.db' is no place"),
    ("postgres://me:hidden@host/db", "postgres:... is no place"),
    ("redis://me:hidden@host", "redis:... is no place"),
    ("oracle://me:hidden@host/db", "oracle:... is no place"),
    ("postgresql://me:hidden@host:port/db", "postgresql:... is no place"),
    ("postgresql+asyncpg://me:hidden@host/db", "postgresql+asyncpg: is not known"),
    ("sqlite://", "in memory"),
    ("sqlite:///:memory:", "in memory"),
    ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
    ("journal:", "names no journal file"),
    ("journal://host/x", "names no journal file"),
])  # fmt: skip
def test_what_is_no_place(tmp_path, text, said):
    line = refusal(text, tmp_path)
    assert said in line and "hidden" not in line
    assert "journal:PATH" in line or "sqlite:///PATH" in line


@pytest.mark.parametrize("text", [
    "postgresql:/u:hidden@host/db",
    "postgresql:u:hidden@host/db",
    "postgresql//u:hidden@host/db",
    "postgresql+psycopg:/u:hidden@host/db",
    "u:hidden@host/db",
    "hidden@host:5432/db",
    "hidden@host/db",
    "['postgresql://u:hidden@host/db']",
    "postgresql://u:SEC@hidden@host/db",
    "postgresql://u:SEC@hidden/more@host/db",
    "postgresql://u:SEC@x?hidden@host/db",
    "postgresql://u@x:SEC@hidden@host/db",
    "postgresql://u/hidden@host/db",
    "postgresql:///u:hidden@host/db",
    "postgresql://host/db?host=u:hidden@other",
    "journal://u:hidden@host/db",
    "sqlite://u:hidden@host/db?mode=memory",
])  # fmt: skip
def test_what_may_be_a_password_is_not_shown_where_the_place_is_refused(tmp_path, text):
    assert "hidden" not in refusal(text, tmp_path)


def test_a_password_with_signs_is_written_with_percent_codes(tmp_path):
    line = refusal("postgresql://u:SEC@hidden@host/db", tmp_path)
    assert "%40" in line and line.startswith("task.yaml: search.storage: postgresql:")


@pytest.mark.parametrize("kind, module", [("postgresql", "psycopg"), ("mysql", "pymysql")])
def test_a_driver_that_is_not_installed(tmp_path, monkeypatch, kind, module):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else find(name, *more))
    line = refusal(f"{kind}://me:hidden@host/db", tmp_path)
    assert f"pip install 'flow[{kind}]'" in line and "hidden" not in line


@needs_psycopg
def test_a_password_is_never_shown(tmp_path):
    found = place(tmp_path, "postgresql://me:hid%40den@host/db?sslpassword=second&application_name=x")
    assert (found.kind, found.path) == (Kind.POSTGRESQL, None)
    for text in (repr(found), str(found), found.shown, found.hide("no: hid@den, hid%40den and second")):
        assert "den" not in text and "second" not in text
    assert found.shown.startswith("postgresql://me:***@host/db") and "hid%40den" in found.url


@needs_psycopg
def test_a_url_sets_its_own_patience(tmp_path):
    assert connect_arguments(place(tmp_path, "postgresql://host/db"))["connect_timeout"] == 10
    assert "connect_timeout" not in connect_arguments(place(tmp_path, "postgresql://host/db?connect_timeout=3"))


@needs_psycopg
def test_no_server(tmp_path):
    line = trouble(place(tmp_path, "postgresql://me:hidden@127.0.0.1:9/db"))
    assert line.startswith("search.storage: postgresql://me:***@") and "refused" in line and "hidden" not in line


def test_a_folder(tmp_path):
    (tmp_path / "study.db").mkdir()
    for text in ("", "journal:study.db"):
        trouble(place(tmp_path, text))


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "x").write_text("a file")
    for text in ("sqlite:///x/study.db", "journal:x/y"):
        trouble(place(tmp_path, text))


def test_no_database(tmp_path):
    (tmp_path / "study.db").write_text("some text, longer than the head of a database" * 10)
    line = trouble(place(tmp_path))
    assert "not a database" in line and f"remove {tmp_path / 'study.db'}" in line


@pytest.mark.slow
@pytest.mark.parametrize("left", [0.3, 0.7])
def test_a_truncated_database(tmp_path, left):
    mine = study(place(tmp_path), tmp_path)
    assert mine.sync(trials(3)) == ""
    os.truncate(mine.place.path, int(left * mine.place.path.stat().st_size))
    line = mine.sync(trials(4))
    assert "malformed" in line and "remove" in line and "\n" not in line
    mine.place.path.unlink()
    assert mine.sync(trials(4)) == ""
    assert_once(mine, trials(4))


def test_an_empty_file_becomes_a_database(tmp_path):
    (tmp_path / "study.db").touch()
    mine = study(place(tmp_path), tmp_path)
    assert mine.sync(trials(2)) == ""
    assert_once(mine, trials(2))


@pytest.mark.slow
def test_a_database_that_may_only_be_read(tmp_path):
    check(place(tmp_path))
    mine = study(place(tmp_path, "sqlite:///file:study.db?mode=ro&uri=true"), tmp_path)
    line = mine.sync(trials(2))
    assert "readonly" in line and "the search goes on" in line


@pytest.mark.slow
def test_a_database_that_another_program_has_locked(tmp_path):
    mine = study(place(tmp_path, "sqlite:///study.db?timeout=0.05"), tmp_path)
    assert mine.sync(trials(2)) == ""
    other = sqlite3.connect(tmp_path / "study.db")
    other.execute("BEGIN EXCLUSIVE")
    line = mine.sync(trials(3))
    assert "locked" in line and "\n" not in line
    other.rollback()
    other.close()
    assert mine.sync(trials(3)) == ""
    assert_once(mine, trials(3))


def test_tables_of_another_optuna(tmp_path):
    check(place(tmp_path))
    for version in ("v2.6.0.a", "v9.0.0.a"):
        with sqlite3.connect(tmp_path / "study.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
        line = trouble(place(tmp_path))
        assert "another version of Optuna" in line and "optuna storage upgrade" in line


@pytest.mark.parametrize("text", [b"words\n", b"words", b"5\n", b"\xff\xfe\n", b'{"op_code": 99}\n', b"[]\n"])
def test_no_journal_and_it_is_left_alone(tmp_path, text):
    (tmp_path / "x").write_bytes(text)
    assert "no journal" in trouble(place(tmp_path, "journal:x"))
    assert (tmp_path / "x").read_bytes() == text


@pytest.mark.parametrize("cut", [1, 20])
def test_a_journal_whose_writer_was_killed(tmp_path, cut):
    """Its last line is half written: what was whole counts, and nothing is glued to the rest."""
    mine = study(place(tmp_path, "journal:x"), tmp_path)
    assert mine.sync(trials(3)) == ""
    os.truncate(tmp_path / "x", (tmp_path / "x").stat().st_size - cut)
    assert mine.sync(trials(4)) == ""
    assert_once(mine, trials(4))
    for line in (tmp_path / "x").read_text().splitlines():
        json.loads(line)


@pytest.mark.slow
def test_a_journal_whose_writer_was_killed_with_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "KILLED_S", 3)
    (tmp_path / "x.lock").touch()
    mine = study(place(tmp_path, "journal:x"), tmp_path)
    assert mine.sync(trials(2)) == ""
    assert_once(mine, trials(2))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x"]


def test_a_storage_that_others_hold_for_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "LOCK_S", 0.2)
    with claim.take(tmp_path, "study.db.sync"):
        assert "other processes are busy" in trouble(place(tmp_path))
    check(place(tmp_path))


def test_nothing_stays_open(tmp_path):
    gc.collect()  # what other tests have left
    before = set(os.listdir("/proc/self/fd"))
    for text in ("", "journal:x"):
        assert study(place(tmp_path, text), tmp_path).sync(trials(2)) == ""
    assert set(os.listdir("/proc/self/fd")) <= before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.db", "x"]
    assert len(rows_of(tmp_path / "study.db", "SELECT * FROM trials")) == 2
