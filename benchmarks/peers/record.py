"""What the peers read and write: arguments, data, and the result file. Needs NumPy only.

Both run in environments without this project, and next to this file.
"""

import argparse
import json
import platform
import resource
from dataclasses import dataclass
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
    """The arguments of a peer's script."""

    data: Path
    network: str
    designs: int
    epochs: int
    batch: int
    seed: int
    out: Path

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
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{method}: {designs} designs in {seconds:.1f} s, {len(result['front'])} on the front")
