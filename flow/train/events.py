"""Events on their way into a graph: from memory where they fit, from memory-mapped files where they don't."""

import threading
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

IN_MEMORY = 1 << 30  # bytes of values that are held at once


class Events:
    """Centred values (n, n_in), labels (n,) and, for distillation, a teacher's logits (n, classes).

    `values` may be anything that gives rows for a slice, a memory-mapped array for one. Above `limit` bytes
    (`IN_MEMORY`) they are read in pieces: blocks of events in random order, shuffled inside a piece.
    """

    def __init__(self, values, labels: np.ndarray, teacher: np.ndarray | None = None, limit: int | None = None):
        self.values, self.labels, self.teacher, self.limit = values, labels, teacher, limit or IN_MEMORY
        self._held: tuple[tf.Tensor, ...] | None = None
        self._lock = threading.Lock()  # groups ask from several threads

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def piece_bytes(self) -> int:
        """Bytes that everyone who reads pieces holds for himself: none where all events are held in memory."""
        row = int(np.prod(self.values.shape[1:])) * 4
        return 0 if len(self) * row <= self.limit else 2 * self.limit

    def steps(self, batch: int) -> int:
        """Steps of one epoch; events that fill no batch are left out."""
        return sum(count // batch for count in self._sizes(batch))

    def pieces(self, seed: int, epoch: int, batch: int) -> Iterator[tuple[tuple[tf.Tensor, ...], tf.Tensor]]:
        """The events of one epoch: tensors, and the order in which they are to be taken. The order depends on seed,
        epoch and batch alone."""
        rng = np.random.default_rng([seed, epoch])
        sizes = self._sizes(batch)
        if len(sizes) == 1:
            with self._lock:
                self._held = self._held or self._tensors([slice(0, len(self))])
            yield self._held, _order(rng, len(self), batch)
            return
        blocks = rng.permutation(len(self) // batch)
        for size in sizes:
            now, blocks = np.sort(blocks[: size // batch]), blocks[size // batch :]
            yield self._tensors([slice(b * batch, (b + 1) * batch) for b in now]), _order(rng, size, batch)

    def _sizes(self, batch: int) -> list[int]:
        """Numbers of events in each piece."""
        row = int(np.prod(self.values.shape[1:])) * 4
        most = max(self.limit // max(row, 1) // batch, 1) * batch
        if len(self) <= most:
            return [len(self)]
        whole = len(self) // batch * batch
        return [min(most, whole - start) for start in range(0, whole, most)]

    def _tensors(self, rows: list[slice]) -> tuple[tf.Tensor, ...]:
        def read(array, kind) -> tf.Tensor:
            return tf.constant(np.concatenate([np.asarray(array[row]) for row in rows]), kind)

        found = (read(self.values, tf.float32), read(self.labels, tf.int32))
        return found if self.teacher is None else (*found, read(self.teacher, tf.float32))


def _order(rng: np.random.Generator, count: int, batch: int) -> tf.Tensor:
    return tf.constant(rng.permutation(count)[: count // batch * batch].astype(np.int32))
