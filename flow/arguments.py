"""The arguments of all sub-commands."""

import argparse
from pathlib import Path

from flow import __version__

STEPS = {
    "run": "run the whole loop: train, search, build, verify, synthesise, feed back, report",
    "data": "read, split and scale the events (--generate makes jets with Pythia)",
    "train": "train the float network and the uniform baselines",
    "search": "propose and train the round's designs",
    "convert": "build the chosen designs as HLS and RTL projects and verify them",
    "report": "finish all rounds and write the page",
}


def parser() -> argparse.ArgumentParser:
    """Of the whole command line; what it parses has the sub-command's name as `command`."""
    parser = argparse.ArgumentParser(
        prog="flow", description="FPGA co-design for trigger-level inference.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"flow {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, sentence in STEPS.items():
        step = _task_command(commands, name, sentence)
        step.set_defaults(upto="report" if name == "run" else name)
        if name == "data":
            _data_options(step)
        else:
            _job_options(step)
        if name == "search":
            _search_options(step)
    _space_command(commands)
    _compare_command(commands)
    _synth_command(commands)
    tools = commands.add_parser(
        "tools",
        help="list the tools and job systems",
        description="List the tools that are here, and what to set where they are not.",
    )
    _as_json(tools)
    _task_command(commands, "status", "show how far a task is, its front and its chosen design")
    _parse_command(commands)
    _estimate_command(commands)
    _calibrate_command(commands)
    _verify_command(commands)
    _export_command(commands)
    _import_command(commands)
    strategies = commands.add_parser(
        "strategies", help="list the search strategies", description="List the search strategies."
    )
    _as_json(strategies)
    keys = commands.add_parser(
        "keys", help="list the keys of task.yaml", description="List the keys of task.yaml with defaults."
    )
    _as_json(keys)
    keys.add_argument("--markdown", action="store_true", help="print the table of docs/task.md")
    return parser


def _as_json(command) -> None:
    command.add_argument("--json", action="store_true", help="print JSON for programs")


def _task_command(commands, name: str, sentence: str, description: str = "") -> argparse.ArgumentParser:
    description = description or sentence[0].upper() + sentence[1:] + "."
    command = commands.add_parser(name, help=sentence, description=description, allow_abbrev=False)
    command.add_argument("task", type=Path, metavar="TASK", help="a task's folder, e.g. models/jet_tagger")
    command.add_argument("--out", type=Path, help="where results go (default hls_projects/<task>)")
    _as_json(command)
    return command


def _data_options(command) -> None:
    command.add_argument(
        "--generate", action="store_true", help="make the task's jets with Pythia first (extra 'generate')"
    )
    command.add_argument(
        "--jets", type=int, default=50_000, metavar="N", help="jets of each class to make (default %(default)s)"
    )
    command.add_argument("--workers", type=int, metavar="N", help="processes that make jets (default: all cores)")
    command.add_argument(
        "--seed", type=int, default=1, metavar="S", help="seed of the jets to make (default %(default)s)"
    )


def _search_options(command) -> None:
    command.add_argument(
        "--strategy", metavar="NAME", help="who proposes; `flow strategies` lists them (default: the task's)"
    )
    command.add_argument("--trials", metavar="N", help="designs to train in the round (default: the task's)")
    command.add_argument("--minutes", metavar="M", help="begin no further batch after so many minutes")
    command.add_argument("--seed", metavar="S", help="seed of proposals and training (default: the task's)")


def _space_command(commands) -> None:
    space = commands.add_parser(
        "space",
        help="show what there is to choose, and how many designs that makes",
        description="Show the parameters of a task's space with their choices, what shares a choice, what is forbidden,"
        " and how many designs there are. Nothing is trained.",
        allow_abbrev=False,
    )
    space.add_argument("task", type=Path, metavar="TASK", help="a task's folder, e.g. models/jet_tagger")
    _as_json(space)


def _compare_command(commands) -> None:
    compare = _task_command(
        commands,
        "compare",
        "compare strategies on a task at equal budget",
        "Search a task with several strategies and seeds at equal budget, and compare their fronts: hypervolume with"
        " error bars, and a plot.",
    )
    compare.add_argument(
        "--strategies", metavar="A,B,...", help="strategies to compare (default: all; random is the line to beat)"
    )
    compare.add_argument("--seeds", metavar="S,S,...", default="1,2,3", help="seeds (default %(default)s)")
    compare.add_argument("--trials", metavar="N", help="designs to train by each (default: the task's search.trials)")


def _synth_command(commands) -> None:
    synth = commands.add_parser(
        "synth",
        help="synthesise built designs, and refit the cost model",
        description="Synthesise built designs. Of a task, with the tool that closes its loop: refit the cost model too.",
        allow_abbrev=False,
    )
    synth.add_argument(
        "paths", nargs="+", type=Path, metavar="TASK|PROJECT", help="a task's folder, or the folders of built designs"
    )
    synth.add_argument("--out", type=Path, help="where the task's results are (default hls_projects/<task>)")
    synth.add_argument(
        "--tool", metavar="T", help="another tool than the task's; `flow tools` lists them (of projects: yosys)"
    )
    synth.add_argument("--like", type=Path, metavar="TASK", help="of projects: take tool, stage and limits from a task")
    synth.add_argument("--stage", metavar="S", help="how far the tool goes (default: what is usual for it)")
    synth.add_argument(
        "--import", dest="imported", type=Path, metavar="DIR",
        help="run nothing: take in the reports in folders of these designs that were brought back from elsewhere",
    )  # fmt: skip
    synth.add_argument("--timeout", metavar="T", help="time limit of one run, e.g. 900 or 2h (default: the task's)")
    synth.add_argument("--memory", metavar="M", help="memory limit of one run, e.g. 16GB (default: the task's)")
    synth.add_argument(
        "--licences", metavar="N", help="runs at once among all who share the cache (default: the task's)"
    )
    synth.add_argument(
        "--again", action="store_true", help="run also what failed before in a way that no second try mends"
    )
    _job_options(synth)
    _as_json(synth)


def _job_options(command) -> None:
    from flow.synth.jobs import options

    options.add(command)


def _parse_command(commands) -> None:
    parse = commands.add_parser(
        "parse", help="read tool reports", description="Read tool reports, one JSON object a file with --json."
    )
    parse.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a report of a tool, or a folder that holds some"
    )
    _as_json(parse)


def _estimate_command(commands) -> None:
    estimate = commands.add_parser(
        "estimate",
        help="predict what a design will cost",
        description="Predict LUT, FF, DSP, memories, latency, interval and energy, with ranges, beside the reports that there are.",
        allow_abbrev=False,
    )
    estimate.add_argument(
        "what", nargs="?", type=Path, metavar="TASK",
        help="a task's folder, a built project, a .keras file, or an hls4ml configuration",
    )  # fmt: skip
    estimate.add_argument(
        "design", nargs="?", metavar="DESIGN",
        help="of a task: a built design's digest, a design's JSON, a .keras file, or an hls4ml configuration (default: the chosen design)",
    )  # fmt: skip
    estimate.add_argument(
        "--records", type=Path, metavar="FILE", help="predict every row of a CSV file of networks instead"
    )
    estimate.add_argument(
        "--stage", choices=("csynth", "synth", "route"), default="csynth",
        help="whose report of the hls4ml project to predict (default %(default)s)",
    )  # fmt: skip
    estimate.add_argument("--traced", action="store_true", help="price the Verilog from the real weights too (seconds)")
    estimate.add_argument("--part", help="FPGA part (default: the task's or the file's)")
    estimate.add_argument("--clock", metavar="MHZ", help="clock frequency (default: the task's or the file's)")
    estimate.add_argument("--strategy", choices=("latency", "resource", "distributed_arithmetic"), help="of hls4ml")
    estimate.add_argument("--reuse-factor", metavar="N", help="of every layer of the hls4ml project")
    estimate.add_argument("--io-type", choices=("io_parallel", "io_stream"), help="of the hls4ml project")
    _state_options(estimate)


def _calibrate_command(commands) -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="refit the cost models on reports",
        description="Take the reports of tasks, projects and folders into a calibration file, and say what changed.",
        allow_abbrev=False,
    )
    calibrate.add_argument(
        "paths", nargs="+", type=Path, metavar="TASK|DIR",
        help="a task's folder, a folder with built designs or hls4ml projects, or a CSV file of records",
    )  # fmt: skip
    _state_options(calibrate)


