"""Training of a whole population of designs at once, in one compiled graph.

Every tensor has a leading axis over members; bit widths, kinds, masks and learning rates are data, so
nothing is rebuilt from design to design. Members share the order of events and nothing else.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Sequence

import numpy as np
import tensorflow as tf

from flow.design import Design
from flow.topology import Topology
from flow.train.quantizers import Formats, quantize_input, quantize_kernel, quantize_relu
from flow.train.schedule import Schedule

Weights = dict[str, tuple[np.ndarray, np.ndarray]]
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Member:
    """One network to train: its design (None = float) and the weights it starts from (None = random)."""

    design: Design | None
    start: Weights | None = None


@dataclass(frozen=True)
class Trained:
    """What training left of a member: unquantized weights (pruned ones are 0) and its mean loss by epoch."""

    weights: Weights
    losses: tuple[float, ...]

    @property
    def failed(self) -> bool:
        """True where the loss ceased to be a number."""
        return not np.isfinite(self.losses[-1])


def train(
    topology: Topology,
    members: Sequence[Member],
    values: np.ndarray,
    labels: np.ndarray,
    schedule: Schedule,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Trained]:
    """Train members on centred input values (n, n_in) and labels (n,); the result is in the members' order.

    Kernels are pruned by magnitude on a cubic schedule over the first half of the epochs (Zhu and Gupta,
    arXiv 1710.01878, eq. 1); masks then hold.
    """
    tf.config.experimental.enable_op_determinism()
    engine = _Engine(topology, members, schedule)
    x, y = tf.constant(values, tf.float32), tf.constant(labels, tf.int32)
    rng = np.random.default_rng(schedule.seed)
    batch = min(schedule.batch, len(values))
    steps = len(values) // batch
    losses = []
    for epoch in range(schedule.epochs):
        engine.prune(_pruned_share(epoch, schedule.epochs))
        order = tf.constant(rng.permutation(len(values))[: steps * batch].astype(np.int32))
        losses.append(engine.epoch(x, y, order, batch, epoch * steps, schedule.epochs * steps))
        progress(epoch + 1, schedule.epochs)
    engine.prune(1.0)
    weights = engine.weights()
    return [Trained(w, tuple(float(loss[i]) for loss in losses)) for i, w in enumerate(weights)]


def logits(topology: Topology, members: Sequence[Member], values: np.ndarray, batch: int = 4096) -> np.ndarray:
    """Logits (members, n, classes) of trained members (`start` holds their weights) for centred inputs (n, n_in)."""
    engine = _Engine(topology, members, Schedule(1, batch, 0.0, 0))
    x = tf.constant(values, tf.float32)
    return np.concatenate([engine.infer(x[i : i + batch]) for i in range(0, len(values), batch)], axis=1)


class _Engine:
    """The tensors of a population; the graph that works on them is shared by all of one shape."""

    def __init__(self, topology: Topology, members: Sequence[Member], schedule: Schedule):
        self.topology = topology
        designs = [member.design for member in members]
        self.formats = [Formats.of([None if d is None else d.input for d in designs])]
        for layer in topology.layers:
            items = [None if d is None else d[layer.name] for d in designs]
            self.formats += [
                Formats.of([None if i is None else i.kernel for i in items]),
                Formats.of([None if i is None else i.bias for i in items]),
                Formats.of([None if i is None else i.activation for i in items]),
            ]
        self.keep = {l.name: np.array([1.0 if d is None else d[l.name].keep for d in designs]) for l in topology.layers}
        starts = [member.start or random_weights(topology, schedule.seed + i) for i, member in enumerate(members)]
        self.kernels = [tf.constant(np.stack([s[l.name][0] for s in starts]), tf.float32) for l in topology.layers]
        self.biases = [
            tf.constant(np.stack([s[l.name][1] for s in starts])[:, None], tf.float32) for l in topology.layers
        ]
        self.masks = [tf.ones_like(k) for k in self.kernels]
        self.moments = [tf.zeros_like(v) for v in 2 * (self.kernels + self.biases)]
        self.rate = schedule.learning_rate
        self.activations = tuple(layer.activation for layer in topology.layers)

    def prune(self, share: float) -> None:
        """Mask the smallest weights: `share` (0 to 1) of what the designs ask to prune."""
        for i, layer in enumerate(self.topology.layers):
            keep = 1.0 - share * (1.0 - self.keep[layer.name])
            size = np.abs(self.kernels[i].numpy())
            flat = size.reshape(len(keep), -1)
            count = np.maximum(1, np.ceil(keep * flat.shape[1] - 1e-6).astype(int))
            # The stable order makes exactly `count` weights stay, also among equal ones.
            ranks = np.argsort(np.argsort(-flat, axis=1, kind="stable"), axis=1, kind="stable")
            mask = (ranks < count[:, None]).reshape(size.shape).astype(np.float32)
            self.masks[i] = tf.constant(mask)
            self.kernels[i] = self.kernels[i] * mask

    def epoch(self, x, y, order, batch: int, step: int, total: int) -> np.ndarray:
        """One pass over `order`; returns the members' mean losses (members,)."""
        state, loss = _epoch(self.activations)(
            x, y, order, tf.constant(batch), tf.constant(float(step)), tf.constant(float(total)), tf.constant(self.rate),
            self.formats, self.masks, (self.kernels, self.biases, self.moments),
        )  # fmt: skip
        self.kernels, self.biases, self.moments = state
        return loss.numpy()

    def infer(self, x) -> np.ndarray:
        return _infer(self.activations)(x, self.formats, self.masks, self.kernels, self.biases).numpy()

    def weights(self) -> list[Weights]:
        kernels = [k.numpy() for k in self.kernels]
        biases = [b.numpy()[:, 0] for b in self.biases]
        names = self.topology.names
        return [{n: (k[i], b[i]) for n, k, b in zip(names, kernels, biases)} for i in range(len(kernels[0]))]


