"""Expected digits of weights from a format and a keep fraction."""

import numpy as np
import pytest

from flow.cost.rtl.digits import STEPS, canonical_digits, table
from flow.formats import Fixed, best_integer


def digits_by_hand(value: int) -> int:
    """Non-adjacent form, digit by digit (Reitwiesner 1960)."""
    count = 0
    while value:
        if value % 2:
            value -= 2 - value % 4
            count += 1
        value //= 2
    return count


def test_canonical_digits():
    values = np.arange(-300, 300)
    np.testing.assert_array_equal(canonical_digits(values), [digits_by_hand(abs(int(value))) for value in values])


@pytest.mark.parametrize(
    "kind, bits", [("quantized_bits", 2), ("quantized_bits", 5), ("ternary", 2), ("quantized_bits", 8)]
)
def test_tables_count_what_pruning_leaves(kind, bits):
    nonzero, digits, size = table(kind, bits)
    keep = np.linspace(0, 1, STEPS + 1)
    assert nonzero.shape == keep.shape and (np.diff(digits) >= 0).all() and (np.diff(size) >= 0).all()
    np.testing.assert_allclose(nonzero[: STEPS // 2], keep[: STEPS // 2], atol=2 / STEPS)  # small weights go first
    assert nonzero[-1] < 1 and (digits >= nonzero - 1e-12).all()
    if bits == 2:
        np.testing.assert_allclose(digits, nonzero)


def test_pruned_weights_without_a_zero_stay():
    assert (table("binary", 1)[0] == 1).all() and (table("quantized_po2", 3)[0] == 1).all()
    assert table("quantized_po2", 3)[1, -1] == 1.0


@pytest.mark.parametrize("keep", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("bits", [3, 4, 6])
def test_tables_agree_with_random_weights(bits, keep):
    """Normal weights of many spreads in the formats that suit them."""
    rng, found = np.random.default_rng(bits), []
    for spread in np.exp2(rng.uniform(0, 1, 40)):
        weights = rng.normal(0, spread, 400)
        form = best_integer(weights, bits, "quantized_bits")
        assert isinstance(form, Fixed)
        kept = np.where(np.abs(weights) >= np.quantile(np.abs(weights), 1 - keep), weights, 0.0)
        found.append(canonical_digits(np.rint(form.quantize(kept) / form.step)).mean())
    assert table("quantized_bits", bits)[1, round(keep * STEPS)] == pytest.approx(np.mean(found), rel=0.08)
