"""What a tool said of a network at a stage, as the cost models learn from it; readable, and the same on any machine."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

from flow.cost.rtl import COUNTS, Counts
from flow.errors import BadInput
from flow.metrics import Implementation
from flow.store import digest_of

STAGES = ("csynth", "synth", "route")
POWERS = ("dynamic_power_w", "static_power_w")
FIGURES = ("lut", "ff", "dsp", "bram_18k", "uram", "latency_cycles", "interval_cycles", *POWERS)


@dataclass(frozen=True)
class Observation:
    """One report. `network` is JSON: an `hls.Network`, or topology, design, word and the tracer's counts of a Verilog
    design. `figures` is empty where the tool never finished. `source` is for people: where the report was found."""

    implementation: Implementation
    tool: str
    tool_version: str | None
    stage: str
    part: str | None
    clock_ns: float | None
    network: Mapping
    finished: bool = True
    figures: Mapping[str, float] = field(default_factory=dict)
    by_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: str = ""

    @property
    def subject(self) -> str:
        """A digest of what was reported on, by whom and how far; what was counted in it besides is no part of it."""
        network = {name: value for name, value in self.network.items() if name != "traced"}
        by_whom = (self.implementation.value, self.tool, self.tool_version, self.stage, self.part, self.clock_ns)
        return digest_of([*by_whom, json.dumps(network, sort_keys=True)])

    def joined(self, newer: "Observation") -> "Observation":
        """One observation of the same subject: figures that both tell are the newer's."""
        if not newer.finished or not self.finished:
            return newer
        return replace(newer, figures={**self.figures, **newer.figures}, by_layer=newer.by_layer or self.by_layer)

    def to_json(self) -> dict:
        return asdict(self) | {"implementation": self.implementation.value}

    @staticmethod
    def from_json(row: Mapping, where: str) -> "Observation":
        """Raises BadInput naming `where` for what is no observation."""
        try:
            found = Observation(**(dict(row) | {"implementation": Implementation(row["implementation"])}))
            numbers = [*found.figures.values(), *(v for layer in found.by_layer.values() for v in layer.values())]
            wrong = [v for v in numbers if isinstance(v, bool) or not isinstance(v, (int, float)) or not 0 <= v < 1e12]
            if found.stage not in STAGES or wrong or set(found.figures) - set(FIGURES):
                raise ValueError(f"stage {found.stage!r}, figures {dict(found.figures)!r}")
            _check(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"{where}: no observation ({type(error).__name__}: {error})") from None
        return found


def _check(item: Observation) -> None:
    """Raise ValueError or TypeError naming a field that is of another type than `Observation` says."""
    maybe = (item.tool_version, item.part)
    if not all(isinstance(text, str) for text in (item.tool, item.source, *filter(None, maybe))) or not item.tool:
        raise ValueError("tool, tool_version, part and source are texts")
    if item.clock_ns is not None and not (isinstance(item.clock_ns, (int, float)) and 0 < item.clock_ns < 1e6):
        raise ValueError(f"clock_ns {item.clock_ns!r}")
    if not isinstance(item.finished, bool) or not isinstance(item.network, Mapping):
        raise TypeError("finished is true or false, network an object")


def traced_counts(traced: Mapping | None) -> Counts:
    """Block → what the tracer counted in a Verilog design, empty where it was not traced. BadInput for no counts."""
    try:
        counts = (traced or {}).get("counts", {})
        told = [row[name] for row in counts.values() for name in COUNTS]
        wrong = [value for value in told if not isinstance(value, (int, float)) or not 0 <= value < 1e12]
    except (KeyError, TypeError, AttributeError):
        counts, wrong = {}, [traced]
    if wrong:
        raise BadInput(f"the tracer's counts are {str(wrong[0])[:60]}; needed by block: {', '.join(COUNTS)}")
    return counts


def joined(known: Iterable[Observation], found: Iterable[Observation]) -> tuple[Observation, ...]:
    """Both, put together where two speak of the same network, tool and stage."""
    rows: dict[str, Observation] = {}
    for item in (*known, *found):
        rows[item.subject] = rows[item.subject].joined(item) if item.subject in rows else item
    return tuple(rows.values())
