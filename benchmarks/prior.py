"""Fit the prior of the RTL cost model: `python benchmarks/prior.py` writes flow/cost/prior.json.

Designs of the example tasks are trained briefly; designs of small networks around every kind of layer have weights drawn
at random, pruned by size. All are traced from their weights, and some synthesised with Yosys, one after the other (40
minutes of one core). The program's counts are regressed on the reports, and the closed-form features on the reports or,
where there is none, on what the counts say. What is printed are errors on networks left out of the fit. Reports are kept
in `--out` by the digest of their Verilog, so that a run that was stopped goes on, and the same designs are never
synthesised twice.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.special import stdtrit

from flow.cost import rtl as cost
from flow.cost.calibration import ONE_SIGMA, Regression
from flow.cost.rtl.columns import population
from flow.cost.rtl.features import ff_features, latency_features, lut_features
from flow.data.scaling import InputScaling
from flow.design import Design
from flow.errors import BadInput
from flow.firmware import rtl
from flow.firmware.pipeline import CUTOFF_FRACTION, plan
from flow.firmware.settings import Target
from flow.formats import Fixed, HalfUpRelu, Relu, TruncatedRelu
from flow.loop.context import Context
from flow.loop.prepare import lay_ground
from flow.loop.training import train_on
from flow.search import strategy
from flow.space import build_space
from flow.store import write_json
from flow.synth.job import synthesise
from flow.synth.report import Report
from flow.task import Space
from flow.topology import Activation, Conv, Dense, Merge, Pool, Reshape, Scale, Topology
from flow.train import qkeras_model
from flow.train.designs import member_weights
from flow.train.initial import Weights, random_weights
from flow.train.pruning import largest
from flow.train.ranges import hidden_values

MODELS = Path(__file__).resolve().parents[1] / "models"
PRIOR = Path(cost.__file__).resolve().parents[1] / "prior.json"
PART = "xcvu9p-flga2104-2L-e"
TASKS = {"jet_tagger": (24, 5), "tiny": (16, 8), "digits": (10, 3)}  # designs, of which synthesised
TRACED, SYNTHESISED = 8, 3  # designs of each network with random weights
LARGEST = 10_000.0  # alkaid's estimate of the look-up tables up to which a design is synthesised
EPOCHS = 8
# How far another network's coefficients may be, relative: of the closed form, and of what is counted. With 0.15 for LUTs,
# two thirds of the designs of a network are inside their ranges after three and five of its reports, as before any.
LOOSEN = {"lut": 0.15, "ff": 0.1, "latency_cycles": 0.03}
TRACED_LOOSEN = {"lut": 0.04, "ff": 0.01}
SMALL = 30.0  # costs below which errors count as if it were this one
LEAST_NOISE = 0.01
DEGREES = 8.0  # of the noise: it is that of other networks, and reports soon know better

IMAGE, STEPS, SEQUENCE = (6, 6, 2), (12, 3), (8, 4)


def dense(*sizes: int, activation: str = "relu", **options) -> Topology:
    """Fully connected layers; the last one is linear."""
    last = len(sizes) - 2
    pairs = pairwise(sizes)
    return Topology(
        tuple(Dense(f"fc{i}", a, b, activation if i < last else "linear", **options) for i, (a, b) in enumerate(pairs))
    )


NETWORKS: dict[str, Topology] = {
    "wide": dense(10, 40, 20, 3),
    "deep": dense(8, 14, 14, 14, 14, 4),
    "single": dense(24, 12),
    "inputs": dense(48, 10, 4),
    "funnel": dense(20, 24, 8, 1),
    "nobias": dense(12, 20, 10, 4, bias=False),
    "normalized": dense(14, 18, 12, 5, normalized=True),
    "tanh": dense(12, 20, 12, 4, activation="tanh"),
    "sigmoid": dense(12, 16, 16, 4, activation="sigmoid"),
    "conv1d": Topology(
        (
            Conv("conv", STEPS, 5, (3,), (1,), "valid", "relu"),
            Pool("pool", (10, 5), (2,), (2,)),
            Reshape("flat", (25,)),
            Dense("fc", 25, 10, "relu"),
            Dense("out", 10, 3),
        ),
        STEPS,
    ),
    "conv2d": Topology(
        (
            Conv("conv", IMAGE, 4, (3, 3), (2, 2), "same", "relu"),
            Reshape("flat", (36,)),
            Dense("fc", 36, 8, "relu"),
            Dense("out", 8, 4),
        ),
        IMAGE,
    ),
    "separable": Topology(
        (
            Conv("dw", IMAGE, 2, (3, 3), (1, 1), "valid", bias=False, depthwise=True),
            Conv("pw", (4, 4, 2), 4, (1, 1), (1, 1), "valid", "relu"),
            Pool("pool", (4, 4, 4), (2, 2), (2, 2), "average"),
            Reshape("flat", (16,)),
            Dense("out", 16, 5),
        ),
        IMAGE,
    ),
    "residual": Topology(
        (
            Dense("fc0", 10, 16, "relu"),
            Dense("left", 16, 16, "linear", ("fc0",)),
            Merge("sum", (16,), "add", ("left", "fc0")),
            Activation("rect", (16,), "relu", ("sum",)),
            Dense("out", 16, 4),
        )
    ),
    "branches": Topology(
        (
            Dense("a", 12, 12, "relu", ("input",)),
            Dense("b", 12, 8, "tanh", ("input",)),
            Merge("both", (20,), "concatenate", ("a", "b")),
            Dense("fc", 20, 12, "relu"),
            Dense("out", 12, 3),
        )
    ),
    "scaled": Topology(
        (
            Dense("fc0", 12, 18),
            Scale("norm", (18,)),
            Activation("grid", (18,), "linear"),
            Dense("fc1", 18, 10, "relu"),
            Dense("out", 10, 3),
        )
    ),
    "global": Topology(
        (
            Conv("conv", SEQUENCE, 8, (3,), (1,), "same", "relu"),
            Pool("pool", (8, 8), (8,), (8,), "average", True),
            Dense("out", 8, 4),
        ),
        SEQUENCE,
    ),
    "globalmax": Topology(
        (
            Conv("conv", IMAGE, 6, (3, 3), (1, 1), "valid", "relu"),
            Pool("pool", (4, 4, 6), (4, 4), (4, 4), "max", True),
            Dense("out", 6, 3),
        ),
        IMAGE,
    ),
}


def widths(kind: str, *bits: int) -> tuple[str, ...]:
    return tuple(f"{kind}({b})" for b in bits)


SPACE = Space(
    input=(*widths("quantized_bits", 4, 6, 8), "truncated_bits(5)", "half_up_bits(6)"),
    kernel=("binary", "ternary", "quantized_po2(3)", *widths("quantized_bits", 2, 3, 4, 5, 6, 8),
            "quantized_bits(4,0,1,alpha='auto_po2')"),
    bias=widths("quantized_bits", 4, 6, 8),
    activation=sum((widths(kind, 2, 3, 4, 5, 6, 8) for kind in ("quantized_relu", "truncated_relu", "half_up_relu")), ()),
    tanh=widths("quantized_tanh", 3, 4, 6, 8),
    sigmoid=widths("quantized_sigmoid", 3, 4, 6, 8),
    linear=(*sum((widths(kind, 3, 5, 7) for kind in ("quantized_bits", "truncated_bits", "half_up_bits")), ()),
            "ternary", "binary"),
    keep=(0.2, 0.35, 0.5, 0.75, 1.0),
)  # fmt: skip
WORDS = (Fixed(8, 3), Fixed(10, 3), Fixed(13, 5), Fixed(16, 6))
CLOCKS_NS = (5.0, 5.0, 2.5, 4.0, 8.0, 3.3)


@dataclass(frozen=True)
class Case:
    """A design with its weights; `synthesise` asks for a report."""

    network: str
    topology: Topology
    design: Design
    scaling: InputScaling
    weights: Weights
    clock_ns: float
    synthesise: bool


@dataclass(frozen=True)
class Row:
    """What is known of a case: latency and counts of its program, and Yosys' report where there is one."""

    case: Case
    cycles: int
    counts: dict[str, dict[str, float]]
    report: Report | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("hls_projects/prior"), help="training and reports are kept here"
    )
    parser.add_argument("--dry", action="store_true", help="print errors, leave flow/cost/prior.json as it is")
    options = parser.parse_args()
    rows = _measured_all(random_cases(), options.out)
    if not options.dry:  # what the tasks are checked with has to know today's features
        _ship(fitted(rows))
    rows += _measured_all(task_cases(options.out), options.out)
    model = fitted(rows)
    if not options.dry:
        _ship(model)


