"""The benchmark's modules, which stand in folders of their own and import each other by bare names."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FOLDERS = [BENCHMARKS, BENCHMARKS / "searching", BENCHMARKS / "peers"]


@pytest.fixture
def benchmark_module(monkeypatch):
    """Imports one by its name; modules of the same name that other tests have imported are back afterwards."""
    names = {path.stem for folder in FOLDERS for path in folder.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    monkeypatch.setattr(sys, "path", [str(folder) for folder in FOLDERS] + sys.path)
    importlib.invalidate_caches()
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)
