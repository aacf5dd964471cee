"""What a build that failed leaves."""

import pytest

from flow.errors import Mismatch, ToolFailed
from flow.importing.build import _removed_on_failure


@pytest.mark.parametrize("before", [False, True])
def test_a_failed_build_takes_away_what_it_made(before, tmp_path):
    folder = tmp_path / "out" / "0123"
    if before:
        folder.mkdir(parents=True)
    with pytest.raises(Mismatch), _removed_on_failure(folder.parent, "0123"):
        folder.mkdir(parents=True, exist_ok=True)
        raise Mismatch("sides differ")
    assert folder.exists() == folder.parent.exists() == before


def test_the_log_of_a_failed_tool_is_kept(tmp_path):
    log = tmp_path / "out" / "0123" / "csim.log"
    with pytest.raises(ToolFailed) as raised, _removed_on_failure(tmp_path / "out", "0123"):
        log.parent.mkdir(parents=True)
        log.write_text("error")
        raise ToolFailed("g++ ended with status 1", log, 1)
    assert raised.value.log.read_text() == "error" and str(raised.value.log) in str(raised.value)
    assert not log.parent.exists()
