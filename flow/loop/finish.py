"""After the rounds: the chosen design, the test sample (opened once, here), and everything that the page shows."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from flow.cost import COSTS, power
from flow.estimate.knowledge import power_model
from flow.firmware.settings import for_design
from flow.loop import pricing
from flow.loop.build import model_of, project_folder
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.prepare import RANGE_EVENTS
from flow.loop.rounds import winners
from flow.loop.state import Built, Round, State, prediction_error
from flow.loop.trials import now
from flow.metrics import Figure
from flow.store import Step, commit, versions
from flow.study import State as TrialState
from flow.study import front
from flow.train.evaluate import Truth, discriminant, evaluate, set_threshold

ROC_POINTS = 200


def chosen(context: Context, state: State) -> Built | None:
    """The built design with the best metric that a report shows inside the budget; ties go to fewer LUTs."""
    metric, clock = context.task.objective.metric, context.task.target.clock_ns
    found = winners(context, state)
    return max(found, key=lambda b: (b.physics[metric].value, -b.reported(clock)["lut"].value), default=None)


def open_test(context: Context, ground: Ground, state: State, best: Built | None) -> dict:
    """Test figures and ROC curves of the float network, the baselines and the chosen design.

    Thresholds come from the validation sample. Keyed by the chosen design, so that it happens once for a run.
    """
    items = {"float": None} | {item.name: item for item in state.baselines} | ({"chosen": best} if best else {})
    inputs = {
        "float": ground.floating.key,
        "data": ground.data.key,
        "point": vars(ground.physics.point) | {},
        "designs": {name: [item.step.rsplit("/", 1)[-1], item.member] for name, item in items.items() if item},
    }

    def compute():
        with context.stage("opening the test sample"):
            parts = {part: (ground.words(part), ground.sample(part)) for part in ("validation", "test")}
            result: dict[str, dict] = {"figures": {}, "roc": {}}
            for name, item in items.items():
                outputs = {part: _logits(ground, item, *parts[part]) for part in parts}
                truths = {part: parts[part][1].truth for part in parts}
                figures = evaluate(
                    outputs["test"], truths["test"], ground.physics.point, ground.physics.classes,
                    validation=(outputs["validation"], truths["validation"]),
                )  # fmt: skip
                result["figures"][name] = {key: figure.to_json() for key, figure in figures.items()}
                if name in ("float", "chosen"):
                    scores = discriminant(outputs["test"], ground.physics.point)
                    point = {key: result["figures"][name][f"{key}_efficiency"] for key in ("signal", "background")}
                    result["roc"][name] = _roc(scores, truths["test"], ground) | {"point": point}
                    threshold = set_threshold(
                        discriminant(outputs["validation"], ground.physics.point),
                        truths["validation"].labels,
                        ground.physics.point,
                    )
                    result["roc"][name]["threshold"] = threshold.value
            return result, {}

    return context.store.step("test", inputs, compute).result


def summary(context: Context, ground: Ground, state: State, best: Built | None, test: Mapping | None) -> dict:
    """Everything about the run, as the page and `flow status` show it."""
    task = context.task
    test = test or {"figures": {}, "roc": {}}
    metric, limits, clock = task.objective.metric, context.limits, task.target.clock_ns
    events = ground.data.result["events"]
    return {
        "task": context.name,
        "stand_in": bool(ground.data.result["provenance"].get("stand_in", False)),
        "folder": str(context.out),
        "metric": metric,
        "cost": task.objective.cost,
        "operating_point": task.operating_point.model_dump(mode="json"),
        "target": task.target.model_dump(mode="json")
        | {
            "stage": context.until.value,
            "interval": task.firmware.interval,
            "clock_mhz": task.target.clock,
            "clock_ns": clock,
        },
        "firmware": task.firmware.model_dump(mode="json", exclude_defaults=True) | {"plain": context.target.plain},
        "budget": limits,
        "topology": ground.topology.to_json(),
        "data": {
            "provenance": ground.data.result["provenance"],
            "events": events,
            "classes": list(task.data.classes),
            "features": list(ground.scaling.features),
            "scaling": ground.scaling.to_json(),
        },
        "float": {"figures": _json(ground.float_figures), "test": test["figures"].get("float")},
        "baselines": [
            {
                "name": item.name,
                "digest": item.design.digest,
                "design": item.design.to_json(),
                "figures": _json(item.physics) | _json(item.price),
                "report": _json(item.reported(clock)) or None,
                "inside_budget": item.inside(limits, clock),
                "note": item.failed,
                "test": test["figures"].get(item.name),
            }
            for item in state.baselines
        ],
        "search": task.search.model_dump(mode="json", exclude={"storage"}),
        "rounds": [_round(context, done) for done in state.rounds],
        "trials": _counts(context, state),
        "points": _points(context, ground, state),
        "front": _front(context, state),
        "chosen": None if best is None else _chosen(context, ground, state, best, test["figures"].get("chosen")),
        "nearest": None if best else _nearest(context, state),
        "equivalence": _equivalence(state),
        "roc": test["roc"] or None,
        "versions": versions(),
        "seeds": {"split": task.data.seed, "search": task.search.seed},
        "commit": commit(),
        "seconds": context.seconds,
        "commands": [f"flow run {context.folder}", f"make flow TASK={context.folder}"],
    }


def _logits(ground: Ground, item: Built | None, words: np.ndarray, sample) -> np.ndarray:
    """Exact logits of a built design, or those of the float network."""
    if item is None:
        from flow.train.ranges import hidden_values

        output = ground.topology.output
        return hidden_values(ground.topology, ground.float_weights, sample.values, [output])[output]
    from flow.train import qkeras_model

    return qkeras_model.reference(model_of(ground, item), words)[ground.topology.output]


def _roc(scores: np.ndarray, truth: Truth, ground: Ground) -> dict[str, list[float]]:
    """Signal and background efficiencies at thresholds evenly spread in the logarithm of the background's."""
    point = ground.physics.point
    background = np.sort(scores[np.isin(truth.labels, point.background)])
    signal = np.sort(scores[np.isin(truth.labels, point.signal)])
    places = np.unique(np.geomspace(1, len(background), ROC_POINTS).astype(int))
    thresholds = np.unique(background[-places])
    count = lambda values: (1.0 - np.searchsorted(values, thresholds, side="left") / len(values)).tolist()
    return {"signal": count(signal), "background": count(background)}


