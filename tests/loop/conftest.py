"""Fixtures of the loop's tests."""

from pathlib import Path

import pytest
from loop.running import whole_run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """The folder of one undisturbed run of models/tiny; read only."""
    return whole_run(tmp_path_factory)
