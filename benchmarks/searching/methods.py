"""The methods of the search benchmark, each run once for a seed in a process of its own and kept in the work folder."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from events import GRID, TASK, Events, write_parquet

from flow.store import digest_of, file_digest, versions

HERE = Path(__file__).resolve().parent
PEERS = {"AutoQKeras": "autoqkeras", "HGQ2": "hgq2"}  # name -> environment and script; a strategy is called alike
BATCH = 1024
OURS = 512  # of the strategies: sparse networks want more steps
INPUTS = [f"truncated_bits({bits},{integer})" for bits, integer in ((5, 2), (6, 2), (6, 3), (7, 2), (7, 3), (8, 3))]
LONG = "-long"  # behind a strategy's name: more trials, and longer trainings
LUT_BUDGET = 40_000  # loose: strategies that allocate under a budget need one


@dataclass(frozen=True)
class Plan:
    """How much every method may do. `trials` × `epochs` is a strategy's search, `final_epochs` its front's last
    training; the peers have AutoQKeras' trials and their epochs, and HGQ2's epochs in one run."""

    trials: int
    epochs: int
    final_epochs: int
    finals: int
    autoqkeras_trials: int
    autoqkeras_epochs: int
    hgq2_epochs: int
    hgq2_points: int
    long_trials: int = 120
    long_epochs: int = 40
    long_final_epochs: int = 120
    long_finals: int = 24

    def of(self, name: str) -> "Plan":
        """The plan for a strategy by its name in the benchmark."""
        if not name.endswith(LONG):
            return self
        return replace(
            self,
            trials=self.long_trials,
            epochs=self.long_epochs,
            final_epochs=self.long_final_epochs,
            finals=self.long_finals,
        )


FULL = Plan(100, 12, 60, 16, 100, 15, 1500, 24)
QUICK = Plan(100, 12, 60, 16, 40, 15, 120, 12)


@dataclass(frozen=True)
class Run:
    """A finished run: its points with their networks in `folder`, and whether it was there before."""

    method: str
    seed: int
    folder: Path
    points: tuple[dict, ...]
    versions: dict[str, str]
    read_back: bool


def work_folder(root: Path, events: Events) -> Path:
    """Where what was run and priced on these events is kept."""
    return root / f"jets-{events.counts['train']}-{events.digest}"


def strategy_folder(work: Path, name: str, seed: int, plan: Plan) -> Path:
    """Where a strategy's run is kept: by what it may do, its seed, the task that it is given, and the program's code."""
    size = f"{plan.trials}x{plan.epochs}-{plan.finals}x{plan.final_epochs}"
    files = [file_digest(TASK / part) for part in ("network.py", "task.yaml")]
    task = digest_of([*files, str(GRID), INPUTS, LUT_BUDGET, OURS])[:6]
    return work / f"{name}-{size}-seed{seed}-{task}-{versions()['flow'].partition('+')[2]}"


def write_task(folder: Path, events: Events, plan: Plan, strategy: str, seed: int) -> None:
    """A task's folder: the jet tagger in its own space, on the benchmark's events and their words of 8 bits, with a loose
    budget."""
    folder.mkdir(parents=True)
    shutil.copy(TASK / "network.py", folder)
    data = write_parquet(events, folder / "jets.parquet")
    row = yaml.safe_load((TASK / "task.yaml").read_text(encoding="utf-8"))
    row |= {"data": data, "budget": {"lut": LUT_BUDGET, "dsp": 0, "bram_18k": 0}}
    row["space"]["input"] = INPUTS
    row["train"] = {"batch": OURS, "epochs": plan.epochs, "final_epochs": plan.final_epochs}
    row["search"] = {"strategy": strategy, "rounds": 1, "trials": plan.trials, "seed": seed}
    (folder / "task.yaml").write_text(yaml.safe_dump(row, sort_keys=False))


def run_strategy(name: str, seed: int, plan: Plan, events: Events, work: Path) -> Run:
    """A strategy of the program, or its long run. Raises RuntimeError with its last line where it fails."""
    strategy, plan = name.removesuffix(LONG), plan.of(name)
    folder = strategy_folder(work, strategy, seed, plan)
    if not (folder / "out" / "kept" / "points.json").exists():
        shutil.rmtree(folder, ignore_errors=True)  # half of a run tells no times
        write_task(folder / "jets", events, plan, strategy, seed)
        command = [sys.executable, str(HERE / "ours.py"), str(folder / "jets"), str(folder / "out"), str(seed)]
        _run(name, [*command, str(plan.finals)], folder)
        return _read(name, seed, folder / "out" / "kept", read_back=False)
    return _read(name, seed, folder / "out" / "kept", read_back=True)


def run_peer(name: str, seed: int, plan: Plan, work: Path, python: Path) -> Run:
    """AutoQKeras or HGQ2, by the interpreter of its environment. Raises as `run_strategy` does."""
    count, epochs = {
        "AutoQKeras": (plan.autoqkeras_trials, plan.autoqkeras_epochs),
        "HGQ2": (plan.hgq2_points, plan.hgq2_epochs),
    }[name]
    script = HERE.parent / "peers" / f"{PEERS[name]}.py"
    code = digest_of([file_digest(path) for path in (script, script.with_name("record.py"))])[:6]
    folder = work / f"{name}-{count}x{epochs}-seed{seed}-{code}"
    if (folder / "points.json").exists():
        return _read(name, seed, folder, read_back=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [str(python), str(script), "--data", str(work / "peers.npz")]
    command += ["--network", "dense", "--designs", str(count), "--epochs", str(epochs)]
    command += ["--batch", str(BATCH), "--seed", str(seed)]
    _run(name, [*command, "--out", str(folder / "unused.json"), "--keep", str(folder)], folder)
    return _read(name, seed, folder, read_back=False)


def _run(name: str, command: list[str], folder: Path) -> None:
    """One process to its end, its words in `log.txt`."""
    with (folder / "log.txt").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ, check=False)
    if done.returncode:
        lines = [line for line in (folder / "log.txt").read_text(errors="replace").splitlines() if line.strip()]
        raise RuntimeError(f"{name}: {(lines or ['no message'])[-1]} (the whole: {folder / 'log.txt'})")


def _read(name: str, seed: int, folder: Path, read_back: bool) -> Run:
    row = json.loads((folder / "points.json").read_text())
    return Run(name, seed, folder, tuple(row["points"]), row["versions"], read_back)
