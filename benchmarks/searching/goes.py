"""Results of earlier goes of the benchmark, each with seeds of its own, put beside this one's.

Within a go all methods run side by side with the same seeds; times are compared by seed only, so goes on machines of
another speed can stand beside each other.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from fronts import ever_on_front

from flow.errors import BadInput

SAME = ("quick", "plan", "jets", "reference_point")  # what goes must have in common


@dataclass
class Goes:
    """Priced points by method and seed, synthesised ones by method, and what is told of each go."""

    rows: dict[tuple[str, int], list[dict]] = field(default_factory=dict)
    synthesised: dict[str, list[dict]] = field(default_factory=dict)
    told: list[dict] = field(default_factory=list)

    def to_json(self) -> dict:
        """What `read` reads: of the points those that were on a front at some moment."""
        methods = dict.fromkeys(method for method, _ in self.rows)
        return {
            "goes": self.told,
            "points": {
                method: {seed: ever_on_front(own) for (name, seed), own in self.rows.items() if name == method}
                for method in methods
            },
        }


def read(path: Path, same: dict) -> Goes:
    """The goes of a result file. Raises BadInput where it is none, or where it differs from `same` in what goes must have
    in common."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = {(m, int(seed)): own for m, seeds in found["points"].items() for seed, own in seeds.items()}
        synthesised = {method: row["synth"] for method, row in found["fronts"].items() if row["synth"]}
        goes = Goes(rows, synthesised, found["goes"])
        differing = [key for key in SAME if found[key] != same[key]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"--with {path}: not a result of this benchmark ({type(error).__name__}: {error})") from error
    if differing:
        key = differing[0]
        raise BadInput(f"--with {path}: its {key} is {found[key]}, here {same[key]}: not comparable")
    return goes


def joined(first: Goes, second: Goes) -> Goes:
    """Both beside each other. Raises BadInput where they have a seed of a method in common."""
    for method, seed in first.rows.keys() & second.rows.keys():
        raise BadInput(f"{method}, seed {seed}: is there twice; choose other seeds with --first-seed")
    return Goes(first.rows | second.rows, second.synthesised | first.synthesised, first.told + second.told)
