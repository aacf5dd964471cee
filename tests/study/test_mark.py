"""When a study's file needs no look."""

import os

import pytest

from flow.study import storage_of
from flow.study.mark import Mark


@pytest.fixture
def mark(tmp_path) -> Mark:
    (tmp_path / "study.db").write_bytes(b"content")
    return Mark(tmp_path / "claims" / "study.json", storage_of("", tmp_path / "study.db", tmp_path))


def test_it_holds_what_was_set_and_less(mark):
    assert not mark.holds()
    mark.set({"a", "b"})
    assert mark.holds() and mark.holds({"a"}) and mark.holds({"a", "b"})
    assert not mark.holds({"a", "c"})


@pytest.mark.parametrize("change", ["written", "touched", "removed"])
def test_not_where_the_file_is_another(mark, change):
    mark.set({"a"})
    path = mark.place.path
    if change == "written":
        path.write_bytes(b"content of others")
    elif change == "touched":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
    assert not mark.holds() and not mark.holds({"a"})


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"file": null, "content": ["a"]}', '{"content": 3}'])
def test_a_mark_that_says_nothing(mark, text):
    mark.set({"a"})
    mark.path.write_text(text)
    assert not mark.holds({"a"})


def test_nothing_is_known_of_a_file_that_is_not_there(mark):
    mark.place.path.unlink()
    mark.set({"a"})
    assert not mark.path.exists() and not mark.holds()
