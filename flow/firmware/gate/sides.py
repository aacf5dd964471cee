"""The sides of the equivalence gate: the C simulation, the traced arithmetic, the simulated RTL."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.errors import BadInput

LAYER_VECTORS = 1000  # of how many vectors the hidden layers are compared

Outputs = Mapping[str, np.ndarray]  # layer name -> values (rows, size), a layer's values flattened into a row


@dataclass(frozen=True)
class Side:
    """One way to compute the network: `run` takes words (n, n_in) and gives outputs by layer name.

    The last layer's (n, n_out) must be among them; other layers may be, with fewer rows: those of the first vectors.
    A NaN in such a layer says that the element doesn't exist on this side. `explain` does the same with hidden
    layers where `run` leaves them out because they cost; it is called where the last layer differs.
    """

    name: str
    run: Callable[[np.ndarray], Outputs]
    explain: Callable[[np.ndarray], Outputs] | None = None


def csim_side(folder: Path) -> Side:
    """The C simulation of the hls4ml project in `folder`."""
    from flow.firmware import hls

    return Side("csim", _described(folder / "csim.json", lambda words: hls.simulate(folder, words, layers=True)))


def traced_side(traced) -> Side:
    """The traced arithmetic (`flow.firmware.rtl.trace`); hidden layers for the first 1,000 vectors."""

    def run(words: np.ndarray) -> Outputs:
        outputs = traced.run(words)
        *hidden, last = outputs
        return {**{layer: outputs[layer][:LAYER_VECTORS] for layer in hidden}, last: outputs[last]}

    return Side("traced", run)


def rtl_side(folder: Path, last: str, hidden: bool = False) -> Side:
    """The simulated Verilog in `folder` (`flow.firmware.rtl`), whose last layer is called `last`.

    What leaves its blocks is simulated only where `hidden` asks for it or the last layer differs: the simulation with
    their signals is compiled apart.
    """
    from flow.firmware import simulate

    def run(words: np.ndarray) -> Outputs:
        return {last: simulate.simulate(folder, words)}

    def explain(words: np.ndarray) -> Outputs:
        blocks = simulate.simulate_blocks(folder, words[:LAYER_VECTORS])
        return {**{layer: values for layer, values in blocks.items() if layer != last}, **run(words)}

    path = folder / "rtl.json"
    return Side("rtl", _described(path, explain if hidden else run), _described(path, explain))


def _described(path: Path, run: Callable[[np.ndarray], Outputs]) -> Callable[[np.ndarray], Outputs]:
    """`run`, which reads a project's own description `path`: one that was damaged is a user's mistake."""

    def guarded(words: np.ndarray) -> Outputs:
        try:
            return run(words)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise BadInput(
                f"{path}: does not describe the sources beside it: {type(error).__name__}: {error}"
            ) from error

    return guarded
