"""Designs trained per minute, side by side: `python benchmarks/train.py [--quick] [--peers FOLDER] [--json FILE]`.

The population engine against QKeras models fitted one by one, and, with --peers, against AutoQKeras and HGQ2, each
in an environment of its own below FOLDER (made where it is missing). Every method gets the same events on the same
grid and runs in a process of its own, one after another.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent / "training"), str(Path(__file__).parent / "peers")]

from environment import REQUIREMENTS, python_of
from problem import BATCH, NETWORKS, Problem, best_under, designs, digits, jets

from flow.errors import FlowError
from flow.store import versions
from flow.train.parameters import deployed

HERE = Path(__file__).parent
EVENTS = 500_000  # of the comparison by epoch


def main() -> None:
    options = _options()
    result: dict = {"cores": os.cpu_count(), "versions": versions(), "quick": options.quick}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            result[name] = _network(name, options, Path(folder))
    summary = _summary(result)
    _show(result)
    if options.json:
        options.json.write_text(json.dumps(summary | result, indent=1) + "\n")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer events, epochs and designs: ends within 10 minutes")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="run AutoQKeras and HGQ2, their environments here")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, help="epochs of each design (default 10, quick 3; CNN six times as many)")
    parser.add_argument("--populations", type=int, nargs="+", help="sizes (default 1 8 32 128, quick 1 8 32)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _network(name: str, options, folder: Path) -> dict:
    """All methods on one network."""
    problem = digits() if name == "cnn" else jets(30_000 if options.quick else None)
    epochs = (options.epochs or (3 if options.quick else 10)) * (6 if name == "cnn" else 1)
    sizes = options.populations or ([1, 8, 32] if options.quick else [1, 8, 32, 128])
    run = _Runner(problem, folder)
    run("float", "float", epochs=3 * epochs, designs=[])
    start = run.folder / f"{name}-float.npz"
    with np.load(start) as stored:
        weights = deployed(problem.topology, dict(stored))
    chosen = [design.to_json() for design in designs(problem, weights, max(sizes))]
    shared = {"start": str(start), "epochs": epochs}
    rows = {}
    few = chosen[: 2 if options.quick else 8]
    rows["qkeras"] = run("qkeras", "qkeras", designs=few, **shared)
    for size in sizes:
        rows[f"population {size}"] = run("population", f"population-{size}", designs=chosen[:size], **shared)
    largest = chosen[: max(sizes)]
    rows["halving"] = run("population", "halving", designs=largest, halving=4, **shared)
    found = {"epochs": epochs, "batch": BATCH[name], "events": len(problem.y_train), "methods": rows}
    if name == "dense" and not options.quick:
        found["by_epoch"] = _by_epoch(problem, folder, shared, chosen)
    found["floor"] = _floor(problem, run("products", "products"))
    if options.peers:
        rows |= _peers(problem, options, epochs, folder)
    return found


def _by_epoch(problem: Problem, folder: Path, shared: dict, chosen: list[dict]) -> dict:
    """Seconds per epoch and design on 500,000 events (the shipped ones, repeated), building left out."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(problem.y_train), size=EVENTS)
    run = _Runner(replace(problem, x_train=problem.x_train[rows], y_train=problem.y_train[rows]), folder)
    more = shared | {"epochs": 3}
    return {
        "events": EVENTS,
        "qkeras": run("qkeras", "qkeras-epoch", designs=chosen[:1], **more)["epoch_seconds"],
        "population 32": run("population", "population-epoch", designs=chosen[:32], **more)["epoch_seconds"],
    }


def _floor(problem: Problem, products: dict) -> dict:
    """What the multiply-adds alone take: three products for each (forward, and both gradients), at the speed at which
    this machine multiplies large matrices; and what the same products take in the shapes that they have here."""
    import tensorflow as tf

    size, times = 2048, []
    a = tf.random.uniform((size, size))
    for _ in range(8):
        begun = time.perf_counter()
        tf.matmul(a, a).numpy()
        times.append(time.perf_counter() - begun)
    speed = 2 * size**3 / min(times)
    operations = sum(2 * 3 * layer.multiplications for layer in problem.topology.weighted)
    return {
        "gflops": speed / 1e9,
        "mflop_per_event": operations / 1e6,
        "seconds_per_epoch": operations * len(problem.y_train) / speed,
        "products_seconds_per_epoch": products["epoch_seconds"],
    }


