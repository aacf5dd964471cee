"""What rounding costs in hardware: `python benchmarks/rounding.py [--keep 0.3] [--bits 4] [--seeds 3] [--json FILE]`.

Trains the jet tagger in designs that differ in how activations round alone (half to even as QKeras does, half
up, or truncated), from the same float network with the same schedule, and synthesises each as Verilog.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from flow.design import Design, LayerDesign
from flow.firmware import rtl
from flow.firmware.settings import Target
from flow.formats import KINDS, Fixed
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.prepare import lay_ground
from flow.store import versions
from flow.synth.job import synthesise
from flow.synth.tools.tool import Limits
from flow.train import qkeras_model
from flow.train.designs import Start, figures_of, member_weights, train_designs
from flow.train.schedule import Pruning, Schedule

ROOT = Path(__file__).resolve().parents[1]
ROUNDINGS = {"half to even": "quantized_relu", "half up": "half_up_relu", "truncated": "truncated_relu"}
INPUTS = {"half to even": "quantized_bits", "half up": "half_up_bits", "truncated": "truncated_bits"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=float, default=0.3, help="fraction of the weights kept (default %(default)s)")
    parser.add_argument("--bits", type=int, default=4, help="bits of kernels and activations (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each; the first one is synthesised")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        context = Context.of(ROOT / "models" / "jet_tagger", Path(folder))
        ground = lay_ground(context)
        rows = {name: _measure(context, ground, name, options) for name in ROUNDINGS}
    print(f"{'rounding':14}{'accuracy':>18}{'LUT (Yosys)':>13}{'FF':>8}{'cycles':>8}{'LUT (traced)':>14}")
    for name, row in rows.items():
        accuracy = f"{np.mean(row['accuracies']):.4f} ± {np.std(row['accuracies']):.4f}"
        print(f"{name:14}{accuracy:>18}{row['lut']:13.0f}{row['ff']:8.0f}{row['cycles']:8}{row['traced_lut']:14.0f}")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "versions": versions()}, indent=1) + "\n")


def _measure(context: Context, ground: Ground, name: str, options) -> dict:
    """Accuracies of all seeds, and the first one's resources."""
    design = _design(ground, name, options.bits, options.keep)
    settings, accuracies = context.task.train, []
    for seed in range(options.seeds):
        schedule = Schedule(options.epochs, settings.batch, settings.learning_rate, seed, Pruning(until=0.5))
        start = Start(ground.start[1])
        result, arrays = train_designs(
            ground.topology, [design], [start], ground.train, ground.validation, ground.physics, schedule
        )
        accuracies.append(figures_of(result["members"][0]["figures"])["accuracy"].value)
        if seed == 0:
            weights = member_weights(ground.topology, arrays, 0)
    return {"accuracies": accuracies} | _resources(context, ground, design, weights)


def _design(ground: Ground, name: str, bits: int, keep: float) -> Design:
    """Every layer alike; ranges as the float network suits them."""
    from flow.formats import best_integer
    from flow.loop.prepare import range_samples

    samples = range_samples(ground.topology, ground.data, ground.float_weights)
    layers = []
    for layer in ground.topology.designed:
        kernel, bias = ground.float_weights[layer.name]
        activation = None
        if ground.topology.quantized(layer):
            integer = best_integer(samples[layer.name], bits, "quantized_relu").integer
            activation = KINDS[ROUNDINGS[name]](bits, integer)
        forms = best_integer(kernel, bits, "quantized_bits"), Fixed(6, best_integer(bias, 6, "quantized_bits").integer)
        layers.append((layer.name, LayerDesign(*forms, activation, keep)))
    grid = KINDS[INPUTS[name]](bits + 2, best_integer(samples["input"], bits + 2, "quantized_bits").integer)
    return Design(grid, tuple(layers))


def _resources(context: Context, ground: Ground, design: Design, weights) -> dict:
    target = context.task.target
    model = qkeras_model.build(ground.topology, design, ground.scaling, weights)
    traced = rtl.trace(model, ground.scaling.word)
    folder = context.out / design.digest
    folder.mkdir(parents=True)
    summary = rtl.write(traced, folder, "jets", Target(target.part, target.clock_ns))
    report = synthesise(folder, limits=Limits(context.task.synth.timeout))
    return {
        "lut": float(report.lut),
        "ff": float(report.ff),
        "cycles": summary.latency_cycles,
        "traced_lut": summary.lut_estimate,
    }


if __name__ == "__main__":
    main()
