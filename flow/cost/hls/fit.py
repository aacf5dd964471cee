"""Fitting the hls4ml cost model to records, and how well it does on architectures that it has not seen."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flow.cost.calibration import Regression
from flow.cost.hls.columns import columns
from flow.cost.hls.domain import Domain, domain
from flow.cost.hls.feasibility import PRIOR, feasibility_features
from flow.cost.hls.features import NAMES, Block, features
from flow.cost.hls.guesses import ASSUMED, COUNTED, GUESSED, GUESSES, STRUCTURAL
from flow.cost.hls.layers import Network, Strategy, Tool
from flow.cost.hls.logistic import Logistic
from flow.cost.hls.model import CYCLES, STAGES, HlsModel, Key, key_of, scaled
from flow.cost.hls.predict import one_at_a_time, predict
from flow.cost.hls.structure import structure
from flow.cost.records import Row

FLOOR = {"lut": 50.0, "ff": 50.0, "dsp": 1.0, "bram_18k": 1.0, "latency_cycles": 1.0, "interval_cycles": 1.0}
_LEAST_NOISE = 1e-3
_INSIDE = 0.68
_ROUNDS, _HUBER = 6, 1.5  # iterations, and the robust deviations from which a sample counts less
_DEGREES = (3.0, 20.0)  # how firmly the noise is held against a user's reports: no firmer than so many of them


@dataclass(frozen=True)
class HeldOut:
    """A row, a stage, and figure → (value, low, high) as predicted without its architecture."""

    row: Row
    stage: str
    predicted: Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Sample:
    """One network's reported figure. `group` is what is left out together: the architecture."""

    network: Network
    value: float
    group: str


def samples(rows: Iterable[Row], stage: str, figure: str) -> list[Sample]:
    """What records say of a figure at a stage, those left out that are marked or whose pipeline the tool gave up."""
    found = []
    for row in rows:
        value = row.observed.get(stage, {}).get(figure)
        if value is not None and not unusable(row):
            found.append(Sample(row.network, float(value), architecture(row.network)))
    return found


def unusable(row: Row) -> str | None:
    """Why a record is no use to a fit, None if it is: marked in its notes, or with an interval far beyond its loops."""
    if row.suspect:
        return row.suspect
    layers = row.network.layers
    factor = max(layer.reuse_factor or 1 for layer in layers)
    interval = next((seen.get("interval_cycles") for seen in row.observed.values()), None)
    looped = all(layer.strategy is Strategy.RESOURCE for layer in layers) and factor < 8
    if looped and interval is not None and interval > 16 * factor * len(layers):
        return "its interval is far beyond its reuse factor: the tool gave up the pipeline"
    return None


def architecture(network: Network) -> str:
    """Sizes of the layers, such as 16-64-32-32-5."""
    return "-".join(str(n) for n in (network.layers[0].n_in, *(layer.n_out for layer in network.layers)))


@dataclass(frozen=True)
class Design:
    """Samples of one figure as numbers: features (n, k) of the blocks that occur, side by side; what structure alone
    adds (n,); reports (n,); the block that most of each sample is of, the group that it belongs to;
    what coefficients (k,) are drawn to, and how loosely; whether a rule counts the figure."""

    blocks: tuple[Block, ...]
    x: np.ndarray
    fixed: np.ndarray
    y: np.ndarray
    main: np.ndarray
    groups: np.ndarray
    guess: np.ndarray
    spread: np.ndarray
    sizes: tuple[int, ...]
    counted: bool


def design(chosen: Sequence[Sample], figure: str, start: Mapping[Block, Regression]) -> Design:
    """Samples of one key and figure as numbers; the guess is `start` where there is one."""
    c = columns([sample.network for sample in chosen])
    rows = features(figure, c, structure(c))
    sums = {block: c.sums(values) for block, values in rows.items() if values.any()}
    fixed = sum(
        (sums[b] @ np.array(v) for b, v in STRUCTURAL.get(figure, {}).items() if b in sums), np.zeros(len(chosen))
    )
    blocks = tuple(block for block in sums if block in GUESSES[figure])
    guesses = [_guess(figure, block, start) for block in blocks]
    shares = np.stack([sums[block] @ guess for block, guess in zip(blocks, guesses)], axis=1)
    return Design(
        blocks=blocks,
        x=np.concatenate([sums[block] for block in blocks], axis=1),
        fixed=fixed,
        y=np.array([sample.value for sample in chosen]),
        main=np.where(shares.any(axis=1), shares.argmax(axis=1), -1),
        groups=np.array([sample.group for sample in chosen]),
        guess=np.concatenate(guesses),
        spread=np.concatenate([guess * _doubt(figure, block) for block, guess in zip(blocks, guesses)]),
        sizes=tuple(len(guess) for guess in guesses),
        counted=figure not in ("lut", "ff"),
    )


