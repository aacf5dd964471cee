"""What a strategy may know, and what it answers.

A strategy is a pure function ``propose(problem, past, n, seed)``: the same arguments give the same proposals. It knows
nothing of networks, training or tools: what it may ask about them, `Problem` answers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from flow.forbidden import Rule, broken

if TYPE_CHECKING:
    import numpy as np

    from flow.search.damages import Damages

Chosen = Mapping[str, str]  # parameter -> its choice as written
Key = tuple[tuple[str, str], ...]  # the same, as something to compare


def key_of(chosen: Chosen) -> Key:
    """What tells two sets of choices apart."""
    return tuple(sorted(chosen.items()))


@dataclass(frozen=True)
class Proposal:
    """A design to train. `parent` is the number of the trial whose weights it starts from (None: as the task says);
    `epochs`, how many it is trained (None: as the task says); `by`, the strategy that had the idea."""

    chosen: Chosen
    parent: int | None = None
    epochs: int | None = None
    by: str = ""


@dataclass(frozen=True)
class Past:
    """A trial as strategies see it.

    `values` are the objectives as they were declared, in their order, with what counts now (reported before
    predicted); empty where training failed. `excess` says by how much each limit of the budget is exceeded (relative;
    0 or less is inside). `epochs` is what this trial trained, `parent` the trial that it went on from, `batch` the
    number of the first trial that was proposed with it, `by` the strategy; `reported`, whether a tool has told its cost.
    """

    number: int
    chosen: Chosen
    values: tuple[float, ...]
    excess: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    parent: int | None = None
    batch: int = 0
    by: str = ""
    reported: bool = False

    @property
    def inside(self) -> bool:
        """Whether no limit of the budget is exceeded."""
        return all(value <= 0.0 for value in self.excess.values())

    @property
    def over(self) -> float:
        """By how much the limit that is exceeded most is exceeded; 0 inside the budget."""
        return max([0.0, *self.excess.values()])


@dataclass(frozen=True)
class Objective:
    """A figure, and which way is better."""

    name: str
    maximize: bool


class Measure(Enum):
    """A way to tell how much a choice hurts the network, without training it."""

    FIT = "fit"  # Fisher information times the variance of the quantization error
    KL = "kl"  # Kullback-Leibler divergence of the outputs, one choice quantized at a time
    HESSIAN = "hessian"  # mean Hessian trace times the squared perturbation
    OUTPUT = "output"  # mean squared error of the logits, one choice quantized at a time


class Knowledge(Protocol):
    """What was measured on the float network; each is measured once, when first asked for, and kept."""

    def damages(self, measure: Measure, at: int | None = None) -> "Damages":
        """How much choices hurt. `at`: measured anew at the weights of this trial (FIT alone), else at the float network."""
        ...

    def error_bound(self, chosen: Chosen) -> float:
        """The logits' error in units of the margin between the two largest ones (intervals through the network)."""
        ...

    def hopeless(self, chosen: Chosen) -> str:
        """Why a design can't work whatever its training is; empty where nothing says so."""
        ...


@dataclass(frozen=True)
class Problem:
    """What there is to choose, and what may be asked.

    `parameters`: name → choices as written, cheapest first by custom. The first maximised objective is the metric, the
    first minimised one that has a closed-form price the cost. `limits`: the budget, by figure. `epochs`, `trials` and `population` say how long a
    design trains, how many are planned in a round, and how many train at once. `forbidden`: combinations that no design
    may have, each parameter → choices. `blocks`: parameters that belong together, in the order of the data.
    `prices`: designs → value of every
    closed-form figure, each (designs,). `by_layer`: design → layer → LUTs and what else is known by layer, before training.
    `parts`: parameter → what it chooses ("input", "kernel", "bias", "activation", "keep", "width" or "reuse"), where that
    does not stand behind the last dot of its name. `options`: the strategy's own settings; `settings`: those of every strategy, by its name (see `of`).
    """

    parameters: Mapping[str, tuple[str, ...]]
    objectives: tuple[Objective, ...]
    limits: Mapping[str, float]
    prices: Callable[[Sequence[Chosen]], Mapping[str, "np.ndarray"]]
    by_layer: Callable[[Chosen], Mapping[str, Mapping[str, float]]]
    knowledge: Knowledge
    epochs: int = 12
    trials: int = 64
    population: int = 32
    forbidden: tuple[Rule, ...] = ()
    blocks: tuple[tuple[str, ...], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def of(self, strategy: str) -> "Problem":
        """The same problem as a strategy sees it, with its own settings."""
        return replace(self, options=self.settings.get(strategy, {}))

    @property
    def metric(self) -> int:
        """The place of the first maximised objective."""
        return next(i for i, objective in enumerate(self.objectives) if objective.maximize)

    @cached_property
    def cost(self) -> int:
        """The place of the first minimised objective that has a closed-form price; of the first one where none has."""
        places = [i for i, objective in enumerate(self.objectives) if not objective.maximize]
        if len(places) == 1:
            return places[0]
        prices = self.prices([{name: options[0] for name, options in self.parameters.items()}])
        return next((i for i in places if self.objectives[i].name in prices), places[0])

    def part(self, parameter: str) -> str:
        """What a parameter chooses."""
        return self.parts.get(parameter) or parameter.rpartition(".")[2]

    def allowed(self, chosen: Chosen) -> bool:
        """Whether no forbidden combination is in it."""
        return not broken(self.forbidden, chosen)


Propose = Callable[[Problem, Sequence[Past], int, int], list[Proposal]]