def _json(figures: Mapping[str, Figure]) -> dict:
    return {name: figure.to_json() for name, figure in figures.items()}


def _round(context: Context, done: Round) -> dict:
    limits, clock, metric = context.limits, context.task.target.clock_ns, context.task.objective.metric
    before = pricing.coefficients(context, done.before)
    errors = prediction_error(done.built, "model", clock)
    traced = prediction_error(done.built, "traced", clock)
    return {
        "round": done.number,
        "trials": done.trials,
        "built": [
            {
                "digest": item.design.digest,
                "name": item.name,
                "metric": item.physics[metric].to_json(),
                "predicted": {
                    fidelity: _json({n: figures[n] for n in ("lut", "ff", "latency_ns")})
                    for fidelity, figures in item.predicted.items()
                },
                "report": _json(item.reported(clock)) or None,
                "inside_budget": item.inside(limits, clock),
                "failed": item.failed,
            }
            for item in done.built
        ],
        "prediction_error": {name: {"value": value, "unit": "", "fidelity": "model"} for name, value in errors.items()},
        "prediction_error_traced": {
            n: {"value": value, "unit": "", "fidelity": "traced"} for n, value in traced.items()
        },
        "calibration": {
            name: {"before": before.get(name, {}), "after": row}
            for name, row in pricing.coefficients(context, done.after).items()
        },
    }


def _counts(context: Context, state: State) -> dict[str, int]:
    built = {item.design.digest for item in state.built}
    failed = {t.design.digest for t in state.trials if t.state is TrialState.FAILED}
    failed |= {item.design.digest for item in state.built if item.failed}
    cut = {t.design.digest for t in state.trials if t.reason} - built - failed
    trained = {t.design.digest for t in state.trials} - built - failed - cut
    planned = context.task.search.rounds * context.task.search.trials
    return {
        "proposed": max(planned - len(state.trials), 0),
        "trained": len(trained),
        "cut": len(cut),
        "built": len(built - failed),
        "failed": len(failed),
    }


def _points(context: Context, ground: Ground, state: State) -> list[dict]:
    task = context.task
    metric, cost, clock = task.objective.metric, task.objective.cost, task.target.clock_ns
    built = {item.design.digest: item for item in state.built}
    costs = now(context, ground, replace_without_reports(state))
    rows = []
    for trial in state.trials:
        if trial.state is TrialState.FAILED:
            continue
        item = built.get(trial.design.digest)
        reported = item.reported(clock).get(cost) if item else None
        rows.append(
            {
                "digest": trial.design.digest,
                "round": trial.round,
                "metric": trial.figures[metric].to_json(),
                "cost": costs[trial.number][cost].to_json(),
                "built": item is not None,
                "reported": None if reported is None else reported.to_json(),
                "built_metric": None if item is None else item.physics[metric].to_json(),
            }
        )
    return rows


