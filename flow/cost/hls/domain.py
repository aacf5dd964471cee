"""What the reports behind a regression were of, so that a prediction can say when it is asked for something else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.cost.hls.columns import UNKNOWN, Columns, family
from flow.cost.hls.layers import Network

# What is compared, and the share by which an unseen value widens an answer.
_CHOICES = {"version": 0.05, "family": 0.2, "io_type": 0.2, "tool": 0.2, "strategy": 0.3, "widths": 0.3}
_UNTOLD = 0.3  # the same where the value is not told: it may be any, a version with other templates among them
_RANGES = ("clock_ns", "weight_bits", "data_bits", "n_in", "n_out")
_PER_OCTAVE = 0.1  # how much wider an answer gets for each factor 2 outside a range

_SAID = {
    "version": "no reports for version {} of the tool (seen: {})",
    "family": "no reports for part family {} (seen: {})",
    "io_type": "no reports for io type {} (seen: {})",
    "tool": "the tool is {}; reports are of {} ones",
    "strategy": "strategy or reuse factor is {}; reports are of {} ones",
    "widths": "widths of data or weights are {}; reports are of {} ones",
}


@dataclass(frozen=True)
class Domain:
    """Values seen of each choice, and least and largest of each number."""

    choices: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict:
        return {
            "choices": {name: list(values) for name, values in self.choices.items()},
            "ranges": {name: list(values) for name, values in self.ranges.items()},
        }

    @staticmethod
    def from_json(row: Mapping) -> "Domain":
        return Domain(
            {name: tuple(values) for name, values in row["choices"].items()},
            {name: tuple(map(float, values)) for name, values in row["ranges"].items()},
        )

    def joined(self, other: "Domain") -> "Domain":
        """What either has seen."""
        choices = {name: tuple(sorted({*self.choices[name], *other.choices[name]})) for name in self.choices}
        ranges = {
            name: (min(low, other.ranges[name][0]), max(high, other.ranges[name][1]))
            for name, (low, high) in self.ranges.items()
        }
        return Domain(choices, ranges)


def choices(networks: Sequence[Network], c: Columns) -> dict[str, list[str]]:
    """Choice → its value for each network."""

    def known(flags: np.ndarray) -> list[str]:
        return [UNKNOWN if some else "known" for some in c.largest((~flags).astype(float)).tolist()]

    return {
        "version": [network.tool_version or UNKNOWN for network in networks],
        "family": [family(network.part) for network in networks],
        "io_type": [UNKNOWN if network.io_type is None else network.io_type.value for network in networks],
        "tool": [UNKNOWN if network.tool is None else "known" for network in networks],
        "strategy": known(c.strategy_known),
        "widths": known(c.widths_known),
    }


def domain(networks: Sequence[Network], c: Columns) -> Domain:
    """What these networks span."""
    values = {name: tuple(sorted(set(row))) for name, row in choices(networks, c).items()}
    ranges = {name: (float(getattr(c, name).min()), float(getattr(c, name).max())) for name in _RANGES}
    return Domain(values, ranges)


def distance(seen: Domain, networks: Sequence[Network], c: Columns) -> tuple[np.ndarray, list[tuple[np.ndarray, str]]]:
    """How much wider (networks,) an answer has to be, relative, and (which networks, why) for each reason."""
    share = np.zeros(len(networks))
    reasons = []
    for name, row in choices(networks, c).items():
        for value in set(row) - set(seen.choices[name]):
            where = np.array([item == value for item in row])
            share[where] = np.hypot(share[where], _UNTOLD if value == UNKNOWN else _CHOICES[name])
            reasons.append((where, _SAID[name].format(value, ", ".join(seen.choices[name]))))
    for name in _RANGES:
        low, high = seen.ranges[name]
        values = np.maximum(getattr(c, name), 1e-3)
        octaves = np.maximum(np.log2(np.maximum(values / high, low / values)), 0.0)
        octaves = c.largest(np.where(c.multiplying, octaves, 0.0))
        if octaves.any():
            share = np.hypot(share, _PER_OCTAVE * octaves)
            reasons.append((octaves > 0, f"{name} outside of what was reported on ({low:g} to {high:g})"))
    return share, reasons


def joined(domains: Iterable[Domain]) -> Domain:
    """What any of several has seen."""
    first, *rest = domains
    for item in rest:
        first = first.joined(item)
    return first
