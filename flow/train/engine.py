"""The compiled graphs of a population: one epoch of training, and inference, for any formats of one network.

A graph depends on a `Plan` alone; bit widths, scales, masks, learning rates and seeds are data. So a search
compiles once, however many designs it trains.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from flow.design import Design
from flow.topology import INPUT, Conv, Layer, Scale, Topology, Weighted
from flow.train.forward import add_bias, forward, product
from flow.train.norm import EPSILON as NORM_EPSILON
from flow.train.parameters import STATISTICS, TRAINED, names_of
from flow.train.quantizers import Formats, families, quantize_kernel
from flow.train.schedule import Distillation

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7  # Adam's (Kingma and Ba, arXiv 1412.6980, algorithm 1)
MOMENTUM = 0.95  # of the running statistics of a normalization

Tensors = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Plan:
    """What a graph is compiled for: the network, the families of formats in it, and the loss."""

    topology: Topology
    families: tuple[tuple[str, frozenset], ...]
    distillation: Distillation | None = None


class Group(NamedTuple):
    """Members that train together, as tensors: formats by name, and whatever differs between them.

    `seeds` (members, 2) int32, `rate` (members,) learning rates, `masks` by layer (members, *kernel_shape).
    """

    formats: Mapping[str, Formats]
    masks: Tensors
    seeds: tf.Tensor
    rate: tf.Tensor


def format_names(topology: Topology) -> tuple[str, ...]:
    """The places of a network that have a format: `INPUT`, "<layer>.kernel", ".bias", ".activation"."""
    found = [INPUT]
    for layer in topology.designed:
        weighted = isinstance(layer, Weighted)
        own = {"kernel": weighted, "bias": weighted and layer.bias, "activation": topology.quantized(layer)}
        found += [f"{layer.name}.{part}" for part, there in own.items() if there]
    return tuple(found)


def format_at(design: Design | None, name: str):
    """A design's format at one of `format_names`; None for float."""
    if design is None:
        return None
    if name == INPUT:
        return design.input
    layer, part = name.rsplit(".", 1)
    return getattr(design[layer], part)


def families_of(topology: Topology, designs: Sequence[Design | None]) -> tuple[tuple[str, frozenset], ...]:
    """The families of formats at each place: what a graph for these designs must hold.

    Places of one role get the same families, those of all its places, so that one graph serves the next
    designs of a search too.
    """
    roles: dict[str, set] = {}
    for name in format_names(topology):
        roles.setdefault(_role(topology, name), set()).update(families([format_at(d, name) for d in designs]))
    return tuple((name, frozenset(roles[_role(topology, name)])) for name in format_names(topology))


def _role(topology: Topology, name: str) -> str:
    layer, _, part = name.rpartition(".")
    return topology[layer].activation if part == "activation" else part


def formats_of(
    topology: Topology,
    designs: Sequence[Design | None],
    living: Sequence[Mapping[str, np.ndarray]] | None = None,
) -> dict[str, Formats]:
    """The designs' formats as tensors, by place. `living`: which weights each design's widths leave, by layer
    (`flow.width.kernel_masks`); None where all designs have the network's own widths."""
    found = {
        name: Formats.of([format_at(d, name) for d in designs], _rank(topology, name))
        for name in format_names(topology)
    }
    if living is not None:
        for layer in topology.weighted:
            masks = tf.constant(np.stack([own[layer.name] for own in living]).astype(np.float32))
            name = f"{layer.name}.kernel"
            found[name] = found[name]._replace(living=masks)
    return found


def _rank(topology: Topology, name: str) -> int:
    """Dimensions of what a format applies to, without the members' axis."""
    if name == INPUT:
        return 1 + len(topology.input_shape)
    layer, part = name.rsplit(".", 1)
    return {"kernel": lambda: len(topology[layer].kernel_shape), "bias": lambda: 1}.get(
        part, lambda: 1 + len(topology[layer].shape)
    )()


@cache
def infer(plan: Plan, batch: int):
    """Compiled inference: (x (batches * batch, n_in), formats, weights by layer) → logits (members, events, classes)."""
    kinds = dict(plan.families)

    @tf.function(jit_compile=True, autograph=False)
    def run(x, formats, weights):
        def sums(layer: Layer, values: tf.Tensor) -> tf.Tensor:
            kernel, bias = weights[layer.name]
            return _sums(layer, values, kernel, bias, formats, kinds)

        # Batch by batch, so that the values of hidden layers stay small.
        rows = tf.reshape(x, (-1, 1, batch, x.shape[-1]))
        found = tf.map_fn(lambda each: forward(plan.topology, kinds, each, formats, sums), rows)
        return tf.reshape(tf.transpose(found, (1, 0, 2, 3)), (found.shape[1], -1, found.shape[3]))

    return run


