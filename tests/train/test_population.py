"""The population engine is QKeras, to the last bit, forward and gradient; members do not disturb each other."""

import numpy as np
import pytest

from flow.design import Design, LayerDesign
from flow.formats import Binary, Fixed, Relu, Ternary
from flow.topology import Dense, Topology

tf = pytest.importorskip("tensorflow")

from tests_support import grid  # noqa: E402

from flow.data.scaling import InputScaling  # noqa: E402
from flow.train import qkeras_model  # noqa: E402
from flow.train.population import Member, logits, random_weights, train  # noqa: E402
from flow.train.quantizers import Formats, quantize_kernel, quantize_relu  # noqa: E402
from flow.train.schedule import Schedule  # noqa: E402

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("fc1", 6, 5, "relu"), Dense("out", 5, 3, "linear")))
KERNELS = [Fixed(2, 0), Fixed(3, -1), Fixed(6, 1), Ternary(-1), Ternary(0), Binary(-2), Fixed(8, 0)]
RELUS = [Relu(1, 0), Relu(2, 1), Relu(4, 0), Relu(4, 3), Relu(8, 4)]


def designs() -> list[Design]:
    found = []
    for i, kernel in enumerate(KERNELS):
        relu = RELUS[i % len(RELUS)]
        layers = tuple(
            (l.name, LayerDesign(kernel, Fixed(5, 0), relu if l.activation == "relu" else None))
            for l in TOPOLOGY.layers
        )
        found.append(Design(Fixed(4 + i, 2), layers))
    return found


@pytest.mark.parametrize("form", KERNELS, ids=str)
def test_parameters_forward_and_gradient(form):
    values = grid(form)[None, None, :]
    theirs, their_gradient = _through(qkeras_model._quantizer(form), values[0])
    own, own_gradient = _through(lambda x: quantize_kernel(x, Formats.of([form]))[0], values)
    np.testing.assert_array_equal(own, theirs)
    np.testing.assert_array_equal(own_gradient[0], their_gradient)


@pytest.mark.parametrize("form", RELUS, ids=str)
def test_activations_forward_and_gradient(form):
    values = grid(form)[None, None, :]
    theirs, their_gradient = _through(qkeras_model._quantizer(form), values[0])
    own, own_gradient = _through(lambda x: quantize_relu(x, Formats.of([form]))[0], values)
    np.testing.assert_array_equal(own, theirs)
    np.testing.assert_array_equal(own_gradient[0], their_gradient)


def test_a_mixed_population_gives_qkeras_logits():
    rng = np.random.default_rng(1)
    scaling = InputScaling(("a", "b", "c", "d"), Fixed(12, 4), (0,) * 4, (0.25, -1.0, 0.0, 2.5))
    words = scaling.words(rng.normal(0, 2, (500, 4)))
    members = [Member(design, random_weights(TOPOLOGY, i)) for i, design in enumerate(designs())]
    own = logits(TOPOLOGY, members, scaling.centred(words))
    for member, out in zip(members, own):
        model = qkeras_model.build(TOPOLOGY, member.design, scaling, member.start)
        np.testing.assert_array_equal(out, qkeras_model.reference(model, words)["out"])
        np.testing.assert_array_equal(out, model.predict(words.astype(np.float32), verbose=0))


def _sample(n: int = 2000):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (n, 4)).astype(np.float32)
    return values, np.argmax(values @ rng.normal(0, 1, (4, 3)), axis=1)


def test_training_repeats_and_members_are_independent():
    values, labels = _sample()
    schedule = Schedule(3, 256, 5e-3, 7)
    members = [Member(design, random_weights(TOPOLOGY, 3)) for design in designs()[:3]]
    first = train(TOPOLOGY, members, values, labels, schedule)
    again = train(TOPOLOGY, members, values, labels, schedule)
    for a, b in zip(first, again):
        assert a.losses == b.losses
        for name in TOPOLOGY.names:
            np.testing.assert_array_equal(a.weights[name][0], b.weights[name][0])
    broken = random_weights(TOPOLOGY, 3)
    broken["fc0"][0][0, 0] = np.nan
    mixed = train(TOPOLOGY, [members[0], Member(members[1].design, broken), members[2]], values, labels, schedule)
    assert mixed[1].failed and not mixed[0].failed
    assert mixed[0].losses == first[0].losses and mixed[2].losses == first[2].losses


def test_float_training_learns():
    values, labels = _sample()
    result = train(TOPOLOGY, [Member(None)], values, labels, Schedule(20, 128, 1e-2, 1))[0]
    out = logits(TOPOLOGY, [Member(None, result.weights)], values)[0]
    assert np.mean(np.argmax(out, axis=1) == labels) > 0.9


def test_pruning_keeps_exactly_its_fraction():
    values, labels = _sample()
    design = designs()[-1]
    layers = tuple((n, LayerDesign(p.kernel, p.bias, p.activation, 0.3)) for n, p in design.layers)
    result = train(TOPOLOGY, [Member(Design(design.input, layers))], values, labels, Schedule(6, 256, 5e-3, 1))[0]
    for layer in TOPOLOGY.layers:
        kernel = result.weights[layer.name][0]
        assert np.count_nonzero(kernel) <= np.ceil(0.3 * layer.multiplications)
        assert np.count_nonzero(kernel) >= np.ceil(0.3 * layer.multiplications) - 1


def _through(function, values):
    x = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = function(x)
        total = tf.reduce_sum(out)
    return out.numpy(), tape.gradient(total, x).numpy()
