"""What strategies may ask about a network: each measure is taken once, when first asked for, and kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from flow.search.damages import Damages
from flow.search.problem import Chosen, Measure
from flow.sensitivity import floating
from flow.sensitivity.cells import Cell, cells
from flow.sensitivity.fisher import Fisher, fisher, fit
from flow.sensitivity.floating import Pass
from flow.sensitivity.outputs import divergences
from flow.sensitivity.spread import Spread, spread
from flow.sensitivity.widths import Width, widths
from flow.space import SearchSpace
from flow.topology import Scale
from flow.train.parameters import deployed
from flow.train.schedule import Importance

if TYPE_CHECKING:
    from flow.train.designs import Sample

EVENTS = 4096  # on which gradients and outputs are averaged
HESSIAN_EVENTS = 1024  # a Hessian's products cost more
SPREAD_EVENTS = 1024
# `benchmarks/fit.py`: of 128 random designs each, trained, this stops 15 of models/tiny, of which the best is better
# than 35 % of all, and none of the jet tagger or of the digits.
HOPELESS = 9.0

# name, inputs, compute → what has the result and the arrays that compute() returned, as `flow.store.Store.step`.
Keep = Callable[[str, dict, Callable[[], tuple[dict, dict[str, np.ndarray]]]], Any]
Parameters = Mapping[str, np.ndarray]


def not_kept(name: str, inputs: dict, compute: Callable) -> Any:
    """Computes whatever was asked."""
    result, arrays = compute()
    return SimpleNamespace(result=result, arrays=arrays)


@dataclass(frozen=True)
class Sensitivity:
    """The knowledge about one float network.

    `parameters` are those of its training, `sample` events to measure on (the first ones are taken), `importance` what
    pruning goes by. `keep` keeps what was measured; `origin` names the parameters and the events in it.
    `parameters_of`: number of a trial → the name of its parameters, and the parameters, for measures at a trial.
    """

    space: SearchSpace
    parameters: Parameters
    sample: "Sample"
    seed: int = 0
    importance: Importance = Importance.MAGNITUDE
    keep: Keep = not_kept
    origin: str = ""
    parameters_of: Callable[[int], tuple[str, Parameters]] | None = None
    _held: dict = field(default_factory=dict, repr=False, compare=False)

    def damages(self, measure: Measure, at: int | None = None) -> Damages:
        """How much each choice hurts; `at` the parameters of a trial (FIT alone) or else the float network."""
        if (measure, at) not in self._held:
            self._held[measure, at] = self._measured(measure, at)
        return self._held[measure, at]

    def error_bound(self, chosen: Chosen) -> float:
        """Root mean squared error of a difference of logits, in units of the median margin of the two largest; of the
        float network's weights, quantized and not yet trained."""
        return self._spread.ratio(chosen)

    def hopeless(self, chosen: Chosen) -> str:
        """Why a design can't work; empty where nothing says so."""
        bound = self.error_bound(chosen)
        return (
            f"the logits' error is {bound:.1f} times the margin between the two largest ones; up to {HOPELESS:g} can be"
            " trained away"
            if bound > HOPELESS
            else ""
        )

    @cached_property
    def places(self) -> tuple[Cell, ...]:
        return cells(self.space)

    @cached_property
    def factors(self) -> tuple[Width, ...]:
        return widths(self.space)

    def _measured(self, measure: Measure, at: int | None) -> Damages:
        if at is not None and measure is not Measure.FIT:
            raise ValueError(f"{measure.value} is measured at the float network alone")
        if at is not None and self.parameters_of is None:
            raise ValueError("no trial's parameters are known here")
        origin, parameters = (self.origin, self.parameters) if at is None else self.parameters_of(at)
        compute = {
            Measure.FIT: lambda: self._fit(parameters),
            Measure.KL: lambda: self._outputs()[0],
            Measure.OUTPUT: lambda: self._outputs()[1],
            Measure.HESSIAN: lambda: self._hessian(),
        }
        step = self.keep(
            f"sensitivity-{measure.value}",
            self._inputs(origin, measure),
            lambda: ({}, compute[measure]().to_arrays()),
        )
        return Damages.from_arrays(step.arrays)

    def _inputs(self, origin: str, measure: Measure) -> dict:
        """What a measure depends on."""
        return {
            "origin": origin,
            "space": self.space.to_json(),
            "seed": self.seed,
            "importance": self.importance.value,
            "measure": measure.value,
            "events": [EVENTS, HESSIAN_EVENTS, len(self.sample.truth.labels)],
        } | ({"widths": "with the kernels"} if self.factors else {})

    def _events(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Values (n, n_in) and labels (n,) of the first events."""
        count = floating.events_held(self.space.topology, most)
        return np.asarray(self.sample.values[:count]), np.asarray(self.sample.truth.labels[:count])

    def _pass(self, parameters: Parameters, most: int = EVENTS) -> Pass:
        topology = self.space.topology
        return floating.run(topology, deployed(topology, parameters), self._events(most)[0])

    def _fit(self, parameters: Parameters) -> Damages:
        information, by_fisher = self._fisher(parameters), self.importance is Importance.FISHER
        return fit(self.places, information, self._pass(parameters), by_fisher, factors=self.factors)

    def _fisher(self, parameters: Parameters) -> Fisher:
        topology = self.space.topology
        return fisher(topology, deployed(topology, parameters), *self._events(EVENTS))

    @cached_property
    def _float_fisher(self) -> Fisher:
        return self._fisher(self.parameters)

    def _sizes(self) -> dict[str, np.ndarray] | None:
        """What pruning goes by where that is not the magnitude."""
        if self.importance is not Importance.FISHER:
            return None
        topology = self.space.topology
        own, weights = self._float_fisher, deployed(topology, self.parameters)
        plain = (layer.name for layer in topology.weighted if not isinstance(layer, Scale))
        return {name: own.weights[f"{name}.kernel"] * np.asarray(weights[name][0], float) ** 2 for name in plain}

    def _outputs(self) -> tuple[Damages, Damages]:
        if "outputs" not in self._held:
            self._held["outputs"] = divergences(self.places, self._pass(self.parameters), self._sizes(), self.factors)
        return self._held["outputs"]

    def _hessian(self) -> Damages:
        from flow.sensitivity.hessian import perturbed, traces

        topology = self.space.topology
        found = traces(topology, deployed(topology, self.parameters), *self._events(HESSIAN_EVENTS), self.seed)
        return perturbed(self.places, found, self._pass(self.parameters), self._sizes(), self.factors)

    @cached_property
    def _spread(self) -> Spread:
        return spread(self.places, self.space.parameters, self._pass(self.parameters, SPREAD_EVENTS), self._sizes())
