"""Members don't disturb each other, leave and join without a trace, and keep their best weights."""

import numpy as np
import pytest
from designs import example_design
from networks import NETWORKS

tf = pytest.importorskip("tensorflow")

from flow.errors import BadInput
from flow.formats import Fixed, StochasticTernary, Ternary
from flow.train import memory, population
from flow.train.events import Events
from flow.train.inference import logits
from flow.train.parameters import deployed, random_parameters
from flow.train.population import Member, Monitor, train
from flow.train.schedule import Distillation, Halving, Importance, Pruning, Schedule

pytestmark = pytest.mark.slow  # they train

TOPOLOGY = NETWORKS["dense"]
SCHEDULE = Schedule(4, 128, 1e-2, 7)


def sample(n: int = 1500):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (n, 4)).astype(np.float32)
    return values, np.argmax(values @ rng.normal(0, 1, (4, 3)), axis=1)


def members(count: int, **options) -> list[Member]:
    kernels = (Fixed(4, 0), Ternary(-1), Fixed(3, 0))
    return [Member(example_design(TOPOLOGY, seed, kernels=kernels, **options), seed=seed) for seed in range(count)]


def monitor(values, labels) -> Monitor:
    draws = np.random.default_rng(0).poisson(1.0, (50, len(labels)))

    def accuracy(out):
        right = np.argmax(out, axis=1) == labels
        return float(right.mean()), draws @ right / draws.sum(axis=1)

    return Monitor(values, accuracy)


def same(a: population.Trained, b: population.Trained) -> bool:
    return a.losses == b.losses and all(np.array_equal(a.parameters[n], b.parameters[n]) for n in a.parameters)


def test_training_repeats_whoever_else_is_there():
    events = Events(*sample())
    together = train(TOPOLOGY, members(6), events, SCHEDULE)
    again = train(TOPOLOGY, members(6), events, SCHEDULE)
    turned = train(TOPOLOGY, members(6)[::-1], events, SCHEDULE)[::-1]
    in_turns = train(TOPOLOGY, members(6), events, SCHEDULE, population=5)
    for first, *others in zip(together, again, turned, in_turns):
        assert all(same(first, other) for other in others)


def test_members_that_come_later_are_not_compiled_anew():
    from flow.train import engine

    engine.epoch.cache_clear()
    events = Events(*sample())
    train(TOPOLOGY, members(8), events, SCHEDULE, population=4)
    plan = engine.Plan(TOPOLOGY, engine.families_of(TOPOLOGY, [m.design for m in members(8)]))
    assert engine.epoch.cache_info().misses == 1
    assert engine.epoch(plan, 128).experimental_get_tracing_count() == 1


def test_stochastic_members_repeat_and_differ_by_seed():
    design = example_design(TOPOLOGY, 0, kernels=(StochasticTernary(-1),))
    events = Events(*sample())
    start = random_parameters(TOPOLOGY, 3)
    a, b, c = train(TOPOLOGY, [Member(design, dict(start), seed) for seed in (1, 1, 2)], events, SCHEDULE)
    assert same(a, b) and not same(a, c)


def test_a_broken_member_fails_and_the_others_go_on():
    events = Events(*sample())
    good = train(TOPOLOGY, members(3), events, SCHEDULE)
    broken = random_parameters(TOPOLOGY, 3)
    broken["fc0.kernel"][0, 0] = np.nan
    mixed = members(3)
    mixed[1] = Member(mixed[1].design, broken, 1)
    found = train(TOPOLOGY, mixed, events, SCHEDULE)
    assert found[1].failed == 1 and len(found[1].losses) == 1
    assert same(found[0], good[0]) and same(found[2], good[2])


def test_a_member_that_diverges_is_told_with_its_epoch():
    values, labels = sample()
    wild = [Member(None, seed=0), Member(None, seed=1, learning_rate=1e38)]
    found = train(TOPOLOGY, wild, Events(values, labels), SCHEDULE, monitor(values, labels))
    assert found[0].failed is None and 1 <= found[1].failed <= SCHEDULE.epochs


