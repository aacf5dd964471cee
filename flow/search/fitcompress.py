"""FITCompress (Zandonati et al., arXiv 2302.07612): from the dense network down to a compression goal, along a path.

A node is a set of formats and one sparsity for the whole network. A move takes one format to the next narrower
choice, or the sparsity to the next of 40, spaced evenly in the logarithm of what is kept, each kernel taking the
nearest keep fraction that it has. The way so far counts g = Σ sqrt(ΔFIT) over the moves, the rest h =
sqrt(|compression − goal|²·ΣFθ²), and the open node with the least g + weight·h goes on; compression is cost over the
dense network's. A goal's path goes on from the one before, so that one path gives a design for each goal. After
trials, paths start from trained designs, with the Fisher information measured anew at their weights, which the
designs on the path inherit.

What differs from the paper: ΔFIT is the difference of both nodes' damages, and ΣFθ² the largest damage that the tables
hold for the kernels, as strategies see tables and no weights. Activations, biases and the input move as kernels do.
Where keep fractions can't tell two sparsities apart, the move goes on to the next that can.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from flow.search.inherit import inherits
from flow.search.options import Option, settings
from flow.search.pareto import octaves
from flow.search.places import chosen_at, fresh, places_of, sizes, step, taken, told
from flow.search.pricing import priced
from flow.search.problem import Chosen, Measure, Past, Problem, Proposal, key_of

if TYPE_CHECKING:
    import numpy as np

    from flow.search.damages import Damages

SPARSITIES = 40  # 1 - 10**(-3 k / 39)
EXPANDED = 24  # nodes that one goal may open before the search becomes greedy
STARTS = 3  # trained designs that paths of a later batch start from
LEAST = 0.25  # of the budget: the smallest goal

OPTIONS: dict[str, Option] = {
    "weight": Option(1.0, (0.0, 1000.0), "Weight of the way that is left against the way so far (the paper's lambda)."),
}


@dataclass(frozen=True)
class Node:
    """Places of all choices, and how many sparsity steps were taken."""

    places: tuple[int, ...]
    sparsity: int = 0


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """The designs at which paths reach compression goals between the dense network and a part of the budget."""
    import numpy as np

    rng = np.random.default_rng(seed)
    seen, found = taken(past), []
    chosen_of = {item.number: item.chosen for item in past}
    for parent, start, damages in _starts(problem, past):
        wanted = n - len(found) if parent is None else -(-n // STARTS)
        goals = _goals(problem, start, wanted, rng)
        for chosen in _path(problem, start, damages, goals):
            if key_of(chosen) not in seen and problem.allowed(chosen) and len(found) < n:
                seen.add(key_of(chosen))
                able = parent is not None and inherits(problem, chosen, chosen_of[parent])
                found.append(Proposal(chosen, parent if able else None))
    mine = {key_of(proposal.chosen) for proposal in found}
    room, more = sizes(problem), iter(_near(problem, found, rng, n))

    def draw() -> Chosen | None:
        """Designs beside the paths; random ones where there are too few."""
        chosen = next(more, None) or chosen_at(problem, rng.integers(room))
        return None if key_of(chosen) in mine else chosen

    return found + fresh(problem, past, n - len(found), draw)


def _starts(problem: Problem, past: Sequence[Past]) -> Iterator[tuple[int | None, Node, "Damages"]]:
    """Where paths start: trials outside the budget with the best metric, and the dense network."""
    trained = told(past)
    room = sizes(problem)
    if trained:
        dearest = sorted(trained, key=lambda p: (-p.values[problem.metric], p.values[problem.cost], p.number))
        best = [item for item in dearest if not item.inside] or dearest
        for item in best[: STARTS - 1]:
            row = places_of(problem, [item.chosen])[0]
            yield item.number, _node(problem, row), problem.knowledge.damages(Measure.FIT, at=item.number)
    yield None, Node(tuple(int(size) - 1 for size in room)), problem.knowledge.damages(Measure.FIT)


def _goals(problem: Problem, start: Node, count: int, rng: "np.random.Generator") -> list[float]:
    """Compression goals, largest first: spread evenly in log cost from the start down to a part of the budget, where
    each batch has others."""
    import numpy as np

    dense = chosen_at(problem, start.places)
    least = chosen_at(problem, [0] * len(problem.parameters))
    cost, excess = priced(problem, [dense, least])
    lowest = cost[0] * LEAST / (1.0 + max(excess[0], 0.0)) if problem.limits else cost[1]
    ends = octaves(np.array([cost[0], max(lowest, cost[1])]))
    shares = (np.arange(count) + rng.uniform(0.25, 1.0)) / max(count, 1)
    return [float(np.exp2(min(share, 1.0) * (ends[1] - ends[0]))) for share in shares]


def _path(problem: Problem, start: Node, damages: "Damages", goals: Sequence[float]) -> Iterator[dict[str, str]]:
    """The first design on the path at each goal."""
    weight = float(settings(OPTIONS, problem.options, "search.options.fitcompress")["weight"])
    dense = float(priced(problem, [chosen_at(problem, start.places)])[0][0]) or 1.0
    scale = _energy(problem, damages)
    node = start
    for goal in goals:
        found = _search(problem, node, damages, goal, dense, weight * scale)
        if found is None:
            return
        node = found
        yield chosen_at(problem, node.places)


def _search(problem: Problem, start: Node, damages, goal: float, dense: float, scale: float) -> Node | None:
    """The node at which the path from `start` comes to the goal; None where the space ends before."""
    import numpy as np

    def measured(nodes: Sequence[Node]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.array([node.places for node in nodes], int)
        cost, _ = priced(problem, [chosen_at(problem, row) for row in rows])
        return damages.by_term(problem.parameters, rows).sum(axis=1), cost / dense

    (hurt,), (share,) = measured([start])
    heap = [(0.0, 0, 0.0, hurt, share, start)]
    seen, count = {start}, 0
    while heap:
        _, _, way, hurt, share, node = heappop(heap)
        if share <= goal:
            return node
        count += 1
        if count > EXPANDED:
            heap = []  # the rest of the way follows the best move alone
        moves = [item for item in _moves(problem, node) if item not in seen]
        if not moves:
            continue
        seen.update(moves)
        for i, (item, damage, reached) in enumerate(zip(moves, *measured(moves))):
            far = way + np.sqrt(abs(damage - hurt))
            rest = abs(reached - goal) * scale
            heappush(heap, (far + rest, count * 1000 + i, far, damage, reached, item))
    return None


def _moves(problem: Problem, node: Node) -> list[Node]:
    """The nodes one move away."""
    found = []
    keeps = _keeps(problem)
    for i, place in enumerate(node.places):
        if i not in keeps and place > 0:
            found.append(Node((*node.places[:i], place - 1, *node.places[i + 1 :]), node.sparsity))
    for sparsity in range(node.sparsity + 1, SPARSITIES):
        places = _sparser(keeps, node.places, sparsity)
        if places != node.places:
            return [*found, Node(places, sparsity)]
    return found


def _keeps(problem: Problem) -> dict[int, list[float]]:
    """Place of a parameter that says keep fractions → the fractions."""
    return {
        i: [float(text) for text in options]
        for i, (name, options) in enumerate(problem.parameters.items())
        if problem.part(name) == "keep" and all(_number(text) for text in options)
    }


def _number(text: str) -> bool:
    try:
        return 0.0 < float(text) <= 1.0
    except ValueError:
        return False


def _kept(sparsity: int) -> float:
    """What a step of the schedule keeps."""
    return 10.0 ** (-3.0 * sparsity / (SPARSITIES - 1))


def _sparser(keeps: dict[int, list[float]], places: tuple[int, ...], sparsity: int) -> tuple[int, ...]:
    """Places with each kernel's keep fraction nearest to the step's, never back to more than it has."""
    kept = _kept(sparsity)
    row = list(places)
    for i, fractions in keeps.items():
        options = [j for j in range(len(fractions)) if fractions[j] <= fractions[row[i]]]
        row[i] = min(options, key=lambda j: (abs(fractions[j] - kept), j))
    return tuple(row)


def _node(problem: Problem, row: "np.ndarray") -> Node:
    """A trial as a node: its sparsity is that of its densest kernel."""
    keeps = [fractions[row[i]] for i, fractions in _keeps(problem).items()]
    densest = max(keeps, default=1.0)
    steps = [k for k in range(SPARSITIES) if _kept(k) >= densest - 1e-9]
    return Node(tuple(int(place) for place in row), steps[-1] if steps else 0)


def _energy(problem: Problem, damages: "Damages") -> float:
    """sqrt(ΣFθ²), as the tables tell it: the largest damages of the kernels (of all where nothing is named so)."""
    terms = {term: float(table.max()) for term, table in damages.terms.items()}
    kernels = [value for term, value in terms.items() if any(problem.part(name) == "kernel" for name in term)]
    return max(sum(kernels or terms.values()), 0.0) ** 0.5


def _near(problem: Problem, found: Sequence[Proposal], rng: "np.random.Generator", n: int) -> list[dict[str, str]]:
    """Steps from the path's designs."""
    rows, room = places_of(problem, [proposal.chosen for proposal in found]), sizes(problem)
    return (
        [chosen_at(problem, step(rows[rng.integers(len(rows))], room, rng)) for _ in range(4 * n)] if len(rows) else []
    )
