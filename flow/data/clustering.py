"""Jet finding and grooming: anti-kT, Cambridge/Aachen, and the modified mass-drop tagger.

Both algorithms are the generalised kT recombination with E-scheme sums, by the search over nearest neighbours
that is of order n^2 (Cacciari and Salam, hep-ph/0512210). Anti-kT: Cacciari, Salam, Soyez, 0802.1189.
Grooming: soft drop with beta = 0 (Larkoski, Marzani, Soyez, Thaler, 1402.2657, eq. 1.1), which is the modified
mass-drop tagger of Dasgupta, Fregoso, Marzani, Salam, 1307.0007.

Momenta are rows (px, py, pz, E) in GeV.
"""

from dataclasses import dataclass

import numpy as np

from flow.data.compiled import compiled

EVERYTHING = 1000.0
"""A radius that takes all particles into one jet."""

# Columns of the table of live pseudojets: where it is, its weight pt^2p, and the distance to its neighbour.
_RAPIDITY, _AZIMUTH, _WEIGHT, _DISTANCE = 0, 1, 2, 3
_BEAM = -1


@dataclass(frozen=True)
class FoundJet:
    """momentum: (4,) px, py, pz, E in GeV. constituents: (m,) rows of the particles that were clustered."""

    momentum: np.ndarray
    constituents: np.ndarray


def leading_jets(particles: np.ndarray, radius: float, count: int) -> list[FoundJet]:
    """The `count` anti-kT jets of highest pT, hardest first, of `particles` (n, 4)."""
    if len(particles) == 0:
        return []
    nodes, children, roots = _recombine(np.ascontiguousarray(particles), True, radius)
    pt = np.hypot(nodes[roots, 0], nodes[roots, 1])
    hardest = roots[np.argsort(-pt, kind="stable")[:count]]
    return [FoundJet(nodes[root], _leaves(root, children)) for root in hardest]


def groom(constituents: np.ndarray, z_cut: float) -> np.ndarray:
    """Rows of `constituents` (m, 4) that the modified mass-drop tagger keeps.

    The jet is reclustered with Cambridge/Aachen and undone step by step; the softer branch is dropped until
    both carry more than `z_cut` of the pT of the two.
    """
    nodes, children, roots = _recombine(np.ascontiguousarray(constituents), False, EVERYTHING)
    return _leaves(_first_hard_split(nodes, children, roots[0], z_cut), children)


@compiled
def _rapidity(px, py, pz, energy):
    """0.5 ln((E+pz)/(E-pz)) without cancellation; a mass below zero by rounding is taken as zero."""
    pt2 = px * px + py * py
    transverse2 = pt2 + max(0.0, (energy + pz) * (energy - pz) - pt2)
    if transverse2 <= 0.0:
        return 1e5 if pz >= 0.0 else -1e5
    along = energy + abs(pz)
    value = 0.5 * np.log(along * along / transverse2)
    return value if pz >= 0.0 else -value


@compiled
def _place(slots, slot, momentum, antikt):
    px, py, pz, energy = momentum
    slots[slot, _RAPIDITY] = _rapidity(px, py, pz, energy)
    slots[slot, _AZIMUTH] = np.arctan2(py, px)
    slots[slot, _WEIGHT] = 1.0 / max(px * px + py * py, 1e-300) if antikt else 1.0


@compiled
def _separation(slots, a, b):
    """Squared distance in rapidity and azimuth."""
    along = slots[a, _RAPIDITY] - slots[b, _RAPIDITY]
    around = abs(slots[a, _AZIMUTH] - slots[b, _AZIMUTH])
    if around > np.pi:
        around = 2.0 * np.pi - around
    return along * along + around * around


@compiled
def _seek(slots, neighbour, slot, live, radius2):
    """Find the nearest neighbour of one slot inside the radius; none means the beam."""
    neighbour[slot] = _BEAM
    slots[slot, _DISTANCE] = radius2
    for other in range(live):
        if other != slot:
            distance = _separation(slots, slot, other)
            if distance < slots[slot, _DISTANCE]:
                slots[slot, _DISTANCE] = distance
                neighbour[slot] = other


