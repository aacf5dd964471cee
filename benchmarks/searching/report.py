"""What a benchmark of searches found, for programs and for people."""

from collections.abc import Iterable, Mapping

import numpy as np
from fronts import REFERENCE, at, front, least_lut, over_time, seconds_to, until, volume

Rows = Mapping[tuple[str, int], list[dict]]  # method, seed -> priced points

ACCURACIES = (0.68, 0.69, 0.70, 0.71, 0.72, 0.725, 0.73)  # of the comparison with HGQ2
MOMENTS = 40  # of a mean curve
TIME_RATIO, LUT_RATIO, HGQ2_RATIO = 1 / 10, 1 / 8, 1.5  # what is to reach
PRICED = (
    "all networks traced by alkaid (one tracer, one solver, 200 MHz, xcvu9p) from their deployed weights; LUTs of"
    " `hypervolume` are alkaid's estimates, those of `fronts`' `synth` Yosys' LUT cells; points are chosen by validation"
    " accuracy and counted with the test accuracy of the traced logic; seconds since a search began, imports apart"
)


def summary(rows: Rows, synthesised: Mapping[str, list[dict]]) -> dict:
    """What programs read. `rows` has every seed, those without a point too: their hypervolume is 0, and they reach
    nothing. `synthesised`: method → some points of its first seed's front, with Yosys' figures."""
    methods = list(dict.fromkeys(method for method, _ in rows))
    curves = {key: over_time(own) for key, own in rows.items()}
    time = _to_autoqkeras(methods, rows, curves)
    return {
        "reference_point": REFERENCE | {"unit": "accuracy times octaves of LUTs"},
        "priced": PRICED,
        "hypervolume": {method: _volumes(method, rows, curves) for method in methods},
        "seconds_to_autoqkeras_final": {} if time is None else {m: row["mean"] for m, row in time["methods"].items()},
        "marks": {
            "time_to_autoqkeras_final": time,
            "lut_at_autoqkeras_best": _at_autoqkeras_best(methods, rows, synthesised),
            "lut_to_hgq2": _to_hgq2(methods, rows, synthesised),
        },
        "fronts": {
            method: {
                "traced": {seed: front(own) for (name, seed), own in rows.items() if name == method},
                "synth": synthesised.get(method, []),
            }
            for method in methods
        },
        "lut_at": {method: _lut_at(method, rows) for method in methods},
        "predicted_lut": {method: told for method in methods if (told := _predicted(method, rows))},
        "inexact": sum(not row["exact"] for own in rows.values() for row in own),
    }


def _volumes(method: str, rows: Rows, curves: Mapping) -> dict:
    """Mean and deviation (of a seed, n - 1) of the final hypervolume, and the mean over time. `seconds`: to the last
    point, mean of the seeds that have one (None without any)."""
    own = [curves[key] for key in rows if key[0] == method]
    by_seed = _by_seed(method, rows)
    finals = {seed: volume(found) for seed, found in by_seed.items()}
    ends = _ends(by_seed)
    moments = sorted({moment for curve in own for moment, _ in curve})
    if len(moments) > MOMENTS:
        moments = [moments[i] for i in np.unique(np.linspace(0, len(moments) - 1, MOMENTS).astype(int))]
    means = [[moment, float(np.mean([at(curve, moment) for curve in own]))] for moment in moments]
    return {
        "mean": float(np.mean([*finals.values()])),
        "deviation": float(np.std([*finals.values()], ddof=1)) if len(finals) > 1 else None,
        "by_seed": finals,
        "against_time": means,
        "seconds": _mean(ends.values()) if ends else None,
        "points": sum(len(found) for key, found in rows.items() if key[0] == method),
    }


def _lut_at(method: str, rows: Rows) -> dict[str, float | None]:
    """Accuracy → traced LUTs of the cheapest final point that is not less accurate, geometric mean of the seeds; None where a
    seed has none."""
    found = {}
    for accuracy in ACCURACIES:
        least = [least_lut(own, accuracy) for own in _by_seed(method, rows).values()]
        found[f"{accuracy:g}"] = None if None in least else float(np.exp(_mean(np.log(least))))
    return found


def _predicted(method: str, rows: Rows) -> dict | None:
    """How the LUTs that a search had predicted from trained weights compare with the traced ones, in logarithms."""
    own = [row for (name, _), found in rows.items() if name == method for row in found if row.get("predicted_lut")]
    if len(own) < 3:
        return None
    ratios = np.log([row["predicted_lut"] / row["lut"] for row in own])
    both = np.log([[row["predicted_lut"], row["lut"]] for row in own])
    return {
        "points": len(own), "correlation": float(np.corrcoef(both.T)[0, 1]), "median_ratio": float(np.exp(np.median(ratios))),
        "deviation": float(np.std(ratios)),
    }  # fmt: skip


