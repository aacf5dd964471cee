"""Steps are computed once, whole or not at all."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flow.errors import FlowError
from flow.store import Store, locked, replacing_folder, write_json


def test_a_step_is_computed_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"x": 1}, {"a": np.arange(3)}

    first = Store(tmp_path).step("s", {"k": 1}, compute)
    again = Store(tmp_path).step("s", {"k": 1}, compute)
    assert calls == [1] and first.key == again.key and again.result == {"x": 1}
    np.testing.assert_array_equal(again.arrays["a"], np.arange(3))
    Store(tmp_path).step("s", {"k": 2}, compute)
    assert len(calls) == 2


def test_an_interrupted_step_leaves_nothing(tmp_path):
    def broken():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).step("s", {}, broken)
    assert Store(tmp_path).find("s", {}) is None
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "steps" / "x") as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert not list((tmp_path / "steps").glob("*x*"))


def test_a_damaged_result_is_computed_again(tmp_path):
    store = Store(tmp_path)
    step = store.step("s", {}, lambda: ({"x": 1}, {}))
    (step.folder / "result.json").write_text('{"x":')
    assert store.step("s", {}, lambda: ({"x": 2}, {})).result == {"x": 2}


def test_json_is_replaced_whole(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_two_runs_do_not_mix(tmp_path):
    code = "import sys; from pathlib import Path; from flow.store import locked\nwith locked(Path(sys.argv[1])): print('held')"
    with locked(tmp_path):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
        assert "another run" in done.stderr and "held" not in done.stdout
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "held" in done.stdout


def test_a_lock_sweeps_what_a_killed_run_left(tmp_path):
    (tmp_path / "steps" / ".s-1.abc").mkdir(parents=True)
    (tmp_path / ".result.json.tmp").write_text("half")
    with locked(tmp_path):
        pass
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["lock", "steps"]


def test_a_lock_leaves_what_a_living_process_compiles(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    for number in (os.getpid(), done.pid):
        (tmp_path / "d" / "rtl" / "sim" / f"build-{number}").mkdir(parents=True)
        (tmp_path / "d" / "hls").mkdir(exist_ok=True)
        (tmp_path / "d" / "hls" / f"csim-0a1b.{number}").write_text("half")
    with locked(tmp_path):
        pass
    left = sorted(path.name for path in (tmp_path / "d").rglob("*[0-9]"))
    assert left == [f"build-{os.getpid()}", f"csim-0a1b.{os.getpid()}"]


def test_locked_error_is_a_flow_error(tmp_path):
    with locked(tmp_path), pytest.raises(FlowError), locked(tmp_path):
        pass


def test_large_arrays_stay_in_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr("flow.store.MAPPED", 500)
    arrays = {"large.one": np.arange(100.0), "small": np.arange(3.0), "empty": np.zeros((0, 3))}
    found = Store(tmp_path).step("numbers", {}, lambda: ({}, arrays)).arrays
    assert isinstance(found["large.one"], np.memmap) and not isinstance(found["small"], np.memmap)
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_folder_is_replaced_by_many_at_once(tmp_path):
    """Whoever comes last wins, nobody fails, and nothing is left beside it."""

    def put(number):
        for _ in range(30):
            with replacing_folder(tmp_path / "results") as folder:
                (folder / "number").write_text(str(number))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(put, range(6)))
    assert (tmp_path / "results" / "number").read_text() in "012345"
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_who_comes_first_is_what_all_go_on_from(tmp_path):
    """Another process computes the same step meanwhile; on another machine its last bits may differ."""

    def slow():
        Store(tmp_path).step("measured", {"of": 1}, lambda: ({"value": 1.0}, {}))
        return {"value": 1.0000000001}, {}

    assert Store(tmp_path).step("measured", {"of": 1}, slow).result == {"value": 1.0}
    assert Store(tmp_path).step("measured", {"of": 1}, lambda: ({"value": 2.0}, {}), anew=True).result == {"value": 2.0}


def test_several_may_share_a_folder_but_none_beside_one_that_does_not(tmp_path):
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True):
        with pytest.raises(FlowError, match="another run"), locked(tmp_path):
            pass
    with locked(tmp_path), pytest.raises(FlowError, match="another run"), locked(tmp_path, shared=True):
        pass
