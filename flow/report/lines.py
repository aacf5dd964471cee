"""A run's summary as lines for a terminal, and as the one JSON object of `flow status --json`."""

from collections.abc import Mapping

_EMPTY = {
    "task": None,
    "finished": False,
    "rounds": [],
    "trials": {"proposed": 0, "trained": 0, "built": 0, "failed": 0},
    "front": [],
    "chosen": None,
    "equivalence": {"vectors": 0, "mismatches": 0, "pairs": {}, "float32_deviation": 0.0},
    "baselines": [],
    "budget": {},
    "metric": None,
    "stand_in": None,
}


def finished(summary: Mapping) -> dict:
    """What programs ask for: always these keys, empty where a run has not come as far."""
    return {key: summary.get(key, default) for key, default in _EMPTY.items()} | {
        key: summary[key] for key in ("float", "unchanged", "versions", "seeds", "commit") if key in summary
    }


def show(summary: Mapping, step: str) -> None:
    """Print where a run stands."""
    for line in lines(summary, step):
        print(line)


def lines(summary: Mapping, step: str) -> list[str]:
    """The same as text; `step` is the command that was run."""
    if not summary:
        return [f"{step}: done"]
    if summary.get("unchanged"):
        found = [f"{summary['task']}: nothing has changed since the last run; nothing to do"]
    else:
        found = [f"{summary['task']}: {'finished' if summary.get('finished') else 'under way'}"]
    counts = summary["trials"]
    found.append("trials: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    stage = summary["target"]["stage"]
    for row in summary["rounds"]:
        errors = ", ".join(f"{n} {e['value']:.1%}" for n, e in row["prediction_error"].items())
        found.append(
            f"round {row['round']}: {len(row['built'])} built; mean prediction error (model against {stage}): {errors}"
        )
    if summary.get("stand_in"):
        found.append("physics figures are of jets made with Pythia, a stand-in for the public set")
    base = summary.get("float", {}).get("figures", {})
    metric = summary["metric"]
    if metric in base:
        found.append(f"float network: {figure(base[metric])} on validation")
    for row in summary["baselines"]:
        known = {**row["figures"], **(row["report"] or {})}
        found.append(f"{row['name']}: {figure(known[metric])}, {figure(known['lut'])}, {figure(known['latency_ns'])}")
    found += _chosen(summary, metric)
    pairs = summary["equivalence"]["pairs"]
    if pairs:
        said = ", ".join(
            f"{name} {row['vectors']} vectors {row['mismatches']} mismatches" for name, row in pairs.items()
        )
        found.append(f"equivalence: {said}")
    found.append(f"page: {summary['folder']}/index.html")
    return found


def figure(row: Mapping) -> str:
    """A figure with error, unit and fidelity."""
    digits = 4 if abs(row["value"]) < 10 else 0
    error = f" ± {row['error']:.{digits}f}" if row.get("error") else ""
    unit = f" {row['unit']}" if row["unit"] else ""
    tool = f", {row['tool']}" if row.get("tool") else ""
    return f"{row['name']} {row['value']:.{digits}f}{error}{unit} ({row['fidelity']}{tool})"


def _chosen(summary: Mapping, metric: str) -> list[str]:
    best = summary["chosen"]
    if best is None:
        near = summary.get("nearest")
        return ["chosen: none yet"] + (
            [f"nearest: {near['digest']}, over a limit by {near['excess']:.0%} ({summary['target']['stage']})"]
            if near
            else []
        )
    known = best["figures"]
    said = ", ".join(figure(known[name]) for name in (metric, "lut", "ff", "latency_ns") if name in known)
    place = "inside" if best["inside_budget"] else "outside"
    found = [f"chosen: {best['digest']}, {place} the budget: {said}"]
    for name, row in best["margins"].items():
        found.append(f"  {name}: {row['value']:g} of {row['limit']:g}, margin {row['margin']:g}")
    worst = max(best.get("ranges") or (), key=lambda row: row["saturated"], default=None)
    if worst and worst["saturated"] > 0:
        place = " ".join(dict.fromkeys((worst["layer"], worst["part"])))
        found.append(
            f"  most saturated: {place}, {worst['saturated']:.2%} of the values beyond {worst['format']} (measured)"
        )
    if best.get("test"):
        found.append(
            f"  on the test sample: {figure(best['test']['accuracy'])}, {figure(best['test']['signal_efficiency'])}"
        )
    return found
