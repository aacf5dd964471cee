"""How integer bits are best taken from ranges: `python benchmarks/ranges.py models/jet_tagger`.

Trains uniform designs, half pruned, whose integer bits come from the mean square error, from the mean root
error, and from the latter with one integer bit less behind rectifiers, in one population, and prints
their validation accuracy by activation width.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from flow.design import Design, LayerDesign
from flow.formats import KINDS, Relu, best_integer
from flow.loop.context import Context
from flow.loop.prepare import lay_ground, range_samples
from flow.loop.training import train_on

WIDTHS = (2, 3, 4, 5, 6)


def least_squares(values: np.ndarray, bits: int, kind: str):
    """The format of least mean square error."""
    forms = [KINDS[kind](bits, integer) for integer in range(6, -6 if kind == "quantized_bits" else -1, -1)]
    return min(forms, key=lambda form: float(np.mean((values - form.quantize(values)) ** 2)))


def wider(values: np.ndarray, bits: int, kind: str):
    """The rule in use, without the integer bit that rectifiers give up."""
    form = best_integer(values, bits, kind)
    return replace(form, integer=form.integer + 1) if isinstance(form, Relu) else form


RULES = {"mean square": least_squares, "mean root": wider, "mean root, one bit less": best_integer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("hls_projects/ranges"))
    options = parser.parse_args()
    context = Context.of(options.task, options.out)
    ground = lay_ground(context)
    samples = range_samples(ground.topology, ground.data, ground.float_weights)
    cases = [(rule, bits) for rule in RULES for bits in WIDTHS]
    designs = [_design(ground, samples, RULES[rule], bits) for rule, bits in cases]
    step = train_on(context, ground, "ranges", designs, [ground.start] * len(designs), options.epochs)
    print(f"{'rule':26}" + "".join(f"{bits} bits   " for bits in WIDTHS))
    for rule in RULES:
        rows = [step.result["members"][i]["figures"]["accuracy"]["value"] for i, c in enumerate(cases) if c[0] == rule]
        print(f"{rule:26}" + "".join(f"{value:.4f}   " for value in rows))


def _design(ground, samples, rule, bits: int) -> Design:
    layers = []
    for layer in ground.topology.weighted:
        kernel, bias = ground.float_weights[layer.name]
        activation = rule(samples[layer.name], bits, "quantized_relu") if layer.activation == "relu" else None
        layers.append(
            (
                layer.name,
                LayerDesign(rule(kernel, 4, "quantized_bits"), rule(bias, 6, "quantized_bits"), activation, 0.5),
            )
        )
    return Design(rule(samples["input"], 6, "quantized_bits"), tuple(layers))


if __name__ == "__main__":
    main()