def random_weights(topology: Topology, seed: int) -> Weights:
    """Glorot-uniform kernels and zero biases."""
    rng = np.random.default_rng(seed)
    found = {}
    for layer in topology.layers:
        limit = np.sqrt(6.0 / (layer.n_in + layer.n_out))
        kernel = rng.uniform(-limit, limit, (layer.n_in, layer.n_out)).astype(np.float32)
        found[layer.name] = (kernel, np.zeros(layer.n_out, np.float32))
    return found


def _pruned_share(epoch: int, epochs: int) -> float:
    half = max(epochs // 2, 1)
    return 1.0 - (1.0 - min(epoch / half, 1.0)) ** 3


def _forward(activations, x, formats, masks, kernels, biases):
    values = quantize_input(x, formats[0])
    for i, activation in enumerate(activations):
        kernel, bias, act = formats[1 + 3 * i : 4 + 3 * i]
        values = tf.matmul(values, quantize_kernel(kernels[i] * masks[i], kernel)) + quantize_kernel(biases[i], bias)
        if activation == "relu":
            values = quantize_relu(values, act)
    return values


@lru_cache(maxsize=None)
def _infer(activations):
    return tf.function(lambda *arguments: _forward(activations, *arguments), jit_compile=True)


@lru_cache(maxsize=None)
def _epoch(activations):
    """The compiled epoch of one kind of topology: Adam steps (Kingma and Ba, arXiv 1412.6980) over all members."""

    def losses_of(x, y, formats, masks, kernels, biases):
        out = _forward(activations, x, formats, masks, kernels, biases)
        targets = tf.broadcast_to(y[None], tf.shape(out)[:2])
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, out), axis=1)

    @tf.function(jit_compile=True)
    def step(x, y, t, rate, formats, masks, kernels, biases, moments):
        variables = kernels + biases
        with tf.GradientTape() as tape:
            tape.watch(variables)
            losses = losses_of(x, y, formats, masks, kernels, biases)
            total = tf.reduce_sum(losses)
        gradients = tape.gradient(total, variables)
        rate = rate * tf.sqrt(1.0 - tf.pow(BETA2, t)) / (1.0 - tf.pow(BETA1, t))
        n = len(variables)
        first = [BETA1 * m + (1.0 - BETA1) * g for m, g in zip(moments[:n], gradients)]
        second = [BETA2 * v + (1.0 - BETA2) * g * g for v, g in zip(moments[n:], gradients)]
        variables = [w - rate * m / (tf.sqrt(v) + EPSILON) for w, m, v in zip(variables, first, second)]
        return variables[: n // 2], variables[n // 2 :], first + second, losses

    @tf.function
    def epoch(x, y, order, batch, start, total, rate, formats, masks, state):
        kernels, biases, moments = state
        steps = tf.size(order) // batch
        summed = tf.zeros_like(formats[0].kind[:, 0, 0])
        for k in tf.range(steps):
            chosen = order[k * batch : (k + 1) * batch]
            t = start + tf.cast(k, tf.float32)
            cosine = rate * 0.5 * (1.0 + tf.cos(np.pi * t / total))
            kernels, biases, moments, losses = step(
                tf.gather(x, chosen), tf.gather(y, chosen), t + 1.0, cosine, formats, masks, kernels, biases, moments
            )
            summed += losses
        return (kernels, biases, moments), summed / tf.cast(steps, tf.float32)

    return epoch