def test_the_best_weights_are_kept():
    values, labels = sample()
    watch = monitor(values, labels)
    found = train(TOPOLOGY, members(4), Events(values, labels), Schedule(8, 64, 5e-2, 1), watch)
    for member, item in zip(members(4), found):
        out = next(logits(TOPOLOGY, [member.design], [deployed(TOPOLOGY, item.parameters)], values))
        assert watch.metric(out)[0] == max(item.metrics) == item.metrics[item.best - 1]
    assert any(item.best < 8 for item in found)


def test_early_stopping():
    values, labels = sample()
    constant = Monitor(values[:10], lambda out: (0.5, np.zeros(3)))
    schedule = Schedule(10, 128, 1e-2, 1, patience=3)
    found = train(TOPOLOGY, members(2), Events(values, labels), schedule, constant)
    assert [(item.best, len(item.losses)) for item in found] == [(1, 4), (1, 4)]


def test_learning_rates_are_the_members_own():
    start = random_parameters(TOPOLOGY, 0)
    slow, fast = train(
        TOPOLOGY,
        [Member(None, dict(start), learning_rate=1e-12), Member(None, dict(start))],
        Events(*sample()),
        SCHEDULE,
    )
    np.testing.assert_allclose(slow.parameters["fc0.kernel"], start["fc0.kernel"], atol=1e-6)
    assert np.abs(fast.parameters["fc0.kernel"] - start["fc0.kernel"]).max() > 1e-2


@pytest.mark.parametrize("importance", Importance)
def test_pruning_keeps_exactly_its_fraction(importance: Importance):
    values, labels = sample()
    schedule = Schedule(6, 64, 1e-2, 1, pruning=Pruning(importance, 0.5))
    found = train(TOPOLOGY, members(2, keep=0.3), Events(values, labels), schedule, monitor(values, labels))
    for item in found:
        assert item.best >= 3
        for layer in TOPOLOGY.weighted:
            assert np.count_nonzero(item.parameters[f"{layer.name}.kernel"]) == np.ceil(0.3 * layer.multiplications)


def test_what_is_masked_stays_masked():
    values, labels = sample()
    start = random_parameters(TOPOLOGY, 0)
    early, late = (
        train(
            TOPOLOGY, [Member(members(1, keep=0.4)[0].design, dict(start))], Events(values, labels),
            Schedule(epochs, 64, 1e-2, 1, pruning=Pruning(until=1.0 / epochs)),
        )[0]
        for epochs in (1, 8)
    )  # fmt: skip
    for layer in TOPOLOGY.weighted:
        assert not np.any(
            (late.parameters[f"{layer.name}.kernel"] != 0) & (early.parameters[f"{layer.name}.kernel"] == 0)
        )


def test_who_is_settled_keeps_its_zeros_and_counts_from_the_first_epoch():
    values, labels = sample()
    schedule = Schedule(6, 64, 1e-2, 1, pruning=Pruning(until=0.5))
    told = Events(values, labels), schedule, monitor(values, labels)
    (first,) = train(TOPOLOGY, members(1, keep=0.3), *told)
    design, start = members(1, keep=0.3)[0].design, dict(first.parameters)
    settled, anew = train(TOPOLOGY, [Member(design, start, settled=True), Member(design, start)], *told)
    kernels = [f"{layer.name}.kernel" for layer in TOPOLOGY.weighted]
    for item, same in ((settled, True), (anew, False)):
        zeros = [np.array_equal(item.parameters[name] == 0, first.parameters[name] == 0) for name in kernels]
        assert all(zeros) == same
    (once,) = train(TOPOLOGY, [Member(design, start, settled=True)], told[0], Schedule(1, 64, 1e-2, 1), told[2])
    assert once.best == 1 and (once.parameters["fc0.kernel"] != first.parameters["fc0.kernel"]).any()
    assert anew.best >= 3