def _peers(problem: Problem, options, epochs: int, folder: Path) -> dict:
    """AutoQKeras and HGQ2 on the same events."""
    data = folder / f"{problem.name}.npz"
    problem.save(data)
    count = 2 if options.quick else 8
    found = {}
    for peer in REQUIREMENTS:
        out = folder / f"{problem.name}-{peer}.json"
        # HGQ2 trains one network for all points of its front: it gets the epochs of all designs together.
        spent = epochs * count if peer == "hgq2" else epochs
        try:
            command = [str(python_of(peer, options.peers)), str(HERE / "peers" / f"{peer}.py"), "--data", str(data)]
            command += ["--network", problem.name, "--designs", str(count), "--epochs", str(spent)]
            command += ["--batch", str(BATCH[problem.name]), "--seed", "1", "--out", str(out)]
            _say(f"{problem.name}: {peer}")
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        except FlowError as error:
            _say(f"  left out: {error}")
            continue
        if done.returncode:
            _say(f"  left out: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
            continue
        row = json.loads(out.read_text())
        row["accuracies"] = [point["accuracy"] for point in row["front"]]
        row["ebops"] = [point["ebops"] for point in row["front"]]
        found[peer] = row
    return found


class _Runner:
    """Runs one method after another on one problem, each in a process of its own."""

    def __init__(self, problem: Problem, folder: Path):
        self.problem, self.folder = problem, folder
        self.data = folder / f"{problem.name}-{len(problem.y_train)}.npz"
        problem.save(self.data)

    def __call__(self, method: str, label: str, **settings) -> dict:
        _say(f"{self.problem.name}: {label}")
        out, chosen = (self.folder / f"{self.problem.name}-{label}.{end}" for end in ("json", "settings"))
        chosen.write_text(json.dumps(settings))
        command = [str(HERE / "training" / "one.py"), method, self.problem.name, str(self.data), str(chosen), str(out)]
        subprocess.run([sys.executable, *command], check=True, stderr=subprocess.DEVNULL)
        return json.loads(out.read_text())


def _summary(result: dict) -> dict:
    """What programs read: designs per minute, quality and memory by method and network."""
    found: dict = {"designs_per_minute": {}, "quality": {}, "peak_memory_mb": {}}
    for name in NETWORKS:
        rows = result.get(name, {}).get("methods", {})
        found["designs_per_minute"][name] = {m: 60 * row["designs"] / row["seconds"] for m, row in rows.items()}
        found["peak_memory_mb"][name] = {m: row["peak_memory_mb"] for m, row in rows.items()}
        found["quality"][name] = {m: _quality(row, rows) for m, row in rows.items()}
    return found


def _quality(row: dict, rows: dict) -> dict:
    """Mean and deviation of accuracy, of the designs that (a) trained too (a peer's: of its own), and the front: the
    best accuracy under EBOPs."""
    same = row["accuracies"][: rows["qkeras"]["designs"]] if "front" not in row else row["accuracies"]
    points = [(cost, accuracy) for cost, accuracy in zip(row["ebops"], row["accuracies"]) if cost is not None]
    limits = np.quantile(
        max(rows.values(), key=lambda r: len(r["ebops"]))["ebops"], [0.1, 0.25, 0.5, 0.75, 1.0]
    ).tolist()
    return {
        "metric": "accuracy",
        "mean": float(np.mean(same)),
        "deviation": float(np.std(same)),
        "front": dict(zip((f"{limit:.0f} EBOPs" for limit in limits), best_under(points, limits))),
    }


def _show(result: dict) -> None:
    summary = _summary(result)
    for name in NETWORKS:
        if name not in result:
            continue
        found = result[name]
        base = summary["designs_per_minute"][name]["qkeras"]
        print(f"\n{name}: {found['events']} events, {found['epochs']} epochs, batch {found['batch']}")
        print(
            f"{'method':16}{'designs/min':>12}{'ratio':>8}{'MB':>8}{'accuracy':>10}{'':>9}  best accuracy under EBOPs"
        )
        for method, rate in summary["designs_per_minute"][name].items():
            quality = summary["quality"][name][method]
            front = "  ".join(f"{v:.3f} < {k.split()[0]}" for k, v in quality["front"].items())
            memory = summary["peak_memory_mb"][name][method]
            print(
                f"{method:16}{rate:12.2f}{rate / base:8.1f}{memory:8.0f}{quality['mean']:10.4f} ± {quality['deviation']:.4f}  {front}"
            )
        floor = found["floor"]
        spent = {m: row["epoch_seconds"] for m, row in found["methods"].items() if "epoch_seconds" in row}
        print(
            f"multiply-adds alone: {floor['seconds_per_epoch']:.4f} s per epoch and design ({floor['gflops']:.0f} GFLOP/s);"
            f" in the shapes of this network: {floor['products_seconds_per_epoch']:.4f} s"
        )
        print("seconds per epoch and design: " + ", ".join(f"{m} {seconds:.4f}" for m, seconds in spent.items()))
        if "by_epoch" in found:
            each = found["by_epoch"]
            ratio = each["qkeras"] / each["population 32"]
            print(
                f"{each['events']} events: {each['qkeras']:.3f} s and {each['population 32']:.3f} s per epoch, ratio {ratio:.1f}"
            )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
