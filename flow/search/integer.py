"""Choices of least damage under limits, exactly: a mixed integer linear program for HiGHS (through SciPy).

Every parameter has a binary variable for each of its choices, of which one is 1. A table over several parameters has
a continuous variable for each combination, whose sums over the others equal the binaries: where these are whole
numbers, the one combination that was chosen is 1 (the local polytope of Wainwright and Jordan, Found. Trends Mach.
Learn. 1 (2008) 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flow.search.problem import Chosen

if TYPE_CHECKING:
    import numpy as np

NODES = 1000  # of the solver's tree: what is best by then counts (a number, so that the same comes out every time)
SMALL = 1e-3  # of the largest damage: below it the solver's tolerances would hide differences


@dataclass(frozen=True)
class Block:
    """A table over the choices of some parameters, one axis each."""

    names: tuple[str, ...]
    table: "np.ndarray"

    def of(self, parameters: Mapping[str, tuple[str, ...]], chosen: Chosen) -> float:
        return float(self.table[tuple(parameters[name].index(chosen[name]) for name in self.names)])


@dataclass(frozen=True)
class Program:
    """Parameters, the blocks whose sum is to be least, the blocks of each limited figure, and forbidden
    combinations."""

    parameters: Mapping[str, tuple[str, ...]]
    damage: Sequence[Block]
    costs: Mapping[str, Sequence[Block]]
    forbidden: tuple[Mapping[str, tuple[str, ...]], ...] = ()

    def damage_of(self, chosen: Chosen) -> float:
        return sum(block.of(self.parameters, chosen) for block in self.damage)

    def cost_of(self, figure: str, chosen: Chosen) -> float:
        return sum(block.of(self.parameters, chosen) for block in self.costs[figure])

    def solve(self, limits: Mapping[str, float], excluded: Sequence[Chosen] = ()) -> dict[str, str] | None:
        """The choices of least damage whose costs keep to `limits`, none of `excluded`; None where there is none. After
        `NODES` nodes, the best ones so far, or None."""
        import numpy as np

        hurt = self._spread_out(self.damage)
        floors = [part.min(initial=0.0) for part in hurt.values()]
        objective = np.concatenate([np.zeros(self._binaries), *(p - f for p, f in zip(hurt.values(), floors))])
        largest = float(objective.max(initial=0.0)) or 1.0
        rules = self._rules(limits, excluded)
        found = self._solved(objective / largest, np.ones(len(objective)), rules)
        if found is None:
            return None
        least = float(objective @ found)
        if 0.0 < least < SMALL * largest:
            # No single part may cost more than all parts of a design that is known: what is left is of one scale.
            allowed = (objective <= least * (1.0 + 1e-6)).astype(float)
            again = self._solved(objective / least, allowed, rules)
            found = found if again is None else again
        return self._chosen(found)

    @cached_property
    def _first(self) -> dict[str, int]:
        """Parameter → the column of its first choice."""
        found, column = {}, 0
        for name, options in self.parameters.items():
            found[name], column = column, column + len(options)
        return found

    @cached_property
    def _binaries(self) -> int:
        return sum(len(options) for options in self.parameters.values())

    @cached_property
    def _cliques(self) -> tuple[tuple[str, ...], ...]:
        """The parameters of all tables, without those whose parameters are all in another one's."""
        blocks = [*self.damage, *(block for some in self.costs.values() for block in some)]
        known = sorted({frozenset(block.names) for block in blocks}, key=lambda s: (-len(s), sorted(s)))
        found: list[frozenset] = []
        for names in [*known, frozenset(list(self.parameters)[:1])]:  # a constant needs a place too
            if names and not any(names <= other for other in found):
                found.append(names)
        order = list(self.parameters)
        return tuple(tuple(sorted(names, key=order.index)) for names in found)

    def _spread_out(self, blocks: Sequence[Block]) -> dict[tuple[str, ...], "np.ndarray"]:
        """Clique → the sum of the blocks that belong to it, one number for each combination (combinations,)."""
        import numpy as np

        found = {c: np.zeros([len(self.parameters[name]) for name in c]) for c in self._cliques}
        for block in blocks:
            clique = next(c for c in self._cliques if set(block.names) <= set(c))
            own = [name for name in clique if name in block.names]
            table = np.transpose(np.asarray(block.table, float), [block.names.index(name) for name in own])
            shape = [len(self.parameters[name]) if name in own else 1 for name in clique]
            found[clique] = found[clique] + table.reshape(shape)
        return {clique: table.ravel() for clique, table in found.items()}

    @cached_property
    def _structure(self):
        """One choice for each parameter, and combinations that agree with the choices: rows (sparse), right-hand
        sides."""
        import numpy as np
        from scipy.sparse import coo_array

        rows, columns, values, right = [], [], [], []

        def row(where, what, total: float) -> None:
            rows.extend([len(right)] * len(where))
            columns.extend(where)
            values.extend(what)
            right.append(total)

        for name, options in self.parameters.items():
            row(range(self._first[name], self._first[name] + len(options)), [1.0] * len(options), 1.0)
        start = self._binaries
        for clique in self._cliques:
            shape = [len(self.parameters[name]) for name in clique]
            cells = np.arange(start, start + int(np.prod(shape))).reshape(shape)
            for axis, name in enumerate(clique):
                for choice in range(shape[axis]):
                    some = np.take(cells, choice, axis=axis).ravel()
                    row([*some, self._first[name] + choice], [1.0] * len(some) + [-1.0], 0.0)
            start += cells.size
        return coo_array((values, (rows, columns)), shape=(len(right), start)).tocsr(), np.array(right)

    def _rules(self, limits: Mapping[str, float], excluded: Sequence[Chosen]):
        """Rows (dense) that stay at or below their right-hand sides: limits, forbidden combinations, excluded
        designs."""
        import numpy as np

        width = self._structure[0].shape[1]
        rows, most = [], []
        for figure, limit in limits.items():
            cost = np.concatenate([np.zeros(self._binaries), *self._spread_out(self.costs[figure]).values()])
            scale = max(abs(limit), float(np.abs(cost).max(initial=0.0)), 1e-9)
            rows.append(cost / scale)
            most.append(limit / scale)
        combinations = [{name: set(some) for name, some in rule.items()} for rule in self.forbidden]
        combinations += [{name: {chosen[name]} for name in self.parameters} for chosen in excluded]
        for rule in combinations:
            row = np.zeros(width)
            for name, some in rule.items():
                for choice in some & set(self.parameters[name]):
                    row[self._first[name] + self.parameters[name].index(choice)] = 1.0
            rows.append(row)
            most.append(len(rule) - 1.0)
        return np.array(rows).reshape(len(rows), width), np.array(most)

    def _solved(self, objective: "np.ndarray", allowed: "np.ndarray", rules) -> "np.ndarray | None":
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp

        rows, right = self._structure
        constraints = [LinearConstraint(rows, right, right)]
        if len(rules[1]):
            constraints.append(LinearConstraint(rules[0], -np.inf, rules[1]))
        whole = np.concatenate([np.ones(self._binaries), np.zeros(len(objective) - self._binaries)])
        found = milp(
            objective,
            integrality=whole,
            bounds=Bounds(0.0, allowed),
            constraints=constraints,
            options={"mip_rel_gap": 0.0, "node_limit": NODES},
        )
        return None if found.x is None else found.x

    def _chosen(self, solution: "np.ndarray") -> dict[str, str]:
        found = {}
        for name, options in self.parameters.items():
            first = self._first[name]
            found[name] = options[int(solution[first : first + len(options)].argmax())]
        return found
