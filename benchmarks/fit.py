"""How well untrained measures rank trained designs: `python benchmarks/fit.py [--designs N] [--keep FOLDER] [--json
FILE]`.

Random designs of a task's own space are trained as a search trains them (quantization-aware, from the float network),
and their accuracy on the validation events is put beside what each measure said before: rank correlations (Spearman's
and Kendall's), with bootstrap errors over designs. Any measure must beat the trivial ones: bits, EBOPs and mean
widths.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.cost.bits import bits, ebops
from flow.data.prepare import prepare
from flow.data.scaling import Centred, InputScaling
from flow.design import Design
from flow.search.damages import Damages
from flow.search.problem import Measure
from flow.sensitivity import floating
from flow.sensitivity.fisher import Noise, fisher, fit
from flow.sensitivity.intervals import Interval, errors
from flow.sensitivity.knowledge import EVENTS, HOPELESS, Sensitivity
from flow.space import SearchSpace, build_space
from flow.store import versions, write_json
from flow.task import Task, read
from flow.train.designs import Physics, Sample, Start, member_parameters, train_designs
from flow.train.evaluate import OperatingPoint, Truth
from flow.train.network import read_network
from flow.train.parameters import deployed
from flow.train.ranges import hidden_values
from flow.train.schedule import Schedule

ROOT = Path(__file__).resolve().parents[1]
RESAMPLED = 1000  # bootstrap samples of the designs
RANGE_EVENTS = 20_000


@dataclass(frozen=True)
class Ground:
    """A task's float network, events and space."""

    task: Task
    space: SearchSpace
    parameters: dict
    train: Sample
    validation: Sample
    physics: Physics


def main() -> None:
    options = _options()
    found: dict = {"versions": versions()}
    for name in options.tasks:
        ground = _ground(name, options.keep)
        designs, chosen = _designs(ground.space, options.designs, options.seed)
        accuracy = _trained(name, ground, designs, options)
        measures = _measures(ground, designs, chosen)
        found[name] = {
            "designs": len(designs),
            "epochs": ground.task.train.epochs,
            "accuracy": accuracy,
            "measures": {k: list(map(float, v)) for k, v in measures.items()},
            "correlations": {k: correlation(np.array(accuracy), -v) for k, v in measures.items()},
        }
        found[name]["hopeless"] = hopeless(np.array(accuracy), measures["intervals"])
        _show(name, found[name])
    if options.json:
        write_json(options.json, found)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=["jet_tagger", "digits"], help="folders below models/")
    parser.add_argument("--designs", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep float networks and accuracies there")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def correlation(metric: np.ndarray, score: np.ndarray) -> dict[str, list[float]]:
    """Spearman's and Kendall's rank correlation of two rows (designs,), each with its bootstrap error."""
    from scipy.stats import kendalltau, spearmanr

    rng, rows = np.random.default_rng(0), {"spearman": [], "kendall": []}
    for i in range(RESAMPLED + 1):
        some = rng.integers(len(metric), size=len(metric)) if i else np.arange(len(metric))
        rows["spearman"].append(float(spearmanr(metric[some], score[some]).statistic))
        rows["kendall"].append(float(kendalltau(metric[some], score[some]).statistic))
    return {name: [values[0], float(np.std(values[1:], ddof=1))] for name, values in rows.items()}


def hopeless(metric: np.ndarray, bound: np.ndarray) -> dict[str, float]:
    """What stopping hopeless designs would have stopped: how many, and the share of designs that the best was above."""
    stopped = metric[bound > HOPELESS]
    rank = float(np.mean(metric < stopped.max())) if len(stopped) else 0.0
    return {"threshold": HOPELESS, "stopped": len(stopped), "rank of the best stopped": rank}


def _ground(name: str, keep: Path | None) -> Ground:
    folder = ROOT / "models" / name
    task = read(folder)
    result, arrays = prepare(task.data, folder)
    scaling = InputScaling.from_json(result["scaling"])

    def sample(part: str) -> Sample:
        truth = Truth.of(arrays[f"{part}.labels"], arrays[f"{part}.events"])
        return Sample(Centred(arrays[f"{part}.words"], scaling)[:], truth)

    train, validation = sample("train"), sample("validation")
    point, classes = task.operating_point, task.data.classes
    places = (tuple(classes.index(c) for c in part) for part in (point.signal, point.background))
    physics = Physics(OperatingPoint(*places, point.background_efficiency), classes)
    topology = read_network(folder / task.network, train.values.shape[1], len(classes), task.train.fold_batchnorm)
    kept = None if keep is None else keep / f"{name}-float.npz"
    if kept is not None and kept.exists():
        with np.load(kept, allow_pickle=False) as stored:
            parameters = dict(stored)
    else:
        schedule = _schedule(task, task.train.float_epochs)
        _, found = train_designs(topology, [None], [Start()], train, validation, physics, schedule)
        parameters = member_parameters(found, 0)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, **parameters)
    weights, some = deployed(topology, parameters), np.asarray(train.values[:RANGE_EVENTS], np.float64)
    samples = {"input": some} | hidden_values(topology, weights, some, topology.names)
    space = build_space(task.space, topology, weights, samples, folder / "task.yaml")
    return Ground(task, space, parameters, train, validation, physics)


def _schedule(task: Task, epochs: int) -> Schedule:
    return Schedule(epochs, task.train.batch, task.train.learning_rate, task.search.seed)


def _designs(space: SearchSpace, count: int, seed: int) -> tuple[list[Design], list[dict[str, str]]]:
    rng, found = np.random.default_rng(seed), {}
    while len(found) < count:
        chosen = {name: options[rng.integers(len(options))] for name, options in space.parameters.items()}
        found.setdefault(space.design(chosen), chosen)
    return list(found), list(found.values())


def _trained(name: str, ground: Ground, designs: list[Design], options) -> list[float]:
    """The accuracy of each design on the validation events, trained for as many epochs as the task's trials."""
    kept = None if options.keep is None else options.keep / f"{name}-{len(designs)}-{options.seed}.json"
    key = [design.digest for design in designs]
    if kept is not None and kept.exists():
        rows = json.loads(kept.read_text())
        if rows["designs"] == key:
            return rows["accuracy"]
    start = time.perf_counter()
    result, _ = train_designs(
        ground.space.topology,
        designs,
        [Start(ground.parameters)] * len(designs),
        ground.train,
        ground.validation,
        ground.physics,
        _schedule(ground.task, ground.task.train.epochs),
    )
    print(f"{name}: {len(designs)} designs trained in {time.perf_counter() - start:.0f} s", flush=True)
    accuracy = [row["figures"]["accuracy"]["value"] if row["figures"] else 0.0 for row in result["members"]]
    if kept is not None:
        write_json(kept, {"designs": key, "accuracy": accuracy})
    return accuracy


def _measures(ground: Ground, designs: list[Design], chosen: list[dict[str, str]]) -> dict[str, np.ndarray]:
    """Measure → damage of each design, smaller better."""
    space, known = ground.space, Sensitivity(ground.space, ground.parameters, ground.train)

    def of(damages: Damages) -> np.ndarray:
        return damages.of(space.parameters, chosen)

    found = {}
    for measure in Measure:
        start = time.perf_counter()
        found[measure.value] = of(known.damages(measure))
        print(f"  {measure.value}: {time.perf_counter() - start:.1f} s", flush=True)
    count = floating.events_held(space.topology, EVENTS)
    values, labels = np.asarray(ground.train.values[:count]), ground.train.truth.labels[:count]
    weights = deployed(space.topology, ground.parameters)
    float_pass = floating.run(space.topology, weights, values)
    own = fisher(space.topology, weights, values, labels)
    found["fit, means of values"] = of(fit(known.places, own.means(), float_pass, False))
    found["fit, uniform noise"] = of(fit(known.places, own.means(), float_pass, False, Noise.UNIFORM))
    found["intervals"] = np.array([known.error_bound(item) for item in chosen])
    reach = Interval(values.min(axis=0, keepdims=True), values.max(axis=0, keepdims=True))
    top = np.sort(float_pass.logits, axis=-1)
    margin = float(np.median(top[:, -1] - top[:, -2]))
    worst = (errors(space.topology, design, weights, reach).errors[space.topology.output] for design in designs)
    found["intervals, worst case"] = np.array([each.size.max() / margin for each in worst])
    found["bits"] = -np.array([bits(space.topology, design) for design in designs])
    found["EBOPs"] = -np.array([ebops(space.topology, design) for design in designs])
    found["mean kernel bits"] = -np.array([_mean_bits(design) for design in designs])
    return found


def _mean_bits(design: Design) -> float:
    return float(np.mean([item.kernel.bits * item.keep for _, item in design.layers if item.kernel is not None]))


def _show(name: str, row: dict) -> None:
    print(f"\n{name}: {row['designs']} designs, {row['epochs']} epochs")
    print("| measure | Spearman | Kendall |\n|---|---|---|")
    for measure, found in row["correlations"].items():
        shown = (f"{found[kind][0]:.3f} ± {found[kind][1]:.3f}" for kind in ("spearman", "kendall"))
        print(f"| {measure} | {' | '.join(shown)} |")
    for name in ("intervals", "intervals, worst case"):
        low, middle, high = np.quantile(row["measures"][name], [0.0, 0.5, 1.0])
        print(f"{name}: {low:.3g} to {high:.3g} times the margin, median {middle:.3g}")
    print(f"hopeless: {row['hopeless']}", flush=True)


if __name__ == "__main__":
    main()
