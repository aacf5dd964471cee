import time

import pytest

from flow.errors import ToolFailed, Trouble
from flow.synth.tools.deadline import Deadline
from flow.synth.tools.tool import Limits


def test_what_ran_before_leaves_less_time_and_the_same_memory():
    left = Deadline(Limits(1000.0, 2.0), time.monotonic() - 900).left
    assert 0 < left.timeout_s <= 100 and left.memory_gb == 2.0
    assert Deadline(Limits(10.0), time.monotonic() - 900).left.timeout_s == 0


def test_a_second_program_is_ended_at_the_limit_of_both(tmp_path):
    deadline = Deadline(Limits(1000.0), time.monotonic() - 999.8)
    with pytest.raises(ToolFailed, match="sleeper took longer than 1000 s .*logs/run.log") as failure:
        deadline.call("sleeper", ["sleep", "60"], tmp_path, "logs/run.log")
    assert failure.value.trouble is Trouble.TIMEOUT and failure.value.log == tmp_path / "logs/run.log"


def test_other_failures_and_the_status_are_passed_on(tmp_path):
    deadline = Deadline.of(Limits(60.0))
    assert deadline.call("sh", ["sh", "-c", "exit 7"], tmp_path, "run.log") == 7
    with pytest.raises(ToolFailed, match="none could not be started") as failure:
        deadline.call("none", [str(tmp_path / "none")], tmp_path, "run.log")
    assert failure.value.trouble is Trouble.MISSING
