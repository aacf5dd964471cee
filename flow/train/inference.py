"""Inference of many networks at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from flow.design import Design
from flow.topology import Topology
from flow.train import engine, memory
from flow.train.initial import Weights

BATCH = 4096


def logits(
    topology: Topology, designs: Sequence[Design | None], weights: Sequence[Weights], values
) -> Iterator[np.ndarray]:
    """Logits (n, classes), network by network, of deployed weights for centred values (n, n_in)."""
    size = memory.group_size(topology, len(designs), BATCH)
    plan = engine.Plan(topology, engine.families_of(topology, designs))
    for start in range(0, len(designs), size):
        chosen = [min(start + i, len(designs) - 1) for i in range(size)]
        found = group_logits(plan, [designs[i] for i in chosen], [weights[i] for i in chosen], values)
        yield from found[: len(designs) - start]


def group_logits(plan: engine.Plan, designs, weights: Sequence[Weights], values) -> np.ndarray:
    """Logits (members, n, classes) of one group."""
    formats = engine.formats_of(plan.topology, designs)
    tensors = {name: tuple(_together([w[name][part] for w in weights]) for part in (0, 1)) for name in weights[0]}
    run = engine.infer(replace(plan, distillation=None))
    parts = []
    for start in range(0, len(values), BATCH):
        rows = np.asarray(values[start : start + BATCH], np.float32)
        # One size of batch for all events: the last one is filled up, so that nothing is compiled for it.
        full = np.zeros((min(BATCH, len(values)), *rows.shape[1:]), np.float32)
        full[: len(rows)] = rows
        parts.append(run(tf.constant(full), formats, tensors).numpy()[:, : len(rows)])
    return np.concatenate(parts, axis=1)


def _together(rows: Sequence[np.ndarray | None]) -> tf.Tensor | None:
    """One parameter of all members; None where the layer has none."""
    return None if rows[0] is None else tf.constant(np.stack(rows))


def stacked(rows: Sequence[Mapping[str, np.ndarray]], names: Sequence[str] | None = None) -> dict[str, tf.Tensor]:
    """Parameters of all members, by name."""
    return {name: tf.constant(np.stack([row[name] for row in rows])) for name in (rows[0] if names is None else names)}
