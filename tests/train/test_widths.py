"""A masked wide network is the narrower one, from the first epoch to the weights that firmware gets."""

from dataclasses import replace

import numpy as np
import pytest
from designs import example_design
from networks import NETWORKS

tf = pytest.importorskip("tensorflow")

from flow.design import Design
from flow.formats import Binary, Fixed, PowerOfTwo, StochasticTernary
from flow.train.events import Events
from flow.train.inference import logits
from flow.train.parameters import STATISTICS, TRAINED, deployed, names_of, random_parameters
from flow.train.population import Member, train
from flow.train.schedule import Importance, Pruning, Schedule
from flow.train.widths import begin, narrowed, noted, units_in, widened
from flow.width import kernel_masks, narrowed_topology, resizable, widest

# The widths meet dense layers, normalizations, pools, flattening, channels that are followed, and branches.
CASES = (
    ("dense", 0.5),
    ("scale", 0.5),
    ("conv2d normalized", 1.5),
    ("max pooling", 0.5),
    ("separable", 0.5),
    ("concatenate", 1.5),
)
KERNELS = (Fixed(4, 0), PowerOfTwo(4), Fixed(4, 0, exponent=None), Binary(None))


def with_widths(design: Design, topology, factor: float) -> Design:
    free = resizable(topology)
    return Design(design.input, tuple((n, replace(p, width=factor if n in free else 1.0)) for n, p in design.layers))


def perturbed(topology, seed: int = 0) -> dict:
    """Parameters none of which is trivial, as in the middle of training."""
    rng = np.random.default_rng(seed)
    found = random_parameters(topology, seed)
    for name in names_of(topology, TRAINED + STATISTICS):
        found[name] = (found[name] + rng.normal(0, 0.1, found[name].shape)).astype(np.float32)
    return {name: np.abs(values) if name.endswith("variance") else values for name, values in found.items()}


def samples(topology, n: int = 1024):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (n, topology.n_in)).astype(np.float32)
    return values, np.argmax(values @ rng.normal(0, 1, (topology.n_in, topology.n_out)), axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "factor"), CASES)
def test_masked_units_leave_the_narrower_network_bit_for_bit(name, factor):
    base = NETWORKS[name]
    wide = widest(base, {layer: (0.5, 2.0) for layer in resizable(base)})
    kernels = KERNELS if name == "dense" else (Fixed(4, 0), Binary(None))
    designs = [with_widths(example_design(base, seed, kernels=(k,)), base, factor) for seed, k in enumerate(kernels)]
    members, living = [], []
    for design in designs:
        parameters, units = begin(base, wide, design, perturbed(base), 3)
        parameters = {n: v + (n.endswith("bias") * np.float32(0.25)) for n, v in parameters.items()}
        members.append(parameters | noted(units))
        living.append(kernel_masks(wide, units))
    values, _ = samples(base, 300)
    masked = list(logits(wide, designs, [deployed(wide, p) for p in members], values, living))
    networks = [narrowed(base, parameters) for parameters in members]
    assert {topology for topology, _ in networks} == {narrowed_topology(base, designs[0])}
    alone = list(logits(networks[0][0], designs, [weights for _, weights in networks], values))
    assert all(np.array_equal(a, b) for a, b in zip(masked, alone, strict=True))
    assert len({found.tobytes() for found in masked}) == len(kernels)


@pytest.mark.slow
def test_extra_units_leave_the_function_as_it_was():
    base = NETWORKS["max pooling"]
    wide = widest(base, {"conv": (2.0,)})
    start = perturbed(base)
    parameters, before = widened(base, wide, start, 1)
    assert before["conv"].tolist() == [True] * 3 + [False] * 3
    assert (
        np.abs(parameters["conv.kernel"][..., 3:]).min() > 0
        and not parameters["out.kernel"].reshape(-1, 6, 3)[:, 3:].any()
    )
    values, _ = samples(base, 100)
    own, wider = (next(logits(t, [None], [deployed(t, p)], values)) for t, p in ((base, start), (wide, parameters)))
    assert np.allclose(own, wider, atol=1e-6)


