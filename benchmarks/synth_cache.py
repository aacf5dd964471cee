"""How fast the cache answers: `python benchmarks/synth_cache.py [--projects 1000] [--json FILE]`.

Writes small RTL projects, puts a finished run of each into a new cache, and measures how long `flow.synth.job.known`
takes to find them all: reading and digesting the sources, rendering the scripts, reading and checking the record. The
cache is asked by a new process; what that spends on starting and on finding the tool is told apart.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flow.store import versions
from flow.synth.cache import Cache
from flow.synth.job import Job, installed, key, known, place, subject_of
from flow.synth.outcome import State
from flow.synth.report import Report, Stage
from flow.synth.tools import TOOLS
from flow.synth.tools.tool import Limits

PART = "xc7a100tcsg324-1"
BLOCKS = 4
LINES = 150  # of Verilog in a block: 8 kB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--projects", type=int, default=1000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(_ask(options.ask)))
        return
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        for number in range(options.projects):
            _fill(_job(_project(Path(folder), number)), number)
        print(f"{time.monotonic() - start:8.2f} s  to write {options.projects} projects and their entries")
        start = time.monotonic()
        command = [sys.executable, __file__, "--ask", folder]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        row["process_s"] = round(time.monotonic() - start, 3)
    print(f"{row['resolve_s']:8.2f} s  to resolve {row['projects']} of them from the cache")
    print(f"{row['tool_s']:8.2f} s  to find the tool; {row['process_s']:.2f} s the whole process")
    if options.json:
        options.json.write_text(json.dumps(row | {"versions": versions()}, indent=1) + "\n")


def _ask(folder: Path) -> dict:
    start = time.monotonic()
    installed(TOOLS["yosys"])
    found = time.monotonic()
    outcomes = [known(_job(project)) for project in sorted((folder / "projects").iterdir())]
    end = time.monotonic()
    for number, outcome in enumerate(outcomes):
        if outcome is None or outcome.state is not State.DONE or outcome.report.lut != 100 + number:
            raise SystemExit(f"project {number} was not found as it was kept: {outcome}")
    return {"projects": len(outcomes), "tool_s": round(found - start, 3), "resolve_s": round(end - found, 3)}


def _job(project: Path) -> Job:
    return Job(project, "yosys", Stage.SYNTH, Limits(), project.parents[1] / "cache")


def _project(folder: Path, number: int) -> Path:
    """A project of a few kB of Verilog, unlike all others."""
    project = folder / "projects" / f"p{number:05}"
    sources = project / "rtl" / "src"
    sources.mkdir(parents=True)
    blocks = {}
    for position in range(BLOCKS):
        module = f"block{position}"
        body = "\n".join(f"  wire [7:0] w{line} = {{a[{line % 8}:0], 8'd{number % 256}}};" for line in range(LINES))
        (sources / f"{module}.v").write_text(f"module {module}(input [7:0] a);\n{body}\nendmodule // {number}\n")
        blocks[f"layer{position}"] = {"modules": [module], "registers": [], "latency_cycles": 1}
    row = {"top": "block0", "part": PART, "clock_ns": 5.0, "blocks": blocks, "latency_cycles": 4, "interval_cycles": 1}
    (project / "rtl" / "rtl.json").write_text(json.dumps(row))
    return project


def _fill(job: Job, number: int) -> None:
    """Keep what a run of the tool might have given."""
    tool, read = TOOLS[job.tool], subject_of(job)
    scripts, found = tool.render(read, job.stage), installed(tool)
    layers = {name: {"lut": 25, "ff": 25} for name in read.details["blocks"]}
    report = Report("out/stat.json", "yosys", found.version, "rtl", job.stage, PART, lut=100 + number, by_layer=layers)

    def run(work: Path):
        (work / "out").mkdir()
        (work / report.path).write_text(json.dumps({"lut": report.lut}))
        return report, ("out/*",)

    Cache(job.cache).compute(
        job.tool, place(read, job.stage), key(found, scripts), run, tool_version=found.version, limits=job.limits
    )


if __name__ == "__main__":
    main()