@compiled
def _closest(slots, neighbour, live):
    """The slot with the smallest d_ij or d_iB (0802.1189, eq. 1, times R^2)."""
    best, smallest = 0, np.inf
    for slot in range(live):
        weight = slots[slot, _WEIGHT]
        if neighbour[slot] != _BEAM:
            weight = min(weight, slots[neighbour[slot], _WEIGHT])
        measure = weight * slots[slot, _DISTANCE]
        if measure < smallest:
            best, smallest = slot, measure
    return best


@compiled
def _remove(slots, neighbour, node, gone, live):
    """Fill the slot `gone` with the last live one; returns the number left."""
    last = live - 1
    slots[gone] = slots[last]
    neighbour[gone] = neighbour[last]
    node[gone] = node[last]
    for slot in range(last):
        if neighbour[slot] == last:
            neighbour[slot] = gone
    return last


@compiled
def _recombine(momenta, antikt, radius):
    """Cluster (n, 4) momenta until no pseudojet is left.

    Returns nodes (2n, 4), the momenta with the n given first and each sum after its parts; children (2n, 2),
    the two parts of each sum, -1 for the given ones; roots, the nodes that ended as jets.
    """
    count = momenta.shape[0]
    nodes = np.zeros((2 * count, 4))
    nodes[:count] = momenta
    children = np.full((2 * count, 2), -1)
    roots = np.empty(count, np.int64)
    slots = np.empty((count, 4))
    neighbour = np.empty(count, np.int64)
    node = np.arange(count)
    radius2 = radius * radius
    for slot in range(count):
        _place(slots, slot, nodes[slot], antikt)
    for slot in range(count):
        _seek(slots, neighbour, slot, count, radius2)

    live, made, found = count, count, 0
    stale = np.zeros(count, np.bool_)
    while live > 0:
        first = _closest(slots, neighbour, live)
        second = neighbour[first]
        for slot in range(live):
            stale[slot] = neighbour[slot] == first or (second != _BEAM and neighbour[slot] == second)
        if second == _BEAM:
            roots[found] = node[first]
            found += 1
            gone = first
        else:
            children[made, 0], children[made, 1] = node[first], node[second]
            nodes[made] = nodes[node[first]] + nodes[node[second]]
            node[first] = made
            _place(slots, first, nodes[made], antikt)
            stale[first] = True
            made += 1
            gone = second
        stale[gone] = stale[live - 1]
        live = _remove(slots, neighbour, node, gone, live)
        # The sum sits in slot `first`, unless that was the last one and has just moved to `gone`.
        merged = _BEAM if second == _BEAM else (gone if first == live else first)
        for slot in range(live):
            if stale[slot]:
                _seek(slots, neighbour, slot, live, radius2)
            elif merged != _BEAM:
                distance = _separation(slots, slot, merged)
                if distance < slots[slot, _DISTANCE]:
                    slots[slot, _DISTANCE] = distance
                    neighbour[slot] = merged
    return nodes, children, roots[:found]


@compiled
def _first_hard_split(nodes, children, root, z_cut):
    """Follow the harder branch down from `root` to the first split with min(pT)/sum(pT) above `z_cut`."""
    here = root
    while children[here, 0] >= 0:
        left, right = children[here, 0], children[here, 1]
        pt_left = np.hypot(nodes[left, 0], nodes[left, 1])
        pt_right = np.hypot(nodes[right, 0], nodes[right, 1])
        if min(pt_left, pt_right) > z_cut * (pt_left + pt_right):
            break
        here = left if pt_left > pt_right else right
    return here


@compiled
def _leaves(root, children):
    """The given particles under a node."""
    leaves = np.empty(children.shape[0], np.int64)
    stack = np.empty(children.shape[0], np.int64)
    found, depth = 0, 1
    stack[0] = root
    while depth > 0:
        depth -= 1
        here = stack[depth]
        if children[here, 0] < 0:
            leaves[found] = here
            found += 1
        else:
            stack[depth], stack[depth + 1] = children[here, 0], children[here, 1]
            depth += 2
    return leaves[:found]