def test_the_units_with_the_largest_kernels_stay_and_those_of_a_parent_come_first():
    base = NETWORKS["dense"]
    wide = widest(base, {"fc0": (1.5,)})
    start = perturbed(base)
    start["fc0.kernel"] = start["fc0.kernel"] * np.array([1, 9, 2, 8, 3, 7], np.float32)
    half = with_widths(example_design(base), base, 0.5)
    parameters, units = begin(base, wide, half, start, 0)
    assert units["fc0"].tolist() == [False, True, False, True, False, True, False, False, False]
    # What is gone comes back with new incoming weights, and with none that go out.
    grown, now = begin(base, wide, example_design(base), parameters | noted(units), 0)
    born = now["fc0"] & ~units["fc0"]
    assert (now["fc0"] & units["fc0"]).sum() == 3 and born.sum() == 3
    assert np.abs(grown["fc0.kernel"][:, born]).min() > 0 and not grown["fc1.kernel"][born].any()
    assert np.array_equal(grown["fc0.kernel"][:, units["fc0"]], parameters["fc0.kernel"][:, units["fc0"]])


@pytest.mark.slow
def test_training_keeps_what_is_left_out_at_nothing_and_counts_shares_of_the_rest():
    base = NETWORKS["dense"]
    wide = widest(base, {"fc0": (2.0,), "fc1": (0.5,)})
    designs = [
        with_widths(example_design(base, 0, kernels=(StochasticTernary(None),), keep=0.5), base, 0.5),
        with_widths(example_design(base, 1, kernels=(Fixed(5, 0),), keep=0.5), base, 1.0),
    ]
    values, labels = samples(base, 1500)
    schedule = Schedule(4, 128, 1e-2, 7, Pruning(Importance.FISHER, 0.5))
    found = train(
        wide, [Member(d, random_parameters(base, 1)) for d in designs], Events(values, labels), schedule, base=base
    )
    for design, item in zip(designs, found):
        assert item.losses[-1] < item.losses[0]
        topology, weights = narrowed(base, item.parameters)
        assert topology == narrowed_topology(base, design)
        for layer in topology.weighted:
            kernel = weights[layer.name][0]
            assert np.count_nonzero(kernel) == np.ceil(0.5 * kernel.size)
            masks = kernel_masks(wide, units_in(item.parameters))
            assert not item.parameters[f"{layer.name}.kernel"][~masks[layer.name]].any()


@pytest.mark.slow
def test_a_member_trains_as_the_narrower_network_does():
    """The same start, sliced, in a graph of its own: losses agree but for the order of float32 sums."""
    base = NETWORKS["conv2d normalized"]
    design = with_widths(example_design(base, 2, kernels=(Fixed(6, 0),)), base, 0.7)
    events, schedule = Events(*samples(base, 512)), Schedule(2, 128, 1e-3, 7)
    start = perturbed(base)
    parameters, units = begin(base, base, design, start, 7)
    narrow = narrowed_topology(base, design)
    masks = kernel_masks(base, units)
    sliced = {}
    for name, values in parameters.items():
        layer, kind = name.split(".")
        if kind == "kernel":
            sliced[name] = values[masks[layer]].reshape(narrow[layer].kernel_shape)
        else:
            sliced[name] = values[units.get(layer, np.ones(len(values), bool))]
    wide = train(base, [Member(design, start)], events, schedule, base=base)[0]
    alone = train(narrow, [Member(design, sliced)], events, schedule)[0]
    assert np.allclose(wide.losses, alone.losses, rtol=1e-4)


def test_without_widths_nothing_is_noted():
    base = NETWORKS["dense"]
    item = train(
        base, [Member(example_design(base))], Events(*samples(base, 300)), Schedule(1, 128, 1e-2, 7), base=base
    )[0]
    assert units_in(item.parameters) == {}
    assert narrowed(base, item.parameters)[0] is base