def _by_seed(method: str, rows: Rows) -> dict[int, list[dict]]:
    return {seed: own for (name, seed), own in rows.items() if name == method}


def _ends(by_seed: Mapping[int, list[dict]]) -> dict[int, float]:
    """When the last point of each seed was there; nothing of those without one."""
    return {seed: max(row["seconds"] for row in own) for seed, own in by_seed.items() if own}


def _mean(values: Iterable[float]) -> float:
    return float(np.mean([*values]))


def _to_autoqkeras(methods: list[str], rows: Rows, curves: Mapping) -> dict | None:
    """When each method reached AutoQKeras' final hypervolume (mean of its seeds): seconds by seed, None for never; and
    the share of AutoQKeras' whole time with the same seed (mean of the shares)."""
    theirs = _by_seed("AutoQKeras", rows)
    if not any(theirs.values()):
        return None
    final = _mean(map(volume, theirs.values()))
    ends = _ends(theirs)
    whole = _mean(ends.values())
    by_method = {}
    for method in methods:
        own = {seed: seconds_to(curves[name, seed], final) for name, seed in rows if name == method}
        mean = share = None
        if None not in own.values():
            mean = _mean(own.values())
            share = _mean(seconds / ends.get(seed, whole) for seed, seconds in own.items())
        reached = share is not None and share <= TIME_RATIO
        by_method[method] = {"by_seed": own, "mean": mean, "share": share, "reached": reached}
    return {
        "hypervolume": final, "autoqkeras_seconds": whole, "to_reach": TIME_RATIO, "methods": by_method,
    }  # fmt: skip


def _at_autoqkeras_best(methods: list[str], rows: Rows, synthesised: Mapping) -> dict | None:
    """LUTs at the accuracy of AutoQKeras' best point (by validation; mean of its seeds that have one), traced (mean of
    seeds) and synthesised."""
    theirs = [found for (method, _), found in rows.items() if method == "AutoQKeras" and found]
    if not theirs:
        return None
    best = [front(found)[-1] for found in theirs]
    accuracy, lut = (float(np.mean([row[key] for row in best])) for key in ("test", "lut"))
    found: dict = {"accuracy": accuracy, "lut_traced": lut, "to_reach": LUT_RATIO, "methods": {}}
    told = synthesised.get("AutoQKeras", [])
    real = max((row for row in told if "failed" not in row), key=lambda row: row["validation"], default=None)
    if real is not None:
        found |= {"accuracy_synth": real["test"], "lut_synth": real["lut"]}
    for method in methods:
        least = [least_lut(own, accuracy) for (name, _), own in rows.items() if name == method]
        traced = None if None in least else float(np.mean(least)) / lut
        own = [row for row in synthesised.get(method, []) if "failed" not in row]
        cheapest = None if real is None else least_lut(own, real["test"])
        synth = None if cheapest is None else cheapest / real["lut"]
        counts = traced if synth is None else synth
        reached = counts is not None and counts <= LUT_RATIO
        found["methods"][method] = {"ratio_traced": traced, "ratio_synth": synth, "reached": reached}
    return found


def _to_hgq2(methods: list[str], rows: Rows, synthesised: Mapping) -> list[dict]:
    """LUTs over HGQ2's, at equal accuracy and at equal times: the end of the method and that of HGQ2 (traced, mean of the
    seeds that have both); and at the end with Yosys' LUTs of the first seed."""
    found = []
    theirs = _by_seed("HGQ2", rows)
    for method in methods if any(theirs.values()) else ():
        if method in ("HGQ2", "AutoQKeras"):
            continue
        mine = _by_seed(method, rows)
        for when, ends in {"the method's end": _ends(mine), "HGQ2's end": _ends(theirs)}.items():
            moment = _mean(ends.values()) if ends else None
            for accuracy in ACCURACIES if ends else ():
                pairs = [
                    [least_lut(until(own[seed], ends.get(seed, moment)), accuracy) for own in (mine, theirs)]
                    for seed in sorted(mine.keys() & theirs.keys())
                ]
                found.append(_ratio(method, when, moment, accuracy, pairs, "traced"))
        told = [[row for row in synthesised.get(name, []) if "failed" not in row] for name in (method, "HGQ2")]
        for accuracy in ACCURACIES if all(told) else ():
            pairs = [[least_lut(own, accuracy) for own in told]]
            found.append(_ratio(method, "both ends", None, accuracy, pairs, "synth"))
    return found


