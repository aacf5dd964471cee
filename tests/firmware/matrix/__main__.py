"""Computes the matrix: `python -m tests.firmware.matrix`. Finished jobs are kept, so that a killed run goes on."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from flow.firmware.gate.tools import SIDES, check_tools, versions
from flow.store import digest_of, file_digest, write_json, write_text
from tests.firmware.matrix import report
from tests.firmware.matrix.cells import Job, jobs
from tests.firmware.matrix.run import Cells, Outcome, State, fast_csim, run

ROOT = Path(__file__).parents[3]
_PLAYED = ("tests/networks.py", "tests/designs.py", "tests/weights.py")  # what the cells depend on, beside this folder


def main(arguments: list[str] | None = None) -> int:
    """Computes what is missing and writes the page; 1 where a cell differs or crashed."""
    options = _options(arguments)
    check_tools()
    chosen = [job for job in jobs() if not options.only or any(part in job.name for part in options.only)]
    folder = options.cache / digest_of(_key())
    missing = [job for job in chosen if _read(folder, job) is None]
    print(f"{len(chosen)} jobs, {len(chosen) - len(missing)} done before, kept in {folder}", flush=True)
    _compute(missing, folder, options.jobs)
    found = {job.name: _read(folder, job) for job in chosen}
    if not options.only:
        write_text(options.output, report.page(chosen, found, versions(SIDES)))
        print(f"written: {options.output}")
    failed = report.failures(found)
    for line in failed:
        print(line, file=sys.stderr)
    print(f"{len(failed)} cells failed" if failed else "no cell failed")
    return 1 if failed else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.firmware.matrix", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default %(default)s)")
    parser.add_argument("--only", nargs="*", metavar="TEXT", help="only jobs whose names hold TEXT; no page is written")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "matrix.md", metavar="FILE")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "matrix", metavar="FOLDER")
    return parser.parse_args(arguments)


def _compute(missing: Sequence[Job], folder: Path, processes: int) -> None:
    start = time.monotonic()
    for done, (job, cells) in enumerate(_computed(missing, processes), 1):
        write_json(_path(folder, job), _rows(cells))
        seconds = time.monotonic() - start
        print(f"[{done}/{len(missing)}, {seconds:.0f} s] {job.name}: {_counts(cells)}", flush=True)


def _computed(missing: Sequence[Job], processes: int) -> Iterator[tuple[Job, Cells]]:
    """Jobs and their cells, as they are finished; in this process where one is enough."""
    if processes == 1 or len(missing) < 2:
        fast_csim()
        yield from ((job, run(job)) for job in missing)
        return
    # Spawned, since TensorFlow does not survive a fork.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=fast_csim) as pool:
        futures = {pool.submit(run, job): job for job in missing}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _key() -> dict:
    """What a finished job is good for: versions, this program's code, and the code of the matrix."""
    own = [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.name not in ("report.py", "__main__.py")]
    played = [*own, *(ROOT / name for name in _PLAYED)]
    return {**versions(SIDES), **{str(path.relative_to(ROOT)): file_digest(path) for path in played}}


def _path(folder: Path, job: Job) -> Path:
    return folder / f"{digest_of([job.name, [column.name for column in job.columns]])}.json"


def _read(folder: Path, job: Job) -> Cells | None:
    try:
        content = json.loads(_path(folder, job).read_text())
    except (OSError, ValueError):
        return None
    return {
        column: {row: Outcome(State(state), said) for row, (state, said) in rows.items()}
        for column, rows in content.items()
    }


def _rows(cells: Cells) -> dict:
    return {
        column: {row: [outcome.state, outcome.said] for row, outcome in rows.items()} for column, rows in cells.items()
    }


def _counts(cells: Cells) -> str:
    states = [outcome.state for rows in cells.values() for outcome in rows.values()]
    return ", ".join(f"{states.count(state)} {state}" for state in State if state in states)


if __name__ == "__main__":
    sys.exit(main())