@cache
def epoch(plan: Plan, batch: int):
    """One compiled pass of Adam over a group: (events, order, first step, steps of all epochs, group, state) → state,
    mean losses (members,). `events`: tensors of values, labels[, teacher's logits]; see `_step` for the state."""
    step = _step(plan)

    @tf.function(jit_compile=True, autograph=False)
    def run(events, order, first_step, total, group, state):
        steps = tf.shape(order)[0] // batch
        losses = tf.zeros_like(group.rate)
        k = tf.constant(0)

        def body(k, losses, state):
            chosen = tf.slice(order, [k * batch], [batch])
            t = first_step + tf.cast(k, tf.float32)
            cosine = group.rate * 0.5 * (1.0 + tf.cos(np.pi * t / total))
            picked = tuple(tf.gather(values, chosen) for values in events)
            seeds = group.seeds + tf.stack([tf.cast(t, tf.int32), 0])
            state, own = step(picked, t + 1.0, cosine, group.formats, group.masks, seeds, state)
            return k + 1, losses + own, state

        _, losses, state = tf.while_loop(lambda k, *_: k < steps, body, (k, losses, state))
        return state, losses / tf.cast(steps, tf.float32)

    return run


def _step(plan: Plan):
    """One step of Adam for every member on the same events: (x, labels[, teacher logits])."""
    kinds, trained = dict(plan.families), names_of(plan.topology, TRAINED)

    def step(events, t, rate, formats, masks, seeds, state):
        parameters, first, second, statistics = state
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            new_statistics = dict(statistics)
            sums = _training_sums(parameters, masks, formats, kinds, seeds, new_statistics)
            out = forward(plan.topology, kinds, events[0][None], formats, sums)
            losses = _losses(plan.distillation, out, *events[1:])
            total = tf.reduce_sum(losses)
        gradients = dict(zip(trained, tape.gradient(total, [parameters[name] for name in trained])))
        rate = rate * tf.sqrt(1.0 - tf.pow(BETA2, t)) / (1.0 - tf.pow(BETA1, t))
        for name in trained:
            g = gradients[name]
            own = tf.reshape(rate, (-1, *([1] * (g.shape.rank - 1))))
            first = first | {name: BETA1 * first[name] + (1.0 - BETA1) * g}
            second = second | {name: BETA2 * second[name] + (1.0 - BETA2) * g * g}
            moved = parameters[name] - own * first[name] / (tf.sqrt(second[name]) + EPSILON)
            parameters = parameters | {name: moved}
        return (parameters, first, second, new_statistics), losses

    return step


def _losses(distillation: Distillation | None, out: tf.Tensor, labels: tf.Tensor, teacher=None) -> tf.Tensor:
    """Mean loss by member (members,) of logits out (members, events, classes)."""
    targets = tf.broadcast_to(labels[None], tf.shape(out)[:2])
    hard = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, out), axis=1)
    if distillation is None:
        return hard
    t, share = distillation.temperature, distillation.weight
    soft_targets = tf.broadcast_to(tf.nn.softmax(teacher / t)[None], tf.shape(out))
    soft = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(soft_targets, out / t), axis=1)
    return (1.0 - share) * hard + share * t * t * soft


def _sums(layer, values, kernel, bias, formats, kinds, seeds=None) -> tf.Tensor:
    """A layer's sums from its unquantized kernel and bias (None without)."""
    name = layer.name
    kernel = quantize_kernel(kernel, formats[f"{name}.kernel"], kinds[f"{name}.kernel"], seeds)
    found = product(layer, values, kernel)
    if bias is None:
        return found
    return add_bias(found, quantize_kernel(bias, formats[f"{name}.bias"], kinds[f"{name}.bias"], None))


def _training_sums(parameters, masks, formats, kinds, seeds, statistics: dict):
    """`sums` of the forward pass in training; `statistics` takes in what normalizations have seen.

    A normalization is folded with the statistics of the batch, as in inference with the running ones.
    """

    def sums(layer: Layer, values: tf.Tensor) -> tf.Tensor:
        name = layer.name
        kernel, bias = parameters.get(f"{name}.kernel"), parameters.get(f"{name}.bias")
        if kernel is not None:
            kernel = kernel * masks[name]
        if layer.normalized:
            raw = values if isinstance(layer, Scale) else product(layer, values, kernel)
            axes = list(range(1, raw.shape.rank - 1))
            mean, variance = tf.nn.moments(raw, axes)
            if bias is not None:
                mean = mean + bias
            for kind, new in zip(STATISTICS, (mean, variance)):
                old = statistics[f"{name}.{kind}"]
                statistics[f"{name}.{kind}"] = MOMENTUM * old + (1.0 - MOMENTUM) * tf.stop_gradient(new)
            factor = parameters[f"{name}.gamma"] / tf.sqrt(variance + NORM_EPSILON)
            shift = parameters[f"{name}.beta"] - mean * factor
            kernel = factor if kernel is None else kernel * _over_channels(layer, factor)
            bias = shift if bias is None else shift + bias * factor
        shifted = seeds + tf.constant([0, _number(name)], tf.int32)
        return _sums(layer, values, kernel, bias, formats, kinds, shifted)

    return sums


def _over_channels(layer: Layer, factor: tf.Tensor) -> tf.Tensor:
    """Factors (members, channels) in a shape that broadcasts against a kernel (members, *kernel_shape)."""
    rank = len(layer.kernel_shape)
    shape = (tf.shape(factor)[0], *([1] * (rank - 1)), factor.shape[-1])
    if isinstance(layer, Conv) and layer.depthwise:
        shape = (tf.shape(factor)[0], *([1] * (rank - 2)), factor.shape[-1], 1)
    return tf.reshape(factor, shape)


def _number(name: str) -> int:
    """A number of a layer's own, the same in every process."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF
