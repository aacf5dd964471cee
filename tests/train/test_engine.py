"""The engine is QKeras, to the last bit, on every kind of layer; its gradients are those of the network."""

import numpy as np
import pytest
from designs import example_design, example_scaling, example_words
from networks import NETWORKS, fast_or_slow
from weights import example_weights

tf = pytest.importorskip("tensorflow")

from flow.formats import Fixed, Sigmoid, Tanh, parse
from flow.topology import Scale, Topology
from flow.train import qkeras_model
from flow.train.events import Events
from flow.train.inference import logits
from flow.train.parameters import deployed, from_weights, random_parameters
from flow.train.population import Member, train
from flow.train.ranges import hidden_values
from flow.train.schedule import Schedule

EACH = pytest.mark.parametrize("topology", NETWORKS.values(), ids=NETWORKS.keys())


@pytest.mark.parametrize("name", fast_or_slow(("dense", "depthwise")))
def test_a_mixed_population_gives_qkeras_logits(name: str):
    topology = NETWORKS[name]
    scaling = example_scaling(topology)
    words = example_words(topology, scaling, 300)
    designs = [example_design(topology, seed) for seed in range(3)]
    weights = [example_weights(topology, seed) for seed in range(3)]
    values = scaling.centred(words).astype(np.float32)
    for design, own, out in zip(designs, weights, logits(topology, designs, weights, values)):
        model = qkeras_model.build(topology, design, scaling, own)
        np.testing.assert_array_equal(out, qkeras_model.reference(model, words)[topology.output])
        np.testing.assert_array_equal(out, model.predict(words.astype(np.float32), verbose=0))


@EACH
def test_the_float_network_is_the_exact_one(topology: Topology):
    scaling = example_scaling(topology)
    values = scaling.centred(example_words(topology, scaling, 100))
    weights = example_weights(topology)
    own = next(logits(topology, [None], [weights], values.astype(np.float32)))
    np.testing.assert_allclose(own, hidden_values(topology, weights, values)[topology.output], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@EACH
def test_training_lowers_the_loss(topology: Topology):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (512, topology.n_in)).astype(np.float32)
    labels = np.argmax(values @ rng.normal(0, 1, (topology.n_in, topology.n_out)), axis=1)
    members = [Member(None), Member(example_design(topology, 1, kernels=(Fixed(6, 1),)))]
    for result in train(topology, members, Events(values, labels), Schedule(25, 64, 1e-2, 1)):
        assert result.failed is None and result.losses[-1] < result.losses[0] - 0.02, result.losses


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense normalized", "conv2d normalized", "scale"])
def test_normalizations_learn_the_statistics_of_what_they_see(name: str):
    topology = NETWORKS[name]
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 2.0, (2048, topology.n_in)).astype(np.float32)
    events = Events(values, rng.integers(0, topology.n_out, len(values)))
    start = random_parameters(topology, 0)
    layer = next(layer for layer in topology.weighted if layer.normalized)
    result = train(topology, [Member(None, start)], events, Schedule(40, 256, 1e-9, 1))[0]
    weights = deployed(topology, result.parameters)
    if isinstance(layer, Scale):
        out = hidden_values(topology, weights, values)[layer.name]
    else:
        plain = deployed(topology, result.parameters) | {layer.name: weights[layer.name]}
        out = hidden_values(_linear(topology), plain, values)[layer.name]
    channels = out.reshape(-1, layer.shape[-1])
    np.testing.assert_allclose(channels.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(channels.std(axis=0), 1.0, atol=0.05)


def _linear(topology: Topology) -> Topology:
    """The network with no activation behind its first weighted layer."""
    from dataclasses import replace

    first, *rest = topology.layers
    return Topology((replace(first, activation="linear"), *rest), topology.input_shape)


def test_parameters_and_weights_are_one():
    for topology in NETWORKS.values():
        weights = example_weights(topology)
        found = deployed(topology, from_weights(topology, weights))
        for name, (kernel, bias) in weights.items():
            np.testing.assert_allclose(found[name][0], kernel, rtol=1e-6)
            assert (found[name][1] is None) == (bias is None)
            if bias is not None:
                np.testing.assert_allclose(found[name][1], bias, rtol=1e-6, atol=1e-7)


def forms(*texts: str) -> tuple:
    return tuple(map(parse, texts))


KERNELS = forms(
    "quantized_bits(4,0)",
    "quantized_bits(4,1,0,keep_negative=0,alpha=1)",
    "quantized_bits(5,0,1)",
    "quantized_bits(4,0,alpha=0.5)",
    "quantized_bits(4,0,1,alpha='auto_po2')",
    *(f"{kind}(alpha={alpha})" for kind in ("ternary", "stochastic_ternary") for alpha in (0.5, "'auto_po2'")),
    *(f"{kind}(alpha={alpha})" for kind in ("binary", "stochastic_binary") for alpha in (0.25, "'auto_po2'")),
    "quantized_po2(4)",
    "quantized_po2(3,1.0)",
)
RELUS = forms(
    "quantized_relu(3,1)", "truncated_relu(4,1)", "half_up_relu(3,1)", "quantized_relu_po2(4)", "quantized_relu(4,1)"
)
LINEARS = forms(
    "quantized_bits(4,1)", "quantized_bits(4,1,1)", "truncated_bits(5,1)", "half_up_bits(4,1)", "ternary(alpha=0.5)",
    "binary(alpha=0.5)",
)  # fmt: skip


KINDS_IN = ("dense", "depthwise", "scale", "conv1d same, stride 2", "conv2d valid", "residual")


@pytest.mark.parametrize("name", fast_or_slow((), KINDS_IN))
def test_every_kind_of_format_in_one_population(name: str):
    topology = NETWORKS[name]
    scaling = example_scaling(topology)
    words = example_words(topology, scaling, 200, 1)
    designs = [
        example_design(
            topology, i, kernels=(kernel,),
            activations={"relu": (RELUS[i % len(RELUS)],), "linear": (LINEARS[i % len(LINEARS)],)},
        )
        for i, kernel in enumerate(KERNELS)
    ]  # fmt: skip
    weights = [example_weights(topology, 1 + i % 3) for i in range(len(designs))]
    found = logits(topology, designs, weights, scaling.centred(words).astype(np.float32))
    for design, own, out in zip(designs, weights, found):
        model = qkeras_model.build(topology, design, scaling, own)
        np.testing.assert_array_equal(out, qkeras_model.reference(model, words)[topology.output], err_msg=str(design))


def test_hard_functions_of_every_width():
    for name, kind in (("tanh", Tanh), ("sigmoid", Sigmoid)):
        topology = NETWORKS[name]
        scaling = example_scaling(topology)
        words = example_words(topology, scaling, 200, 1)
        designs = [example_design(topology, 1, activations={name: (kind(bits),)}) for bits in (2, 3, 4, 6, 8)]
        weights = [example_weights(topology, 1)] * len(designs)
        for design, out in zip(designs, logits(topology, designs, weights, scaling.centred(words).astype(np.float32))):
            model = qkeras_model.build(topology, design, scaling, weights[0])
            np.testing.assert_array_equal(out, qkeras_model.reference(model, words)[topology.output])
