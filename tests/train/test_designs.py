"""Training as a step: what goes in as data comes out as rows and arrays, from memory and from files alike."""

import json
from dataclasses import replace

import numpy as np
import pytest
from designs import example_design
from networks import NETWORKS

tf = pytest.importorskip("tensorflow")

from flow.data.scaling import Centred, InputScaling
from flow.design import Design
from flow.formats import Binary, Fixed, PowerOfTwo, Ternary
from flow.train import events
from flow.train.designs import (
    Physics,
    Sample,
    Start,
    figures_of,
    member_network,
    member_parameters,
    member_weights,
    train_designs,
)
from flow.train.evaluate import OperatingPoint, Truth
from flow.train.inference import logits
from flow.train.schedule import Distillation, Schedule
from flow.width import narrowed_topology, widest

pytestmark = pytest.mark.slow  # they train

TOPOLOGY = NETWORKS["dense normalized"]
PHYSICS = Physics(OperatingPoint((1, 2), (0,), 0.1), ("a", "b", "c"))
SCALING = InputScaling(tuple("abcd"), Fixed(12, 4), (0,) * 4, (0.25, -1.0, 0.0, 2.5))


def sample(n: int = 2000, seed: int = 0) -> tuple[np.ndarray, Sample]:
    """Words, and the sample of their centred values."""
    rng = np.random.default_rng(seed)
    words = SCALING.words(rng.normal(0, 1, (n, 4)) + SCALING.offsets).astype(np.float32)
    values = SCALING.centred(words.astype(np.float64)).astype(np.float32)
    labels = np.argmax(values @ np.random.default_rng(9).normal(0, 1, (4, 3)), axis=1)
    return words, Sample(values, Truth.of(labels, np.arange(n)))


def trained(train: Sample, **options):
    _, validation = sample(800, 1)
    designs = [None, example_design(TOPOLOGY, 1, kernels=(Fixed(6, 1),), input=Fixed(8, 3))]
    schedule = Schedule(8, 64, 1e-2, 3, **options.pop("schedule", {}))
    return designs, validation, *train_designs(
        TOPOLOGY, designs, [Start()] * 2, train, validation, PHYSICS, schedule, **options
    )  # fmt: skip


def test_rows_and_arrays_are_those_of_the_members():
    designs, validation, result, arrays = trained(sample()[1])
    assert json.loads(json.dumps(result)) == result
    for member, (design, row) in enumerate(zip(designs, result["members"])):
        assert row["failed"] is None and row["cut"] is None and len(row["losses"]) == 8
        weights = member_weights(TOPOLOGY, arrays, member)
        out = next(logits(TOPOLOGY, [design], [weights], validation.values))
        accuracy = float(np.mean(np.argmax(out, axis=1) == validation.truth.labels))
        assert figures_of(row["figures"])["accuracy"].value == pytest.approx(accuracy)
        assert row["metrics"][row["best"] - 1] == pytest.approx(accuracy) and accuracy > 0.6
        assert set(member_parameters(arrays, member)) >= {"fc0.gamma", "fc0.mean", "out.bias"}


def test_events_from_a_file_train_as_well_as_from_memory(tmp_path, monkeypatch):
    words, in_memory = sample()
    np.save(tmp_path / "words.npy", words)
    mapped = np.load(tmp_path / "words.npy", mmap_mode="r")
    monkeypatch.setattr(events, "IN_MEMORY", 500 * 16)
    result = trained(Sample(Centred(mapped, SCALING), in_memory.truth))[2]
    monkeypatch.undo()
    other = trained(in_memory)[2]
    for mine, theirs in zip(result["members"], other["members"]):
        values = [figures_of(row["figures"])["accuracy"].value for row in (mine, theirs)]
        assert min(values) > 0.6 and abs(values[0] - values[1]) < 0.1, values


def test_the_teacher_is_the_float_network():
    _, train = sample()
    *_, arrays = trained(train)
    wrong = Sample(train.values, Truth.of(np.zeros(len(train.values), int), np.arange(len(train.values))))
    taught = {"distillation": Distillation(1.0, 1.0)}
    result = trained(wrong, schedule=taught, teacher=member_parameters(arrays, 0))[2]
    assert figures_of(result["members"][1]["figures"])["accuracy"].value > 0.6


def test_designs_of_other_widths_and_their_children_have_networks_of_their_own():
    """Widths and formats of every kind train together; what is deployed is the narrower network, with its own logits."""
    activations = {"relu": (Ternary(-1), Binary(0))}
    plain = example_design(TOPOLOGY, 1, kernels=(Fixed(6, 1),), biases=(PowerOfTwo(4, 3),), activations=activations)
    designs = [
        Design(plain.input, tuple((n, replace(p, width=f if n == "fc0" else 1.0)) for n, p in plain.layers))
        for f in (0.5, 1.0, 2.0)
    ]
    wide, (_, train), (_, validation) = widest(TOPOLOGY, {"fc0": (2.0,)}), sample(), sample(800, 1)
    starts, schedule = [Start()] * 3, Schedule(6, 64, 1e-2, 3)
    for _ in range(2):  # from random weights, and then from the widest one's
        result, arrays = train_designs(TOPOLOGY, designs, starts, train, validation, PHYSICS, schedule, wide=wide)
        for member, (design, row) in enumerate(zip(designs, result["members"])):
            topology, weights = member_network(TOPOLOGY, arrays, member)
            assert topology == narrowed_topology(TOPOLOGY, design)
            out = next(logits(topology, [design], [weights], validation.values))
            accuracy = float(np.mean(np.argmax(out, axis=1) == validation.truth.labels))
            assert figures_of(row["figures"])["accuracy"].value == pytest.approx(accuracy) and accuracy > 0.45
        starts = [Start(member_parameters(arrays, 2))] * 3


def test_a_failed_member_has_no_figures():
    _, train = sample()
    broken = train.values.copy()
    broken[:, 0] = np.nan
    result = trained(Sample(broken, train.truth))[2]
    for row in result["members"]:
        assert row["failed"] == 1 and row["figures"] == {} and row["losses"] == [None]
