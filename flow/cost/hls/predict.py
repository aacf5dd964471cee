"""Predictions of whole populations of networks, and what reports change in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flow.cost.hls.columns import Columns, columns
from flow.cost.hls.domain import distance
from flow.cost.hls.features import FIGURES, Rows, features
from flow.cost.hls.layers import Network
from flow.cost.hls.model import CYCLES, HlsModel, Key, find, key_of, stage_of
from flow.cost.hls.structure import SEQUENTIAL, Structure, structure
from flow.metrics import Fidelity

BLOCKS = ("dsp", "bram_18k")  # whole numbers of few
_DEEP = 6000  # words
_CYCLES_WIDER = 0.25  # loops run as often for any part and width

Reason = tuple[np.ndarray, str]  # flags (networks,) and a sentence
Distance = tuple[np.ndarray, list[Reason]]


@dataclass(frozen=True)
class Prediction:
    """Arrays (networks,): value and the ends of its 68 % interval; for each network why it is wide, if it is."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    reasons: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Networks with their columns and structure, which all figures share, and the networks (indices) of each key."""

    networks: Sequence[Network]
    columns: Columns
    structure: Structure
    keys: Mapping[Key, np.ndarray]
    distances: dict[Key, Distance] = field(default_factory=dict)

    def distance(self, model: HlsModel, key: Key) -> Distance:
        """How far the networks are from what the reports of `key` were of."""
        if key not in self.distances:
            seen = model.domains.get(key)
            none = np.zeros(len(self.networks)), []
            self.distances[key] = none if seen is None else distance(seen, self.networks, self.columns)
        return self.distances[key]


def predict(model: HlsModel, networks: Sequence[Network], stage: Fidelity | str) -> dict[str, Prediction]:
    """Figure → what a tool will report of each network at a stage: csynth, synth or route."""
    ready = prepare(networks, stage_of(stage))
    found: dict[str, Prediction] = {}
    for figure in FIGURES:
        value, error, said = totals(model, ready, figure)
        if figure == "interval_cycles":
            value, error = _interval(ready, value, error, found["latency_cycles"])
        if figure == "uram":
            error, said = _uram(ready)
        if figure in BLOCKS:
            value = np.round(value)
        least = 1.0 if figure == "interval_cycles" else 0.0
        found[figure] = Prediction(value, np.maximum(value - error, least), value + error, _sentences(said, len(value)))
    return found


def predict_by_layer(model: HlsModel, network: Network, stage: Fidelity | str) -> dict[str, dict[str, float]]:
    """Layer → figure → predicted value. Resources and latency add up to those of the network; the interval is what
    each layer alone would allow."""
    ready = prepare([network], stage_of(stage))
    key = next(iter(ready.keys))
    by_figure = {}
    for figure in FIGURES:
        by_figure[figure] = np.zeros(len(network.layers))
        for block, rows in features_of(figure, ready).items():
            if (found := find(model, key, figure, block)) is not None and rows.any():
                by_figure[figure] += rows @ np.asarray(found.regression.mean)
    by_figure["interval_cycles"] = ready.structure.interval
    return {
        name: {figure: float(values[i]) for figure, values in by_figure.items()}
        for i, name in enumerate(names(network))
    }


def reasons(found: Mapping[str, Prediction]) -> list[tuple[str, ...]]:
    """For each network why its predictions are wide, over all figures; empty where reports of its kind are known."""
    by_network = zip(*(row.reasons for row in found.values()))
    return [tuple(dict.fromkeys(said for figure in rows for said in figure)) for rows in by_network]


def prepare(networks: Sequence[Network], stage: str) -> Prepared:
    """What all figures of these networks at a stage are computed from."""
    c = columns(networks)
    of_key: dict[Key, list[int]] = {}
    for i, network in enumerate(networks):
        of_key.setdefault(key_of(network, stage), []).append(i)
    return Prepared(networks, c, structure(c), {key: np.array(where) for key, where in of_key.items()})


def totals(model: HlsModel, ready: Prepared, figure: str) -> tuple[np.ndarray, np.ndarray, list[Reason]]:
    """Values and errors (networks,), and reasons, of a figure that adds up over layers.

    Regressions err independently of each other; being far from what was reported on is common to all.
    """
    n = len(ready.networks)
    value, variance, wider, said = np.zeros(n), np.zeros(n), np.zeros(n), []
    for block, rows in features_of(figure, ready).items():
        sums = ready.columns.sums(rows)
        present = sums.any(axis=1)
        for key, where in ready.keys.items():
            where = where[present[where]]
            found = find(model, key, figure, block) if len(where) else None
            if found is None:
                continue
            part, spread = found.regression.predict(sums[where])
            share, reasons = ready.distance(model, found.key)
            value[where] += part
            variance[where] += spread
            wider[where] += part * share[where] * (_CYCLES_WIDER if figure in CYCLES else 1.0)
            inside = np.zeros(n, dtype=bool)
            inside[where] = True
            said += [(inside, sentence) for sentence in found.reasons]
            said += [(inside & mask, sentence) for mask, sentence in reasons]
    return value, np.sqrt(variance + wider**2), said


def features_of(figure: str, ready: Prepared) -> Rows:
    """Block → features of a figure, by layer."""
    return features(figure, ready.columns, ready.structure)


def one_at_a_time(c: Columns, s: Structure) -> np.ndarray:
    """Whether (networks,) inputs are worked on one after the other, so that the interval is the latency: by Vitis HLS
    where layers loop over their weights (all of its reports say so), other than as a stream."""
    return c.largest((c.vitis & ~c.stream & np.isin(s.regime, SEQUENTIAL)).astype(float)) > 0


def _interval(ready: Prepared, value, error, latency: Prediction) -> tuple[np.ndarray, np.ndarray]:
    alone = one_at_a_time(ready.columns, ready.structure)
    return np.where(alone, latency.value, value), np.where(alone, latency.high - latency.value, error)


def _uram(ready: Prepared) -> tuple[np.ndarray, list[Reason]]:
    """How many UltraRAMs (networks,) deep weight memories would fill: the value is 0, as in all records of depths up to
    `_DEEP`; convolutions of Vitis HLS with longer loops had up to 15 of them, by no rule that is known."""
    c, s = ready.columns, ready.structure
    deep = c.vitis & np.isin(s.regime, SEQUENTIAL) & (s.reuse_factor > _DEEP)
    blocks = np.ceil(s.multipliers * c.weight_bits / 72) * np.ceil(s.reuse_factor / 4096)  # each of 4096 x 72 bits
    most = c.sums(np.where(deep, blocks, 0.0))
    return most, [(most > 0, f"memories deeper than {_DEEP} words may be put into UltraRAM")]


def _sentences(said: Sequence[Reason], n: int) -> tuple[tuple[str, ...], ...]:
    """The reasons of each network. Networks with the same ones share a tuple."""
    of_sentence: dict[str, np.ndarray] = {}
    for mask, sentence in said:
        of_sentence[sentence] = of_sentence[sentence] | mask if sentence in of_sentence else mask
    if not of_sentence:
        return ((),) * n
    flags = np.stack(list(of_sentence.values()))
    patterns, which = np.unique(flags, axis=1, return_inverse=True)
    texts = [tuple(text for text, there in zip(of_sentence, pattern) if there) for pattern in patterns.T]
    return tuple(texts[i] for i in which.ravel().tolist())


def names(network: Network) -> list[str]:
    """The layers' names; a number behind those that occur before, or are empty."""
    found: list[str] = []
    for i, layer in enumerate(network.layers):
        name = layer.name or f"layer{i}"
        found.append(f"{name}_{i}" if name in found else name)
    return found
