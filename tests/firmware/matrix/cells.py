"""What the matrix crosses: its tables, their columns, and the networks that fill their rows."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from flow.cost.hls import reuse
from flow.firmware.settings import Backend, IoType, Output, Strategy, Target
from tests.firmware.matrix.quantizers import ROLES
from tests.firmware.matrix.subjects import chunks
from tests.networks import NETWORKS

PLAIN_TARGET = Target("xcvu13p-flga2577-2-e", 5.0)
DESIGNS = ("mixed", "plain")
# Networks whose Verilog is simulated as well as traced: each takes Verilator 10 s or more.
SIMULATED = ("dense", "conv1d same, stride 2", "depthwise", "average pooling", "add", "concatenate", "residual")
STRATEGIES = ("dense", "conv2d valid")


class Way(StrEnum):
    """How a column computes."""

    QKERAS = "qkeras"
    HLS = "hls"
    TRACED = "traced"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, how it computes, and what for."""

    name: str
    way: Way
    target: Target = PLAIN_TARGET


@dataclass(frozen=True)
class Job:
    """The columns of one network in a table: what one process works off at a time. `subject` are the arguments that
    `run.subject` makes the network from."""

    table: str
    subject: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        return "; ".join((self.table, *self.subject))


QKERAS = Column("QKeras float32", Way.QKERAS)
TRACED = Column("RTL traced", Way.TRACED)
RTL = Column("RTL simulated", Way.SIMULATED)


def hls_columns(target: Target = PLAIN_TARGET, strategy: Strategy | None = None) -> tuple[Column, ...]:
    """A column for each backend and io type, in `strategy`; by default Latency, Resource where there is none."""
    found = []
    for backend in Backend:
        default = Strategy.RESOURCE if backend == Backend.ONEAPI else Strategy.LATENCY
        for io_type in IoType:
            own = replace(target, backend=backend, io_type=io_type, strategy=strategy or default)
            found.append(Column(f"{backend} {io_type}", Way.HLS, own))
    return tuple(found)


def jobs() -> list[Job]:
    """All of the matrix, in the order of its tables."""
    return [*_layers(), *_quantizers(), *_strategies(), *_outputs()]


def sample() -> list[Job]:
    """The part that always runs: a cell or two of each table."""
    chosen = {
        "layers; dense; mixed": ("QKeras float32", "Vitis io_parallel", "RTL traced"),
        "layers; residual; plain": ("RTL traced",),
        "quantizers of dense layers; kernel; 0; hls": ("Catapult io_parallel",),
        "quantizers of dense layers; activation; 0; rtl": ("RTL traced",),
        "strategies; dense; Latency; 1": ("oneAPI io_parallel",),
        "outputs; argmax": ("Vivado io_stream",),
    }
    found = [
        replace(job, columns=tuple(c for c in job.columns if c.name in chosen.get(job.name, ()))) for job in jobs()
    ]
    return [job for job in found if job.columns]


def _layers() -> list[Job]:
    found = []
    for name in NETWORKS:
        for design in DESIGNS:
            simulated = (RTL,) if name in SIMULATED and design == "mixed" else ()
            found.append(Job("layers", (name, design), (QKERAS, *hls_columns(), TRACED, *simulated)))
    return found


def _quantizers() -> list[Job]:
    found = []
    for kind in ("dense", "conv2d"):
        table = "quantizers of dense layers" if kind == "dense" else "quantizers of two-dimensional convolutions"
        for role in ROLES:
            for number in range(len(chunks(role))):
                found.append(Job(table, (role, str(number), "hls"), (QKERAS, *hls_columns())))
                simulated = (RTL,) if kind == "dense" else ()
                found.append(Job(table, (role, str(number), "rtl"), (TRACED, *simulated)))
    return found


def _strategies() -> list[Job]:
    found = []
    for name in STRATEGIES:
        for strategy in Strategy:
            found.append(Job("strategies", (name, strategy, "1"), hls_columns(strategy=strategy)))
        shared = replace(PLAIN_TARGET, reuse=_reuse(name))
        for strategy in (Strategy.LATENCY, Strategy.RESOURCE):
            found.append(Job("strategies", (name, strategy, "shared"), hls_columns(shared, strategy)))
        for factor in (2, 4):
            column = replace(RTL, target=replace(PLAIN_TARGET, reuse_factor=factor))
            found.append(Job("strategies", (name, "time-multiplexed", str(factor)), (column,)))
    return found


def _reuse(name: str) -> tuple[tuple[str, int], ...]:
    """For each layer of a network the smallest reuse factor above 1 that hls4ml takes in every strategy."""
    shapes = {layer.name: layer.kernel_shape for layer in NETWORKS[name].weighted}
    factors = {layer: reuse.legal(math.prod(shape[:-1]), shape[-1]) for layer, shape in shapes.items()}
    return tuple((layer, min(factor for factor in found if factor > 1)) for layer, found in factors.items())


def _outputs() -> list[Job]:
    found = []
    for output in (output for output in Output if output is not Output.LOGITS):
        target = replace(PLAIN_TARGET, output=output)
        columns = (*hls_columns(target), replace(TRACED, target=target), replace(RTL, target=target))
        found.append(Job("outputs", (output,), columns))
    return found
