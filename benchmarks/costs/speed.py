"""Designs a second of the closed forms, and the seconds of their import, on one core."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import numpy as np

from flow.cost import hls, rtl
from flow.design import Design, LayerDesign
from flow.formats import Format, parse
from flow.topology import Dense, Topology

LIBRARIES = ("OMP", "OPENBLAS", "MKL", "TF_NUM_INTRAOP", "TF_NUM_INTEROP")
ONE_CORE = {f"{name}_THREADS" if name.startswith("TF") else f"{name}_NUM_THREADS": "1" for name in LIBRARIES}
POPULATION = 10_000
REPEATS = 5

IMPORT = """
import json, sys, time
start, busy = time.perf_counter(), time.process_time()
import flow.cost, flow.cost.hls, flow.cost.rtl
seconds, busy = time.perf_counter() - start, time.process_time() - busy
heavy = sorted({"tensorflow", "keras", "qkeras", "hls4ml", "torch"} & set(sys.modules))
print(json.dumps({"seconds": seconds, "processor": busy, "heavy": heavy}))
"""


def speed() -> dict:
    """Designs a second on one core, from a fresh process, and the import in another."""
    population = _fresh([__file__])
    imports = [_fresh(["-c", IMPORT]) for _ in range(REPEATS)]
    return population | {
        "import_seconds": float(np.median([row["seconds"] for row in imports])),
        "import_processor_seconds": float(np.median([row["processor"] for row in imports])),
        "imported": imports[0]["heavy"],
    }


def _fresh(arguments: Sequence[str]) -> dict:
    done = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env=os.environ | ONE_CORE
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure_population() -> dict:
    """Designs a second of both models, the fastest and the median of some runs, on the first core that is allowed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(1)
    word, topology = parse("quantized_bits(13,5)"), _jet_tagger()
    return {
        "population": POPULATION,
        "hls": _rate(lambda many: hls.predict(hls.prior(), many, "csynth"), lambda: _network(rng)),
        "rtl": _rate(lambda many: rtl.predict_many(rtl.prior(), topology, many, word, 5.0), lambda: _design(rng)),
    }


def _rate(predict: Callable[[list], object], draw: Callable[[], object]) -> dict:
    """Designs a second, each population a new one: by the processor's time and by the clock, medians."""
    rates = []
    for _ in range(REPEATS + 1):
        population = [draw() for _ in range(POPULATION)]
        wall, busy = time.perf_counter(), time.process_time()
        predict(population)
        rates.append((POPULATION / (time.process_time() - busy), POPULATION / (time.perf_counter() - wall)))
    busy, wall = np.median(rates[1:], axis=0).tolist()  # the first one reads the coefficients
    return {"processor": busy, "clock": wall}


def _network(rng: np.random.Generator) -> hls.Network:
    """A dense network of two to five layers, each with widths, reuse and strategy of its own."""
    sizes = rng.integers(4, 129, rng.integers(3, 7)).tolist()
    layers = tuple(
        hls.Layer(
            hls.Kind.DENSE,
            n_in,
            n_out,
            f"fc{i}",
            weight_bits=int(rng.integers(2, 17)),
            data_bits=int(rng.integers(4, 17)),
            reuse_factor=int(2 ** rng.integers(0, 9)),
            strategy=(hls.Strategy.LATENCY, hls.Strategy.RESOURCE)[int(rng.integers(2))],
            activation="relu",
        )
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
    )
    return hls.Network(layers, hls.IoType.PARALLEL, hls.Tool.VITIS_HLS, "2023.2", "xcvu9p-flga2104-2L-e", 5.0)


def _jet_tagger() -> Topology:
    sizes = (16, 64, 32, 32, 5)
    layers = (
        Dense(f"fc{i}", n_in, n_out, "relu" if i < 3 else "linear") for i, (n_in, n_out) in enumerate(pairwise(sizes))
    )
    return Topology(tuple(layers))


def _design(rng: np.random.Generator) -> Design:
    """A design of the jet tagger with widths and keep fractions of their own in each layer."""
    bits, keep = rng.integers(2, 9, (4, 2)).tolist(), np.round(rng.uniform(0.1, 1.0, 4), 3).tolist()
    layers = tuple(
        (f"fc{i}", LayerDesign(_fixed(k), _fixed(8), _rectified(a) if i < 3 else None, keep[i]))
        for i, (k, a) in enumerate(bits)
    )
    return Design(_fixed(int(rng.integers(4, 9))), layers)


@cache
def _fixed(bits: int) -> Format:
    return parse(f"quantized_bits({bits},0,1,alpha=1.0)")


@cache
def _rectified(bits: int) -> Format:
    return parse(f"quantized_relu({bits},2)")


if __name__ == "__main__":
    print(json.dumps(measure_population()))
