"""Hyperband (Li et al., JMLR 18 (2018) 1) as KerasTuner 1.4.7 has it: many designs shortly, the best of them longer.

A bracket starts with random designs of few epochs; the best of each round go on, `factor` times as long, from the weights
they have. Brackets follow each other, from the one that halves most to the one that only draws at random. Sizes and epochs
are those of `HyperbandOracle`, in whose words names in brackets are; the brackets are rebuilt from the trials.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log

from flow.search.places import fresh, random_designs
from flow.search.problem import Chosen, Key, Past, Problem, Proposal, key_of


def size(bracket: int, round_: int, epochs: int, factor: int) -> int:
    """Trials in a round of a bracket (`_get_size`): each bracket costs about as many epochs."""
    return ceil(ceil(1 + log(epochs, factor)) / (bracket + 1) * factor ** (bracket - round_))


def epochs_of(bracket: int, round_: int, epochs: int, factor: int) -> int:
    """Epochs that a trial of the round has had altogether at its end (`_get_epochs`)."""
    return ceil(epochs / factor ** (bracket - round_))


def brackets(epochs: int, factor: int) -> int:
    """Number of brackets (`_get_num_brackets`): as often as `epochs` can be divided down to one."""
    found, left = 0, float(epochs)
    while left >= 1:
        left, found = left / factor, found + 1
    return found


def iteration(epochs: int, factor: int) -> int:
    """Trials of all brackets once, promotions among them."""
    return sum(size(b, r, epochs, factor) for b in range(brackets(epochs, factor)) for r in range(b + 1))


@dataclass
class Bracket:
    """A bracket on its way: the trials of each round, and the designs that went on from it."""

    number: int
    rounds: list[list[Past]]
    promoted: list[set[Key]]


@dataclass
class Oracle:
    """What KerasTuner's oracle keeps, made anew from the trials: brackets in the order in which they began."""

    epochs: int
    factor: int
    running: list[Bracket] = field(default_factory=list)
    latest: dict[Key, tuple[Bracket, int]] = field(default_factory=dict)  # design -> the last round that it is in
    seen: int = 0

    def size(self, bracket: Bracket, round_: int) -> int:
        return size(bracket.number, round_, self.epochs, self.factor)

    def longer(self, bracket: Bracket, round_: int) -> int:
        """Epochs of a trial of this round beyond those it has had."""
        before = epochs_of(bracket.number, round_ - 1, self.epochs, self.factor) if round_ else 0
        return max(epochs_of(bracket.number, round_, self.epochs, self.factor) - before, 1)

    def coming(self) -> Bracket:
        """The bracket that begins next: from the one that halves most down to 0, and again."""
        count = brackets(self.epochs, self.factor)
        number = count - 1 - len(self.running) % count
        return Bracket(number, [[] for _ in range(number + 1)], [set() for _ in range(number + 1)])

    def add(self, bracket: Bracket, round_: int, item: Past) -> None:
        if bracket not in self.running:
            self.running.append(bracket)
        bracket.rounds[round_].append(item)
        self.latest[key_of(item.chosen)] = bracket, round_
        self.seen += 1
        if round_:
            bracket.promoted[round_ - 1].add(key_of(item.chosen))

    def see(self, item: Past) -> None:
        """Put a trial where it belongs: a design comes again only to go on. One that was trained for longer than the
        round asks, such as a uniform design, is of no bracket; fewer epochs are those of a trial that was stopped."""
        bracket, round_ = self.latest.get(key_of(item.chosen), (None, -1))
        if bracket is None:
            bracket = next((one for one in self.running if self.room(one)), None) or self.coming()
        if round_ < bracket.number and item.epochs <= self.longer(bracket, round_ + 1):
            self.add(bracket, round_ + 1, item)

    def room(self, bracket: Bracket) -> bool:
        """Whether its first round takes another design."""
        return len(bracket.rounds[0]) < self.size(bracket, 0)

    def promotion(self, bracket: Bracket, full: bool) -> tuple[int, Past] | None:
        """The round that a trial may go on to, and the trial: the best one, as soon as more are done than the next round
        throws out. `full`: the first round gets no more designs than it has."""
        for round_ in range(1, bracket.number + 1):
            before, size_ = bracket.rounds[round_ - 1], self.size(bracket, round_)
            expected = len(before) if full else self.size(bracket, round_ - 1)
            gone = bracket.promoted[round_ - 1]
            ready = [item for item in before if item.values and key_of(item.chosen) not in gone]
            if ready and len(ready) > expected - size_ and len(bracket.rounds[round_]) < size_:
                return round_, max(ready, key=lambda item: (item.values[0], -item.number))
        return None


def propose(
    problem: Problem, own: Sequence[Past], n: int, trials: int | None, asked: Mapping[str, object], seed: int
) -> list[Proposal]:
    """Up to `n` trials in the oracle's order: in each bracket random designs first, then promotions; a new bracket where
    none has anything to do. A promotion is the same design, from the weights of its trial, for the epochs it lacks."""
    import numpy as np

    oracle = Oracle(problem.epochs, asked["factor"])
    for item in sorted((item for item in own if item.number >= 0), key=lambda item: item.number):
        oracle.see(item)
    rng, known, full = np.random.default_rng(seed), list(own), False
    room = n if trials is None else min(n, trials - oracle.seen)
    found: list[Proposal] = []
    while len(found) < room:
        proposal = _next(oracle, full, lambda: _unseen(problem, known, rng))
        if proposal is not None:
            found.append(proposal)
            known.append(Past(-1 - len(known), proposal.chosen, ()))
        elif full:
            break
        full = full or proposal is None
    return found


def _next(oracle: Oracle, full: bool, draw: Callable[[], Chosen | None]) -> Proposal | None:
    """What `populate_space` answers; None where it needed a new design and `draw` had none."""
    for bracket in oracle.running:
        if oracle.room(bracket) and not full:
            return _begin(oracle, bracket, draw())
        step = oracle.promotion(bracket, full)
        if step is not None:
            round_, item = step
            oracle.add(bracket, round_, Past(-1, item.chosen, ()))
            return Proposal(item.chosen, item.number, oracle.longer(bracket, round_))
    return None if full else _begin(oracle, oracle.coming(), draw())


def _begin(oracle: Oracle, bracket: Bracket, chosen: Chosen | None) -> Proposal | None:
    if chosen is None:
        return None
    oracle.add(bracket, 0, Past(-1, chosen, ()))
    return Proposal(chosen, None, oracle.longer(bracket, 0))


def _unseen(problem: Problem, known: Sequence[Past], rng) -> Chosen | None:
    found = fresh(problem, known, 1, lambda: next(iter(random_designs(problem, 1, rng)), None))
    return found[0].chosen if found else None
