import re

import pytest

from flow.errors import Trouble
from flow.synth.tools.failure import failure

ERROR = re.compile("^Error:")


@pytest.mark.parametrize(
    "text, line, trouble",
    [
        ("all well\nError: first\nError: second\n", 2, Trouble.CRASH),
        ("Error: first\nwrite: No space left on device\n", 2, Trouble.DISK),
        ("Error: first\nterminate called: std::bad_alloc\n", 2, Trouble.MEMORY),
        ("Error: first\nError: Failed to get license for it\nNo space left on device\n", 2, Trouble.LICENCE),
        ("page\x0cbreak\x0b\nError: Failed to get license for it\n", 2, Trouble.LICENCE),
        ("all well\n", None, Trouble.CRASH),
        ("", None, Trouble.CRASH),
    ],
)
def test_the_line_that_tells_why_and_what_it_means(tmp_path, text, line, trouble):
    log = tmp_path / "run.log"
    log.write_text(text)
    found = failure("it failed", log, error=ERROR)
    assert (found.line, found.trouble, found.log) == (line, trouble, log)
    said = "" if line is None else ": " + text.split("\n")[line - 1]
    assert found.message == f"it failed{said}"


def test_without_a_log_there_is_no_line(tmp_path):
    found = failure("it failed", tmp_path / "none.log", Trouble.REPORT, ERROR)
    assert (found.line, found.trouble, found.message) == (None, Trouble.REPORT, "it failed")
