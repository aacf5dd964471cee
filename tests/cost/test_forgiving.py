"""The forgiving factor against AutoQKeras' own code.

The numbers of ORIGINAL and REFERENCES were printed by `ForgivingFactorBits` and `ForgivingFactorPower` of QKeras 0.9.0
(tensorflow 2.12.1) for the network 16-64-32-32-5: its float Keras model as the reference, QKeras models of one
`quantized_bits(b, i, 1, alpha=1)` and `quantized_relu(b, i)` everywhere as trials, everything in SRAM
(`parameters_on_memory`, `activations_on_memory`), `rd_wr_on_io` off, `reference_internal` "int8", accumulators "int32".
"""

import itertools
import math

import pytest
from networks import NETWORKS

from flow.cost.bits import bits
from flow.cost.energy import energy
from flow.cost.forgiving import Forgiving, Reference, delta, forgiving_score, reference_design, reference_price
from flow.design import check
from flow.errors import BadInput
from flow.topology import Activation, Conv, Dense, Merge, Pool, Reshape, Topology

SIZES = (16, 64, 32, 32, 5)
TOPOLOGY = Topology(
    tuple(
        Dense(f"fc{i}", n_in, n_out, "linear" if i == 3 else "relu")
        for i, (n_in, n_out) in enumerate(itertools.pairwise(SIZES))
    )
)
SIZE = {"bits": 36264.0, "energy": 3283.0}  # the reference's, before stress
# goal, delta_p, delta_n, rate, stress, the trial's size; delta() as it is; delta() with `get_reference()`, which has
# stress in it, put where delta() reads the reference (the same for bits); the score of a metric of 0.75, in float32.
ORIGINAL = (
    ("bits", 8.0, 8.0, 2.0, 1.0, 27230.0, 0.033067287, 0.033067287, 0.7748005),
    ("bits", 8.0, 8.0, 2.0, 1.0, 36264.0, 0.0, 0.0, 0.75),
    ("bits", 8.0, 8.0, 2.0, 1.0, 72400.0, -0.07979613, -0.07979613, 0.6901529),
    ("bits", 8.0, 8.0, 2.0, 1.0, 9556.0, 0.153924744, 0.153924744, 0.8654435),
    ("bits", 8.0, 8.0, 2.0, 0.5, 27230.0, -0.046932713, -0.046932713, 0.7148005),
    ("bits", 8.0, 8.0, 2.0, 0.5, 9556.0, 0.073924744, 0.073924744, 0.8054436),
    ("bits", 5.0, 20.0, 4.0, 1.5, 36264.0, 0.014624062, 0.014624062, 0.7609681),
    ("bits", 5.0, 20.0, 4.0, 1.5, 72400.0, -0.041248913, -0.041248913, 0.7190633),
    ("bits", 1.0, 2.0, 10.0, 0.1, 9556.0, -0.008416009, -0.008416009, 0.743688),
    ("energy", 8.0, 8.0, 2.0, 1.0, 852.0, 0.155687153, 0.155687153, 0.8667653),
    ("energy", 8.0, 8.0, 2.0, 1.0, 3596.0, -0.010510262, -0.010510262, 0.7421173),
    ("energy", 8.0, 8.0, 2.0, 0.5, 852.0, 0.155687153, 0.075687153, 0.8667653),
    ("energy", 8.0, 8.0, 2.0, 0.5, 3596.0, -0.010510262, -0.090510261, 0.7421173),
    ("energy", 5.0, 20.0, 4.0, 1.5, 3596.0, -0.013137827, 0.011339606, 0.7401466),
    ("energy", 5.0, 20.0, 4.0, 1.5, 326.0, 0.083301772, 0.097925834, 0.8124763),
    ("energy", 1.0, 2.0, 10.0, 0.1, 852.0, 0.005858313, -0.008283374, 0.7543937),
)
# `reference_energy_profile` with "fp32" inside: pJ by layer, each of its four parts rounded to 0.01 pJ.
FLOAT_PROFILE = {
    "fc0": 4787.78,
    "fc0_relu": 7.87,
    "fc1": 9593.52,
    "fc1_relu": 4.85,
    "fc2": 4786.72,
    "fc2_relu": 4.85,
    "fc3": 756.61,
}


def settings(goal, delta_p, delta_n, rate, stress) -> Forgiving:
    return Forgiving(SIZE[goal], delta_p, delta_n, rate, stress)


@pytest.mark.parametrize("row", ORIGINAL, ids=lambda row: "-".join(map(str, row[:6])))
def test_agrees_with_the_original(row):
    *asked, size, expected, with_stress, score = row
    if asked[0] == "bits" or asked[4] == 1.0:
        assert delta(size, settings(*asked)) == pytest.approx(expected, abs=2e-9)
        assert forgiving_score(0.75, size, settings(*asked)) == pytest.approx(score, abs=1e-7)
    assert delta(size, settings(*asked)) == pytest.approx(with_stress, abs=2e-9)


