"""Fit the cost model's prior on traced designs of a task: `python benchmarks/prior.py models/jet_tagger`.

Random designs of the task's space are trained briefly, traced from their real weights, and the
closed-form features are regressed on what the tracer counts; `--yosys N` synthesises N of them and
scales the coefficients to what Yosys reports. The result is flow/cost/prior.json, which ships.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from flow.cost import rtl as cost
from flow.cost.calibration import Regression, fit
from flow.firmware import rtl
from flow.loop.context import Context
from flow.loop.prepare import lay_ground, train_on
from flow.process import in_parallel
from flow.search import strategy
from flow.synth import yosys
from flow.train import qkeras_model
from flow.train.designs import member_weights

LOOSEN = 0.3  # how far another network's coefficients may be from these, relative


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path)
    parser.add_argument("--designs", type=int, default=64)
    parser.add_argument("--yosys", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("hls_projects/prior"))
    options = parser.parse_args()
    context = Context.of(options.task, options.out)
    ground = lay_ground(context)
    word, clock = ground.scaling.word, context.task.target.clock_ns
    chosen = strategy("random")(ground.space.parameters, [], options.designs - 8, 1) + ground.space.ladder(8)
    designs = [ground.space.design(choices) for choices in chosen]
    rows = []
    for start in range(0, len(designs), 32):
        part = designs[start : start + 32]
        step = train_on(context, ground, "prior", part, [ground.start] * len(part), 8)
        for member, design in enumerate(part):
            weights = member_weights(ground.topology, step.arrays, member)
            model = qkeras_model.build(ground.topology, design, ground.scaling, weights)
            traced = rtl.trace(model, word)
            rows.append((design, traced, rtl.summarise(traced, clock)))
        print(f"{len(rows)} designs traced", flush=True)
    reports = _synthesise(rows[:: max(1, len(rows) // max(options.yosys, 1))][: options.yosys], context)
    model = _fit(ground.topology, word, rows, reports)
    Path(cost.__file__).with_name("prior.json").write_text(json.dumps(model.to_json(), indent=1) + "\n")


def _synthesise(rows, context: Context) -> list[tuple]:
    target = context.task.target

    def job(summary, traced):
        with tempfile.TemporaryDirectory(dir=context.out) as folder:
            rtl.write(traced, Path(folder), "prior", target.part, target.clock_ns)
            return summary, yosys.run(Path(folder), target.part, target.clock_ns)

    return in_parallel([lambda s=summary, t=traced: job(s, t) for _, traced, summary in rows], 2)


def _fit(topology, word, rows, reports) -> cost.CostModel:
    names = cost.block_names(topology)
    ratio = {
        "lut": np.array([report.lut / summary.lut_estimate for summary, report in reports]),
        "ff": np.array([report.ff / summary.register_bits for summary, report in reports]),
    }
    for name, values in ratio.items():
        print(f"Yosys over tracer, {name}: {values.mean():.3f} ± {values.std():.3f}")
    lut_x = np.concatenate([cost.lut_rows(topology, d, word) for d, _, _ in rows])
    lut_y = np.array([s.lut_by_block[n] for _, _, s in rows for n in names]) * ratio["lut"].mean()
    ff_x = np.concatenate([cost.ff_rows(topology, d, word) for d, _, _ in rows])
    ff_y = np.array([s.register_bits_by_block[n] for _, _, s in rows for n in names]) * ratio["ff"].mean()
    cycles_x = np.concatenate([cost.latency_rows(topology, d) for d, _, _ in rows])
    cycles_y = np.array([float(s.latency_cycles) for _, _, s in rows])
    model = cost.CostModel(
        fit(cost.LUT_FEATURES, lut_x, lut_y, LOOSEN),
        fit(cost.FF_FEATURES, ff_x, ff_y, LOOSEN),
        fit(cost.LATENCY_FEATURES, cycles_x, cycles_y, 0.05),
        *(_ratio(values) for values in ratio.values()),
    )
    for name in ("lut", "ff", "latency_cycles"):
        state = getattr(model, name)
        print(name, dict(zip(state.features, np.round(state.mean, 3))), f"noise {state.noise:.3f}")
    totals = np.array([model.lut.total(cost.lut_rows(topology, d, word)) for d, _, _ in rows])
    truth = np.array([s.lut_estimate for _, _, s in rows]) * ratio["lut"].mean()
    print(f"lut of whole designs: median error {np.median(np.abs(totals[:, 0] / truth - 1)):.3f}, "
          f"within one sigma {np.mean(np.abs(totals[:, 0] - truth) < totals[:, 1]):.2f}")  # fmt: skip
    return model


def _ratio(values: np.ndarray) -> Regression:
    spread = max(float(values.std(ddof=1) / values.mean()), 0.01)
    return replace(
        Regression(cost.TRACED_FEATURES, (float(values.mean()),), (((0.05 * float(values.mean())) ** 2,),), spread),
        reports=0,
    )


if __name__ == "__main__":
    main()
