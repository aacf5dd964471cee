"""No test sees the user's cache of synthesis results, nor that of another test."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

CACHE = "FLOW_SYNTH_CACHE"


def pytest_configure(config):
    """A cache for fixtures that last longer than a test, and its share of the cores for each of several processes."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    # OpenMP's threads wait for each other busily: with more of them than cores, alkaid takes several times as long.
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // processes, 1)))
    # A shell gives what it starts in the background a SIGINT that is ignored; programs that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.own_cache = tempfile.mkdtemp(prefix="flow-cache-")
    os.environ[CACHE] = config.own_cache
    os.environ["DASK_CONFIG"] = config.own_cache  # read when Dask is imported: not the user's queues and keys


def pytest_unconfigure(config):
    shutil.rmtree(config.own_cache, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_cache(pytestconfig, monkeypatch) -> Path:
    """The folder of the test's own cache."""
    # Not of tmp_path_factory, which looks through all folders that it has made before it makes another.
    path = Path(tempfile.mkdtemp(dir=pytestconfig.own_cache))
    monkeypatch.setenv(CACHE, str(path))
    return path