def replace_without_reports(state: State) -> State:
    """The state with its trials and its calibrated model, but no built designs: predictions only."""
    return State(state.model, state.trials)


def _front(context: Context, state: State) -> list[dict]:
    """The reported designs that none beats in both metric and cost."""
    metric, cost, clock = context.task.objective.metric, context.task.objective.cost, context.task.target.clock_ns
    reported = [item for item in state.built if item.report is not None]
    points = [(item.physics[metric].value, item.resources(clock)[cost].value) for item in reported]
    return [
        {
            "digest": reported[i].design.digest,
            "figures": _json(reported[i].physics)
            | _json(reported[i].reported(clock))
            | _json({cost: reported[i].resources(clock)[cost]}),
            "inside_budget": reported[i].inside(context.limits, clock),
        }
        for i in front(points)
    ]


def _chosen(context: Context, ground: Ground, state: State, best: Built, test: Mapping | None) -> dict:
    clock = context.task.target.clock_ns
    reported = best.reported(clock)
    return {
        "digest": best.design.digest,
        "name": best.name,
        "round": best.round,
        "design": best.design.to_json(),
        "formats": best.design.to_json()["layers"],
        "figures": _json(best.physics)
        | _json(reported)
        | _json({name: best.predicted["model"][name] for name in COSTS})
        | _json(_power(context, best, reported)),
        "test": test,
        "inside_budget": best.inside(context.limits, clock),
        "margins": {
            name: {"limit": limit, "value": reported[name].value, "margin": limit - reported[name].value}
            for name, limit in context.limits.items()
        },
        "by_layer": best.report.by_layer,
        "predicted_by_layer": pricing.by_layer(context, state.model, ground.topology, best.design, ground.scaling.word),
        "ranges": _ranges(context, ground, best),
        "bounds": _bounds(ground, best),
        "project": str(project_folder(context, best)),
    }


def _power(context: Context, item: Built, reported: Mapping[str, Figure]) -> dict[str, Figure]:
    """Power, and energy of an inference, of the resources that a report tells; one event comes every interval."""
    counts = {name: reported[name].value for name in power.RESOURCES}
    target = for_design(context.target, item.design)
    return power.figures(power_model(context.known), counts, target.part, target.clock_ns, target.interval)


def _ranges(context: Context, ground: Ground, item: Built) -> list[dict]:
    """What values range over in front of each quantizer of a design, on the validation sample."""
    from flow.train.designs import member_network
    from flow.train.ranges import ranges

    inputs = {"weights": item.step.rsplit("/", 1)[-1], "member": item.member, "events": RANGE_EVENTS}

    def compute():
        topology, weights = member_network(ground.topology, Step(Path(item.step), "", {}).arrays, item.member)
        found = ranges(topology, item.design, weights, ground.validation.values[:RANGE_EVENTS])
        return {"ranges": [row.to_json() for row in found]}, {}

    return context.store.step("ranges", inputs, compute).result["ranges"]


def _bounds(ground: Ground, item: Built) -> dict[str, dict]:
    """Layer → what holds every value that its sums can have, whatever the event is."""
    from flow.sensitivity.intervals import bounds
    from flow.train.designs import member_network

    topology, weights = member_network(ground.topology, Step(Path(item.step), "", {}).arrays, item.member)
    return {name: asdict(bound) for name, bound in bounds(topology, item.design, weights).items()}


def _nearest(context: Context, state: State) -> dict | None:
    """Of the reported designs, the one that exceeds the budget least."""
    from flow.study import excess

    clock = context.task.target.clock_ns
    rows = [(max(excess(i.reported(clock), context.limits).values(), default=0.0), i) for i in state.built if i.report]
    if not rows:
        return None
    over, item = min(rows, key=lambda row: (row[0], row[1].design.digest))
    return {"digest": item.design.digest, "excess": over, "figures": _json(item.reported(clock))}


def _equivalence(state: State) -> dict:
    """All designs of the run taken together: vectors and mismatches by pair."""
    pairs: dict[str, dict[str, int]] = {}
    deviation = 0.0
    for item in (*state.built, *state.baselines):
        if item.equivalence is None:
            continue
        deviation = max(deviation, item.equivalence["float32_deviation"] or 0.0)
        for pair in item.equivalence["pairs"]:
            row = pairs.setdefault(pair["name"], {"designs": 0, "vectors": 0, "mismatches": 0})
            row["designs"] += 1
            row["vectors"] += pair["vectors"]
            row["mismatches"] += pair["mismatches"]
    return {
        "vectors": sum(row["vectors"] for row in pairs.values()),
        "mismatches": sum(row["mismatches"] for row in pairs.values()),
        "pairs": pairs,
        "float32_deviation": deviation,
    }
