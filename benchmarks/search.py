"""Searches side by side: `python benchmarks/search.py [--quick] [--peers FOLDER] [--seeds N] [--strategies ...]`.

The hypervolume of accuracy and LUTs over wall-clock time: strategies of this program, and, with --peers, AutoQKeras and
HGQ2, each in an environment of its own below FOLDER (made where it is missing). Every method gets the same jets on the
same grid and runs alone in a process of its own. All networks are priced by one tracer, the last fronts by Yosys too.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in ("searching", "peers")]

import events as jets
from methods import FULL, PEERS, QUICK, Plan, Run, run_peer, run_strategy, work_folder
from pricing import price, synthesise
from report import show, summary

from flow.errors import FlowError
from flow.search import STRATEGIES, check_here
from flow.store import versions, write_json

LEAST_JETS = 70_000  # what the comparison with AutoQKeras' time asks for
QUICK_STRATEGIES = ("random", "evolve")
SYNTHESISED = {"quick": 3, "full": 12}  # points of each front, evenly spread in the logarithm of LUTs


def main() -> None:
    options = _options()
    plan = _plan(options)
    os.environ.setdefault("FLOW_SYNTH_CACHE", str(options.work / "reports"))
    events = jets.jets(options.jets)
    if events.counts["train"] < options.jets:
        sys.exit(f"--jets {options.jets}: there are {events.counts['train']} training jets")
    work = work_folder(options.work, events)
    work.mkdir(parents=True, exist_ok=True)
    jets.save(events, work / "peers.npz")
    jets.save_held(events, work / "held.npz")
    runs, failed = _run_all(options, plan, events, work)
    # For the tracers: OpenMP's threads hinder each other where there are more of them than cores.
    os.environ["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // options.workers, 1))
    found = summary(*_priced(options, runs, work))
    found |= {
        "quick": options.quick, "plan": vars(plan), "seeds": options.seeds, "jets": events.counts, "cores": os.cpu_count(),
        "versions": {"flow": versions()} | {run.method: run.versions for run in runs if run.method in PEERS},
        "read_back": [f"{run.method}, seed {run.seed}" for run in runs if run.read_back], "left_out": failed,
    }  # fmt: skip
    show(found)
    if options.json:
        write_json(options.json, found)


def _priced(options, runs: list[Run], work: Path) -> tuple[dict, dict]:
    """Every run's points with their prices (none where no network is worth one), and of each method's first seed the
    front with Yosys' figures."""
    rows = {}
    for run in runs:
        _say(f"pricing {run.method}, seed {run.seed}: {len(run.points)} points")
        rows[run.method, run.seed] = price(list(run.points), run.folder, work / "held.npz", options.workers)
    most = SYNTHESISED["quick" if options.quick else "full"]
    chosen = [
        (run.method, row, run.folder)
        for run in runs
        if run.seed == options.first_seed  # synthesis takes longest
        for row in _spread_front(rows[run.method, run.seed], most)
    ]
    chosen.sort(key=lambda item: -item[1]["lut"])  # the largest first: at the end no core waits for one
    _say(f"synthesising the fronts with seed {options.first_seed}: {len(chosen)} points")
    done = synthesise([(row, folder) for _, row, folder in chosen], work / "rtl")
    fronts = {run.method: [] for run in runs if run.seed == options.first_seed}
    for (method, *_), row in zip(chosen, done, strict=True):
        fronts[method].insert(0, row)  # from the cheapest on
    return rows, fronts


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few strategies, a short HGQ2 schedule")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="run AutoQKeras and HGQ2, their environments here")
    parser.add_argument("--seeds", type=int, help="of every method (default 3, quick 1)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--jets", type=int, default=LEAST_JETS, help="for training (default %(default)s)")
    parser.add_argument("--strategies", nargs="*", metavar="NAME", help="of this program (default all, quick two)")
    parser.add_argument("--trials", type=int, help=f"of a strategy (default {FULL.trials}, quick {QUICK.trials})")
    parser.add_argument("--autoqkeras-trials", type=int, help=f"default {FULL.autoqkeras_trials}")
    parser.add_argument("--hgq2-epochs", type=int, help=f"default {FULL.hgq2_epochs}, quick {QUICK.hgq2_epochs}")
    parser.add_argument("--work", type=Path, default=_cache(), help="finished runs are kept here (default %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="networks traced at once")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    options.seeds = options.seeds or (1 if options.quick else 3)
    known = [name for name in QUICK_STRATEGIES if name in STRATEGIES] if options.quick else list(STRATEGIES)
    options.strategies = known if options.strategies is None else options.strategies
    for name in options.strategies:
        if name not in STRATEGIES:
            parser.error(f"--strategies {name}: known are {', '.join(STRATEGIES)}")
    return options


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "flow" / "benchmark-search"


def _plan(options) -> Plan:
    plan = QUICK if options.quick else FULL
    asked = {
        "trials": options.trials,
        "autoqkeras_trials": options.autoqkeras_trials,
        "hgq2_epochs": options.hgq2_epochs,
    }
    return Plan(**(vars(plan) | {key: value for key, value in asked.items() if value is not None}))


def _run_all(options, plan: Plan, events, work: Path) -> tuple[list[Run], dict[str, str]]:
    """Every method with every seed, one after another; and why some are missing."""
    runs, failed = [], {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in (*(PEERS if options.peers else ()), *options.strategies):
            _say(f"{name}, seed {seed}")
            try:
                if name in PEERS:
                    runs.append(run_peer(name, seed, plan, work, options.peers))
                else:
                    check_here(name, where="here")
                    runs.append(run_strategy(name, seed, plan, events, work))
            except (FlowError, RuntimeError) as error:
                _say(f"  left out: {error}")
                failed[f"{name}, seed {seed}"] = str(error)
    return runs, failed


def _spread_front(rows: list[dict], most: int) -> list[dict]:
    """At most so many points of the rows' front, evenly spread in the logarithm of LUTs, both ends in."""
    import numpy as np
    from fronts import front

    found = front(rows)
    cost = np.log2([row["lut"] for row in found]) if found else np.zeros(0)
    if len(found) <= most:
        return found
    places = {int(np.argmin(np.abs(cost - value))) for value in np.linspace(cost[0], cost[-1], most)}
    return [found[place] for place in sorted(places)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
