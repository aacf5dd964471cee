"""How many members share a group, so that what they need fits."""

import math
import os
from pathlib import Path

import tensorflow as tf

from flow.errors import BadInput
from flow.topology import Conv, Topology

GROUP = 4  # members of a group on CPUs: their values stay in a core's cache (`benchmarks/train.py` shows it)
SHARE = 0.5  # of the machine's free memory that values may take
COPIES = 4  # tensors of each layer's size that a step holds: values, sums, and their gradients


def group_size(topology: Topology, members: int, batch: int) -> int:
    """Members of a group. It depends on network, batch and memory, never on the number of cores, so that
    machines whose memory is no limit give the same figures. Raises BadInput where not one member fits."""
    fits = fitting(topology, batch)
    if fits < 1:
        raise BadInput(
            f"training: a step of {batch} events needs {step_bytes(topology, batch) / 1e9:.1f} GB for one design and"
            f" {_free_memory() * SHARE / 1e9:.1f} GB are there; lower train.batch"
        )
    return min(wanted(members), fits)


def fitting(topology: Topology, batch: int) -> int:
    """Members whose steps fit into memory together."""
    return int(_free_memory() * SHARE // step_bytes(topology, batch))


def wanted(members: int) -> int:
    """Members of a group where memory is no matter: a GPU takes all at once."""
    return members if tf.config.list_physical_devices("GPU") else min(GROUP, members)


def workers(topology: Topology, group: int, batch: int, piece_bytes: int = 0) -> int:
    """Groups that are trained at the same time: one a core, as memory allows; one on a GPU. `piece_bytes`: of the
    events that each holds for itself."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    fits = int(_free_memory() * SHARE // (group * step_bytes(topology, batch) + piece_bytes))
    return max(1, min(os.cpu_count() or 1, fits))


def step_bytes(topology: Topology, batch: int) -> int:
    """Bytes that one member's training step holds at once, nearly."""
    row = topology.n_in
    for layer in topology.layers:
        row += math.prod(layer.shape)
        if isinstance(layer, Conv):  # what lies under the window, place by place
            row += math.prod(layer.shape[:-1]) * math.prod(layer.window) * layer.channels
    return 4 * COPIES * batch * row


def _free_memory() -> float:
    """Bytes of memory that are free, those of caches among them."""
    with open("/proc/meminfo") as stream:
        fields = dict(line.split(":", 1) for line in stream)
    free = float(fields["MemAvailable"].split()[0]) * 1024
    try:  # a container's or a batch job's own limit
        limit, used = (Path("/sys/fs/cgroup", name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if limit == "max" else min(free, float(limit) - float(used))
