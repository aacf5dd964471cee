"""Whether a synthesis ends: unrolled layers up to a limit do, and failures are learned from."""

import os
from pathlib import Path

import numpy as np
import pytest
from cost.hls.example import dense, resource

from flow.cost import hls, records
from flow.cost.hls.feasibility import finishes, updated_feasibility


def probability(*networks) -> list[float]:
    return finishes(hls.prior(), networks).tolist()


def test_small_layers_end_and_large_unrolled_ones_do_not():
    small, large = probability(dense(16, 64), dense(128, 128))
    assert small > 0.95
    assert large < 0.05


def test_the_largest_layer_counts():
    assert probability(dense(16, 64, 128, 128))[0] == pytest.approx(probability(dense(128, 128))[0])


def test_reused_multipliers_let_it_end():
    unrolled, reused = probability(resource(128, 256, reuse_factor=1), resource(128, 256, reuse_factor=512))
    assert unrolled < 0.05
    assert reused > 0.9


def test_pruned_layers_end_where_full_ones_do_not():
    full, pruned = probability(dense(64, 96), dense(64, 96, zeros=0.8))
    assert pruned > full


def test_probabilities_are_such_for_anything():
    rng = np.random.default_rng(0)
    networks = [
        dense(*(int(n) for n in rng.integers(1, 3000, 3)), weight_bits=int(rng.integers(1, 20))) for _ in range(50)
    ]
    found = finishes(hls.prior(), networks)
    assert ((found >= 0) & (found <= 1)).all()


def test_own_failures_lower_the_probability():
    subject = resource(256, 256, reuse_factor=256)
    model = updated_feasibility(
        hls.prior(), [], [resource(256, width, reuse_factor=256) for width in (192, 256, 320)] * 10
    )
    assert finishes(model, [subject])[0] < finishes(hls.prior(), [subject])[0] - 0.2
    again = updated_feasibility(model, [subject] * 60, [])
    assert finishes(again, [subject])[0] > finishes(model, [subject])[0]


def test_nothing_changes_nothing():
    assert updated_feasibility(hls.prior(), [], []) is hls.prior()


@pytest.mark.skipif(not os.environ.get("FLOW_SYNTH_RECORDS"), reason="FLOW_SYNTH_RECORDS names no folder of records")
def test_records_end_as_they_did():
    folder = Path(os.environ["FLOW_SYNTH_RECORDS"])
    rows = [row for name in ("dense.csv", "dense_never_finished.csv") for row in records.read(folder / name)[0]]
    ended = np.array([row.finished for row in rows])
    found = finishes(hls.prior(), [row.network for row in rows])
    assert 1000 < (~ended).sum()
    assert np.mean((found > 0.5) == ended) > 0.97
    assert np.mean((found - ended) ** 2) < 0.02