def test_stress_counts_for_energy_where_the_original_forgets_it():
    for goal, *asked, stress, size, theirs, _, _ in ORIGINAL:
        forgotten = delta(size, settings(goal, *asked, 1.0))
        assert (forgotten == pytest.approx(theirs, abs=2e-9)) == (goal == "energy" or stress == 1.0)


def test_a_price_smaller_by_the_rate_gains_delta_p_percent():
    found = Forgiving(1000.0, delta_p=3.0, delta_n=7.0, rate=4.0)
    assert delta(250.0, found) == pytest.approx(0.03)
    assert delta(1000.0, found) == 0.0
    assert delta(4000.0, found) == pytest.approx(-0.07)


def test_bits_of_the_references():
    assert reference_price(TOPOLOGY, "bits", Reference.EIGHT_BITS) == SIZE["bits"]
    assert reference_price(TOPOLOGY, "bits", Reference.FLOAT) == 4 * SIZE["bits"]


def test_energy_of_the_float_reference_is_qtools():
    from flow.cost.energy import energy_by_layer

    found = energy_by_layer(TOPOLOGY, reference_design(TOPOLOGY, Reference.FLOAT))
    assert found == pytest.approx(FLOAT_PROFILE, abs=0.011)
    assert int(reference_price(TOPOLOGY, "energy", Reference.FLOAT)) == 19942  # as the original cuts it


@pytest.mark.parametrize("name", NETWORKS)
def test_the_8_bit_reference_is_a_design_that_scores_its_metric(name):
    topology = NETWORKS[name]
    design = reference_design(topology, Reference.EIGHT_BITS)
    check(design, topology)
    for goal, price in (("bits", bits), ("energy", energy)):
        found = Forgiving(reference_price(topology, goal, Reference.EIGHT_BITS))
        assert forgiving_score(0.7, price(topology, design), found) == 0.7
        assert found.reference < reference_price(topology, goal, Reference.FLOAT) / 3.9


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"reference": 0.0}, "reference is 0; a number above 0"),
        ({"rate": 1.0}, "rate is 1; a number above 1"),
        ({"stress": -1.0}, "stress is -1"),
        ({"delta_p": -2.0}, "delta_p is -2; a percentage of 0 or more"),
        ({"delta_n": math.inf}, "delta_n is inf"),
    ],
)
def test_settings_without_a_logarithm(wrong, says):
    with pytest.raises(BadInput, match=says):
        Forgiving(**({"reference": 10.0} | wrong))


def test_prices_and_goals_that_mean_nothing():
    with pytest.raises(BadInput, match="a price of 0"):
        delta(0.0, Forgiving(10.0))
    with pytest.raises(BadInput, match="goal 'luts' is not known; known: bits, energy"):
        reference_price(TOPOLOGY, "luts", Reference.FLOAT)


def float_model(topology: Topology):
    """The network in plain Keras, an activation as a layer of its own."""
    import keras

    made = {"input": keras.Input(topology.input_shape)}
    for layer in topology.layers:
        read = [made[name] for name in topology.sources[layer.name]]
        match layer:
            case Dense():
                one = keras.layers.Dense(layer.n_out, name=layer.name)
            case Conv():
                one = keras.layers.Conv2D(layer.filters, layer.window, layer.strides, layer.padding, name=layer.name)
            case Merge():
                one, read = keras.layers.Add(name=layer.name), [read]
            case Reshape():
                one = keras.layers.Reshape(layer.shape, name=layer.name)
            case Pool():
                one = keras.layers.MaxPooling2D(layer.window, name=layer.name)
            case Activation():
                one = keras.layers.Activation(layer.activation, name=layer.name)
        made[layer.name] = one(*read)
        if isinstance(layer, (Dense, Conv)) and topology.quantized(layer):
            name = f"{layer.name}_{layer.activation}"
            made[layer.name] = keras.layers.Activation(layer.activation, name=name)(made[layer.name])
    return keras.Model(made["input"], made[topology.output])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "conv2d valid", "max pooling", "add", "residual"])
def test_energy_of_float_networks_is_qtools(name):
    from qkeras.qtools import run_qtools
    from qkeras.qtools.settings import cfg

    from flow.cost.energy import energy_by_layer

    topology = NETWORKS[name]
    tool = run_qtools.QTools(
        float_model(topology), "horowitz", "fp32", is_inference=False, keras_quantizer="fp32", keras_accumulator="fp32",
        for_reference=True,
    )  # fmt: skip
    rows = tool.pe("sram", "sram", 0, False)
    rows.pop("total_cost")
    kinds = {
        layer: cfg.include_energy.get(row["class_name"], cfg.include_energy["default"]) for layer, row in rows.items()
    }
    expected = {layer: sum(row["energy"][part] for part in kinds[layer]) for layer, row in rows.items()}
    found = energy_by_layer(topology, reference_design(topology, Reference.FLOAT))
    assert found == pytest.approx(expected, abs=0.021)  # QTools rounds each of four parts to 0.01 pJ
