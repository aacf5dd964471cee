"""Reports steer: doubled look-up tables of one quantizer kind change predictions, proposals and choice."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loop.running import ROOT, TINY, copy_without, result

from flow.cost import rtl as cost
from flow.formats import parse
from flow.loop import build
from flow.metrics import Fidelity, figure
from flow.search import STRATEGIES
from flow.search.choose import Candidate, choose
from flow.search.problem import Objective, Problem
from flow.space import build_space
from flow.study import State, Trial, pasts
from flow.task import Space
from flow.topology import Dense, Topology

TOPOLOGY = Topology((Dense("fc0", 16, 32, "relu"), Dense("fc1", 32, 32, "relu"), Dense("logits", 32, 5, "linear")))
WORD = parse("quantized_bits(13,5)")
CLOCK_NS = 5.0
DOUBLED = "quantized_bits"
STRONGER = {"quantized_bits": 3.0, "ternary": 1.5, "binary": 1.0}


def make_space():
    random = np.random.default_rng(1)
    weights = {
        l.name: (random.normal(0, 0.3, (l.n_in, l.n_out)), random.normal(0, 0.1, l.n_out)) for l in TOPOLOGY.layers
    }
    values = {"input": random.normal(0, 1, (500, 16))} | {
        l.name: random.normal(0, 1, (500, l.n_out)) for l in TOPOLOGY.layers
    }
    return build_space(Space(), TOPOLOGY, weights, values, Path("task.yaml"))


SPACE = make_space()
OBJECTIVES = (Objective("accuracy", True), Objective("lut", False))


def problem(limits) -> Problem:
    """What the samplers see of the space; they ask for no price."""
    return Problem(SPACE.parameters, OBJECTIVES, limits, prices=None, by_layer=None, knowledge=None)


DESIGNS = [(p.chosen, SPACE.design(p.chosen)) for p in STRATEGIES["random"](problem({}), [], 64, 3)]


def uniform(kernel: str, keep: str = "0.3"):
    """A design with one kernel format everywhere."""
    wanted = {"kernel": kernel, "keep": keep, "bias": "quantized_bits(6)", "activation": "quantized_relu(4)"}
    return SPACE.design({n: wanted.get(n.rsplit(".", 1)[-1], "quantized_bits(6)") for n in SPACE.parameters})


def report(design, factor: float) -> cost.Reported:
    """A report as the prior predicts it, with the look-up tables of layers of the doubled kind times `factor`."""
    rows = cost.predict_by_layer(cost.prior(), TOPOLOGY, design, WORD)
    for name, part in design.layers:
        if part.kernel.kind == DOUBLED:
            rows[name]["lut"] *= factor
    cycles = cost.predict(cost.prior(), TOPOLOGY, design, WORD, CLOCK_NS)["latency_cycles"].value
    lut, ff = (sum(row[resource] for row in rows.values()) for resource in ("lut", "ff"))
    return cost.Reported(design, lut, ff, cycles, rows)


def model(factor: float, reports: int = 6) -> cost.CostModel:
    return cost.calibrated(cost.prior(), TOPOLOGY, WORD, [report(design, factor) for _, design in DESIGNS[:reports]])


def lut(of: cost.CostModel, design):
    return cost.predict(of, TOPOLOGY, design, WORD, CLOCK_NS)["lut"]


def accuracy(design) -> float:
    """An artificial metric: more bits and more weights are better, with falling returns."""
    bits = sum(STRONGER[part.kernel.kind] * part.kernel.bits * part.keep for _, part in design.layers)
    return 0.8 - 0.3 * np.exp(-bits / 10)


def test_predictions_of_the_doubled_kind_go_up():
    before, after = model(1.0), model(2.0)
    rise = {kernel: lut(after, uniform(kernel)).value / lut(before, uniform(kernel)).value for kernel in
            ("quantized_bits(3)", "quantized_bits(5)", "ternary", "binary")}  # fmt: skip
    assert min(rise["quantized_bits(3)"], rise["quantized_bits(5)"]) > 1.4
    assert max(rise["ternary"], rise["binary"]) < 1.2


def test_predictions_come_nearer_to_the_reports():
    unseen = [design for _, design in DESIGNS[32:]]
    truth = np.array([report(design, 2.0).lut for design in unseen])

    def error(of: cost.CostModel) -> float:
        return float(np.mean(np.abs(np.array([lut(of, design).value for design in unseen]) / truth - 1)))

    assert error(model(2.0, 2)) < error(cost.prior())
    assert error(model(2.0, 6)) < 0.5 * error(cost.prior())


def test_uncertainty_shrinks():
    spread = [np.trace(np.array(m.lut.covariance)) for m in (cost.prior(), model(1.0, 2), model(1.0, 6))]
    assert spread[0] > spread[1] > spread[2]
    for kernel in ("quantized_bits(4)", "ternary", "binary"):
        sure = lut(model(1.0), uniform(kernel))
        unsure = lut(cost.prior(), uniform(kernel))
        assert sure.error / sure.value < unsure.error / unsure.value


def proposals(strategy: str, of: cost.CostModel, n: int = 64) -> list[dict[str, str]]:
    """What a strategy proposes after artificial trials, their costs as the model `of` sees them."""
    limit = {"lut": float(np.median([lut(model(1.0), design).value for _, design in DESIGNS]))}
    trials = []
    for number, (chosen, design) in enumerate(DESIGNS):
        metric = figure("accuracy", accuracy(design), Fidelity.MEASURED, error=0.003)
        trials.append(Trial(number, 1, chosen, design, State.TRAINED, {"accuracy": metric, "lut": lut(of, design)}))
    found = STRATEGIES[strategy](problem(limit), pasts(trials, OBJECTIVES, limit), n, 1)
    return [dict(proposal.chosen) for proposal in found]


def share(proposed: list[dict[str, str]]) -> float:
    """The share of kernels of the doubled kind."""
    kernels = [choice for chosen in proposed for name, choice in chosen.items() if name.endswith(".kernel")]
    return sum(kernel.startswith(DOUBLED) for kernel in kernels) / len(kernels)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["tpe", "nsga2"])
def test_the_next_proposals_use_the_doubled_kind_less(strategy):
    before, after = proposals(strategy, model(1.0)), proposals(strategy, model(2.0))
    assert before != after
    assert share(after) < share(before)


def test_the_choice_changes():
    """The best design inside the budget is of the doubled kind; once that costs double, another one is built."""
    fixed, ternary = uniform("quantized_bits(4)"), uniform("ternary", "0.65")
    limits = {"lut": 1.4 * lut(model(1.0), fixed).value}
    assert lut(model(1.0), ternary).value < limits["lut"]

    def built(of: cost.CostModel) -> str:
        candidates = [
            Candidate(
                design.digest, figure("accuracy", value, Fidelity.MEASURED, error=0.003), {"lut": lut(of, design)}
            )
            for design, value in ((fixed, 0.75), (ternary, 0.74))
        ]
        return choose(candidates, limits, 0.72, 1)[0].digest

    assert built(model(1.0)) == fixed.digest
    assert built(model(2.0)) == ternary.digest


def doubling(kind: str, seen: list[str], true_run=build.run_jobs):
    """`run_jobs` of the loop that doubles the look-up tables of layers whose kernels are of a kind."""

    def doubled(job, outcome):
        said = outcome.report
        layers = json.loads((job.project / "design.json").read_text())["layers"]
        rows = {name: dict(row) for name, row in said.by_layer.items()}
        extra = 0
        for name, layer in layers.items():
            if parse(layer["kernel"]).kind == kind:
                extra += rows[name]["lut"]
                rows[name]["lut"] *= 2
        seen.append(job.project.name)
        return replace(outcome, report=replace(said, lut=said.lut + extra, by_layer=rows))

    def run(jobs, *arguments):
        return [doubled(job, outcome) for job, outcome in zip(jobs, true_run(jobs, *arguments))]

    return run


@pytest.mark.slow
def test_the_loop_is_steered_by_reports(tmp_path, undisturbed, monkeypatch):
    """With doubled reports of one kind the second round proposes, predicts and builds otherwise."""
    from flow import codesign

    out, seen = copy_without(undisturbed, tmp_path / "tiny", "synth"), []
    first = result(undisturbed)["rounds"][0]["built"]
    kinds = [
        {
            parse(layer["kernel"]).kind
            for layer in json.loads((undisturbed / row["digest"] / "design.json").read_text())["layers"].values()
        }
        for row in first
    ]
    assert DOUBLED in set.union(*kinds), "the first round builds no design of the doubled kind"
    monkeypatch.setattr(build, "run_jobs", doubling(DOUBLED, seen))
    monkeypatch.chdir(ROOT)
    try:
        codesign.run(Path(TINY), out, quiet=True)
    except codesign.BudgetMissed:
        pass  # doubled, nothing may be inside
    plain, steered = result(undisturbed), result(out)
    assert [b["digest"] for b in steered["rounds"][0]["built"]] == [b["digest"] for b in first]
    assert set(seen) >= {b["digest"] for b in first}
    proposed = [{p["digest"] for p in run["points"] if p["round"] == 2} for run in (plain, steered)]
    assert proposed[0] != proposed[1]
    assert [b["digest"] for b in plain["rounds"][1]["built"]] != [b["digest"] for b in steered["rounds"][1]["built"]]
    errors = [r["prediction_error"]["lut"]["value"] for r in steered["rounds"]]
    assert errors[1] < errors[0]
    after = steered["rounds"][0]["calibration"]["lut"]["after"]["fixed"]
    assert after > 1.2 * plain["rounds"][0]["calibration"]["lut"]["after"]["fixed"]