def _verify_command(commands) -> None:
    verify = commands.add_parser(
        "verify",
        help="prove a built project equal to its model",
        description="Compare QKeras, C simulation, traced arithmetic and simulated RTL of built projects or bundles.",
        allow_abbrev=False,
    )
    verify.add_argument(
        "paths", nargs="+", type=Path, metavar="PROJECT|BUNDLE", help="a built project's folder, or an exported bundle"
    )
    verify.add_argument(
        "--tolerance", type=float, metavar="T",
        help="largest difference of the outputs that passes, in their unit (default: exact)",
    )  # fmt: skip
    verify.add_argument("--random", type=int, metavar="N", help="random words on the grid of a project (default 1000)")
    verify.add_argument("--seed", type=int, metavar="S", help="seed of the random words (default 1)")
    verify.add_argument(
        "--events", type=Path, metavar="FILE", help="more events: integer words, .npy or a line of text for each event"
    )
    verify.add_argument(
        "--sides", metavar="NAMES", help="only some of csim,traced,rtl (a bundle's: emulator,csim,rtl; default: all)"
    )
    _as_json(verify)


def _export_command(commands) -> None:
    export = commands.add_parser(
        "export",
        help="pack a verified design as one file",
        description="Pack a verified design: sources, emulator library, IP packaging, vectors, reports, licences.",
        allow_abbrev=False,
    )
    export.add_argument("what", type=Path, metavar="TASK", help="a task's folder, or a built project's")
    export.add_argument(
        "design", nargs="?", metavar="DESIGN",
        help="of a task: the first digits of a built design's digest, or chosen (the default)",
    )  # fmt: skip
    export.add_argument(
        "-o", "--output", dest="file", type=Path, required=True, metavar="FILE", help="the bundle: .zip or .tar.gz"
    )
    export.add_argument(
        "--version", dest="release", metavar="V", help="the release's name in folder and symbols (default: the digest)"
    )
    export.add_argument("--out", type=Path, help="where the task's results are (default hls_projects/<task>)")
    _as_json(export)


