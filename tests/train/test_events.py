"""Events from memory and from memory-mapped files: every one once an epoch, in an order that repeats."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from flow.train.events import Events


def taken(events: Events, epoch: int, batch: int = 10) -> list[int]:
    found = []
    for (values, labels, *_), order in events.pieces(3, epoch, batch):
        rows = tf.gather(values, order).numpy()[:, 0]
        assert np.array_equal(rows, tf.gather(labels, order).numpy())
        found += rows.astype(int).tolist()
    return found


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "values.npy", np.repeat(np.arange(205, dtype=np.float32)[:, None], 4, axis=1))
    return np.load(tmp_path / "values.npy", mmap_mode="r")


@pytest.mark.parametrize("limit", [1 << 30, 60 * 16, 10 * 16, 1])
def test_every_event_once(mapped, limit):
    events = Events(mapped, np.arange(205), limit=limit)
    first, second = taken(events, 0), taken(events, 1)
    assert len(first) == events.steps(10) * 10 == 200 == len(set(first))
    assert first != second and first == taken(events, 0)


def test_memory_is_bounded(mapped):
    events = Events(mapped, np.arange(205), limit=60 * 16)
    sizes = [int(values.shape[0]) for (values, _), _ in events.pieces(0, 0, 10)]
    assert max(sizes) == 60 and sum(sizes) == 200


def test_the_teacher_comes_along(mapped):
    teacher = np.repeat(np.arange(205, dtype=np.float32)[:, None], 3, axis=1)
    for limit in (1 << 30, 60 * 16):
        for (values, _, logits), _ in Events(mapped, np.arange(205), teacher, limit).pieces(0, 0, 10):
            np.testing.assert_array_equal(values.numpy()[:, 0], logits.numpy()[:, 0])
