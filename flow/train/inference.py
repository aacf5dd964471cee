"""Inference of many networks at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from flow.design import Design
from flow.topology import Topology
from flow.train import engine, memory
from flow.train.initial import Weights

BATCH = 1024  # events whose hidden values stay in the cache
PIECE = 20 * BATCH  # events of one call: all calls have this size, so that one graph serves any number of events


def logits(
    topology: Topology,
    designs: Sequence[Design | None],
    weights: Sequence[Weights],
    values,
    living: Sequence[Mapping[str, np.ndarray]] | None = None,
) -> Iterator[np.ndarray]:
    """Logits (n, classes), network by network, of deployed weights for centred values (n, n_in).

    `living`: which weights are there, network by network and by layer, where `topology` is wider than they are.
    """
    size = max(1, min(memory.wanted(len(designs)), memory.fitting(topology, BATCH)))
    plan = engine.Plan(topology, engine.families_of(topology, designs))
    for start in range(0, len(designs), size):
        chosen = [min(start + i, len(designs) - 1) for i in range(size)]
        masks = None if living is None else [living[i] for i in chosen]
        formats = engine.formats_of(topology, [designs[i] for i in chosen], masks)
        own = [weights[i] for i in chosen]
        found = np.concatenate([group_logits(plan, formats, own, piece) for piece in pieces(values)], axis=1)
        yield from found[: len(designs) - start, : len(values)]


def pieces(values) -> Iterator[tf.Tensor]:
    """Values (n, n_in) in pieces of one size; the last one is filled up with zeros."""
    size = PIECE if len(values) > BATCH else BATCH
    for start in range(0, len(values), size):
        rows = np.asarray(values[start : start + size], np.float32)
        yield tf.constant(np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), np.float32)]))


def group_logits(plan: engine.Plan, formats: Mapping, weights: Sequence[Weights], piece: tf.Tensor) -> np.ndarray:
    """Logits (members, events, classes) of one group for one of `pieces`."""
    tensors = {name: tuple(_together([w[name][part] for w in weights]) for part in (0, 1)) for name in weights[0]}
    return engine.infer(replace(plan, distillation=None), BATCH)(piece, formats, tensors).numpy()


def _together(rows: Sequence[np.ndarray | None]) -> tf.Tensor | None:
    """One parameter of all members; None where the layer has none."""
    return None if rows[0] is None else tf.constant(np.stack(rows))


def stacked(rows: Sequence[Mapping[str, np.ndarray]], names: Sequence[str] | None = None) -> dict[str, tf.Tensor]:
    """Parameters of all members, by name."""
    return {name: tf.constant(np.stack([row[name] for row in rows])) for name in (rows[0] if names is None else names)}
