"""Who can start from whose weights: what was pruned away, or never was there, can't be inherited."""

from collections.abc import Sequence

from flow.search.problem import Chosen, Past, Problem


def inherits(problem: Problem, child: Chosen, parent: Chosen) -> bool:
    """Whether a design can go on from another one's weights: no kernel keeps more, and all layers are as wide."""
    for name in problem.parameters:
        if name.endswith("keep") and _number(child[name]) > _number(parent[name]):
            return False
        if name.endswith("width") and child[name] != parent[name]:
            return False
    return True


def ages(past: Sequence[Past]) -> dict[int, int]:
    """Trial → epochs that its weights were trained, those of its ancestors among them."""
    found: dict[int, int] = {}
    for item in sorted(past, key=lambda item: item.number):
        found[item.number] = item.epochs + (0 if item.parent is None else found.get(item.parent, 0))
    return found


def _number(text: str) -> float:
    """A keep fraction as written; what is none counts as everything kept."""
    try:
        return float(text)
    except ValueError:
        return 1.0
