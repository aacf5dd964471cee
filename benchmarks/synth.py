"""How busy a sweep of synthesis jobs keeps the machine: `python benchmarks/synth.py [--designs 200] [--json FILE]`.

Writes small networks of random weights as Verilog and runs Yosys on them all with `flow.synth.jobs`, as
`flow synth PROJECT...` does, then once more, when all of them are in the cache. "Busy" is the share of the cores' time
that was not idle, by the kernel's own count, between the first job's start and the end of the last. The same sweep as a
plain loop, one design after the other, is what it is compared with (on as many designs as `--plain` says).
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign
from flow.firmware import rtl
from flow.firmware.settings import Target
from flow.formats import Fixed, Relu
from flow.store import versions
from flow.synth.job import Job, synthesise
from flow.synth.jobs.run import run
from flow.synth.jobs.settings import JobSettings
from flow.synth.outcome import State
from flow.synth.report import Stage
from flow.synth.tools.tool import Limits
from flow.topology import Dense, Topology
from flow.train import qkeras_model

PART, CLOCK_NS = "xcvu9p-flga2104-2-e", 5.0
WORD = Fixed(6, 2)
TOPOLOGY = Topology((Dense("fc0", 4, 4, "relu"), Dense("logits", 4, 3)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--designs", type=int, default=200, help="designs of the sweep (default %(default)s)")
    parser.add_argument("--plain", type=int, default=20, help="designs of the plain loop (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        projects = [_project(folder / f"design{i:03}", i) for i in range(options.designs)]
        print(f"{len(projects)} designs written", flush=True)
        jobs = [Job(path, "yosys", Stage.SYNTH, Limits(), folder / "cache") for path in projects]
        rows = {
            "plain loop": _measured(lambda: [synthesise(path) for path in projects[: options.plain]], options.plain),
            "sweep": _measured(lambda: _sweep(jobs), len(jobs)),
            "sweep, cached": _measured(lambda: _sweep(jobs, cached=True), len(jobs)),
        }
    for name, row in rows.items():
        print(f"{name:14} {row['designs']:4} designs {row['seconds']:8.2f} s  busy {row['busy']:.1%}", flush=True)
    if options.json:
        found = {"rows": rows, "cores": psutil.cpu_count(), "versions": versions()}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def _sweep(jobs: list[Job], cached: bool = False) -> None:
    outcomes = run(jobs, JobSettings())
    assert all(outcome.state is State.DONE and outcome.cached is cached for outcome in outcomes)


def _measured(work: Callable[[], object], designs: int) -> dict[str, float]:
    before, start = psutil.cpu_times(), time.monotonic()
    work()
    seconds, after = time.monotonic() - start, psutil.cpu_times()
    spent = {
        name: getattr(after, name) - getattr(before, name) for name in after._fields if not name.startswith("guest")
    }
    idle = spent["idle"] + spent.get("iowait", 0.0)
    return {"designs": designs, "seconds": seconds, "busy": 1.0 - idle / max(sum(spent.values()), 1e-9)}


def _project(folder: Path, seed: int) -> Path:
    """The Verilog of a network with weights of its own."""
    rng = np.random.default_rng(seed)
    form = LayerDesign(Fixed(3, 0), Fixed(3, 0), Relu(3, 1))
    layers = tuple(
        (layer.name, form if TOPOLOGY.quantized(layer) else LayerDesign(form.kernel, form.bias, None))
        for layer in TOPOLOGY.designed
    )
    weights = {
        layer.name: (rng.normal(0, 0.3, layer.kernel_shape), rng.normal(0, 0.3, layer.shape[-1:]))
        for layer in TOPOLOGY.weighted
    }
    n = TOPOLOGY.n_in
    scaling = InputScaling(tuple(f"x{i}" for i in range(n)), WORD, (0,) * n, (0.0,) * n)
    model = qkeras_model.build(TOPOLOGY, Design(Fixed(4, 1), layers), scaling, weights)
    target = Target(PART, CLOCK_NS)
    folder.mkdir()
    rtl.write(rtl.trace(model, WORD, target), folder, "network", target)
    return folder


if __name__ == "__main__":
    main()
