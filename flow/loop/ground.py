"""What stands before the first round, and what training starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flow.data.scaling import Centred, InputScaling
from flow.loop.context import scaling_of
from flow.metrics import Figure
from flow.space import SearchSpace
from flow.store import Step
from flow.topology import Topology
from flow.train.designs import Physics, Sample, figures_of, member_parameters, member_weights
from flow.train.evaluate import Truth
from flow.width import widest

# What training starts from: the key of the step that made it, and parameters by name (None = random).
Origin = tuple[str, Mapping[str, np.ndarray] | None]
RANDOM: Origin = ("random", None)


@dataclass(frozen=True)
class Ground:
    """What stands before the first round."""

    topology: Topology
    data: Step
    floating: Step
    space: SearchSpace
    physics: Physics

    @cached_property
    def scaling(self) -> InputScaling:
        return scaling_of(self.data.result)

    def sample(self, part: str) -> Sample:
        """Centred values and truth of "train", "validation" or "test"."""
        arrays = self.data.arrays
        values = Centred(arrays[f"{part}.words"], self.scaling)
        if not isinstance(arrays[f"{part}.words"], np.memmap):
            values = values[:]  # it fits into memory
        return Sample(values, Truth.of(arrays[f"{part}.labels"], arrays[f"{part}.events"]))

    def words(self, part: str) -> np.ndarray:
        return self.data.arrays[f"{part}.words"].astype(np.float64)

    @cached_property
    def train(self) -> Sample:
        return self.sample("train")

    @cached_property
    def validation(self) -> Sample:
        return self.sample("validation")

    @cached_property
    def float_weights(self):
        """The float network's deployed weights: layer → kernel, bias."""
        return member_weights(self.topology, self.floating.arrays, 0)

    @cached_property
    def start(self) -> Origin:
        """The float network, as what designs are trained from."""
        return self.floating.key, member_parameters(self.floating.arrays, 0)

    @cached_property
    def wide(self) -> Topology | None:
        """The widest network of the space, which holds all its designs; None where no width is to choose."""
        if self.space is None:
            return None
        widths = self.space.numbers("width")
        return widest(self.topology, widths) if widths else None

    @property
    def float_figures(self) -> dict[str, Figure]:
        return figures_of(self.floating.result["members"][0]["figures"])
