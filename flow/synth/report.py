"""What one tool said of one project at one stage, as a typed record. None is what the tool didn't say."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum

from flow.errors import BadInput


class Stage(Enum):
    """How far the tool went."""

    CSYNTH = "csynth"
    COSIM = "cosim"
    EXPORT = "export"
    SYNTH = "synth"
    PLACE = "place"
    ROUTE = "route"


class Status(Enum):
    """How it ended; `incomplete` where the tool ended well but a figure that it should give is missing."""

    OK = "ok"
    FAILED = "failed"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Report:
    """One report. `path` is the file that it was read from, `kind` says what kind of project it speaks of.

    `critical_path_ns` is the longest path between registers without set-up time of the clock network;
    `latency_cycles` is (least, most). `by_layer`: layer -> resource (lut, ff, dsp, ...) -> count; what belongs to
    no layer alone stands under ``shared``, so that each resource adds up to its total.
    """

    path: str
    tool: str
    tool_version: str | None
    kind: str
    stage: Stage
    part: str
    clock_target_ns: float | None = None
    clock_estimated_ns: float | None = None
    wns_ns: float | None = None
    lut: int | None = None
    ff: int | None = None
    dsp: int | None = None
    bram_18k: int | None = None
    uram: int | None = None
    srl: int | None = None
    carry: int | None = None
    critical_path_ns: float | None = None
    latency_cycles: tuple[int, int] | None = None
    interval_cycles: int | None = None
    power_w: float | None = None
    status: Status = Status.OK
    messages: tuple[str, ...] = ()
    by_layer: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict:
        row = asdict(self)
        row["stage"] = self.stage.value
        row["status"] = self.status.value
        row["messages"] = list(self.messages)
        row["latency_cycles"] = None if self.latency_cycles is None else list(self.latency_cycles)
        return row

    @staticmethod
    def from_json(row: Mapping, source: str = "report") -> "Report":
        """Raises BadInput naming `source` and the field where `row` is no report."""
        if not isinstance(row, Mapping):
            raise BadInput(f"{source}: a report is an object, not {type(row).__name__}")
        known = {item.name for item in fields(Report)}
        for key in row:
            if key not in known:
                raise BadInput(f"{source}: field {key!r} is not known; known: {', '.join(sorted(known))}")
        values = dict(row)
        for key, reader in _READERS.items():
            if key in values:
                try:
                    values[key] = reader(values[key])
                except (TypeError, ValueError, AttributeError):
                    raise BadInput(f"{source}: field {key!r} has the value {row[key]!r}") from None
        try:
            return Report(**values)
        except TypeError as error:
            raise BadInput(f"{source}: {error}") from None


def _text(value) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _real(value) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _range(value) -> tuple[int, int] | None:
    if value is None:
        return None
    low, high = (_count(item) for item in value)
    if low is None or high is None:
        raise ValueError
    return low, high


def _by_layer(value) -> dict[str, dict[str, int]]:
    return {_text(layer): {_text(name): _count(count) for name, count in row.items()} for layer, row in value.items()}


_COUNTS = ("lut", "ff", "dsp", "bram_18k", "uram", "srl", "carry", "interval_cycles")
_REALS = ("clock_target_ns", "clock_estimated_ns", "wns_ns", "critical_path_ns", "power_w")
_READERS = {
    **{name: _count for name in _COUNTS},
    **{name: _real for name in _REALS},
    **{name: _text for name in ("path", "tool", "kind", "part")},
    "tool_version": lambda value: None if value is None else _text(value),
    "stage": Stage,
    "status": Status,
    "latency_cycles": _range,
    "messages": lambda value: tuple(_text(item) for item in value),
    "by_layer": _by_layer,
}
