"""Verilator's runtime library is compiled once, and again for what would compile it differently."""

import shutil

import numpy as np
import pytest
from firmware.rtl.test_rtl import SCALING, build, vectors

from flow.firmware import rtl, runtime
from flow.firmware.settings import Target


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    for name in runtime.OBJECTS:
        (folder / name).write_text(name)
    return folder


def test_what_was_kept_is_lent(made, tmp_path):
    about = ("5.048", ["-O0"], {"PATH": "/usr/bin:/bin"})
    assert runtime.lend(tmp_path / "obj", *about) == []
    runtime.keep(made, *about)
    assert runtime.lend(tmp_path / "obj", *about) == [f"--old-file={name}" for name in runtime.OBJECTS]
    assert [(tmp_path / "obj" / name).read_text() for name in runtime.OBJECTS] == [*runtime.OBJECTS]


@pytest.mark.parametrize(
    "other",
    [
        ("5.049", ["-O0"], {"PATH": "/usr/bin:/bin"}),
        ("5.048", ["-O2"], {"PATH": "/usr/bin:/bin"}),
        ("5.048", ["-O0"], {"PATH": "/usr/bin:/bin", "CXXFLAGS": "-march=native"}),
        ("5.048", ["-O0"], {"PATH": "/nowhere"}),
    ],
)
def test_what_is_compiled_otherwise_is_another(made, tmp_path, other):
    runtime.keep(made, "5.048", ["-O0"], {"PATH": "/usr/bin:/bin"})
    assert runtime.lend(tmp_path / "obj", *other) == [] and not list((tmp_path / "obj").iterdir())


def test_half_of_it_is_none(made, tmp_path):
    about = ("5.048", ["-O0"], {"PATH": "/usr/bin:/bin"})
    runtime.keep(made, *about)
    next((tmp_path / "home").rglob(runtime.OBJECTS[1])).unlink()
    assert runtime.lend(tmp_path / "obj", *about) == [] and not list((tmp_path / "obj").iterdir())


def test_a_cache_that_cannot_be_written(made, tmp_path):
    (tmp_path / "home").write_text("a file")
    runtime.keep(made, "5.048", ["-O0"], {"PATH": "/usr/bin:/bin"})
    assert runtime.lend(tmp_path / "obj", "5.048", ["-O0"], {"PATH": "/usr/bin:/bin"}) == []


@pytest.mark.slow
def test_the_second_simulation_compiles_its_own_part_alone(tmp_path):
    model, words = build(), vectors()[:50]
    rtl.write(rtl.trace(model, SCALING.word), tmp_path / "project", "tagger", Target("xcvu9p-flga2104-2-e", 5.0))
    said, found = [], []
    for _ in range(2):
        shutil.rmtree(tmp_path / "project" / "sim", ignore_errors=True)
        found.append(rtl.simulate(tmp_path / "project", words))
        said.append("verilated.cpp" in (tmp_path / "project" / "sim" / "verilator.log").read_text())
    assert said == [True, False]
    np.testing.assert_array_equal(*found)
