"""What the peers read and write: arguments, data, the result file and trained networks. Needs NumPy only.

Both run in environments without this project, and next to this file.
"""

import argparse
import json
import platform
import resource
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Input:
    """Shape (without batch) and fixed-point format of a network's input; integer bits leave out the sign."""

    shape: tuple[int, ...]
    bits: int
    integer: int
    signed: bool

    @property
    def fraction(self) -> int:
        return self.bits - self.integer - self.signed

    @property
    def high(self) -> float:
        return 2.0**self.integer - 2.0**-self.fraction


INPUTS = {
    "dense": Input((16,), 8, 3, True),  # standardised jet features
    "cnn": Input((8, 8, 1), 5, 1, False),  # pixels from 0 to 1 in steps of 1/16
}


@dataclass(frozen=True)
class Options:
    """The arguments of a peer's script. With `keep` the search runs by its own rules, and all its points are kept."""

    data: Path
    network: str
    designs: int
    epochs: int
    batch: int
    seed: int
    out: Path
    keep: Path | None = None

    @classmethod
    def parse(cls, doc: str) -> "Options":
        parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--data", type=Path, required=True, help="x_train, y_train, x_val, y_val (.npz)")
        parser.add_argument("--network", choices=INPUTS, required=True)
        parser.add_argument("--designs", type=int, required=True, help="trials, or most points on the front")
        parser.add_argument("--epochs", type=int, required=True, help="of a trial (AutoQKeras), of the run (HGQ2)")
        parser.add_argument("--batch", type=int, required=True)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--out", type=Path, required=True)
        parser.add_argument(
            "--keep", type=Path, metavar="FOLDER", help="its usual settings, and its points with their networks here"
        )
        options = cls(**vars(parser.parse_args()))
        for name in ("designs", "epochs", "batch"):
            if getattr(options, name) < 1:
                parser.error(f"--{name} {getattr(options, name)}: at least 1")
        return options


@dataclass(frozen=True)
class Data:
    """Training and validation arrays: x float32 (events, *shape), y int32 (events,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray


def load(path: Path, network: str) -> Data:
    """The data of a network; exits with one line where the file doesn't fit it."""
    form = INPUTS[network]
    if not path.exists():
        raise SystemExit(f"{path}: no such file")
    with np.load(path) as file:
        if missing := {"x_train", "y_train", "x_val", "y_val"} - set(file.files):
            raise SystemExit(f"{path}: without {', '.join(sorted(missing))}")
        arrays = {name: np.asarray(file[name]) for name in ("x_train", "y_train", "x_val", "y_val")}
    for name in ("x_train", "x_val"):
        if arrays[name][0].size != np.prod(form.shape):
            raise SystemExit(
                f"{path}: {name} has the shape {arrays[name].shape}, not (events, {', '.join(map(str, form.shape))})"
            )
        arrays[name] = arrays[name].astype(np.float32).reshape(-1, *form.shape)
    low, high = arrays["x_train"].min(), arrays["x_train"].max()
    if not form.signed and (low < 0 or high > form.high):
        raise SystemExit(f"{path}: x_train goes from {low:g} to {high:g}, not from 0 to {form.high:g}")
    return Data(**{name: array.astype(np.int32) if name[0] == "y" else array for name, array in arrays.items()})


@dataclass(frozen=True)
class Named:
    """A format by the name of QKeras's call, for all values in front of a layer; a quantized_relu rectifies too."""

    format: str


@dataclass(frozen=True)
class Wrapped:
    """HGQ2's fixed point in front of a layer, each (n_in,): sign bit, integer bits without it, fractional bits. What is
    too large wraps; rounding is RND (halves up) or TRN (down). A rectifier may come first."""

    signed: list[int]
    integer: list[int]
    fraction: list[int]
    rounding: str
    relu: bool


@dataclass(frozen=True)
class Steps:
    """A step function in front of a layer: values[i] from thresholds[i - 1] on, values[0] below them all."""

    thresholds: list[float]
    values: list[float]


@dataclass(frozen=True)
class Layer:
    """A dense layer as it is deployed: kernel (n_in, n_out) and bias (n_out,) as quantized, and the quantizer of its
    input."""

    kernel: np.ndarray
    bias: np.ndarray
    before: Named | Wrapped | Steps


def save_network(path: Path, layers: list[Layer]) -> None:
    """A network's layers as arrays, and what stands before each as JSON in the array `layers`."""
    arrays, rows = {}, []
    for index, layer in enumerate(layers):
        arrays |= {f"kernel{index}": np.asarray(layer.kernel, np.float64)}
        arrays |= {f"bias{index}": np.asarray(layer.bias, np.float64)}
        rows.append({"kind": type(layer.before).__name__.lower(), **asdict(layer.before)})
    np.savez_compressed(path, layers=np.array(json.dumps(rows)), **arrays)


class Kept:
    """The points of a search: when each was there, what it scored, and its network, in one folder."""

    def __init__(self, folder: Path):
        self.folder, self.points = folder, []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, seconds: float, accuracy: float, layers: list[Layer], **more) -> None:
        """`seconds` since the search began (imports apart), `accuracy` on the validation sample."""
        name = f"{len(self.points):04}.npz"
        save_network(self.folder / name, layers)
        self.points.append({"seconds": seconds, "accuracy": accuracy, "network": name, **more})

    def close(self, **more) -> None:
        """Writes `points.json`, the last file: without it the search has not ended."""
        rows = sorted(self.points, key=lambda row: row["seconds"])
        (self.folder / "points.json").write_text(json.dumps({"points": rows, **more}, indent=1) + "\n")


def front(points: list[dict]) -> list[dict]:
    """The points that no other beats in accuracy at no more EBOPs, from the cheapest on; of equal ones the first."""
    kept: list[dict] = []
    for point in sorted(points, key=lambda point: (point["ebops"], -point["accuracy"])):
        if not kept or point["accuracy"] > kept[-1]["accuracy"]:
            kept.append(point)
    return kept


def write(options: Options, method: str, designs: int, seconds: float, points: list[dict], packages: tuple) -> None:
    """Writes the result file and prints one line. `seconds` is the wall clock of building and training."""
    result = {
        "method": method,
        "network": options.network,
        "designs": designs,
        "epochs": options.epochs,
        "seconds": seconds,
        "seconds_per_design": seconds / max(designs, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # Linux counts KiB
        "front": front(points),
        "versions": versions(packages),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{method}: {designs} designs in {seconds:.1f} s, {len(result['front'])} on the front")


def versions(packages: tuple) -> dict[str, str]:
    """Of Python and of the packages."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
