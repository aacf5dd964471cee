"""What a tool said of a network at a stage, as the cost models learn from it; readable, and the same on any machine."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

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
        """A digest of what was reported on, by whom and how far."""
        return digest_of(
            [
                self.implementation.value, self.tool, self.tool_version, self.stage, self.part, self.clock_ns,
                json.dumps(self.network, sort_keys=True),
            ]
        )  # fmt: skip

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
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"{where}: no observation ({type(error).__name__}: {error})") from None
        return found


def joined(known: Iterable[Observation], found: Iterable[Observation]) -> tuple[Observation, ...]:
    """Both, put together where two speak of the same network, tool and stage."""
    rows: dict[str, Observation] = {}
    for item in (*known, *found):
        rows[item.subject] = rows[item.subject].joined(item) if item.subject in rows else item
    return tuple(rows.values())
