"""Parameters of narrower and wider networks inside those of the widest one.

A population trains in one graph, that of the widest network. Units that a design leaves out have their kernel's columns
and the rows that read them masked: what is left is the narrower network itself, sliced out in the end.
"""

from collections.abc import Mapping

import numpy as np

from flow.design import Design
from flow.topology import Conv, Layer, Topology
from flow.train.initial import Weights
from flow.train.parameters import STATISTICS, TRAINED, Parameters, deployed, names_of, random_parameters
from flow.width import Units, alive, channels, counts, kernel_masks, resizable, resized

ALIVE = "alive"  # "<layer>.alive": which units of a member live, 0 or 1, beside its parameters


def units_in(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Layer → which of its units live (units,) bool, as training noted it among the parameters; {} without widths."""
    names = (name.rpartition(".") for name in parameters)
    return {layer: parameters[f"{layer}.{ALIVE}"] > 0 for layer, _, kind in names if kind == ALIVE}


def noted(units: Units) -> Parameters:
    """Living units as they stand among parameters."""
    return {f"{name}.{ALIVE}": np.asarray(own, np.float32) for name, own in units.items()}


def begin(
    base: Topology, wide: Topology, design: Design | None, start: Parameters | None, seed: int
) -> tuple[Parameters, dict[str, np.ndarray]]:
    """What a member starts from in the widest network, and which of its units live.

    `start` are parameters of the user's network `base`, or those of another member in `wide` (None: random ones).
    Units that live in `start` stay first, among them those with the largest deployed kernel norm.
    """
    parameters, before = widened(base, wide, random_parameters(base, seed) if start is None else start, seed)
    units = chosen_units(base, wide, design, parameters, before)
    return _grown(wide, parameters, before, units, seed), units


def widened(base: Topology, wide: Topology, parameters: Parameters, seed: int) -> tuple[Parameters, Units]:
    """Parameters of `base`, or of `wide` itself, as those of `wide`; and which units were there.

    Units that were not have random incoming weights (Glorot-uniform, drawn from `seed`) and outgoing ones that are
    zero: the float network's function stays what it was.
    """
    before = units_in(parameters)
    if not before:
        before = {name: np.arange(wide[name].shape[-1]) < base[name].shape[-1] for name in resizable(base)}
    if any(np.shape(parameters[f"{name}.kernel"])[-1] != len(own) for name, own in before.items()):
        parameters = _placed(wide, parameters, before, random_parameters(wide, seed))
    return _grown(wide, parameters, before, {name: np.ones_like(own) for name, own in before.items()}, seed), before


def chosen_units(
    base: Topology, wide: Topology, design: Design | None, parameters: Parameters, before: Units
) -> dict[str, np.ndarray]:
    """Layer → which units a design keeps: those that lived `before` first, then by deployed kernel norm, then in order."""
    weights, wanted, found = deployed(wide, parameters), counts(base, design), {}
    for name, old in before.items():
        kernel = np.asarray(weights[name][0], np.float64)
        norm = np.sqrt((kernel**2).reshape(-1, kernel.shape[-1]).sum(axis=0))
        order = np.lexsort((np.arange(len(norm)), -norm, ~old))
        units = np.zeros(len(norm), bool)
        units[order[: wanted.get(name, base[name].shape[-1])]] = True
        found[name] = units
    return found


def narrowed(base: Topology, parameters: Mapping[str, np.ndarray]) -> tuple[Topology, Weights]:
    """The network of a member's living units, and its deployed weights; of the user's own where it has no widths."""
    units = units_in(parameters)
    wide = resized(base, {n: len(u) for n, u in units.items() if len(u) != base[n].shape[-1]})
    weights = deployed(wide, parameters)
    if not units:
        return wide, weights
    living = {n: int(u.sum()) for n, u in units.items()}
    topology = resized(base, {n: k for n, k in living.items() if k != base[n].shape[-1]})
    masks, values = kernel_masks(wide, units), alive(wide, units)
    found: Weights = {}
    for layer in topology.weighted:
        kernel, bias = weights[layer.name]
        own = channels(values[layer.name])
        found[layer.name] = (
            np.asarray(kernel)[masks[layer.name]].reshape(layer.kernel_shape),
            None if bias is None else bias[own],
        )
    return topology, found


def _placed(wide: Topology, parameters: Parameters, units: Units, fresh: Parameters) -> Parameters:
    """Parameters of a network that has `units` of the wide one alone, at their places in it; `fresh` elsewhere."""
    found, masks, values = {}, kernel_masks(wide, units), alive(wide, units)
    for name in names_of(wide, TRAINED + STATISTICS):
        layer, _, kind = name.rpartition(".")
        mask = masks[layer] if kind == "kernel" else channels(values[layer])
        if parameters[name].size != mask.sum():
            raise ValueError(f"{name}: {parameters[name].size} values can't stand at {int(mask.sum())} places")
        found[name] = np.array(fresh[name], np.float32)
        found[name][mask] = np.asarray(parameters[name], np.float32).ravel()
    return found


def _grown(wide: Topology, parameters: Parameters, before: Units, now: Units, seed: int) -> Parameters:
    """Parameters with those units new that live `now` and did not `before`, and all that doesn't live masked."""
    fresh = random_parameters(wide, seed)
    old, new = kernel_masks(wide, before), kernel_masks(wide, now)
    was, values = alive(wide, before), alive(wide, now)
    found = dict(parameters)
    for layer in wide.weighted:
        born = channels(values[layer.name]) & ~channels(was[layer.name])
        for kind in (*TRAINED, *STATISTICS):
            name = f"{layer.name}.{kind}"
            if name not in parameters:
                continue
            if kind != "kernel":
                found[name] = np.where(born, fresh[name], parameters[name])
                continue
            grown = _columns(layer, born) & _rows(layer, channels(was[wide.sources[layer.name][0]]))
            kept = np.where(old[layer.name], parameters[name], np.where(grown, fresh[name], np.float32(0.0)))
            found[name] = np.where(new[layer.name], kept, np.float32(0.0))
    return {name: values for name, values in found.items() if not name.endswith(f".{ALIVE}")}


def _columns(layer: Layer, born: np.ndarray) -> np.ndarray:
    """The weights of new units, or of channels that a depthwise convolution follows."""
    depthwise = isinstance(layer, Conv) and layer.depthwise
    return np.broadcast_to(born[:, None] if depthwise else born, layer.kernel_shape)


def _rows(layer: Layer, there: np.ndarray) -> np.ndarray:
    """The weights that read what was there before; a depthwise convolution has none that another channel reads."""
    depthwise = isinstance(layer, Conv) and layer.depthwise
    return np.ones(layer.kernel_shape, bool) if depthwise else np.broadcast_to(there[:, None], layer.kernel_shape)