def _measured_all(cases: Iterator[Case], out: Path) -> list[Row]:
    rows = []
    for case in cases:
        row = measured(case, out / "reports")
        if row is not None:
            rows.append(row)
            print(f"{case.network}: {len(rows)} traced, {sum(r.report is not None for r in rows)} reports", flush=True)
    return rows


def _ship(model: cost.CostModel) -> None:
    PRIOR.write_text(json.dumps(model.to_json(), indent=1) + "\n")
    cost.prior.cache_clear()


def random_cases() -> Iterator[Case]:
    for number in range(TRACED):
        for name, topology in NETWORKS.items():
            yield random_case(name, topology, number)


def random_case(name: str, topology: Topology, number: int) -> Case:
    """A network with normal or Laplace weights. Every second design has one kernel format and keep fraction throughout."""
    seed = int(hashlib.sha256(f"{name}/{number}".encode()).hexdigest()[:8], 16)
    rng = np.random.default_rng(seed)
    weights = {}
    for layer, (kernel, bias) in random_weights(topology, seed).items():
        if isinstance(topology[layer], Scale):
            kernel = rng.uniform(0.5, 2, kernel.shape) * rng.choice([-1, 1], kernel.shape)
        else:
            drawn = rng.normal(0, 1, kernel.shape) if number % 2 else rng.laplace(0, 0.7, kernel.shape)
            kernel = drawn * rng.uniform(0.7, 2.0) / np.sqrt(max(int(np.prod(kernel.shape[:-1])), 1))
        bias = None if bias is None else rng.normal(0, 0.2, bias.shape).astype(np.float32)
        weights[layer] = (kernel.astype(np.float32), bias)
    word, clock = WORDS[rng.integers(len(WORDS))], CLOCKS_NS[rng.integers(len(CLOCKS_NS))]
    centred = len(topology.input_shape) == 1 and rng.random() < 0.7
    offsets = np.round(rng.normal(0, 1, topology.n_in) * 4) / 4 if centred else np.zeros(topology.n_in)
    names = tuple(f"x{i}" for i in range(topology.n_in))
    scaling = InputScaling(names, word, (0,) * topology.n_in, tuple(map(float, offsets)))
    values = rng.normal(0, 1, (512, topology.n_in))
    design = _drawn(topology, weights, values, rng, number % 2 == 0)
    pruned = {
        layer: (kernel * largest(np.abs(kernel), design[layer].keep) if design[layer].keep < 1 else kernel, bias)
        for layer, (kernel, bias) in weights.items()
    }
    return Case(name, topology, design, scaling, pruned, clock, number < SYNTHESISED)


def _drawn(topology: Topology, weights: Weights, values: np.ndarray, rng: np.random.Generator, uniform: bool) -> Design:
    """A design drawn from the space above, whose ranges suit weights and values."""
    ranges = {"input": values} | hidden_values(topology, weights, values, topology.names)
    space = build_space(SPACE, topology, weights, ranges, Path("benchmarks/prior.py"))
    chosen = {key: str(rng.choice(options)) for key, options in space.parameters.items()}
    if uniform:
        kernel = str(rng.choice(SPACE.kernel))
        rounding = str(rng.choice(["quantized", "truncated", "half_up"]))
        keep = str(rng.choice(["0.2", "0.35", "0.5", "1"]))
        for key, options in space.parameters.items():
            if key.endswith(".kernel"):
                chosen[key] = kernel
            elif key.endswith(".keep"):
                chosen[key] = keep
            elif key.endswith(".activation"):
                chosen[key] = str(rng.choice([o for o in options if o.startswith(rounding)] or options))
    return space.design(chosen)


def task_cases(out: Path) -> Iterator[Case]:
    """Random designs of the example tasks, trained briefly; a third each with one way to round behind rectifiers."""
    for name, (count, synthesised) in TASKS.items():
        context = Context.of(MODELS / name, out / name)
        ground = lay_ground(context)
        chosen = strategy("random")(ground.space.parameters, [], count, 1)
        designs = [_rounded(ground.space.design(choices), i % 3) for i, choices in enumerate(chosen)]
        step = train_on(context, ground, "prior", designs, [ground.start] * count, EPOCHS)
        for member, design in enumerate(designs):
            weights = member_weights(ground.topology, step.arrays, member)
            clock = context.task.target.clock_ns
            yield Case(name, ground.topology, design, ground.scaling, weights, clock, member < synthesised)


