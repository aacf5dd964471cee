"""What reports teach the model: coefficients move, and errors shrink, where the reports are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from flow.cost.calibration import Regression
from flow.cost.hls.domain import Domain, domain
from flow.cost.hls.features import NAMES, Block
from flow.cost.hls.layers import Network
from flow.cost.hls.model import CYCLES, NEW_KEY, SEEN_KEY, STAGES, HlsModel, Key, find, key_of, loosened, stage_of
from flow.cost.hls.predict import Prepared, features_of, names, one_at_a_time, prepare
from flow.metrics import Fidelity

Regressions = dict[Key, dict[str, dict[Block, Regression]]]


@dataclass(frozen=True)
class Observation:
    """What a tool reported of a network at a stage. `figures`: name → value, None if not told; `by_layer`: layer →
    figures, where the report has them for layers by their names (others belong to no layer)."""

    network: Network
    stage: Fidelity | str
    figures: Mapping[str, float | None]
    by_layer: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


def updated(model: HlsModel, observations: Iterable[Observation]) -> HlsModel:
    """The model after these reports, one after the other.

    Each joins the regressions of its own key (tool, version, part family, stage) and of its tool at that stage.
    """
    own = {key: {figure: dict(blocks) for figure, blocks in row.items()} for key, row in model.regressions.items()}
    model = replace(model, regressions=own, domains=dict(model.domains))
    for observation in observations:
        _join(model, own, model.domains, observation)
    return model


def _join(model: HlsModel, regressions: Regressions, domains: dict[Key, Domain], observation: Observation) -> None:
    """Put a report into `regressions` and `domains`, which are the model's."""
    network, stage = observation.network, stage_of(observation.stage)
    key, ready = key_of(network, stage), prepare([network], stage)
    alone = bool(one_at_a_time(ready.columns, ready.structure)[0])
    for figure, value in observation.figures.items():
        if value is None or not NAMES.get(figure) or (figure == "interval_cycles" and alone):
            continue  # where the interval is the latency, the latency tells it
        at = replace(key, stage=STAGES[0]) if figure in CYCLES else key
        for near in (at, at.general):
            for block, (x, y) in _rows(model, near, ready, observation, figure).items():
                found = _start(model, near, figure, block).updated(x, y)
                regressions.setdefault(near, {}).setdefault(figure, {})[block] = found
    seen = domain([network], ready.columns)
    for near in (key, key.general):
        domains[near] = domains[near].joined(seen) if near in domains else seen


def _start(model: HlsModel, key: Key, figure: str, block: Block) -> Regression:
    """What is known of a block at a key before the report: the nearest regression, looser if it is another key's."""
    found = model.regressions.get(key, {}).get(figure, {}).get(block)
    if found is not None:
        return found
    nearest = find(model, key, figure, block).regression
    seen = model.domains.get(key.general)
    inside = seen and key.version in seen.choices["version"] and key.family in seen.choices["family"]
    return loosened(nearest, SEEN_KEY if inside else NEW_KEY)


def _rows(
    model: HlsModel, key: Key, ready: Prepared, observation: Observation, figure: str
) -> dict[Block, tuple[np.ndarray, np.ndarray]]:
    """Block → rows of features and what was reported of them: by layer where the report has layers, else in total.

    What several blocks cost together is split as it is predicted.
    """
    blocks = {block: rows for block, rows in features_of(figure, ready).items() if rows.any()}
    known = {block: found.regression for block in blocks if (found := find(model, key, figure, block)) is not None}
    shares = {block: np.maximum(blocks[block] @ np.asarray(known[block].mean), 0.0) for block in known}
    total = float(observation.figures[figure])
    reported = _by_layer(observation, figure, total)
    if reported is None:
        blocks = {block: rows.sum(axis=0, keepdims=True) for block, rows in blocks.items()}
        shares = {block: np.array([share.sum()]) for block, share in shares.items()}
        reported = np.array([total])
    whole = sum(shares.values(), np.zeros(len(reported)))
    found = {}
    for block, share in shares.items():
        present = blocks[block].any(axis=1)
        part = np.where(whole > 0, share / np.where(whole > 0, whole, 1.0), 1.0 / len(shares))
        found[block] = blocks[block][present], (reported * part)[present]
    return found


def _by_layer(observation: Observation, figure: str, total: float) -> np.ndarray | None:
    """What was reported of each layer, scaled to the total; None where a layer is missing, or figures don't add up."""
    layers = names(observation.network)
    rows = [observation.by_layer.get(name, {}).get(figure) for name in layers]
    if figure in CYCLES or any(value is None for value in rows) or not sum(rows) > 0:
        return None
    return np.array(rows, dtype=float) * total / sum(rows)
