"""What a project is built for: part, clock, and how each of its two implementations is made.

Names of backends, strategies and io types are hls4ml's own. The reuse factors and the output hold for both
implementations, hls4ml's and the Verilog's.
"""

import math
import re
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from flow.errors import BadInput

if TYPE_CHECKING:
    from flow.design import Design


class Backend(StrEnum):
    """The hls4ml backend, and so the tool that compiles the HLS project."""

    VITIS = "Vitis"
    VIVADO = "Vivado"
    ONEAPI = "oneAPI"
    CATAPULT = "Catapult"


class Strategy(StrEnum):
    """How hls4ml multiplies: unrolled, sharing multipliers, or by shifts and adds."""

    LATENCY = "Latency"
    RESOURCE = "Resource"
    DISTRIBUTED_ARITHMETIC = "distributed_arithmetic"


class IoType(StrEnum):
    """How values travel between hls4ml's layers: all at once, or one position after another through FIFOs."""

    PARALLEL = "io_parallel"
    STREAM = "io_stream"


class Output(StrEnum):
    """What the firmware puts out: the last layer's sums, the index of the largest, or a function of each by tables."""

    LOGITS = "logits"
    ARGMAX = "argmax"
    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    TANH = "tanh"

    @property
    def exact(self) -> bool:
        """Whether it follows from the logits without a rounding."""
        return self in (Output.LOGITS, Output.ARGMAX)


class Language(StrEnum):
    """The language of the RTL."""

    VERILOG = "verilog"
    VHDL = "vhdl"


@dataclass(frozen=True)
class Target:
    """What a project is built for. Raises BadInput for a value that is not allowed.

    `clock_ns`: clock period. `reuse`: (layer, reuse factor) where it differs from `reuse_factor`; the interval is the
    largest of them. `fifo_depth`: depth of hls4ml's FIFOs (io_stream), None for hls4ml's own choice. `accuracy`: largest
    error of an output that tables give. `cycles`: latency in clock cycles that the RTL is pipelined to, None for as
    few as the clock allows.
    """

    part: str
    clock_ns: float
    backend: Backend = Backend.VITIS
    strategy: Strategy = Strategy.LATENCY
    io_type: IoType = IoType.PARALLEL
    reuse_factor: int = 1
    reuse: tuple[tuple[str, int], ...] = ()
    fifo_depth: int | None = None
    output: Output = Output.LOGITS
    accuracy: float = 2.0**-8
    language: Language = Language.VERILOG
    cycles: int | None = None

    def __post_init__(self):
        if not (isinstance(self.part, str) and _PART.fullmatch(self.part)):
            raise BadInput(f"part {self.part!r}: letters, digits and - _ . are allowed")
        if not (_is_number(self.clock_ns) and 0 < self.clock_ns < math.inf):
            raise BadInput(f"clock_ns {self.clock_ns!r}: a number above 0 is needed, the clock period in ns")
        for field, kind in _CLOSED.items():
            value = getattr(self, field)
            if not isinstance(value, str) or value not in tuple(kind):
                raise BadInput(f"{field} {value!r} is not supported; supported: {', '.join(kind)}")
            object.__setattr__(self, field, kind(value))
        for layer, factor in (("", self.reuse_factor), *self.reuse):
            if not isinstance(layer, str):
                raise BadInput(f"reuse: layer {layer!r}: the name of a layer is needed")
            if not _is_count(factor):
                raise BadInput(
                    f"reuse factor {factor!r}{f' of layer {layer}' if layer else ''}: a whole number from 1 on"
                )
        for field in ("fifo_depth", "cycles"):
            value = getattr(self, field)
            if value is not None and not _is_count(value):
                raise BadInput(f"{field} {value!r}: a whole number from 1 on")
        if not (_is_number(self.accuracy) and 0 < self.accuracy < 1):
            raise BadInput(f"accuracy {self.accuracy!r}: between 0 and 1")

    def reuse_of(self, layer: str) -> int:
        """The reuse factor of a layer."""
        return dict(self.reuse).get(layer, self.reuse_factor)

    @property
    def interval(self) -> int:
        """Clock cycles between events: the largest reuse factor."""
        return max((self.reuse_factor, *(factor for _, factor in self.reuse)))

    @property
    def plain(self) -> bool:
        """Whether the RTL is of the kind that closed forms price: unrolled, in as few cycles as the clock allows."""
        return self.cycles is None and self.interval == 1

    def to_json(self) -> dict:
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in row.items()} | {
            "reuse": dict(self.reuse)
        }

    @staticmethod
    def from_json(row: dict) -> "Target":
        """Raises BadInput for what is no JSON object, for a missing or unknown key, and for a value not allowed."""
        if not isinstance(row, dict):
            raise BadInput(f"target {_short(row)}: an object with the keys part, clock_ns, ... is needed")
        unknown = sorted(set(row) - {field.name for field in fields(Target)})
        if unknown:
            raise BadInput(f"target: unknown key {unknown[0]!r}")
        missing = [key for key in ("part", "clock_ns") if key not in row]
        if missing:
            raise BadInput(f"target: {missing[0]!r} is missing")
        reuse = row.get("reuse", {})
        if not isinstance(reuse, dict):
            raise BadInput(f"reuse {_short(reuse)}: an object of layers and their reuse factors is needed")
        return Target(**{**row, "reuse": tuple(reuse.items())})


def for_design(target: Target, design: "Design") -> Target:
    """What a design is built for: a task's target with the design's own reuse factors; the same object without any."""
    own = {name: part.reuse for name, part in design.layers if part.reuse is not None}
    return replace(target, reuse=tuple((dict(target.reuse) | own).items())) if own else target


# What stands in scripts of tools, unquoted.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


_CLOSED: dict[str, type[StrEnum]] = {
    "backend": Backend,
    "strategy": Strategy,
    "io_type": IoType,
    "output": Output,
    "language": Language,
}
