"""Training of a whole population of designs at once, in one compiled graph.

Members go through the graph in groups on a leading axis, a group for each core at a time. A member's events,
random numbers and schedule depend on itself alone: who else is in the population changes nothing of it.
Members that finish, fail or are cut leave, and waiting ones take their place; nothing is compiled anew.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from flow.design import Design
from flow.topology import Topology
from flow.train import engine, memory
from flow.train.events import Events
from flow.train.halving import cut
from flow.train.inference import group_logits, stacked
from flow.train.inference import pieces as pieces_of
from flow.train.parameters import STATISTICS, TRAINED, Parameters, deployed, names_of, random_parameters
from flow.train.pruning import masks
from flow.train.schedule import Importance, Schedule
from flow.train.widths import begin, noted
from flow.width import has_widths, kernel_masks

FISHER_STEPS = 100  # steps over which Fisher information is averaged before weights are pruned by it

# logits (n, classes) -> value (maximised), and its values under resamplings that are the same for all members (B,)
Metric = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True)
class Member:
    """One network to train: its design (None = float), the parameters it starts from (None = random), and what is
    its own: seed of its random numbers, learning rate (None = the schedule's), and a cost for halving.

    `settled`: it starts from weights that were pruned for this very design. Its kernels are as sparse as the design asks
    from the first epoch on, where others' begin full."""

    design: Design | None
    start: Parameters | None = None
    seed: int = 0
    learning_rate: float | None = None
    cost: float = 0.0
    settled: bool = False


@dataclass(frozen=True)
class Trained:
    """What training left of a member: the parameters of its best epoch, its mean loss by epoch, and its metric.

    `best` is the epoch (from 1) whose parameters these are; `failed` the one in which the loss or the parameters
    ceased to be numbers; `cut` the one after which halving took it out.
    """

    parameters: Parameters
    losses: tuple[float, ...]
    metrics: tuple[float, ...] = ()
    best: int = 0
    failed: int | None = None
    cut: int | None = None


@dataclass(frozen=True)
class Monitor:
    """What members are compared by while they train: a metric of the logits of centred values (n, n_in).

    The best epoch is found on the first `PIECE` of them, designs are cut on all. `metric` takes the logits of the
    first events, however many.
    """

    values: np.ndarray
    metric: Metric


@dataclass
class _Live:
    """A member on its way."""

    place: int
    member: Member
    parameters: Parameters
    first: Parameters
    second: Parameters
    masks: Parameters = field(default_factory=dict)
    fisher: Parameters | None = None
    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    metrics: list[float] = field(default_factory=list)
    best: int = 0
    best_parameters: Parameters | None = None
    failed: int | None = None
    cut: int | None = None
    stopped: bool = False
    units: Mapping[str, np.ndarray] = field(default_factory=dict)
    living: Mapping[str, np.ndarray] | None = None  # weights that its widths leave; None without widths

    def result(self) -> Trained:
        kept = self.parameters if self.best_parameters is None else self.best_parameters
        return Trained(
            kept | noted(self.units), tuple(self.losses), tuple(self.metrics), self.best, self.failed, self.cut
        )


def train(
    topology: Topology,
    members: Sequence[Member],
    events: Events,
    schedule: Schedule,
    monitor: Monitor | None = None,
    population: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
    base: Topology | None = None,
) -> list[Trained]:
    """Train members on events; the result is in the members' order.

    `base` is the user's network where designs have widths, `topology` the widest that they ask for: results are
    parameters of it, and tell which units live (`flow.train.widths.narrowed`). None: all have the network's own.

    At most `population` members (None: all) are on their way at once. With a `monitor`, the parameters of the epoch
    with the best metric are kept, of those epochs in which the kernels are as sparse as the design asks;
    early stopping and halving need one. Raises BadInput where not even one member fits into memory; groups
    that had to be made smaller to fit are said.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # a GPU computes what a CPU does
    run = _Run(topology, members, events, schedule, monitor, base)
    if run.group < memory.wanted(len(members)):
        say(f"  {memory.wanted(len(members))} designs at once don't fit into memory: they train {run.group} at a time")
    waiting = list(range(len(members)))
    most = len(members) if population is None else population
    live: list[_Live] = []
    done: dict[int, Trained] = {}
    with ThreadPoolExecutor(run.workers) as pool:
        while waiting or live:
            while waiting and len(live) < most:
                live.append(run.begin(waiting.pop(0)))
            compiled = pool.submit(run.compile_inference, live[0])  # beside the graph of training
            list(pool.map(run.advance, run.grouped(live)))
            compiled.result()
            run.halve(live, pool)
            for item in [item for item in live if run.over(item)]:
                live.remove(item)
                done[item.place] = item.result()
            spent = sum(i.epoch for i in live) + len(done) * schedule.epochs
            progress(spent, len(members) * schedule.epochs)
    return [done[place] for place in range(len(members))]


def _seed_of(seed: int, member: int) -> int:
    """The seed of a member's random draws: another one for every run and member."""
    return (seed * 1_000_003 + member) & 0x7FFFFFFF


def _prunes(member: Member) -> bool:
    """Whether its kernels become sparser while it trains."""
    sparse = member.design is not None and any(part.keep < 1.0 for _, part in member.design.layers)
    return sparse and not member.settled


class _Run:
    """One call of `train`: the graph it needs, and what moves members on."""

    def __init__(self, topology, members, events: Events, schedule: Schedule, monitor: Monitor | None, base=None):
        self.topology, self.members, self.events = topology, members, events
        own = base is None or (base == topology and not has_widths(member.design for member in members))
        self.base = None if own else base
        self.schedule, self.monitor = schedule, monitor
        self.batch = min(schedule.batch, len(events))
        self.group = memory.group_size(topology, len(members), self.batch)
        self.workers = memory.workers(topology, self.group, self.batch, events.piece_bytes)
        self.plan = engine.Plan(
            topology,
            engine.families_of(topology, [member.design for member in members]),
            schedule.distillation if events.teacher is not None else None,
        )
        self.watched = [] if monitor is None else list(pieces_of(monitor.values))
        self._formats: dict[tuple[int, ...], dict] = {}
        first = max((self.sparse(member) for member in members), default=1)
        self.rungs = () if schedule.halving is None else schedule.halving.rungs(schedule.epochs, first)

    def sparse(self, member: Member) -> int:
        """The number of epochs after which a member's kernels are as sparse as its design asks."""
        return self.schedule.pruning.last_epoch(self.schedule.epochs) if _prunes(member) else 1

    def begin(self, place: int) -> _Live:
        member, seed, units, living = self.members[place], self.schedule.seed + self.members[place].seed, {}, None
        if self.base is None:
            parameters = member.start or random_parameters(self.topology, seed)
        else:
            parameters, units = begin(self.base, self.topology, member.design, member.start, seed)
            living = kernel_masks(self.topology, units)
        zeros = {name: np.zeros_like(parameters[name]) for name in names_of(self.topology, TRAINED)}
        return _Live(place, member, parameters, zeros, zeros, units=units, living=living)

    def grouped(self, live: Sequence[_Live]) -> list[list[_Live]]:
        """Members in groups that are at the same epoch, in the order of their places."""
        found = []
        for epoch in sorted({item.epoch for item in live}):
            same = sorted((item for item in live if item.epoch == epoch), key=lambda item: item.place)
            found += [same[i : i + self.group] for i in range(0, len(same), self.group)]
        return found

    def compile_inference(self, item: _Live) -> None:
        """Bring the graph of inference into being, unless it is there."""
        if self.monitor is not None and not self._formats:
            self._measured([item], pieces=1)

    def advance(self, group: Sequence[_Live]) -> None:
        """One epoch of some members, all at the same one."""
        schedule, epoch = self.schedule, group[0].epoch
        self._prune(group, epoch)
        losses = self._pass(group, epoch, schedule.learning_rate)
        for item, loss in zip(group, losses):
            item.epoch += 1
            item.losses.append(float(loss))
            item.parameters |= {
                f"{name}.kernel": item.parameters[f"{name}.kernel"] * mask
                for name, mask in item.masks.items()
                if f"{name}.kernel" in item.parameters
            }
            if not np.isfinite(loss) or not all(np.isfinite(values).all() for values in item.parameters.values()):
                item.failed = item.epoch
        if self.monitor is not None:
            self._compare([item for item in group if item.failed is None])

    def halve(self, live: Sequence[_Live], pool: ThreadPoolExecutor) -> None:
        """Cut those members that have come to a rung and are behind."""
        for rung in self.rungs:
            there = [item for item in live if item.epoch == rung and item.failed is None]
            there.sort(key=lambda item: item.place)
            if len(there) < 2:
                continue
            values, resampled = zip(*itertools.chain(*pool.map(self._measured, self.grouped(there))))
            for i in cut(values, resampled, [item.member.cost for item in there], self.schedule.halving):
                there[i].cut = rung

    def over(self, item: _Live) -> bool:
        patience = self.schedule.patience
        late = patience is not None and item.best and item.epoch - item.best >= patience
        return item.failed is not None or item.cut is not None or late or item.epoch >= self.schedule.epochs

    def _prune(self, group: Sequence[_Live], epoch: int) -> None:
        if epoch >= self.schedule.pruning.last_epoch(self.schedule.epochs):
            return
        pruning = self.schedule.pruning
        if pruning.importance is Importance.FISHER and epoch == 0 and any(_prunes(item.member) for item in group):
            self._measure_fisher(group)
        share = pruning.share(epoch, self.schedule.epochs)
        for item in group:
            fisher = item.fisher if epoch == 0 else item.second
            design, own = item.member.design, 1.0 if item.member.settled else share
            item.masks = masks(
                self.topology, design, own, item.parameters, pruning.importance, fisher, item.masks, item.living
            )

    def _measure_fisher(self, group: Sequence[_Live]) -> None:
        """Mean squared gradients at the start, from steps that change nothing; the moments begin anew after it."""
        kept = [(item.parameters, item.first, item.second) for item in group]
        for item in group:
            item.masks = masks(self.topology, None, 0.0, item.parameters, Importance.MAGNITUDE, None, {}, item.living)
        self._pass(group, 0, 0.0, FISHER_STEPS)
        for item, before in zip(group, kept):
            item.fisher = item.second
            item.parameters, item.first, item.second = before

    def _pass(self, group: Sequence[_Live], epoch: int, rate: float, steps: int | None = None) -> np.ndarray:
        """Train members for an epoch (or `steps` of it); returns mean losses (members,)."""
        rows = self._filled(group)
        rates = [rate if rate == 0.0 else item.member.learning_rate or rate for item in rows]
        own = [_seed_of(self.schedule.seed, item.member.seed) for item in rows]
        seeds = np.array([[epoch * 100_003 & 0x7FFFFFFF, seed] for seed in own], np.int32)
        tensors = engine.Group(
            self._formats_of(rows),
            stacked([item.masks for item in rows]),
            tf.constant(seeds),
            tf.constant(rates, tf.float32),
        )
        trained, statistics = names_of(self.topology, TRAINED), names_of(self.topology, STATISTICS)
        state = (
            stacked([item.parameters for item in rows], trained),
            stacked([item.first for item in rows]),
            stacked([item.second for item in rows]),
            stacked([item.parameters for item in rows], statistics),
        )
        own_steps = self.events.steps(self.batch)
        total, done = float(own_steps * self.schedule.epochs), float(epoch * own_steps)
        summed, parts = 0.0, 0
        for values, order in self.events.pieces(self.schedule.seed, epoch, self.batch):
            order = order if steps is None else order[: steps * self.batch]
            count = int(order.shape[0]) // self.batch
            state, losses = engine.epoch(self.plan, self.batch)(
                values, order, tf.constant(done), tf.constant(total), tensors, state
            )
            summed, parts, done = summed + count * losses.numpy(), parts + count, done + count
            if steps is not None:
                break
        parameters, first, second, seen = ({k: v.numpy() for k, v in part.items()} for part in state)
        for i, item in enumerate(group):
            item.parameters = {name: values[i] for name, values in (parameters | seen).items()}
            item.first = {name: values[i] for name, values in first.items()}
            item.second = {name: values[i] for name, values in second.items()}
        return (summed / max(parts, 1))[: len(group)]

    def _filled(self, group: Sequence[_Live]) -> list[_Live]:
        """A group of full size: the last member again where it is incomplete."""
        return [group[min(i, len(group) - 1)] for i in range(self.group)]

    def _formats_of(self, rows: Sequence[_Live]) -> dict:
        """The formats of a full group as tensors; groups last for many epochs."""
        key = tuple(item.place for item in rows)
        if key not in self._formats:
            designs = [item.member.design for item in rows]
            living = None if self.base is None else [item.living for item in rows]
            self._formats[key] = engine.formats_of(self.topology, designs, living)
        return self._formats[key]

    def _compare(self, group: Sequence[_Live]) -> None:
        """The members' metrics after an epoch; the best parameters are kept."""
        for item, (value, _) in zip(group, self._measured(group, pieces=1)):
            sparse = self.sparse(item.member)
            if item.epoch >= sparse and (not item.best or value > max(item.metrics[sparse - 1 :])):
                item.best, item.best_parameters = item.epoch, item.parameters
            item.metrics.append(value)

    def _measured(self, group: Sequence[_Live], pieces: int | None = None) -> list[tuple[float, np.ndarray]]:
        """The metric and its resamplings of each member, on all monitored events or on some pieces of them."""
        if not group:
            return []
        rows, count = self._filled(group), len(self.monitor.values)
        weights = [deployed(self.topology, item.parameters) for item in rows]
        formats = self._formats_of(rows)
        parts = [group_logits(self.plan, formats, weights, piece) for piece in self.watched[:pieces]]
        found = np.concatenate(parts, axis=1)
        return [self.monitor.metric(out[:count]) for out in found[: len(group)]]