def _rounded(design: Design, how: int) -> Design:
    kind = (Relu, TruncatedRelu, HalfUpRelu)[how]

    def other(form):
        return kind(form.bits, form.integer) if isinstance(form, Relu) else form

    return replace(
        design, layers=tuple((name, replace(part, activation=other(part.activation))) for name, part in design.layers)
    )


def measured(case: Case, reports: Path) -> Row | None:
    """Trace a case, and synthesise it unless its report is there; None where its logits depend on no input."""
    model = qkeras_model.build(case.topology, case.design, case.scaling, case.weights)
    try:
        traced = rtl.trace(model, case.scaling.word)
    except BadInput as error:
        print(f"{case.network}: left out: {error}")
        return None
    blocks = [(block.name, block.comb, block.live) for block in traced.blocks]
    stages = plan(blocks, traced.n_in, traced.word, CUTOFF_FRACTION * case.clock_ns)
    report = None
    if case.synthesise and traced.lut_estimate <= LARGEST:
        report = _synthesised(traced, case.clock_ns, reports)
    return Row(case, stages.latency_cycles, cost.count(stages), report)


def _synthesised(traced, clock_ns: float, reports: Path) -> Report:
    reports.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=reports) as temporary:
        folder = Path(temporary)
        rtl.write(traced, folder, "prior", Target(PART, clock_ns))
        # the wrapper is not part of what is mapped
        paths = [path for path in sorted((folder / "src").glob("*.v")) if path.stem != "prior_valid"]
        sources = "".join(path.read_text() for path in paths)
        kept = reports / f"{hashlib.sha256(sources.encode()).hexdigest()[:16]}.json"
        if not kept.exists():
            write_json(kept, synthesise(folder).to_json())
        return Report.from_json(json.loads(kept.read_text()))


def fitted(rows: list[Row]) -> cost.CostModel:
    """The prior from all rows; prints the errors on networks that were left out."""
    told = [row for row in rows if row.report is not None]
    traced = {
        name: regression(
            f"{name} traced",
            features,
            [_matrix(row.counts, features) for row in told],
            [np.array([row.report.by_layer[block][name] for block in row.counts], float) for row in told],
            [row.case.network for row in told],
            TRACED_LOOSEN[name],
            np.ones(len(told), dtype=bool),
        )
        for name, features in (("lut", cost.TRACED_LUT_FEATURES), ("ff", cost.TRACED_FF_FEATURES))
    }
    forms = [closed_form(row.case) for row in rows]
    closed = {
        name: regression(
            name,
            features,
            [x[name] for x in forms],
            [_cost(row, name, traced) for row in rows],
            [row.case.network for row in rows],
            LOOSEN[name],
            np.array([name == "latency_cycles" or row.report is not None for row in rows]),
        )
        for name, features in (
            ("lut", cost.LUT_FEATURES),
            ("ff", cost.FF_FEATURES),
            ("latency_cycles", cost.LATENCY_FEATURES),
        )
    }
    return cost.CostModel(**closed, **{f"traced_{name}": state for name, state in traced.items()})


def closed_form(case: Case) -> dict[str, np.ndarray]:
    """The features (rows, k) of one design, by figure."""
    columns = population(case.topology, [case.design], case.scaling.word)
    return {
        "lut": lut_features(columns)[0],
        "ff": ff_features(columns, case.clock_ns)[0],
        "latency_cycles": latency_features(columns, case.clock_ns)[0],
    }