def _ratio(method: str, when: str, moment: float | None, accuracy: float, pairs: list, fidelity: str) -> dict:
    """`ratio` is None where one of both has no such point; who has it then counts."""
    mine, theirs = ([pair[i] for pair in pairs] for i in (0, 1))
    has = [bool(side) and None not in side for side in (mine, theirs)]
    ratio = float(np.mean([a / b for a, b in pairs])) if all(has) else None
    reached = ratio <= HGQ2_RATIO if ratio is not None else (True if has[0] and not has[1] else None)
    if has[1] and not has[0]:
        reached = False
    return {
        "method": method, "when": when, "seconds": moment, "accuracy": accuracy, "fidelity": fidelity,
        "lut": mine, "hgq2_lut": theirs, "ratio": ratio, "to_reach": HGQ2_RATIO, "reached": reached,
    }  # fmt: skip


def show(found: dict) -> None:
    """The tables for people, on standard output."""
    if found.get("quick"):
        print(
            "quick: one seed, few strategies, fewer AutoQKeras trials, a short HGQ2 schedule; not the comparison itself\n"
        )
    reference = found["reference_point"]
    print(f"hypervolume above accuracy {reference['accuracy']} and below {reference['lut']} LUTs (test, traced)")
    print(f"{'method':14}{'hypervolume':>20}{'seconds':>9}{'points':>8}{'s to AutoQKeras':>17}{'share':>8}")
    to_final = found["marks"]["time_to_autoqkeras_final"]
    for method, row in found["hypervolume"].items():
        error = "" if row["deviation"] is None else f" ± {row['deviation']:.4f}"
        reached = None if to_final is None else to_final["methods"][method]
        shown = "" if reached is None else "never" if reached["mean"] is None else f"{reached['mean']:.0f}"
        share = "" if reached is None or reached["share"] is None else f"{reached['share']:.3f}"
        mean = f"{row['mean']:.4f}{error}"
        seconds = "-" if row["seconds"] is None else f"{row['seconds']:.0f}"
        print(f"{method:14}{mean:>20}{seconds:>9}{row['points']:8}{shown:>17}{share:>8}")
    print("\nLUTs (traced, geometric mean of the seeds; -: a seed has none) at test accuracies of at least")
    print(f"{'':14}" + "".join(f"{accuracy:>10g}" for accuracy in ACCURACIES))
    for method, row in found["lut_at"].items():
        print(f"{method:14}" + "".join(f"{'-' if lut is None else f'{lut:.0f}':>10}" for lut in row.values()))
    synthesised = {method: own["synth"] for method, own in found["fronts"].items() if own["synth"]}
    if synthesised:
        print(
            "\nsynthesised: test accuracy, Yosys' LUT cells, by layer weights that matter (mean signed digits of each)"
        )
    for method, rows in synthesised.items():
        for row in (row for row in rows if "failed" not in row):
            print(f"{method:14}{row['test']:.4f}{row['lut']:9.0f}  {_made_of(row)}")
    _show_marks(found["marks"])


def _made_of(row: dict) -> str:
    parts = zip(row.get("weights", ()), row.get("digits", ()))
    return "  ".join(f"{weights} ({digits / max(weights, 1):.2f})" for weights, digits in parts)


def _show_marks(marks: dict) -> None:
    best = marks["lut_at_autoqkeras_best"]
    if best:
        print(
            f"\nLUTs at AutoQKeras' best accuracy {best['accuracy']:.4f}, over its {best['lut_traced']:.0f} (traced):"
        )
        for method, row in best["methods"].items():
            print(
                f"  {method:14}traced {_number(row['ratio_traced'])}, Yosys {_number(row['ratio_synth'])}, {_yes(row)}"
            )
    if marks["lut_to_hgq2"]:
        print("\nLUTs over HGQ2's at equal accuracy:")
    for row in marks["lut_to_hgq2"]:
        when = row["when"] if row["seconds"] is None else f"{row['when']}, {row['seconds']:.0f} s"
        where = f"{row['method']:14}{row['accuracy']:.3f}  {when:28}{row['fidelity']:8}"
        print(f"  {where}{_number(row['ratio'])}  {_yes(row)}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _yes(row: dict) -> str:
    return "neither has it" if row["reached"] is None else "reached" if row["reached"] else "not reached"
