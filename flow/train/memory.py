"""How many members share a group, so that what they need fits."""

import math
import os

import tensorflow as tf

from flow.errors import BadInput
from flow.topology import Conv, Topology

GROUP = 4  # members of a group on CPUs: their values stay in a core's cache (`benchmarks/train.py` shows it)
SHARE = 0.5  # of the machine's free memory that values may take
COPIES = 4  # tensors of each layer's size that a step holds: values, sums, and their gradients


def group_size(topology: Topology, members: int, batch: int) -> int:
    """Members of a group. It depends on network, batch and memory, never on the number of cores, so that the same
    task gives the same figures on any machine that holds it. Raises BadInput where not one member fits."""
    free = _free_memory() * SHARE
    fitting = int(free // step_bytes(topology, batch))
    if fitting < 1:
        raise BadInput(
            f"training: a step of {batch} events needs {step_bytes(topology, batch) / 1e9:.1f} GB for one design and"
            f" {free / 1e9:.1f} GB are there; lower train.batch"
        )
    return min(wanted(members), fitting)


def wanted(members: int) -> int:
    """Members of a group where memory is no matter: a GPU takes all at once."""
    return members if tf.config.list_physical_devices("GPU") else min(GROUP, members)


def workers(topology: Topology, group: int, batch: int) -> int:
    """Groups that are trained at the same time: one a core, as memory allows; one on a GPU."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    fitting = int(_free_memory() * SHARE // (group * step_bytes(topology, batch)))
    return max(1, min(os.cpu_count() or 1, fitting))


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
    return float(fields["MemAvailable"].split()[0]) * 1024
