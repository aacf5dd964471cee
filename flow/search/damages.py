"""How much choices hurt the network, as a sum over its parts: what was measured once ranks any number of designs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.search.problem import Chosen


@dataclass(frozen=True)
class Damages:
    """`terms`: names of parameters that are felt together, such as a kernel's format and its keep fraction → damage at
    every combination of their choices, one axis a parameter. The damage of a design is the sum."""

    terms: Mapping[tuple[str, ...], np.ndarray]

    def of(self, parameters: Mapping[str, tuple[str, ...]], designs: Sequence[Chosen]) -> np.ndarray:
        """The damage of each design (designs,)."""
        names = sorted({name for term in self.terms for name in term})
        places = {name: np.array([parameters[name].index(chosen[name]) for chosen in designs], int) for name in names}
        return sum(
            (table[tuple(places[name] for name in term)] for term, table in self.terms.items()), np.zeros(len(designs))
        )

    def by_term(self, parameters: Mapping[str, tuple[str, ...]], rows: np.ndarray) -> np.ndarray:
        """Each term's damage (designs, terms) of designs at places (designs, parameters)."""
        columns = {name: i for i, name in enumerate(parameters)}
        found = [table[tuple(rows[:, columns[name]] for name in term)] for term, table in self.terms.items()]
        return np.stack(found, axis=1) if found else np.zeros((len(rows), 1))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for a step on disk."""
        return {"&".join(term): np.asarray(table, np.float64) for term, table in self.terms.items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> "Damages":
        return Damages({tuple(name.split("&")): np.asarray(table) for name, table in arrays.items()})