def _cost(row: Row, name: str, traced: dict[str, Regression]) -> np.ndarray:
    """What each block of a design costs: as reported, or as its counts say."""
    blocks = cost.block_names(row.case.topology)
    if name == "latency_cycles":
        return np.array([float(row.cycles)])
    if row.report is not None:
        return np.array([row.report.by_layer.get(block, {}).get(name, 0) for block in blocks], float)
    state = traced[name]
    nothing = dict.fromkeys(state.features, 0.0)
    return np.array([state.predict(_vector(row.counts.get(block, nothing), state.features))[0][0] for block in blocks])


def _matrix(counts: dict[str, dict[str, float]], features: tuple[str, ...]) -> np.ndarray:
    return np.array([_vector(row, features) for row in counts.values()])


def _vector(row: dict[str, float], features: tuple[str, ...]) -> np.ndarray:
    return np.array([row.get(name, 0.0) for name in features])


def regression(
    name: str,
    features: tuple[str, ...],
    x: list[np.ndarray],
    y: list[np.ndarray],
    networks: list[str],
    loosen: float,
    told: np.ndarray,
) -> Regression:
    """A prior from the rows of designs, x (rows, k) and y (rows,); `told` flags the designs whose y is a report's.

    Errors count relative to what is expected (relative to what was found, small costs would pull the coefficients down).
    The coefficients may differ by `loosen` for another network; the noise is what then makes 68 % of the reports on
    networks that were left out fall inside their interval.
    """
    groups = np.array(networks)
    held = [np.zeros(0)] * len(x)
    for network in dict.fromkeys(networks):
        mean = _mean([a for a, n in zip(x, networks) if n != network], [b for b, n in zip(y, networks) if n != network])
        for i in np.flatnonzero(groups == network):
            held[i] = np.maximum(x[i] @ mean, 0.0)
    mean = _mean(x, y)
    positive = mean[mean > 0].min(initial=1.0)
    spread = (loosen * np.maximum(mean, 0.1 * positive)) ** 2
    value, truth = np.array([h.sum() for h in held]), np.array([b.sum() for b in y])
    shared = np.array([(a.sum(axis=0) ** 2 * spread).sum() for a in x])
    own = np.array([(h**2).sum() for h in held])
    miss = np.abs(value - truth)
    # The noise that each report would need to be inside; 68 % of them are at this one's quantile.
    tails = float(stdtrit(DEGREES, ONE_SIGMA))
    needed = np.sqrt(np.maximum((miss / tails) ** 2 - shared, 0.0) / np.maximum(own, 1.0))
    noise = max(float(np.quantile(needed[told], 0.68)), LEAST_NOISE)
    covered = np.mean((miss <= tails * np.sqrt(shared + noise**2 * own))[told])
    relative = value / truth - 1.0
    print(
        f"{name}: {len(x)} designs of {len(set(networks))} networks; left out by network: median |error|"
        f" {np.median(np.abs(relative)):.3f}, 90 % within {np.quantile(np.abs(relative), 0.9):.3f}, bias"
        f" {np.median(relative):+.3f}; 68 % intervals hold {covered:.2f}; noise {noise:.3f}"
    )
    print("   ", {feature: round(float(m), 3) for feature, m in zip(features, mean)})
    for network in dict.fromkeys(networks):
        part = relative[groups == network]
        print(f"    {network:12s} {len(part):3d} designs, median |error| {np.median(np.abs(part)):.3f}")
    covariance = tuple(map(tuple, np.diag(spread).tolist()))
    return Regression(features, tuple(mean.tolist()), covariance, noise, DEGREES)


def _mean(x: list[np.ndarray], y: list[np.ndarray]) -> np.ndarray:
    """Non-negative coefficients of the least absolute relative errors (iteratively reweighted least squares)."""
    rows, costs = np.concatenate(x), np.concatenate(y)
    scale, weight = np.maximum(costs, SMALL), np.ones(len(costs))
    for _ in range(12):
        mean, _ = nnls(rows * (weight / scale)[:, None], costs * weight / scale)
        scale = np.maximum(rows @ mean, SMALL)
        weight = 1.0 / np.sqrt(np.maximum(np.abs(costs - rows @ mean) / scale, 0.02))
    return mean


if __name__ == "__main__":
    main()