def _import_command(commands) -> None:
    command = commands.add_parser(
        "import",
        help="make a task of a .keras file",
        description="Make a task of your own Keras or QKeras network; nothing of the file is executed.",
        allow_abbrev=False,
    )
    command.add_argument("model", type=Path, metavar="MODEL.keras", help="a model that model.save() has written")
    command.add_argument(
        "-o", "--output", type=Path, metavar="TASK", help="the task's folder (default models/<name of the file>)"
    )
    command.add_argument("--data", type=Path, metavar="FILE", help="events to train on, which the task names")
    command.add_argument("--features", metavar="A,B,...", help="names of the inputs, in order (default x0,x1,...)")
    command.add_argument("--classes", metavar="A,B,...", help="names of the outputs, in order (default class0,...)")
    command.add_argument("--word", metavar="FORMAT", help="input words, quantized_bits(bits,integer)")
    command.add_argument("--part", help="FPGA part")
    command.add_argument("--clock", metavar="MHZ", help="clock frequency")
    command.add_argument(
        "--build", action="store_true", help="build a quantized network's firmware at once, without data or training"
    )
    command.add_argument("--out", type=Path, help="where --build puts the project (default hls_projects/<task>)")
    _as_json(command)


def _state_options(command) -> None:
    command.add_argument(
        "--state", type=Path, metavar="FILE", help="the calibration file (default: the task's, else calibration.json)"
    )
    command.add_argument("--out", type=Path, help="where the task's results are (default hls_projects/<task>)")
    _as_json(command)
