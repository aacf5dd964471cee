"""What the templates unroll to, against hand counts and against rules that reports have shown."""

from dataclasses import replace

import numpy as np
import pytest
from cost.hls.example import dense, resource

from flow.cost import hls
from flow.cost.hls import constants
from flow.cost.hls.columns import columns, family
from flow.cost.hls.structure import Regime, blocks, dsp_of_product, structure
from flow.errors import BadInput


def of(*networks):
    return structure(columns(networks))


def test_constants_by_digits():
    # 0; 1 = one digit; 3 = 4 - 1; 11 = 8 + 4 - 1; 85 = 64 + 16 + 4 + 1; 63 = 64 - 1, but six ones
    assert constants.classes(np.array([0, 1, -8, 3, 11, 85, -85, 63])).tolist() == [0, 1, 1, 2, 3, 4, 4, 4]
    shares = constants.shares()
    assert np.allclose(shares[:, :5].sum(axis=1), 1)
    assert np.allclose(shares[[8, 10, 12, 14], 4], [0.25, 0.63, 0.85, 0.94], atol=0.01)
    assert not shares[:7, 4].any()


@pytest.mark.parametrize(
    ("sizes", "factor", "bits", "dsp"),
    [((32, 224), 512, 8, 14), ((128, 160), 1024, 14, 20), ((192, 256), 384, 8, 128), ((128, 160), 1024, 4, 0)],
)
def test_reused_multipliers_are_dsps(sizes, factor, bits, dsp):
    found = of(resource(*sizes, reuse_factor=factor, weight_bits=bits))
    assert found.regime.tolist() == [Regime.REUSED]
    assert found.dsp.tolist() == [dsp]
    assert found.interval.tolist() == [factor]


def test_illegal_factors_are_replaced_except_by_early_templates():
    network = resource(80, 24, 120, reuse_factor=1024)
    assert of(network).reuse_factor.tolist() == [960, 960]
    early = of(replace(network, tool_version="2018.3", hls4ml_version=None))
    assert early.reuse_factor.tolist() == [1024, 1024]
    assert set(early.regime) == {Regime.SCATTERED}


def test_memories_are_built_of_blocks():
    depth, width = np.array([512, 512, 1024, 1280, 2048, 100]), np.array([36, 37, 36, 36, 36, 0])
    assert blocks(depth, width).tolist() == [1, 2, 2, 3, 4, 0]


def test_a_product_takes_as_many_dsps_as_its_widths_need():
    assert dsp_of_product(np.array([16, 16, 28, 16, 40]), np.array([16, 4, 18, 19, 30])).tolist() == [1, 0, 2, 1, 4]


def test_zeros_drop_products_of_constants_but_not_memories():
    full, pruned = of(dense(16, 64)), of(dense(16, 64, zeros=0.5))
    assert pruned.products[0] == pytest.approx(0.5 * 1024, rel=0.01)
    assert pruned.dsp[0] == pytest.approx(full.dsp[0] / 2, rel=0.01)
    memories = [of(resource(64, 64, reuse_factor=64, zeros=zeros)).bram_weights[0] for zeros in (0.0, 0.5)]
    assert memories[0] == memories[1] > 0


@pytest.mark.parametrize("kind", [hls.Weights.BINARY, hls.Weights.TERNARY, hls.Weights.POWER_OF_TWO])
@pytest.mark.parametrize("factor", [1, 64])
def test_simple_weights_need_no_dsp(kind, factor):
    network = resource(64, 64, reuse_factor=factor)
    simple = replace(network, layers=tuple(replace(layer, weights=kind) for layer in network.layers))
    assert of(simple).dsp.tolist() == [0]


def test_a_limited_number_of_multipliers_makes_a_long_interval():
    found = of(dense(32, 32, reuse_factor=512, weight_bits=14))
    assert found.regime.tolist() == [Regime.SHARED]
    assert found.dsp.tolist() == [2]
    assert found.interval[0] == pytest.approx(485, rel=0.02)  # Vivado HLS 2020.1


def test_a_shorter_clock_needs_more_cycles():
    slow, fast = (of(dense(64, 64, clock_ns=clock, weight_bits=6)).cycles[0] for clock in (5.0, 1.0))
    assert fast > slow


def test_what_hls_is_for_unknown_values():
    unknown = dense(16, 8, weight_bits=None, data_bits=None, strategy=None, reuse_factor=None)
    assert of(unknown).regime.tolist() == [Regime.UNROLLED]
    assert of(dense(16, 8, strategy=None, reuse_factor=8)).regime.tolist() == [Regime.REUSED]


def test_an_empty_network_is_refused():
    with pytest.raises(BadInput, match="without layers"):
        columns([dense(16, 8), hls.Network(())])


def test_families():
    assert [family(part) for part in ("xcvu9p-flga2104-2L-e", "xc7z020clg400-1", "potato", None)] == [
        "ultrascale+", "7series", "unknown", "unknown",
    ]  # fmt: skip
