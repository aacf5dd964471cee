"""Predictions of populations: the same as one by one, adding up by layer, wide and said so where nothing is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cost.hls.example import SIZES, dense, resource

from flow.cost import hls
from flow.errors import BadInput
from flow.metrics import Fidelity

RESOURCES = ("lut", "ff", "dsp", "bram_18k", "uram")


def mixed(rng: np.random.Generator) -> hls.Network:
    sizes = [int(n) for n in rng.choice([5, 8, 16, 32, 64, 100], 4)]
    network = dense(
        *sizes,
        weight_bits=int(rng.integers(2, 16)),
        data_bits=int(rng.integers(4, 20)),
        reuse_factor=int(rng.choice([1, 2, 7, 64, 512])),
        strategy=list(hls.Strategy)[int(rng.integers(3))],
        zeros=float(rng.choice([0.0, 0.5])),
    )
    return replace(
        network,
        tool=list(hls.Tool)[int(rng.integers(2))],
        tool_version=str(rng.choice(["2018.2", "2020.1", "2023.2"])),
        hls4ml_version=None,
        part=str(rng.choice(["xcvu9p", "xc7z020clg400-1", "unheard-of"])),
        io_type=list(hls.IoType)[int(rng.integers(2))],
    )


@pytest.mark.parametrize("stage", hls.STAGES)
def test_a_population_is_predicted_as_its_members_are(stage):
    rng = np.random.default_rng(0)
    networks = [mixed(rng) for _ in range(60)]
    together = hls.predict(hls.prior(), networks, stage)
    assert tuple(together) == hls.FIGURES
    for i, network in enumerate(networks):
        alone = hls.predict(hls.prior(), [network], stage)
        for figure in hls.FIGURES:
            for side in ("value", "low", "high"):
                one, many = getattr(alone[figure], side)[0], getattr(together[figure], side)[i]
                assert one == pytest.approx(many, rel=1e-9, abs=1e-9), (figure, side)
            assert sorted(alone[figure].reasons[0]) == sorted(together[figure].reasons[i])


@pytest.mark.parametrize("stage", hls.STAGES)
def test_intervals_hold_their_values(stage):
    rng = np.random.default_rng(1)
    for row in hls.predict(hls.prior(), [mixed(rng) for _ in range(200)], stage).values():
        assert np.isfinite(row.high).all()
        assert (row.low >= 0).all()
        assert (row.value <= row.high).all()
        assert (row.low <= np.maximum(row.value, 1)).all()


@pytest.mark.parametrize("stage", hls.STAGES)
def test_layers_add_up_to_the_network(stage):
    rng = np.random.default_rng(2)
    for network in [mixed(rng) for _ in range(20)]:
        layers = hls.predict_by_layer(hls.prior(), network, stage)
        assert list(layers) == [layer.name for layer in network.layers]
        whole = hls.predict(hls.prior(), [network], stage)
        for figure in (*RESOURCES, "latency_cycles"):
            rounding = 0.51 if figure in ("dsp", "bram_18k") else 1e-6
            assert sum(row[figure] for row in layers.values()) == pytest.approx(
                whole[figure].value[0], rel=1e-9, abs=rounding
            )


def test_layers_of_one_name_are_told_apart():
    network = dense(8, 8, 8)
    same = replace(network, layers=tuple(replace(layer, name="fc") for layer in network.layers))
    assert list(hls.predict_by_layer(hls.prior(), same, "csynth")) == ["fc", "fc_1"]


def test_rules_that_tools_keep_are_exact():
    found = hls.predict(hls.prior(), [resource(160, 96, reuse_factor=480)], "csynth")
    assert found["dsp"].value.tolist() == [32]
    assert found["interval_cycles"].value[0] == pytest.approx(480, abs=0.01)
    assert found["latency_cycles"].value[0] == pytest.approx(482, abs=1)


def test_vitis_works_on_one_input_after_the_other():
    vitis = resource(80, 24, 120, reuse_factor=1024, tool=hls.Tool.VITIS_HLS, tool_version="2023.2")
    found = hls.predict(hls.prior(), [vitis, replace(vitis, tool=hls.Tool.VIVADO_HLS)], "csynth")
    assert found["interval_cycles"].value[0] == found["latency_cycles"].value[0] == pytest.approx(1920, abs=8)
    assert found["interval_cycles"].value[1] == pytest.approx(960, abs=1)


def test_what_was_never_reported_is_wider_and_said():
    known = resource(128, 128, reuse_factor=512)
    others = {
        "part family 7series": replace(known, part="xc7z020clg400-1"),
        "strategy or reuse factor is unknown": dense(128, 128, strategy=None, reuse_factor=512),
        "widths of data or weights are unknown": resource(128, 128, reuse_factor=512, data_bits=None),
        "clock_ns outside": replace(known, clock_ns=1.25),
        "n_in outside": resource(4096, 8, reuse_factor=4096),
        "io type io_stream": replace(known, io_type=hls.IoType.STREAM),
        "those of Vivado HLS": replace(known, tool=hls.Tool.VITIS_HLS),
    }
    near = hls.predict(hls.prior(), [known], "csynth")["lut"]
    assert near.reasons == ((),)
    for sentence, network in others.items():
        far = hls.predict(hls.prior(), [network], "csynth")["lut"]
        assert any(sentence in reason for reason in far.reasons[0]), (sentence, far.reasons)
        assert far.high[0] / far.value[0] > 2 * (near.high[0] / near.value[0] - 1) + 1


def test_distributed_arithmetic_is_guessed_from_structure():
    network = dense(*SIZES, strategy=hls.Strategy.DISTRIBUTED_ARITHMETIC)
    found = hls.predict(hls.prior(), [network], "csynth")
    assert found["dsp"].value.tolist() == [0]
    assert found["lut"].high[0] - found["lut"].value[0] > 0.4 * found["lut"].value[0]
    assert any("distributed arithmetic" in reason for reason in found["lut"].reasons[0])


def test_routing_is_wider_than_synthesis_of_which_it_is_taken():
    network = resource(128, 128, reuse_factor=512)
    width = {}
    for stage in hls.STAGES:
        row = hls.predict(hls.prior(), [network], stage)["lut"]
        width[stage] = (row.high[0] - row.value[0]) / row.value[0]
    assert width["csynth"] < width["synth"] < width["route"]


def test_deep_memories_may_become_ultraram():
    shallow, deep = (
        resource(64, 128, reuse_factor=factor, tool=hls.Tool.VITIS_HLS, tool_version="2023.2")
        for factor in (1024, 8192)
    )
    found = hls.predict(hls.prior(), [shallow, deep], "synth")["uram"]
    assert found.value.tolist() == [0, 0]
    assert found.high.tolist() == [0, 2]
    assert "UltraRAM" in found.reasons[1][0]


def test_stages_by_name_and_fidelity():
    network = dense(*SIZES)
    by_name, by_fidelity = (hls.predict(hls.prior(), [network], stage)["lut"] for stage in ("synth", Fidelity.SYNTH))
    assert by_name.value == by_fidelity.value
    with pytest.raises(BadInput, match="csynth, synth, route"):
        hls.predict(hls.prior(), [network], Fidelity.TRACED)


def test_models_and_networks_are_json():
    model = hls.HlsModel.from_json(json.loads(json.dumps(hls.prior().to_json())))
    assert model == hls.prior()
    network = mixed(np.random.default_rng(3))
    assert hls.Network.from_json(json.loads(json.dumps(network.to_json()))) == network


@pytest.mark.parametrize("row", [{}, {"layers": [{"kind": "quantum"}]}, {"layers": 3}, {"layers": [], "more": 1}])
def test_what_is_no_network_is_refused(row):
    with pytest.raises(BadInput, match="no network"):
        hls.Network.from_json(row)


@pytest.mark.parametrize("row", [{}, {"regressions": [{}]}, {"regressions": 1}])
def test_what_is_no_model_is_refused(row):
    with pytest.raises(BadInput, match="no cost model"):
        hls.HlsModel.from_json(row)


def test_reasons_of_all_figures():
    known, other = resource(128, 128, reuse_factor=512), dense(*SIZES, strategy=hls.Strategy.DISTRIBUTED_ARITHMETIC)
    found = hls.reasons(hls.predict(hls.prior(), [known, other], "csynth"))
    assert found[0] == ()
    assert any("distributed arithmetic" in reason for reason in found[1])
