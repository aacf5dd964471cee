"""The rule of legal reuse factors is hls4ml's own."""

import numpy as np
import pytest

from flow.cost.hls import reuse

SHAPES = [(1, 1), (1, 7), (7, 1), (16, 64), (64, 32), (32, 5), (13, 17), (30, 42), (27, 8), (96, 60), (128, 1)]


@pytest.fixture(scope="module")
def backend():
    """hls4ml's functions, without a backend around them: they keep nothing."""
    fpga = pytest.importorskip("hls4ml.backends.fpga.fpga_backend")

    class Rule:
        get_valid_reuse_factors = fpga.FPGABackend.get_valid_reuse_factors
        get_closest_reuse_factor = fpga.FPGABackend.get_closest_reuse_factor
        _validate_reuse_factor = fpga.FPGABackend._validate_reuse_factor

    return Rule()


@pytest.mark.parametrize(("n_in", "n_out"), SHAPES)
def test_legal_factors_are_hls4mls(backend, n_in, n_out):
    assert list(reuse.legal(n_in, n_out)) == backend.get_valid_reuse_factors(n_in, n_out)


@pytest.mark.parametrize(("n_in", "n_out"), SHAPES)
def test_the_closest_factor_is_hls4mls(backend, n_in, n_out):
    valid = backend.get_valid_reuse_factors(n_in, n_out)
    wanted = np.unique(np.geomspace(1, 2 * n_in * n_out, 60).astype(int))
    shape = np.full(len(wanted), n_in), np.full(len(wanted), n_out)
    expected = [backend.get_closest_reuse_factor(valid, int(factor)) for factor in wanted]
    assert reuse.closest_many(*shape, wanted).tolist() == expected


def test_of_two_equally_near_the_smaller():
    assert reuse.legal(4, 4) == (1, 2, 4, 8, 16)
    assert [reuse.closest(4, 4, factor) for factor in (3, 6, 12, 13, 100)] == [2, 4, 8, 16, 16]


def test_random_shapes_agree_with_the_definition():
    rng = np.random.default_rng(1)
    for n_in, n_out in rng.integers(1, 40, (40, 2)).tolist():
        by_definition = [f for f in range(1, n_in * n_out + 1) if reuse.is_legal(n_in, n_out, f)]
        assert list(reuse.legal(n_in, n_out)) == by_definition
