"""`flow`: one sub-command a step. Nothing heavy is imported before a command needs it."""

import errno
import json
import os
import signal
import sys
import threading
from pathlib import Path

from flow.arguments import parser
from flow.errors import BadInput, FlowError


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit status. A user's mistake is one line, never a traceback."""
    options = parser().parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else list(arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # batch systems end jobs so: as with Ctrl-C
    try:
        return COMMANDS[options.command](options) or 0
    except FlowError as error:
        return _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _fail("interrupted; what was finished is kept, run again to go on", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        from flow.store import storage_error

        known = storage_error(error)
        if error.errno == errno.ENAMETOOLONG:
            return _fail(f"{str(error.filename)[:60]}...: the name is too long for a file", BadInput.exit_status)
        if known is None:
            raise
        return _fail(str(known), known.exit_status)


def _fail(message: str, status: int) -> int:
    print(f"flow: {' '.join(message.split())}", file=sys.stderr)
    return status


def _run(options) -> int:
    from flow.codesign import Upto
    from flow.codesign import run as run_loop
    from flow.report.lines import finished, show

    if getattr(options, "on_interrupt", "cancel") == "leave":
        return _left(options)
    summary = run_loop(
        options.task, options.out, Upto(options.upto), jobs=_jobs(options), again=getattr(options, "again", False),
        limits=getattr(options, "limits", None), **_searching(options),
    )  # fmt: skip
    if options.json:
        print(json.dumps(finished(summary)))
    else:
        show(summary, options.upto)
    return 0


def _searching(options) -> dict:
    """What the command line says of the search, before the task does."""
    if not hasattr(options, "strategy"):
        return {}
    from flow.quantities import count, positive, whole
    from flow.search import strategy

    found = {
        "strategy": options.strategy,
        "trials": count("--trials", options.trials, None),
        "seed": whole("--seed", options.seed),
    }
    if options.strategy is not None:
        strategy(options.strategy, "--strategy")
    said = {name: value for name, value in found.items() if value is not None}
    return {"searching": said, "minutes": positive("--minutes", options.minutes)}


def _space(options) -> int:
    from flow.loop import space_table

    return space_table.show(options.task, options.json)


def _compare(options) -> int:
    from flow.compare import command

    return command.run(options)


def _jobs(options):
    """Where jobs run: what the options say, else the task."""
    from flow.synth.jobs import options as jobs
    from flow.synth.jobs.settings import JobSettings
    from flow.task import read

    return jobs.of(options, read(options.task).synth) if hasattr(options, "jobs") else JobSettings()


def _data(options) -> int:
    if options.generate:
        from flow.data.features import CLASSES
        from flow.data.generate import Settings, generate
        from flow.task import read

        if options.jets < 1:
            raise BadInput(f"--jets {options.jets}: at least 1 jet of each class")
        out = options.task / read(options.task).data.file
        generate(Settings(jets_per_class=options.jets, seed=options.seed), out, options.workers)
        print(f"{out}: {options.jets * len(CLASSES)} jets", file=sys.stderr)
    return _run(options)


def _status(options) -> int:
    from flow.codesign import read_result
    from flow.report.lines import finished, show

    if not options.task.is_dir():
        raise BadInput(f"{options.task}: no such task folder")
    out = options.out or Path("hls_projects") / options.task.resolve().name
    summary = read_result(out)
    if options.json:
        print(json.dumps(finished(summary or {"task": options.task.resolve().name})))
    elif summary is None:
        print(f"{options.task.resolve().name}: nothing has been run yet; `flow run {options.task}` starts")
    else:
        show(summary, "status")
    return 0


def _synth(options) -> int:
    from flow.synth import command

    if options.on_interrupt == "leave":
        return _left(options)
    task = command.task_of(options)
    if task is not None:
        options.task, options.upto, options.limits = task, "synth", command.limits(options)
        return _run(options)
    return command.run(options)


def _left(options) -> int:
    """Start the same command again on its own, and follow what it says."""
    from flow.synth.jobs.detached import follow

    return follow([*options.words, "--on-interrupt", "cancel"])


def _tools(options) -> int:
    from flow.synth.tools.listing import rows, show

    show(rows(), options.json)
    return 0


def _parse(options) -> int:
    from flow.synth.parse import reports

    status = 0
    for path in options.paths:
        try:
            found = reports(path)
        except BadInput as error:  # the others are still read
            status = _fail(str(error), error.exit_status)
            continue
        for report in found:
            print(json.dumps(report.to_json()) if options.json else _report_line(report.to_json()))
    return status


def _report_line(row: dict) -> str:
    """A report in one line: what it says, ranges as least..most."""
    said = {key: value for key, value in row.items() if value not in (None, [], {}) and key not in ("path", "by_layer")}
    for key in ("latency_cycles", "interval_cycles"):
        if key in said:
            ends = ["?" if end is None else str(end) for end in said[key].values()]
            said[key] = "..".join(dict.fromkeys(ends))
    said["messages"] = "; ".join(said.get("messages", ()))
    return f"{row['path']}: " + ", ".join(f"{key} {value}" for key, value in said.items() if value != "")


def _estimate(options) -> int:
    from flow.estimate import commands

    return commands.estimate(options)


def _calibrate(options) -> int:
    from flow.estimate import commands

    return commands.calibrate(options)


def _verify(options) -> int:
    from flow.firmware.gate import command

    return command.verify(options)


def _export(options) -> int:
    from flow.firmware.bundle import command

    return command.export(options)


def _import(options) -> int:
    from flow.importing import command

    return command.run(options)


def _strategies(options) -> int:
    from flow.search import OPTIONS, STRATEGIES

    rows = {
        name: {
            "what": (sys.modules[propose.__module__].__doc__ or "").strip().splitlines()[0],
            "settings": {
                key: {"default": option.default, "allowed": list(option.allowed), "meaning": option.sentence}
                for key, option in OPTIONS.get(name, {}).items()
            },
        }
        for name, propose in STRATEGIES.items()
    }
    if options.json:
        print(json.dumps(rows))
        return 0
    for name, row in rows.items():
        print(f"{name:12} {row['what']}")
        for key, option in row["settings"].items():
            print(f"{'':12}   {key}: {option['meaning']} [{_default(option)}]")
    print("`search.strategy` names one, `search.options.STRATEGY` holds its settings")
    return 0


def _default(option: dict) -> str:
    """A setting's default, and what else it may be where that is a short list of words."""
    default = option["default"]
    if isinstance(default, list):
        return ", ".join(default)
    if isinstance(default, (bool, str)):
        return f"{default}; of {', '.join(map(str, option['allowed']))}"
    return f"{default:g}"


def _keys(options) -> int:
    from flow.task import table

    rows = [{"key": key, "default": default, "meaning": sentence} for key, default, sentence in table()]
    if options.json:
        print(json.dumps(rows))
    elif options.markdown:
        print("| key | default | meaning |\n| --- | --- | --- |")
        for row in rows:
            print(f"| `{row['key']}` | {row['default']} | {row['meaning']} |")
    else:
        for row in rows:
            print(f"{row['key']:42} {row['meaning']} [{row['default']}]")
    return 0


COMMANDS = {
    "run": _run,
    "data": _data,
    "train": _run,
    "search": _run,
    "convert": _run,
    "report": _run,
    "space": _space,
    "compare": _compare,
    "synth": _synth,
    "tools": _tools,
    "status": _status,
    "parse": _parse,
    "estimate": _estimate,
    "calibrate": _calibrate,
    "verify": _verify,
    "export": _export,
    "import": _import,
    "strategies": _strategies,
    "keys": _keys,
}


def run() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
