"""What sharing hardware saves: `python benchmarks/multiplexed.py [--bits 6] [--only dense] [--json FILE]`.

Synthesises (Yosys) a dense layer of 64 x 32 and the convolutions of the digits network with random weights at several
reuse factors. Look-up tables, registers and DSPs are the layer's own; interval and latency those of the network
around it, an input quantizer in front and a small unrolled layer behind.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign
from flow.firmware import rtl
from flow.firmware.settings import Target
from flow.formats import Fixed, Relu
from flow.store import versions
from flow.synth.job import synthesise
from flow.topology import Conv, Dense, Reshape, Topology
from flow.train import qkeras_model

PART, CLOCK_NS = "xcvu9p-flga2104-2-e", 5.0
WORD = Fixed(12, 3)
NETWORKS = {
    "dense": Topology((Dense("fc0", 64, 32, "relu"), Dense("logits", 32, 5))),
    "digits": Topology(
        (
            Conv("conv0", (8, 8, 1), 8, (3, 3), (2, 2), "valid", "relu"),
            Conv("conv1", (3, 3, 8), 16, (2, 2), (1, 1), "valid", "relu"),
            Reshape("flat", (64,)),
            Dense("logits", 64, 10),
        ),
        (8, 8, 1),
    ),
}
REUSES = {
    "dense": ({"fc0": 1}, {"fc0": 2}, {"fc0": 4}, {"fc0": 8}),
    "digits": ({"conv0": 1, "conv1": 1}, {"conv0": 4, "conv1": 4}, {"conv0": 9, "conv1": 4}),
}
COLUMNS = ("layer", "reuse", "lut", "ff", "dsp", "traced", "interval", "latency")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, default=6, help="bits of kernels and activations (default %(default)s)")
    parser.add_argument("--only", choices=NETWORKS, help="one of the networks")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    print("".join(f"{name:>9}" for name in COLUMNS))
    rows = []
    for name, topology in NETWORKS.items():
        if options.only in (None, name):
            for row in _measured(topology, REUSES[name], options.bits):
                print("".join(f"{row[column]!s:>9}" for column in COLUMNS), flush=True)
                rows.append(row)
    if options.json:
        options.json.write_text(
            json.dumps({"bits": options.bits, "rows": rows, "versions": versions()}, indent=1) + "\n"
        )


def _measured(topology: Topology, reuses: tuple[dict[str, int], ...], bits: int):
    """Rows of the table, by reuse factors and layer."""
    model = _model(topology, bits)
    traced = rtl.trace(model, WORD)
    for reuse in reuses:
        target = Target(PART, CLOCK_NS, reuse=tuple(reuse.items()))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            summary = rtl.write(traced, folder, "network", target, model)
            report = synthesise(folder)
        for layer, factor in reuse.items():
            found = report.by_layer[layer]
            yield {
                "layer": layer,
                "reuse": factor,
                **{name: found[name] for name in ("lut", "ff", "dsp")},
                "traced": round(summary.lut_by_block[layer]),
                "interval": summary.interval_cycles,
                "latency": summary.latency_cycles,
            }


def _model(topology: Topology, bits: int):
    """Random weights that use the whole range of their format."""
    rng = np.random.default_rng(1)
    form = LayerDesign(Fixed(bits, 0), Fixed(bits, 0), Relu(bits, 1))
    layers = tuple(
        (layer.name, form if topology.quantized(layer) else LayerDesign(form.kernel, form.bias, None))
        for layer in topology.designed
    )
    weights = {
        layer.name: (rng.normal(0, 0.25, layer.kernel_shape), rng.normal(0, 0.25, layer.shape[-1:]))
        for layer in topology.weighted
    }
    scaling = InputScaling(
        tuple(f"x{i}" for i in range(topology.n_in)), WORD, (0,) * topology.n_in, (0.0,) * topology.n_in
    )
    return qkeras_model.build(topology, Design(Fixed(bits, 1), layers), scaling, weights)


if __name__ == "__main__":
    main()
