"""Strategies on a problem whose front is known: `python benchmarks/known.py [--seeds 10] [--strategies ...] [--json FILE]`.

Nothing is trained: accuracy and LUTs of four layers are closed forms (`tests/search/problems.py`), as alike to a network's
as can be, and the whole front is computed. Each strategy has 120 trials in 5 batches.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests")  # not this folder: its search.py is another one

from search.problems import PROBLEM, best_inside, front_volume, known_front, trained, volume_of

from flow.search import STRATEGIES
from flow.store import versions, write_json

BATCHES, SIZE = 5, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="default %(default)s")
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES), choices=list(STRATEGIES), metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    whole = volume_of(known_front())
    best = max(value for value, lut in known_front() if lut <= PROBLEM.limits["lut"])
    print(f"known front: hypervolume {whole:.3f}, best inside the budget {best:.3f} (trained without end)")
    print(f"{'strategy':12}{'hypervolume':>18}{'of the front':>14}{'best inside':>18}{'s a search':>12}")
    rows = {}
    for name in options.strategies:
        begun = time.process_time()
        pasts = [search(name, seed) for seed in range(options.seeds)]
        row = {
            "hypervolume": _mean([front_volume(past) for past in pasts]),
            "best_inside": _mean([best_inside(past) for past in pasts]),
            "cpu_seconds": (time.process_time() - begun) / options.seeds,
        }
        rows[name] = row
        (volume, error), (inside, off) = row["hypervolume"], row["best_inside"]
        cells = f"{f'{volume:.3f} ± {error:.3f}':>18}{volume / whole:>14.0%}{f'{inside:.4f} ± {off:.4f}':>18}"
        print(f"{name:12}{cells}{row['cpu_seconds']:12.1f}", flush=True)
    if options.json:
        write_json(options.json, {"known": whole, "seeds": options.seeds, "rows": rows, "versions": versions()})


def search(name: str, seed: int) -> list:
    """All trials of one search."""
    past: list = []
    for batch in range(BATCHES):
        past += trained(PROBLEM, past, STRATEGIES[name](PROBLEM, past, SIZE, 1000 * seed + batch), name)
    return past


def _mean(values: list[float]) -> tuple[float, float]:
    """Mean over the seeds and its standard error."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return float(np.mean(values)), error


if __name__ == "__main__":
    main()
