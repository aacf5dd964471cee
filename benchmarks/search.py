"""Searches side by side: `python benchmarks/search.py [--quick] [--peers FOLDER] [--seeds N] [--strategies ...]`.

The hypervolume of accuracy and LUTs over wall-clock time: strategies of this program, and, with --peers, AutoQKeras and
HGQ2, each in an environment of its own below FOLDER (made where it is missing). Every method gets the same jets on the
same grid and runs in a process of its own on one core of its own. All networks are priced by one tracer, the last
fronts by Yosys too.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from queue import SimpleQueue

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in ("searching", "peers")]

import events as jets
from environment import python_of
from fronts import REFERENCE, cheapest, front
from goes import Goes, joined, read
from methods import FULL, LONG, PEERS, QUICK, Plan, Run, run_peer, run_strategy, work_folder
from pricing import price, synthesise
from report import ACCURACIES, show, summary

from flow.errors import BadInput, FlowError
from flow.search import STRATEGIES, check_here
from flow.store import versions, write_json

LEAST_JETS = 70_000  # what the comparison with AutoQKeras' time asks for
QUICK_STRATEGIES = ("random", "evolve")
LONG_RUNS = (f"evolve{LONG}",)
SYNTHESISED = (*PEERS, *QUICK_STRATEGIES, *LONG_RUNS)  # the methods of the marks


def main() -> None:
    options = _options()
    plan = _plan(options)
    os.environ.setdefault("FLOW_SYNTH_CACHE", str(options.work / "reports"))
    events = jets.jets(options.jets)
    if events.counts["train"] < options.jets:
        sys.exit(f"--jets {options.jets}: there are {events.counts['train']} training jets")
    same = {
        "quick": options.quick, "plan": vars(plan), "jets": events.counts | {"digest": events.digest},
        "reference_point": REFERENCE,
    }  # fmt: skip
    try:
        earlier = reduce(joined, (read(path, same) for path in options.earlier), Goes())
        found = joined(earlier, _go(options, plan, events, earlier)) if options.seeds else earlier
    except BadInput as error:
        sys.exit(str(error))
    told = summary(found.rows, found.synthesised) | same | found.to_json()
    told["versions"] = found.told[-1]["versions"] if found.told else {}
    show(told)
    if options.json:
        write_json(options.json, told)


def _go(options, plan: Plan, events: jets.Events, earlier: Goes) -> Goes:
    """Everything that is run now."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for method, seed in earlier.rows:
        if seed in seeds:
            raise BadInput(f"--with: {method} has seed {seed} already; choose others with --first-seed")
    work = work_folder(options.work, events)
    work.mkdir(parents=True, exist_ok=True)
    jets.save(events, work / "peers.npz")
    jets.save_held(events, work / "held.npz")
    runs, failed = _run_all(options, seeds, plan, events, work)
    # For the tracers: OpenMP's threads hinder each other where there are more of them than cores.
    os.environ["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // options.workers, 1))
    told = {
        "seeds": list(seeds), "cores": os.cpu_count(), "at_once": options.at_once,
        "versions": {"flow": versions()} | {run.method: run.versions for run in runs if run.method in PEERS},
        "read_back": [f"{run.method}, seed {run.seed}" for run in runs if run.read_back], "left_out": failed,
    }  # fmt: skip
    rows = _priced(options, runs, work)
    wanted = [name for name in SYNTHESISED if (name, seeds[0]) in rows and name not in earlier.synthesised]
    return Goes(rows, _synthesised(options, wanted, runs, rows, work), [told])


def _priced(options, runs: list[Run], work: Path) -> dict[tuple[str, int], list[dict]]:
    """Every run's points with their prices; none where no network is worth one."""
    rows = {}
    for run in runs:
        _say(f"pricing {run.method}, seed {run.seed}: {len(run.points)} points")
        rows[run.method, run.seed] = price(list(run.points), run.folder, work / "held.npz", options.workers)
    return rows


def _synthesised(options, methods: list[str], runs: list[Run], rows: dict, work: Path) -> dict[str, list[dict]]:
    """By method, the points of its first seed that are compared at equal accuracy, with Yosys' figures, the cheapest
    first."""
    seed = options.first_seed
    best = front(rows.get(("AutoQKeras", seed), []))[-1:]
    accuracies = [*(ACCURACIES[1::2] if options.quick else ACCURACIES), *(row["test"] for row in best)]
    chosen = []
    for run in (run for run in runs if run.method in methods and run.seed == seed):
        # AutoQKeras is compared at its best accuracy alone, and its large networks take Yosys longest.
        points = best if run.method == "AutoQKeras" else [cheapest(rows[run.method, seed], a) for a in accuracies]
        by_name = {row["network"]: row for row in points if row is not None}
        chosen += [(run.method, row, run.folder) for row in by_name.values()]
    chosen.sort(key=lambda item: -item[1]["lut"])  # the largest first: at the end no core waits for one
    _say(f"synthesising with seed {seed}: {len(chosen)} points")
    done = synthesise([(row, folder) for _, row, folder in chosen], work / "rtl")
    found: dict[str, list[dict]] = {method: [] for method in methods}
    for (method, *_), row in zip(chosen, done, strict=True):
        found[method].insert(0, row)
    return found


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one seed, few strategies, fewer AutoQKeras trials, a short HGQ2 schedule"
    )
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="run AutoQKeras and HGQ2, their environments here")
    parser.add_argument("--seeds", type=int, help="of every method (default 3, quick 1; 0: only what --with has)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--jets", type=int, default=LEAST_JETS, help="for training (default %(default)s)")
    parser.add_argument(
        "--strategies",
        nargs="*",
        metavar="NAME",
        help=f"of this program, NAME{LONG}: a long run (default all, quick two)",
    )
    parser.add_argument("--trials", type=int, help=f"of a strategy (default {FULL.trials}, quick {QUICK.trials})")
    parser.add_argument(
        "--autoqkeras-trials", type=int, help=f"default {FULL.autoqkeras_trials}, quick {QUICK.autoqkeras_trials}"
    )
    parser.add_argument("--hgq2-epochs", type=int, help=f"default {FULL.hgq2_epochs}, quick {QUICK.hgq2_epochs}")
    parser.add_argument("--work", type=Path, default=_cache(), help="finished runs are kept here (default %(default)s)")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--at-once", type=int, default=min(cores, 2), help="methods, a core each (default %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="networks traced at once")
    parser.add_argument(
        "--with",
        dest="earlier",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="results with other seeds, of --json",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    options.seeds = (1 if options.quick else 3) if options.seeds is None else options.seeds
    usual = QUICK_STRATEGIES if options.quick else (*STRATEGIES, *LONG_RUNS)
    options.strategies = usual if options.strategies is None else options.strategies
    if not 1 <= options.at_once <= cores:
        parser.error(f"--at-once {options.at_once}: from 1 to the number of cores, {cores}")
    for name in options.strategies:
        if name.removesuffix(LONG) not in STRATEGIES:
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


def _run_all(options, seeds: range, plan: Plan, events, work: Path) -> tuple[list[Run], dict[str, str]]:
    """Every method with every seed, and why some are missing. So many at once as asked, each with one core for itself."""
    pythons, failed = _environments(options)
    wanted = [(name, seed) for seed in seeds for name in (*pythons, *options.strategies)]

    def one(name: str, seed: int) -> Run | str:
        _say(f"{name}, seed {seed}")
        try:
            if name in PEERS:
                return run_peer(name, seed, plan, work, pythons[name])
            check_here(name.removesuffix(LONG), where="here")
            return run_strategy(name, seed, plan, events, work)
        except (FlowError, RuntimeError) as error:
            _say(f"  left out: {error}")
            return str(error)

    places: SimpleQueue = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)):
        places.put({core})
    # A thread's core is that of the processes that it starts.
    with ThreadPoolExecutor(options.at_once, initializer=lambda: os.sched_setaffinity(0, places.get())) as pool:
        found = dict(zip(wanted, pool.map(one, *zip(*wanted, strict=True)), strict=True))
    failed |= {f"{name}, seed {seed}": why for (name, seed), why in found.items() if isinstance(why, str)}
    return [run for run in found.values() if isinstance(run, Run)], failed


def _environments(options) -> tuple[dict[str, Path], dict[str, str]]:
    """Each peer's interpreter, and why some have none. Before all runs: an installation would disturb them."""
    pythons, failed = {}, {}
    for name in PEERS if options.peers else ():
        try:
            pythons[name] = python_of(PEERS[name], options.peers)
        except FlowError as error:
            _say(f"{name}, left out: {error}")
            failed[name] = str(error)
    return pythons, failed


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # at once, so that lines of two threads stay apart


if __name__ == "__main__":
    main()
