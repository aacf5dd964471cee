"""How good and how fast the cost models are: `python benchmarks/cost.py [--records FOLDER] [--peers FOLDER]`.

- hls4ml designs: each record predicted by a model fitted on the records of all other architectures, and, with
  `--unseen`, other files predicted by the model that ships. With `--peers`, rule4ml on the same rows.
- C synthesis to logic synthesis: the learned ratio on convolutions, whose records don't say the layers' shapes.
- feasibility: the probability that a synthesis ends, likewise without the architecture.
- Verilog: with `--rtl`, both forms of the model on Yosys reports, without the network.
- speed: designs a second on one core, and the seconds of the import.

The records: dense.csv, conv.csv and dense_never_finished.csv below FOLDER, or below the environment's
FLOW_SYNTH_RECORDS. Counts are scored as predicted, unrounded, apart from `exact`. SMAPE is 200 |p - r| / (|p| + |r|)
in percent, 0 where both are 0; R² log is that of log(1 + count); an interval holds a report that it reaches within
half a count.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from costs.feasibility import feasibility_scores
from costs.records_hls import convolutions, held_out, shipped
from costs.rule4ml import ask_rule4ml, beside_rule4ml
from costs.scores import group_scores
from costs.speed import speed
from costs.tables import print_beside, print_feasibility, print_groups, print_speed
from costs.verilog import verilog

from flow.cost import records
from flow.errors import BadInput, FlowError
from flow.store import versions

RECORDS = "FLOW_SYNTH_RECORDS"
DENSE, UNFINISHED, CONV = "dense.csv", "dense_never_finished.csv", "conv.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, metavar="FOLDER", help=f"of the records (default: ${RECORDS})")
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], metavar="FILE", help="records never fitted to")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="of the peers' environments: ask rule4ml too")
    parser.add_argument("--rule4ml", type=Path, metavar="FILE", help="rule4ml's answers, from an earlier run of it")
    parser.add_argument("--rtl", type=Path, metavar="FOLDER", help="of benchmarks/prior.py --out: the RTL model too")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        result = run(options)
    except FlowError as error:
        sys.exit(str(error))
    if options.json:
        options.json.write_text(json.dumps(result | {"versions": versions()}, indent=1) + "\n")


def run(options) -> dict:
    """Everything that the options ask for, printed as it comes."""
    folder = options.records or (Path(os.environ[RECORDS]) if os.environ.get(RECORDS) else None)
    if folder is None:
        raise BadInput(f"no records: name their folder with --records, or in the environment's {RECORDS}")
    if missing := [name for name in (DENSE, UNFINISHED, CONV) if not (folder / name).is_file()]:
        raise BadInput(f"{folder}: without {', '.join(missing)}")
    rows, problems = records.read(folder / DENSE)
    unfinished, more = records.read(folder / UNFINISHED)
    for problem in (*problems, *more):
        print(problem)
    points = held_out(rows, records.pairs(folder / CONV), DENSE)
    result: dict = {"hls": group_scores(points)}
    print_groups("hls4ml designs, by a model without the architecture", result["hls"])
    for path in options.unseen:
        others, problems = records.read(path)
        result.setdefault("unseen", []).append({"file": path.name, "rows": group_scores(shipped(others, path.name))})
        print_groups(f"hls4ml designs of {path.name}, by the model that ships", result["unseen"][-1]["rows"])
    result["ratio"] = group_scores(convolutions(folder / CONV, rows))
    print_groups("From C synthesis to logic synthesis, by a ratio without the source", result["ratio"])
    result["feasibility"] = feasibility_scores([*rows, *unfinished])
    print_feasibility(result["feasibility"])
    answer = json.loads(options.rule4ml.read_text()) if options.rule4ml else None
    if options.peers:
        answer = ask_rule4ml(options.peers, [folder / DENSE, folder / CONV])
    if answer:
        result["rule4ml"] = {name: answer[name] for name in ("seconds", "versions", "left_out")}
        result["rule4ml"]["rows"] = beside_rule4ml(points, answer)
        print_beside(result["rule4ml"]["rows"], answer)
    if options.rtl:
        result["rtl"] = group_scores(verilog(options.rtl))
        print_groups("Verilog, by a model without the network", result["rtl"])
    result["speed"] = speed()
    print_speed(result["speed"], answer)
    return result


if __name__ == "__main__":
    main()
