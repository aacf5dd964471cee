"""What one tool said of one project at one stage, as a typed record. None is what the tool didn't say."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum

from flow.errors import BadInput
from flow.metrics import Fidelity, Implementation

FILE = "report.json"  # a report as `Report.to_json` gives it, beside what the tool left

Range = tuple[int | None, int | None]  # least, most; None where the report says only the other


class Stage(Enum):
    """How far the tool went."""

    CSYNTH = "csynth"
    COSIM = "cosim"
    EXPORT = "export"
    SYNTH = "synth"
    PLACE = "place"
    ROUTE = "route"

    @property
    def fidelity(self) -> Fidelity:
        """What the resources that it tells are worth."""
        return _FIDELITY[self]


# A placed design counts as routed: its resources are the same, and a report of timing says its own stage.
_FIDELITY = {
    Stage.CSYNTH: Fidelity.CSYNTH,
    Stage.COSIM: Fidelity.CSYNTH,
    Stage.EXPORT: Fidelity.SYNTH,
    Stage.SYNTH: Fidelity.SYNTH,
    Stage.PLACE: Fidelity.ROUTE,
    Stage.ROUTE: Fidelity.ROUTE,
}


class Status(Enum):
    """How it ended; `incomplete` where the tool ended well but a figure that it should give is missing."""

    OK = "ok"
    FAILED = "failed"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Report:
    """One report. `path` is the file that it was read from, `kind` says what kind of report it is: ``rtl`` for the
    Yosys report of a project of ours, else one of `flow.synth.vendor.KINDS`.

    `basis` is the stage that the figures are of where that is not `stage` itself: an export report's are of logic
    synthesis or of place and route. `implementation` is whose hardware was synthesised, where that is known: no
    vendor's report says it. `design` is the top module. `critical_path_ns` is the longest path between registers
    without set-up time of the clock network; `wns_ns` the worst slack, 0 a number like any other.
    `latency_cycles` and `interval_cycles` are (least, most), None where the report does not know that end.
    `bram_18k` counts blocks of 18 kbit, whatever the report counts; Altera's memories of 20 kbit (`m20k`) and 640 bit
    (`mlab`) are other blocks and stand apart, as do its logic modules (`alm`, half ones too); `lut` are its ALUTs.
    `fmax_mhz` is the greatest clock frequency that a tool gives instead of a period. `stage` is None for a log of a run
    that came to no step. `power_w` is the whole chip's, which
    `dynamic_power_w` and `static_power_w` add up to. `by_layer`: layer -> resource (lut, ff, dsp, ...) -> count; what
    belongs to no layer alone stands under ``shared``, so that each resource adds up to its total.
    """

    path: str
    tool: str | None
    tool_version: str | None
    kind: str
    stage: Stage | None
    part: str | None
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
    m20k: int | None = None
    mlab: int | None = None
    alm: float | None = None
    fmax_mhz: float | None = None
    critical_path_ns: float | None = None
    latency_cycles: Range | None = None
    interval_cycles: Range | None = None
    power_w: float | None = None
    dynamic_power_w: float | None = None
    static_power_w: float | None = None
    design: str | None = None
    basis: Stage | None = None
    implementation: Implementation | None = None
    status: Status = Status.OK
    messages: tuple[str, ...] = ()
    by_layer: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def fidelity(self) -> Fidelity:
        """What the figures are worth: that of the stage that they are of. Raises BadInput where none is known."""
        stage = self.basis or self.stage
        if stage is None:
            raise BadInput(f"{self.path}: it says of no stage, and so of no figures")
        return stage.fidelity

    def to_json(self) -> dict:
        row = asdict(self)
        row["stage"] = None if self.stage is None else self.stage.value
        row["basis"] = None if self.basis is None else self.basis.value
        row["implementation"] = None if self.implementation is None else self.implementation.value
        row["status"] = self.status.value
        row["messages"] = list(self.messages)
        for name in ("latency_cycles", "interval_cycles"):
            row[name] = None if row[name] is None else dict(zip(("min", "max"), row[name]))
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


def _range(value) -> Range | None:
    if value is None:
        return None
    if isinstance(value, int):  # reports of earlier versions hold one interval, or a list of both ends
        value = (value, value)
    if isinstance(value, Mapping):
        if set(value) != {"min", "max"}:
            raise ValueError
        value = (value["min"], value["max"])
    low, high = (_count(item) for item in value)
    if low is None and high is None:
        return None
    if low is not None and high is not None and low > high:
        raise ValueError
    return low, high


def _name(value) -> str | None:
    return None if value is None else _text(value)


def _by_layer(value) -> dict[str, dict[str, int]]:
    return {_text(layer): {_text(name): _count(count) for name, count in row.items()} for layer, row in value.items()}


_COUNTS = ("lut", "ff", "dsp", "bram_18k", "uram", "srl", "carry", "m20k", "mlab")
_POWERS = ("power_w", "dynamic_power_w", "static_power_w")
_REALS = ("clock_target_ns", "clock_estimated_ns", "wns_ns", "critical_path_ns", "alm", "fmax_mhz", *_POWERS)
_READERS = {
    **{name: _count for name in _COUNTS},
    **{name: _real for name in _REALS},
    **{name: _text for name in ("path", "kind")},
    **{name: _name for name in ("tool", "tool_version", "part", "design")},
    "stage": lambda value: None if value is None else Stage(value),
    "basis": lambda value: None if value is None else Stage(value),
    "implementation": lambda value: None if value is None else Implementation(value),
    "status": Status,
    "latency_cycles": _range,
    "interval_cycles": _range,
    "messages": lambda value: tuple(_text(item) for item in value),
    "by_layer": _by_layer,
}