def test_a_normalization_on_its_own_is_never_pruned():
    topology = NETWORKS["scale"]
    design = example_design(topology, 1, kernels=(Fixed(4, 0),), keep=0.5)
    rng = np.random.default_rng(0)
    events = Events(rng.normal(0, 1, (300, 4)).astype(np.float32), rng.integers(0, 3, 300))
    schedule = Schedule(2, 64, 1e-2, 1, pruning=Pruning(Importance.FISHER, 0.5))
    for item in train(topology, [Member(None), Member(design, seed=1)], events, schedule):
        assert item.failed is None and np.all(item.parameters["norm.gamma"] != 0)


def test_fisher_importance_differs_from_size():
    events = Events(*sample())
    found = [
        train(TOPOLOGY, members(1, keep=0.5), events, Schedule(1, 64, 1e-2, 1, pruning=Pruning(importance, 1.0)))[0]
        for importance in Importance
    ]
    kept = [item.parameters["fc0.kernel"] != 0 for item in found]
    assert not np.array_equal(*kept)


def test_halving_cuts_who_is_behind_and_frees_the_others():
    values, labels = sample()
    broken = random_parameters(TOPOLOGY, 0)
    broken["out.kernel"] *= 0.0
    crowd = [Member(m.design, seed=m.seed) for m in members(3)]
    crowd += [Member(m.design, {k: v.copy() for k, v in broken.items()}, m.seed, 1e-9) for m in members(3)]
    schedule = Schedule(6, 128, 1e-2, 7, halving=Halving(2, 2.0))
    found = train(TOPOLOGY, crowd, Events(values, labels), schedule, monitor(values, labels))
    assert [item.cut for item in found[3:]] == [1, 1, 1]
    whole = train(TOPOLOGY, members(3), Events(values, labels), Schedule(6, 128, 1e-2, 7), monitor(values, labels))
    for kept, reference in zip(found[:3], whole):
        assert kept.losses == reference.losses[: len(kept.losses)]
    assert any(kept.cut is None and same(kept, reference) for kept, reference in zip(found[:3], whole))


def test_a_student_follows_its_teacher():
    values, labels = sample()
    rng = np.random.default_rng(1)
    wrong = rng.integers(0, 3, len(labels))
    teacher = 8.0 * np.eye(3, dtype=np.float32)[labels]
    schedule = Schedule(12, 64, 1e-2, 1, distillation=Distillation(1.0, 2.0))
    taught = train(TOPOLOGY, [Member(None)], Events(values, wrong, teacher), schedule)[0]
    alone = train(TOPOLOGY, [Member(None)], Events(values, wrong), schedule)[0]
    right = [
        np.mean(np.argmax(next(logits(TOPOLOGY, [None], [deployed(TOPOLOGY, t.parameters)], values)), axis=1) == labels)
        for t in (taught, alone)
    ]
    assert right[0] > 0.85 and right[1] < 0.6


def test_what_does_not_fit_into_memory_is_split_or_refused(monkeypatch):
    events, said = Events(*sample()), []
    whole = train(TOPOLOGY, members(4), events, SCHEDULE)
    one = memory.step_bytes(TOPOLOGY, 128)
    monkeypatch.setattr(memory, "_free_memory", lambda: 2.5 * one / memory.SHARE)
    split = train(TOPOLOGY, members(4), events, SCHEDULE, say=said.append)
    assert len(said) == 1 and "2 at a time" in said[0]
    for a, b in zip(whole, split):
        np.testing.assert_allclose(a.losses, b.losses, rtol=1e-4)
    monkeypatch.setattr(memory, "_free_memory", lambda: 0.5 * one / memory.SHARE)
    with pytest.raises(BadInput, match="lower train.batch"):
        train(TOPOLOGY, members(4), events, SCHEDULE)
