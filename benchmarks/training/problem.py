"""What every method of the training benchmark gets: events on one grid, a network, and designs of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.cost.bits import ebops
from flow.data.scaling import InputScaling
from flow.design import Design
from flow.formats import Fixed
from flow.space import build_space
from flow.task import Space, read
from flow.topology import Conv, Dense, Pool, Reshape, Topology

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {
    "dense": Topology(
        (Dense("fc0", 16, 64, "relu"), Dense("fc1", 64, 32, "relu"), Dense("fc2", 32, 32, "relu"), Dense("fc3", 32, 5))
    ),
    "cnn": Topology(
        (
            Conv("conv0", (8, 8, 1), 4, (3, 3), (1, 1), "valid", "relu"),
            Pool("pool", (6, 6, 4), (2, 2), (2, 2)),
            Conv("conv1", (3, 3, 4), 8, (3, 3), (1, 1), "valid", "relu"),
            Reshape("flatten", (8,)),
            Dense("fc0", 8, 10),
        ),
        (8, 8, 1),
    ),
}
INPUT = {"dense": Fixed(8, 3), "cnn": Fixed(5, 1, signed=False)}  # the grid of the events
LEARNING_RATE, BATCH = {"dense": 4e-3, "cnn": 4e-3}, {"dense": 1024, "cnn": 64}


@dataclass(frozen=True)
class Problem:
    """One network and its events: x (n, n_in) float32 on the grid, y (n,), for training and validation."""

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray

    @property
    def topology(self) -> Topology:
        return NETWORKS[self.name]

    @property
    def scaling(self) -> InputScaling:
        """The identity: values are words."""
        n = self.topology.n_in
        return InputScaling(tuple(f"x{i}" for i in range(n)), Fixed(8, 3), (0,) * n, (0.0,) * n)

    def save(self, path: Path) -> None:
        """As the peers read it: events in the shape of the network's input."""
        shape = (-1, *self.topology.input_shape)
        np.savez(
            path,
            x_train=self.x_train.reshape(shape),
            y_train=self.y_train,
            x_val=self.x_val.reshape(shape),
            y_val=self.y_val,
        )

    @staticmethod
    def load(name: str, path: Path) -> "Problem":
        with np.load(path, allow_pickle=False) as stored:
            rows = {key: stored[key] for key in ("x_train", "y_train", "x_val", "y_val")}
        return Problem(name, *(v.reshape(len(v), -1) if k.startswith("x") else v for k, v in rows.items()))


def jets(limit: int | None = None) -> Problem:
    """The shipped sample, as the jet tagger's task splits it; the first `limit` events of each part."""
    from flow.data.prepare import prepare

    folder = ROOT / "models" / "jet_tagger"
    result, arrays = prepare(read(folder).data, folder)
    scaling = InputScaling.from_json(result["scaling"])
    found = []
    for part in ("train", "validation"):
        values = INPUT["dense"].quantize(scaling.centred(arrays[f"{part}.words"][:limit].astype(np.float64)))
        found += [values.astype(np.float32), arrays[f"{part}.labels"][:limit]]
    return Problem("dense", *found)


def digits() -> Problem:
    """scikit-learn's digits, pixels from 0 to 1; every fifth one for validation."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x, y = (found.data / 16.0).astype(np.float32), found.target.astype(np.int32)
    held = np.arange(len(y)) % 5 == 0
    return Problem("cnn", x[~held], y[~held], x[held], y[held])


def designs(problem: Problem, weights, count: int, seed: int = 1) -> list[Design]:
    """Random designs, nothing pruned, of the default space around a float network's `weights` (layer → kernel, bias)."""
    from flow.train.ranges import hidden_values

    values = {"input": problem.x_train[:5000], **hidden_values(problem.topology, weights, problem.x_train[:5000])}
    settings = Space(keep=(1.0,), input=(str(INPUT[problem.name]),))
    space = build_space(settings, problem.topology, weights, values, Path("benchmark"))
    rng = np.random.default_rng(seed)
    found: list[Design] = []
    while len(found) < count:
        chosen = {name: options[rng.integers(len(options))] for name, options in space.parameters.items()}
        design = space.design(chosen)
        if design not in found:
            found.append(design)
    return found


def costs(problem: Problem, found: list[Design]) -> list[float]:
    """EBOPs of each design."""
    return [float(ebops(problem.topology, design)) for design in found]


def best_under(points: list[tuple[float, float]], limits: list[float]) -> list[float]:
    """The best accuracy among points (cost, accuracy) at each limit of the cost; 0 where none is under it."""
    return [max((accuracy for cost, accuracy in points if cost <= limit), default=0.0) for limit in limits]