def _guess(figure: str, block: Block, start: Mapping[Block, Regression]) -> np.ndarray:
    guess = np.array(GUESSES[figure][block])
    return np.maximum(np.array(start[block].mean), 0.05 * guess) if block in start else guess


def _doubt(figure: str, block: Block) -> np.ndarray:
    """How uncertain each coefficient's guess is, relative."""
    return np.array([COUNTED.get(name, GUESSED) for name in NAMES[figure][block]])


def solve(d: Design, which: np.ndarray, floor: float, noise: float) -> np.ndarray:
    """Coefficients (k,), none negative, from the samples `which`: least squares of relative errors, drawn to the
    guess. Of what a rule counts, samples that are far off the others count less (Huber, Robust Statistics, section
    7.8): a rule holds or it doesn't."""
    from scipy.optimize import nnls

    if not which.any():
        return d.guess
    x, y = d.x[which], d.y[which] - d.fixed[which]
    weight = 1 / (noise * np.maximum(d.y[which], floor))
    pull = 1 / d.spread
    trust = np.ones(len(y))
    for _ in range(_ROUNDS if d.counted else 1):
        used = weight * np.sqrt(trust)
        rows = np.concatenate([x * used[:, None], np.diag(pull)])
        found = nnls(rows, np.concatenate([y * used, pull * d.guess]))[0]
        off = np.abs(x @ found - y) * weight * noise
        usual = _HUBER * 1.4826 * max(float(np.median(off)), _LEAST_NOISE)
        trust = np.minimum(1.0, usual / np.maximum(off, 1e-12))
    return found


def left_out(d: Design, floor: float, noise: float) -> np.ndarray:
    """What is predicted for each sample (n,) from those of other groups."""
    predicted = np.zeros(len(d.y))
    for group in np.unique(d.groups):
        inside = d.groups == group
        predicted[inside] = d.x[inside] @ solve(d, ~inside, floor, noise) + d.fixed[inside]
    return predicted


def fit_figure(
    chosen: Sequence[Sample], figure: str, start: Mapping[Block, Regression] | None = None
) -> dict[Block, Regression]:
    """A regression for each block that occurs; their noise is what held-out groups scatter by.

    `start`: coefficients to be drawn to instead of what structure says.
    """
    d, floor = design(chosen, figure, start or {}), FLOOR[figure]
    noise = 0.1
    for _ in range(2):
        predicted = left_out(d, floor, noise)
        relative = np.abs(d.y - predicted) / np.maximum(predicted, floor)
        noise = float(np.clip(np.quantile(relative, _INSIDE), _LEAST_NOISE, 0.5))
    mean = solve(d, np.ones(len(d.y), dtype=bool), floor, noise)
    weighted = d.x / (noise * np.maximum(d.y, floor))[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted + np.diag(1 / d.spread**2))
    found, begin = {}, 0
    for i, (block, size) in enumerate(zip(d.blocks, d.sizes)):
        part = slice(begin, begin + size)
        own = relative[d.main == i]
        scatter = float(np.quantile(own, _INSIDE)) if len(own) else noise
        found[block] = _regression(
            figure, block, mean[part], covariance[part, part], max(scatter, _LEAST_NOISE), len(own)
        )
        begin += size
    return found


def fit(rows: Sequence[Row], pairs: Sequence[Mapping[str, Mapping[str, float]]] = ()) -> HlsModel:
    """The model of `rows`, and of `pairs` of reports (stage → figure → value) of networks that they don't describe.

    What the rows have no data for is taken from structure, with a wide error.
    """
    usable = [row for row in rows if row.finished and not unusable(row)]
    ratios = _ratios([*(row.observed for row in usable), *pairs])
    regressions: dict[Key, dict[str, dict[Block, Regression]]] = {}
    domains: dict[Key, Domain] = {}
    for key in sorted({key_of(row.network, stage).general for row in usable for stage in row.observed}):
        of_key = [row for row in usable if key.stage in row.observed and key_of(row.network, key.stage).general == key]
        networks = [row.network for row in of_key]
        domains[key] = domain(networks, columns(networks))
        below = regressions.get(replace(key, stage="csynth"), {})
        for figure in FLOOR:
            chosen = samples(of_key, key.stage, figure)
            if figure == "interval_cycles":
                chosen = [sample for sample in chosen if not _one_at_a_time(sample.network)]
            # Cycles are those of C synthesis whatever the stage, so a later stage's rows count where it has none.
            at = replace(key, stage="csynth") if figure in CYCLES else key
            if not chosen or figure in regressions.get(at, {}):
                continue
            start = {}
            if key.stage != "csynth" and figure in below and figure in ratios[key.stage]:
                start = {block: scaled(found, ratios[key.stage][figure]) for block, found in below[figure].items()}
            regressions.setdefault(at, {})[figure] = fit_figure(chosen, figure, start)
    _add_structural(regressions)
    return HlsModel(regressions, ratios, domains, fit_feasibility(rows))


