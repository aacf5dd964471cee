"""A problem whose front is known: layers whose choices cost and hurt by closed forms, as a network's do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flow.search.damages import Damages
from flow.search.problem import Chosen, Measure, Objective, Past, Problem, Proposal

LAYERS = ("fc0", "fc1", "fc2", "fc3")
SIZE = {"fc0": 10.0, "fc1": 20.0, "fc2": 10.0, "fc3": 2.0}  # products of each layer, in hundreds
FRAGILE = {"fc0": 1.0, "fc1": 0.3, "fc2": 0.6, "fc3": 2.5}  # how much its errors hurt
BITS = {name: tuple(f"quantized_bits({b})" for b in (2, 3, 4, 5, 6)) for name in ("kernel", "activation")}
KEEPS = ("0.2", "0.4", "0.7", "1")
LIMIT = 250.0


def parameters() -> dict[str, tuple[str, ...]]:
    found = {"input": BITS["activation"]}
    for layer in LAYERS:
        found |= {f"{layer}.kernel": BITS["kernel"], f"{layer}.keep": KEEPS}
        if layer != LAYERS[-1]:
            found[f"{layer}.activation"] = BITS["activation"]
    return found


READS = dict(zip(LAYERS, ("input", *(f"{layer}.activation" for layer in LAYERS[:-1]))))


def bits(choice: str) -> int:
    return int(choice[-2])


def damage_tables() -> dict[tuple[str, ...], np.ndarray]:
    """What choices hurt: steps of 4**-bits, and pruning that costs more the more is gone."""
    step = np.array([4.0**-b for b in (2, 3, 4, 5, 6)])
    gone = np.array([(1 - float(keep)) ** 3 for keep in KEEPS])
    found: dict[tuple[str, ...], np.ndarray] = {("input",): 2.0 * step}
    for layer in LAYERS:
        found[f"{layer}.kernel", f"{layer}.keep"] = FRAGILE[layer] * (step[:, None] + 0.05 * gone[None])
        if layer != LAYERS[-1]:
            found[(f"{layer}.activation",)] = FRAGILE[layer] * step
    return found


DAMAGES = Damages(damage_tables())


def by_layer(chosen: Chosen) -> dict[str, dict[str, float]]:
    return {
        layer: {
            "lut": SIZE[layer]
            * float(chosen[f"{layer}.keep"])
            * bits(chosen[f"{layer}.kernel"])
            * bits(chosen[READS[layer]])
            / 10.0
        }
        for layer in LAYERS
    }


def prices(designs: Sequence[Chosen]) -> dict[str, np.ndarray]:
    if not designs:
        return {}  # as in the loop: no designs, no figures
    lut = np.array([sum(row["lut"] for row in by_layer(chosen).values()) for chosen in designs])
    kernels = [[f"{layer}.kernel" for layer in LAYERS] for _ in designs]
    stored = [sum(bits(c[k]) * SIZE[k[:3]] for k in names) for c, names in zip(designs, kernels)]
    latency = np.array([20.0 + sum(bits(c[f"{layer}.kernel"]) for layer in LAYERS) for c in designs])
    return {"lut": lut, "bits": np.array(stored), "energy": 0.8 * lut + 3.0, "ebops": 10.0 * lut, "latency_ns": latency}


WIDTHS = {f"{layer}.width": ("0.5", "1", "1.5") for layer in ("fc0", "fc1")}
GAIN = {"0.5": -0.06, "1": 0.0, "1.5": 0.02}  # metric that a width is worth, in units of the layer's fragility


def metric(chosen: Chosen) -> float:
    wider = sum(FRAGILE[name[:3]] * GAIN[chosen[name]] for name in WIDTHS if name in chosen)
    return float(0.75 - 0.9 * np.sqrt(DAMAGES.of(parameters(), [chosen])[0])) + wider


@dataclass(frozen=True)
class Known:
    """Knowledge of the synthetic network; FIT is exact, the others are as good but for a factor by layer."""

    names: Mapping[str, tuple[str, ...]]

    def damages(self, measure: Measure, at: int | None = None) -> Damages:
        factor = {Measure.FIT: 1.0, Measure.KL: 0.5, Measure.HESSIAN: 2.0, Measure.OUTPUT: 3.0}[measure]
        return Damages(
            {t: factor * table for t, table in DAMAGES.terms.items() if all(name in self.names for name in t)}
        )

    def error_bound(self, chosen: Chosen) -> float:
        return 10.0 * float(np.sqrt(self.damages(Measure.FIT).of(self.names, [chosen])[0]))

    def hopeless(self, chosen: Chosen) -> str:
        bound = self.error_bound(chosen)
        return f"the logits' error is {bound:.1f} times their margin" if bound > 8.0 else ""


PROBLEM = Problem(
    parameters(),
    (Objective("accuracy", True), Objective("lut", False)),
    {"lut": LIMIT},
    prices,
    by_layer,
    Known(parameters()),
    epochs=12,
    trials=120,
    population=24,
    blocks=tuple(tuple(name for name in parameters() if name.startswith(layer)) for layer in LAYERS),
)


def wide_damages() -> Damages:
    """A kernel that is narrower has less that rounds, but what is gone hurts more than any rounding."""
    found = dict(DAMAGES.terms)
    for name in WIDTHS:
        layer = name.partition(".")[0]
        table = found.pop((f"{layer}.kernel", f"{layer}.keep"))
        shares, gone = np.array([0.6, 1.0, 1.0]), np.array([0.1 * FRAGILE[layer], 0.0, 0.0])
        found[f"{layer}.kernel", f"{layer}.keep", name] = table[..., None] * shares + gone
    return Damages(found)


@dataclass(frozen=True)
class WideKnown(Known):
    """`told`: whether damages tell of widths."""

    told: bool = True

    def damages(self, measure: Measure, at: int | None = None) -> Damages:
        return wide_damages() if self.told else DAMAGES


def with_widths(told: bool = True, **more) -> Problem:
    """The same network with width factors in two layers: units cost in their own layer and in the one behind."""
    names = parameters() | WIDTHS

    def layers(chosen: Chosen) -> dict[str, dict[str, float]]:
        own = {layer: float(chosen.get(f"{layer}.width", 1.0)) for layer in LAYERS}
        before = dict(zip(LAYERS, (1.0, *own.values())))
        return {k: {"lut": row["lut"] * own[k] * before[k]} for k, row in by_layer(chosen).items()}

    def price(designs: Sequence[Chosen]) -> dict[str, np.ndarray]:
        lut = np.array([sum(row["lut"] for row in layers(chosen).values()) for chosen in designs])
        return prices(designs) | {"lut": lut, "energy": 0.8 * lut + 3.0, "ebops": 10.0 * lut}

    blocks = tuple(tuple(name for name in names if name.startswith(layer)) for layer in LAYERS)
    base = replace(PROBLEM, parameters=names, prices=price, by_layer=layers, blocks=blocks)
    return replace(base, knowledge=WideKnown(names, told), **more)


def with_dsp(**more) -> Problem:
    """The same network on a tool that takes a DSP block for each hundred products with kernels of 5 bits and more."""

    def price(designs: Sequence[Chosen]) -> dict[str, np.ndarray]:
        dsp = [sum(SIZE[layer] * (bits(c[f"{layer}.kernel"]) >= 5) for layer in LAYERS) for c in designs]
        return prices(designs) | {"dsp": np.array(dsp)}

    return replace(PROBLEM, prices=price, **more)


def small(**more) -> Problem:
    """A space of six designs, of which one is `more`."""
    names = {"fc0.kernel": ("quantized_bits(2)", "quantized_bits(4)"), "fc0.keep": ("0.2", "0.4", "1")}

    def price(designs: Sequence[Chosen]) -> dict[str, np.ndarray]:
        lut = np.array([bits(c["fc0.kernel"]) * float(c["fc0.keep"]) for c in designs])
        return {"lut": lut, "bits": lut, "energy": lut, "ebops": lut, "latency_ns": lut}

    def layers(chosen: Chosen) -> dict[str, dict[str, float]]:
        return {"fc0": {"lut": float(price([chosen])["lut"][0])}}

    knowledge = SmallKnown()
    base = Problem(
        names, PROBLEM.objectives, {"lut": 3.0}, price, layers, knowledge, epochs=4, trials=6, population=4,
        blocks=(tuple(names),),
    )  # fmt: skip
    return replace(base, **more)


class SmallKnown:
    def damages(self, measure: Measure, at: int | None = None) -> Damages:
        return Damages({("fc0.kernel", "fc0.keep"): np.array([[4.0, 3.0, 2.0], [3.0, 2.0, 1.0]])})

    def error_bound(self, chosen: Chosen) -> float:
        return 1.0

    def hopeless(self, chosen: Chosen) -> str:
        return ""


def trained(problem: Problem, past: Sequence[Past], proposals: Sequence[Proposal], by: str = "") -> list[Past]:
    """What training makes of proposals: the metric grows with all epochs that a design and its ancestors had."""
    seen, found = {item.number: item for item in past}, []
    first = len(past)
    for i, proposal in enumerate(proposals):
        epochs = proposal.epochs or problem.epochs
        age, parent = epochs, proposal.parent
        while parent is not None:
            age, parent = age + seen[parent].epochs, seen[parent].parent
        chosen = proposal.chosen
        value = metric(chosen) - 0.02 * np.exp(-age / problem.epochs) if set(chosen) >= set(parameters()) else 0.5
        now = {name: float(values[0]) for name, values in problem.prices([chosen]).items()}
        excess = {name: now[name] / limit - 1.0 for name, limit in problem.limits.items()}
        values = tuple(value if o.maximize else now[o.name] for o in problem.objectives)
        found.append(Past(first + i, chosen, values, excess, epochs, proposal.parent, first, proposal.by or by, False))
    return found


def front_volume(past: Sequence[Past]) -> float:
    """Hypervolume of (metric, octaves of LUTs): above 0.3, below 2000 LUTs."""
    return volume_of(np.array([p.values for p in past if p.values]))


def volume_of(rows: np.ndarray) -> float:
    """The same of metric and LUTs (n, 2)."""
    from flow.search.pareto import hypervolume

    points = np.stack([rows[:, 0], -np.log2(np.maximum(rows[:, 1], 1.0))], 1)
    return hypervolume(points, np.array([0.3, -np.log2(2000.0)]))


def known_front() -> np.ndarray:
    """Metric after endless training and LUTs (n, 2) of the designs that no other beats: exact, layer by layer, by what
    the next layer reads."""
    step = np.array([4.0**-b for b in (2, 3, 4, 5, 6)])
    width = np.array([2.0, 3.0, 4.0, 5.0, 6.0])
    kept = np.array([float(keep) for keep in KEEPS])
    fronts = [np.array([[2.0 * damage, 0.0]]) for damage in step]
    for layer in LAYERS:
        damage = FRAGILE[layer] * (step[:, None] + 0.05 * (1.0 - kept) ** 3)
        grown = []
        for front, read in zip(fronts, width):
            lut = SIZE[layer] * width[:, None] * kept * read / 10.0
            own = np.stack([damage.ravel(), lut.ravel()], 1)
            grown.append((front[:, None] + own[None]).reshape(-1, 2))
        every = _least(np.concatenate(grown))
        fronts = [every] if layer == LAYERS[-1] else [every + [FRAGILE[layer] * value, 0.0] for value in step]
    damage, lut = fronts[0].T
    return np.stack([0.75 - 0.9 * np.sqrt(damage), lut], 1)


def _least(rows: np.ndarray) -> np.ndarray:
    """The rows that are least in both columns."""
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    before = np.minimum.accumulate(np.concatenate([[np.inf], rows[:-1, 1]]))
    return rows[rows[:, 1] < before]


def best_inside(past: Sequence[Past]) -> float:
    return max((p.values[0] for p in past if p.values and p.inside), default=0.0)
