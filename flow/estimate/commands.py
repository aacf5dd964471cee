"""`flow estimate` and `flow calibrate`, from their options to what is printed."""

import json
import re
import sys
from argparse import Namespace
from pathlib import Path

from flow import task
from flow.cost import hls
from flow.errors import BadInput
from flow.estimate import answer, knowledge, lines, tables
from flow.estimate import calibrate as calibration
from flow.estimate.subject import Settings, subject


def estimate(options: Namespace) -> int:
    """`flow estimate`: the exit status."""
    if (options.what is None) == (options.records is None):
        raise BadInput("flow estimate: name a task, a project or a file, or --records FILE; one of them")
    models = knowledge.models(knowledge.load(_state([options.what] if options.what else [], options.state)))
    if options.records is not None:
        return _records(options, models)
    found = answer.estimate(
        subject(options.what, options.design, options.out, _settings(options)), models, options.stage, options.traced
    )
    _print(options.json, found, lines.estimated(found))
    return 0


def calibrate(options: Namespace) -> int:
    """`flow calibrate`: the exit status."""
    state = _state(options.paths, options.state)
    folders = [_results(path, options.out) for path in options.paths]
    done = calibration.calibrate(folders, state)
    _print(options.json, done, lines.calibrated(done))
    return 0


def _records(options: Namespace, models: knowledge.Models) -> int:
    rows, problems = tables.predicted(options.records, models.hls, options.stage)
    for line in problems:
        print(f"flow: left out: {line}", file=sys.stderr)
    if options.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print("\n".join(lines.recorded(list(rows), options.stage)))
    return 0


def _state(paths: list[Path], given: Path | None) -> Path:
    """The calibration file: the one given, that of the only task named, or one in this folder."""
    tasks = [path for path in paths if (path / "task.yaml").is_file()]
    if given is not None or len(paths) != 1 or not tasks:
        return given or Path(task.Task().calibration)
    return tasks[0] / task.read(tasks[0]).calibration


def _results(path: Path, out: Path | None) -> Path:
    """Where the reports of a task are; any other path is taken as it is."""
    if not (path / "task.yaml").is_file():
        return path
    folder = out or Path("hls_projects") / path.resolve().name
    if not folder.is_dir():
        raise BadInput(f"{path}: nothing has been built yet in {folder}; `flow run {path}` does")
    return folder


def _settings(options: Namespace) -> Settings:
    factor = options.reuse_factor
    if factor is not None and not (re.fullmatch(r"[1-9][0-9]{0,8}|10{9}", factor)):
        raise BadInput(f"--reuse-factor {factor[:40]}: a whole number from 1 to 1000000000 is needed")
    return Settings(
        options.part,
        None if options.clock is None else _period(options.clock),
        None if options.strategy is None else hls.Strategy(options.strategy),
        None if factor is None else int(factor),
        None if options.io_type is None else hls.IoType(options.io_type),
        reuse=None if factor is None else (),
    )


def _period(clock: str) -> float:
    try:
        megahertz = float(clock)
    except ValueError:
        megahertz = 0.0
    if not 0.1 <= megahertz <= 10_000:
        raise BadInput(f"--clock {clock[:40]}: a frequency in MHz from 0.1 to 10000 is needed")
    return 1e3 / megahertz


def _print(as_json: bool, row: dict, text: list[str]) -> None:
    print(json.dumps(row) if as_json else "\n".join(text))