def _one_at_a_time(network: Network) -> bool:
    c = columns([network])
    return bool(one_at_a_time(c, structure(c))[0])


def _add_structural(regressions: dict[Key, dict[str, dict[Block, Regression]]]) -> None:
    """Put what structure alone says where no report does: C synthesis of Vivado HLS, which others fall back to."""
    key = Key("csynth", Tool.VIVADO_HLS.value)
    figures = regressions.setdefault(key, {})
    for source in (STRUCTURAL, GUESSES):
        for figure, blocks in source.items():
            for block, values in blocks.items():
                mean = np.array(values)
                known = figures.setdefault(figure, {})
                if block not in known:
                    known[block] = _regression(figure, block, mean, np.diag((ASSUMED * mean) ** 2), 0.3, 0)


def _regression(figure: str, block: Block, mean, covariance, noise: float, reports: int) -> Regression:
    rows = tuple(map(tuple, np.asarray(covariance).tolist()))
    degrees = float(np.clip(reports, *_DEGREES))
    return Regression(NAMES[figure][block], tuple(np.asarray(mean).tolist()), rows, noise, degrees, reports)


_NO_REPORTS = {"lut": (1.0, 0.15), "ff": (1.0, 0.15), "dsp": (1.0, 0.02), "bram_18k": (1.0, 0.1)}  # synth to route


def _ratios(reports: Iterable[Mapping[str, Mapping[str, float | None]]]) -> dict[str, dict[str, Regression]]:
    """Stage → figure → its ratio to the stage before: median and spread, of reports that say both."""
    reports = list(reports)
    found: dict[str, dict[str, Regression]] = {}
    for stage, before in (("synth", "csynth"), ("route", "synth")):
        found[stage] = {}
        for figure, (usual, spread) in _NO_REPORTS.items():
            both = [(r[before].get(figure), r[stage].get(figure)) for r in reports if before in r and stage in r]
            logs = np.log([b / a for a, b in both if a and b])
            if len(logs) >= 3:
                usual = float(np.exp(np.median(logs)))
                spread = usual * max(float(np.quantile(np.abs(logs - np.median(logs)), _INSIDE)), 0.01)
            error = spread / np.sqrt(max(len(logs), 1))
            found[stage][figure] = Regression(
                (before,), (usual,), ((float(error**2),),), float(spread / usual), reports=len(logs)
            )
    return found


def fit_feasibility(rows: Iterable[Row]) -> Logistic:
    """Whether a synthesis ends, from rows that did and rows that did not."""
    rows = [row for row in rows if not (row.finished and (not row.observed or unusable(row)))]
    if not rows:
        return PRIOR
    ended = np.array([row.finished for row in rows], dtype=float)
    return PRIOR.updated(feasibility_features(columns([row.network for row in rows])), ended)


def leave_one_architecture_out(
    rows: Sequence[Row], pairs: Sequence = (), progress: Callable[[str], None] = lambda text: None
) -> list[HeldOut]:
    """Each row's prediction by a model fitted on the records of all other architectures."""
    found = []
    for group in sorted({architecture(row.network) for row in rows}):
        inside = [row for row in rows if architecture(row.network) == group]
        model = fit([row for row in rows if architecture(row.network) != group], pairs)
        for stage in STAGES:
            chosen = [row for row in inside if stage in row.observed]
            if chosen:
                found += [HeldOut(row, stage, values) for row, values in _one_by_one(model, chosen, stage)]
        progress(group)
    return found


def _one_by_one(model: HlsModel, rows: Sequence[Row], stage: str):
    predicted = predict(model, [row.network for row in rows], stage)
    for i, row in enumerate(rows):
        yield row, {name: (float(p.value[i]), float(p.low[i]), float(p.high[i])) for name, p in predicted.items()}


def grouped(held: Iterable[HeldOut]) -> Iterator[tuple]:
    """By (source, stage, figure): what was reported, and the value, low and high that were predicted."""
    groups: dict[tuple[str, str, str], list[tuple[float, float, float, float]]] = {}
    for item in held:
        for figure, predicted in item.predicted.items():
            seen = item.row.observed[item.stage].get(figure)
            if seen is not None:
                groups.setdefault((item.row.source, item.stage, figure), []).append((float(seen), *predicted))
    for key, values in sorted(groups.items()):
        yield key, *np.array(values).T
