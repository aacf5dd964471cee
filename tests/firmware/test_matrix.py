"""The matrix of layers, quantizers, backends and io types: a part of it, computed, and its page."""

from pathlib import Path

import pytest

from tests.firmware.matrix import report
from tests.firmware.matrix.__main__ import main
from tests.firmware.matrix.cells import Column, Job, Way, jobs, sample
from tests.firmware.matrix.quantizers import ROLES
from tests.firmware.matrix.run import Outcome, State, fast_csim, run
from tests.firmware.matrix.subjects import chunks

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"


def test_every_combination_is_there_once():
    every = jobs()
    assert len({job.name for job in every}) == len(every)
    for job in every:
        assert len({column.name for column in job.columns}) == len(job.columns)
    assert {job.table for job in every} == set(report.CROSSED)
    for role, quantizers in ROLES.items():
        assert len(set(map(str, quantizers))) == len(quantizers)
        assert [q for chunk in chunks(role) for q in chunk] == list(quantizers)


def test_every_quantizer_of_qkeras_and_ours_has_a_row():
    import inspect

    import qkeras
    from qkeras.base_quantizer import BaseQuantizer

    from flow.train import hardware

    classes = {
        name
        for module in (qkeras.quantizers, hardware)
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, BaseQuantizer) and kind.__module__ == module.__name__
    }
    named = {name for name in classes if not name.startswith("_")}
    assert len(named) > 15 and named == {quantizer.name for quantizers in ROLES.values() for quantizer in quantizers}


@pytest.mark.slow
@pytest.mark.parametrize("job", sample(), ids=lambda job: job.name)
def test_a_part_of_the_matrix_comes_out_as_it_should(job, monkeypatch):
    from flow.firmware.hls import csim

    monkeypatch.setattr(csim, "FLAGS", csim.FLAGS)
    fast_csim()
    cells = run(job)
    assert [*cells] == [column.name for column in job.columns]
    assert report.failures({job.name: cells}) == []
    states = {outcome.state for rows in cells.values() for outcome in rows.values()}
    expected = {State.UNAVAILABLE} if "oneAPI io_parallel" in cells else {State.EXACT}
    assert expected <= states <= expected | {State.REFUSED}


def test_a_cell_that_crashes_is_a_failure_and_its_neighbours_are_not(tmp_path):
    nobody = Job("layers", ("no such network", "mixed"), (Column("RTL traced", Way.TRACED),))
    cells = run(nobody)
    (outcome,) = cells["RTL traced"].values()
    assert outcome.state is State.CRASHED and "KeyError" in outcome.said
    (line,) = report.failures({nobody.name: cells})
    assert line.startswith("layers; no such network; mixed; RTL traced; ") and "CRASHED" in line


def test_a_page_shows_what_was_found():
    columns = (Column("RTL traced", Way.TRACED), Column("Vitis io_parallel", Way.HLS))
    some = [Job("layers", ("a", "mixed"), columns[:1]), Job("layers", ("b", "mixed"), columns[1:])]
    found = {
        some[0].name: {"RTL traced": {"a|b, mixed": Outcome(State.EXACT)}},
        some[1].name: {"Vitis io_parallel": {"b, mixed": Outcome(State.REFUSED, "not\nthis | one")}},
    }
    text = report.page(some, found, {"hls4ml": "1.3.0"})
    assert "| | Vitis io_parallel | RTL traced |" in text and "| a\\|b, mixed |  | exact |" in text
    assert "| b, mixed | refused (1) |  |" in text and "\n1. not this \\| one\n" in text
    assert "2 cells: 1 exact, 1 refused." in text and "hls4ml 1.3.0" in text
    assert text == report.page(some, found, {"hls4ml": "1.3.0"})


@pytest.mark.slow
def test_finished_jobs_are_kept(tmp_path, capsys, monkeypatch):
    from flow.firmware.hls import csim
    from tests.firmware.matrix import __main__ as runner

    monkeypatch.setattr(csim, "FLAGS", csim.FLAGS)
    (job,) = (job for job in sample() if job.name == "layers; residual; plain")
    monkeypatch.setattr(runner, "jobs", lambda: [job])
    page, cache = tmp_path / "matrix.md", tmp_path / "cache"
    arguments = ["--jobs", "1", "--cache", str(cache), "--output", str(page)]
    assert main([*arguments, "--only", "residual"]) == 0
    said = capsys.readouterr().out
    assert "1 jobs, 0 done before" in said and "layers; residual; plain: 1 exact" in said and not page.exists()
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "1 jobs, 1 done before" in said and "[1/1" not in said and "no cell failed" in said
    assert "| residual, plain | exact |" in page.read_text() and "1 cells: 1 exact." in page.read_text()


def test_the_page_in_the_docs_is_of_the_whole_matrix_and_has_no_failure():
    if not PAGE.exists():
        pytest.skip("docs/matrix.md was not computed: make test-matrix")
    text = PAGE.read_text()
    assert "DIFFERS" not in text and "CRASHED" not in text
    rows = {line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")}
    for job in jobs():
        if job.table == "layers":
            assert ", ".join(job.subject) in rows
    for role, quantizers in ROLES.items():
        assert {f"{role} {quantizer}" for quantizer in quantizers} <= rows
